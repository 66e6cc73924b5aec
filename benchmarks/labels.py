"""Labels: burning a dense tile beside rasterio's bare burn; making features of an extract beside other readers; parcels.

python benchmarks/labels.py                      everything, 20 minutes; the maps are made by the first run
python benchmarks/labels.py --quick              a small map and few parcels, without the peers' environments: seconds
python benchmarks/labels.py --only stage|region|parcels
python benchmarks/labels.py --only stage --real FILE.osm.pbf     the tile filled with copies of a real extract
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from label_world import Map, ensure
from measure import FailedRunError, Measured, interleaved, median, run
from table import Check, keep, show, verdicts
from venvs import PEERS, NoPeerError, python_of
from world import CELL_M, DATA, EPSG, ULX, ULY

ROOT = Path(__file__).resolve().parents[1]
ONTOLOGY = ROOT / "config" / "ontologies" / "opensentinelmap.yaml"
STEP = 10
STEPS = ("source", "features", "labels")
# Pixels of a million burned ones that may be other than rasterio's: centres exactly on an edge; GDAL's tolerance at touches.
CENTRES_APART, TOUCHES_APART = 10, 500


class Tile:
    """One map in a folder of its own: its cells, the stages' commands, what the scripts are told."""

    def __init__(self, of: Map, folder: Path) -> None:
        self.map, self.folder = of, folder
        side = range(of.side_m // CELL_M)
        self.cells = [(ULX + column * CELL_M, ULY - row * CELL_M) for row in side for column in side]
        folder.mkdir()
        spec = {
            "folder": folder,
            "pbf": of.pbf.resolve(),
            "ontology": ONTOLOGY,
            "cells": self.cells,
            "cell_m": CELL_M,
            "step": STEP,
        }
        told = run([sys.executable, Path(__file__).with_name("label_stages.py"), self.told("spec", spec)]).document
        self.commands: dict[str, list[str]] = told["commands"]
        self.keys: list[str] = told["keys"]
        self.job = self.told(
            "job",
            {
                "features": folder / "features.parquet", "ontology": ONTOLOGY, "epsg": EPSG, "ulx": ULX, "uly": ULY,
                "side": of.side_m // STEP, "step": STEP,
            },
        )  # fmt: skip

    def told(self, name: str, document: dict[str, Any]) -> Path:
        """A JSON file for a script."""
        path = self.folder / f"{name}.json"
        path.write_text(json.dumps(document, default=str))
        return path

    def stage(self, name: str) -> Measured:
        """Run a stage as its rule does."""
        return run(self.commands[name])

    @property
    def labels(self) -> Path:
        return self.folder / "labels.zarr.zip"


def script(name: str, *arguments: Any, python: Path | str = sys.executable) -> Measured:
    """Run one of the peers' scripts."""
    return run([python, PEERS / f"{name}.py", *arguments])


def said(text: str) -> None:
    print(f"  {text}", flush=True)


# -- the stage ----------------------------------------------------------------------------------------------------------------


def stage(tile: Tile, repeats: int) -> dict[str, Any]:
    """The stage `labels` beside rasterio's burn of the same shapes; and whether the pixels are the same."""
    before = {name: tile.stage(name) for name in STEPS[:2]}
    runs = interleaved(
        {"labels": partial(tile.stage, "labels"), "floor": partial(script, "burn_floor", tile.job)}, repeats, said
    )
    start = run([sys.executable, "-c", "import tilewright.stages.labels, tilewright.vector.burn"]).cpu_s
    floors = [one.document for one in runs["floor"]]
    floor = median([one["centre_s"] + one["lines_s"] for one in floors])
    ruled = median([one["ruled_s"] + one["lines_s"] for one in floors])
    facts = floors[0]

    def row(what: str, cpu: float, peak: float | None = None, wall: float | None = None) -> dict[str, Any]:
        return {"what": what, "CPU s": cpu, "/floor": cpu / floor, "peak MB": peak, "wall s": wall}

    spent = median([one.cpu_s for one in runs["labels"]])
    rows = [
        row("floor: rasterio, areas by centre, lines all touched", floor),
        row("  the same, areas by their category's burn rule", ruled),
        row("tilewright labels, the whole process", spent, max(one.peak_mb for one in runs["labels"]), median([one.wall_s for one in runs["labels"]])),
        row("  of it start-up and imports", start),
        *(row(f"before it, once: {name}", one.cpu_s, one.peak_mb, one.wall_s) for name, one in before.items()),
    ]  # fmt: skip
    told = tile.map.facts
    show(
        f"The labels of {len(tile.cells)} cells: {facts['areas']} areas and {facts['lines']} lines that the ontology burns",
        rows,
        f"Map: {told['source']}; {told['ways']} ways. The floor has its shapes in memory (shapely), projected and sorted, and one channel.\n"
        "tilewright reads, projects, burns three channels and `none`, dilates, counts and writes.",
    )
    check = script("burn_check", tile.job, tile.labels).document
    same = [{"pixels of the tile": name, **each, "differ ppm": 1e6 * each["differ"] / max(1, each["burned"])} for name, each in check.items()]  # fmt: skip
    show(
        "tilewright's pixels beside rasterio's, of the same shapes",
        same,
        "What differs where, and why, is said in vector/scan.py.",
    )
    if wrong := [each for each in same if each["differ ppm"] > (CENTRES_APART if each is same[0] else TOUCHES_APART)]:
        raise SystemExit(
            f"{wrong[0]['pixels of the tile']}: {wrong[0]['differ']} pixels are not rasterio's: nothing is compared"
        )
    return {"rows": rows, "same": same, "shapes": facts, "map": told, "source": row("source", before["source"].cpu_s)}


# -- the region ---------------------------------------------------------------------------------------------------------------


def region(whole: Map | None, part: Map, folder: Path, quick: bool, repeats: int) -> dict[str, Any]:
    """Features of an extract by several readers; labels of all its cells by tilewright and a cell at a time by osmnx."""
    tile = Tile(part, folder / part.name)
    pbf, osm = part.pbf, part.osm
    jobs: dict[str, Callable[[], Measured]] = {
        "tilewright source": partial(tile.stage, "source"),
        "GDAL's OSM driver, by pyogrio": partial(script, "gdal_features", pbf),
        "osmnx features_from_xml": partial(script, "osmnx_features", osm, *tile.keys),
    }
    if not quick:
        try:
            jobs["pyrosm"] = partial(script, "pyrosm_features", pbf, *tile.keys, python=python_of("pyrosm"))
        except NoPeerError as error:
            print(f"pyrosm is left out: {error}")
    slow = "osmnx features_from_xml"
    runs = interleaved(jobs, {name: 1 if name == slow else repeats for name in jobs}, said)
    ways = part.facts["ways"]
    spent = {name: median([one.cpu_s for one in each]) for name, each in runs.items()}
    ours = spent["tilewright source"]
    rows = []
    for name, each in runs.items():
        made = {} if name == "tilewright source" else each[-1].document
        rows.append(
            {
                "": name, "of": f"{ways} ways", "CPU s": spent[name], "/tilewright": spent[name] / ours, "ways/CPU s": ways / spent[name],
                "peak MB": max(one.peak_mb for one in each), "areas": made.get("Polygon"), "lines": made.get("LineString"),
            }
        )  # fmt: skip
    counts = source_counts(tile)
    rows[0] |= {"areas": counts.get("area"), "lines": counts.get("line")}
    if whole is not None:
        big = Tile(whole, folder / whole.name)
        done, many = big.stage("source"), whole.facts["ways"]
        found = source_counts(big)
        rows.append(
            {
                "": "tilewright source, the whole tile", "of": f"{many} ways", "CPU s": done.cpu_s, "/tilewright": None,
                "ways/CPU s": many / done.cpu_s, "peak MB": done.peak_mb, "areas": found.get("area"), "lines": found.get("line"),
            }
        )  # fmt: skip
    # then on to labels
    stages = [tile.stage(name) for name in STEPS[1:]]
    whole_way = ours + sum(one.cpu_s for one in stages)
    cells = len(tile.cells)
    peer = by_cells(tile, 4 if quick else 16)
    one_by_one = peer["cpu_s"] / peer["cells"] * cells
    rows += [
        {
            "": "tilewright source + features + labels", "of": f"{cells} cells", "CPU s": whole_way, "/tilewright": 1.0,
            "peak MB": max(one.peak_mb for one in (*runs["tilewright source"], *stages)),
        },
        {
            "": "osmnx + rasterio, a cell at a time", "of": f"{cells} cells", "CPU s": one_by_one, "/tilewright": one_by_one / whole_way,
            "peak MB": peer["peak_mb"],
        },
    ]  # fmt: skip
    show(
        f"From an extract to features, and to labels ({part.side_m / 1000:g} x {part.side_m / 1000:g} km)",
        rows,
        "Whole processes, imports included. tilewright writes sorted GeoParquet; the others' tables stay in memory, with the tags as columns.\n"
        f"A cell at a time: extrapolated from {peer['cells']} cells, {1000 * peer['cpu_s'] / peer['cells']:.0f} CPU-ms each, imports not counted. What stands for the\n"
        "API's answers was cut before and is not counted either: no server, no network, no waiting. It makes no `none`, and lacks what encloses\n"
        f"a cell without a vertex in it; with that, and exact buffers for disks, {100 * peer['apart']:.2g} % of the pixels with a class differ.",
    )
    return {"rows": rows, "cells": peer}


def source_counts(tile: Tile) -> dict[str, int]:
    """Features by kind, as the source's file says."""
    code = (
        "import json, sys; from pathlib import Path; from tilewright.store import table_metadata; "
        "print(json.dumps(table_metadata(Path(sys.argv[1]))['counts']))"
    )
    return run([sys.executable, "-c", code, tile.folder / "osm.parquet"]).document


def by_cells(tile: Tile, count: int) -> dict[str, Any]:
    """Some cells, spread over the map, each by osmnx."""
    some = tile.cells[:: max(1, len(tile.cells) // count)][:count]
    job = tile.told(
        "cells",
        {
            "cells": some, "epsg": EPSG, "cell_m": CELL_M, "margin_m": 50, "step": STEP, "pbf": tile.map.pbf, "ontology": ONTOLOGY,
            "keys": tile.keys, "files": [tile.folder / f"cell{at}.osm" for at in range(len(some))], "labels": tile.labels,
        },
    )  # fmt: skip
    run([sys.executable, Path(__file__).with_name("label_cut.py"), job])
    done = script("osmnx_cells", job)
    return {**done.document, "peak_mb": done.peak_mb}


# -- parcels ------------------------------------------------------------------------------------------------------------------


def parcels(folder: Path, quick: bool, repeats: int) -> dict[str, Any]:
    """Parcels at 10 and 2.5 m beside exactextract and rasterio, and how they agree."""
    count, side_m = (500, 3000) if quick else (20_000, 20_000)
    run([sys.executable, Path(__file__).with_name("label_parcels.py"), folder, str(count)])
    rows, agreement = [], []
    for step in (10, 2.5):
        arguments = (folder, str(side_m), str(step))
        jobs = {
            "tilewright: ids, coverage, claims": partial(script, "parcels_tilewright", *arguments),
            "tilewright: distances too": partial(script, "parcels_tilewright", *arguments, "distances"),
            "exactextract: cell_id, coverage; numpy": partial(script, "parcels_exactextract", *arguments),
            "rasterio: all touched, last wins": partial(script, "parcels_rasterio", *arguments),
        }
        runs = interleaved(
            jobs, {name: 1 if name.startswith("exact") and step < 10 else repeats for name in jobs}, said
        )
        ours = median([one.document["cpu_s"] for one in runs["tilewright: ids, coverage, claims"]])
        for name, each in runs.items():
            spent = median([one.document["cpu_s"] for one in each])
            rows.append(
                {
                    "": name,
                    "step m": step,
                    "CPU s": spent,
                    "/tilewright": spent / ours,
                    "peak MB": max(one.peak_mb for one in each),
                }
            )
        agreement.append({"step m": step, **script("parcels_check", *arguments).document})
    show(
        f"{count} Voronoi parcels, 5 % of them grown over their neighbours, 1 % doubled, on {side_m / 1000:g} x {side_m / 1000:g} km",
        rows,
        "CPU s of the work alone, from parcels in memory; tilewright's has the projection in it. rasterio gives an id, nothing else.",
    )
    facts = [
        {
            "step m": each["step m"], "claims": f"{name}, {what}", "of pixels %": 100 * each[f"{name} {what}: marked"],
            "disagree ppm": ppm(each, name, what), "false": each[f"{name} {what}: false"], "lacking": each[f"{name} {what}: lacking"],
        }
        for each in agreement for name in ("claims", "claims_same") for what in ("partly", "wholly")
    ]  # fmt: skip
    lines = [
        f"{each['step m']:g} m: same parcel in {100 * each['same parcel']:.6g} % of pixels (rasterio's last wins: {100 * each['last wins: same parcel']:.3g} %), "
        f"coverage at most {each['coverage: largest difference']:.1g} apart."
        for each in agreement
    ]
    show("tilewright's claims beside exactextract's coverage", facts, "\n".join(lines))
    return {"rows": rows, "agreement": agreement}


def ppm(agreement: dict[str, float], name: str, what: str) -> float:
    """Pixels of a million where claims disagree."""
    return 1e6 * (1 - agreement[f"{name} {what}: agree"])


# -- all of it ----------------------------------------------------------------------------------------------------------------


def checks_of(found: dict[str, Any]) -> list[Check]:
    """Our targets beside what was found."""
    burned, made, claimed = (found.get(name) for name in ("stage", "region", "parcels"))
    labels = burned["rows"][2] if burned else {}
    shapes = burned["shapes"] if burned else {}
    source = next((row for row in made["rows"] if row[""].endswith("whole tile")), {}) if made else {}
    checks = [
        Check("areas that are burned, thousands", shapes["areas"] / 1000 if shapes else None, 400, at_least=True),
        Check("lines that are burned, thousands", shapes["lines"] / 1000 if shapes else None, 190, at_least=True),
        Check("labels stage: CPU of rasterio's bare burn", labels.get("/floor"), 2.0, unit=" x"),
        Check("labels stage: peak memory", labels.get("peak MB"), 3000, unit=" MB"),
        Check(
            "region build: ways a CPU second, thousands",
            source["ways/CPU s"] / 1000 if source else None,
            40,
            at_least=True,
        ),
    ]
    for step in (10, 2.5):
        each = next((one for one in claimed["agreement"] if one["step m"] == step), None) if claimed else None
        for what, limit in (("partly", 200), ("wholly", 10)):
            worst = max(ppm(each, name, what) for name in ("claims", "claims_same")) if each else None
            wrong = sum(each[f"{name} {what}: false"] for name in ("claims", "claims_same")) if each else None
            checks += [
                Check(f"parcels, {step:g} m, {what} claimed: disagree, of a million", worst, limit),
                Check("  of them false", wrong, 0),
            ]
    return checks


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Labels beside rasterio, other readers of OpenStreetMap, and exactextract."
    )
    parser.add_argument("--quick", action="store_true", help="a small map, few parcels")
    parser.add_argument("--only", choices=["stage", "region", "parcels"], help="one of the parts")
    parser.add_argument(
        "--real", type=Path, help="stage: an extract to fill the tile with, instead of the generated map"
    )
    parser.add_argument("--repeats", type=int, default=3, help="runs of what does not take minutes")
    parser.add_argument("--data", type=Path, default=DATA)
    told = parser.parse_args()
    told.data.mkdir(parents=True, exist_ok=True)
    wanted = [told.only] if told.only else ["stage", "region", "parcels"]
    repeats = 1 if told.quick else told.repeats
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(dir=told.data) as name:
        scratch = Path(name)
        size = "quick" if told.quick else "full"
        if "stage" in wanted:
            found["stage"] = stage(Tile(ensure(size, told.data, told.real), scratch / "stage"), repeats)
        if "region" in wanted:
            whole = None if told.quick else ensure("full", told.data)
            part = ensure("quick" if told.quick else "quarter", told.data)
            (scratch / "region").mkdir()
            found["region"] = region(whole, part, scratch / "region", told.quick, repeats)
        if "parcels" in wanted:
            found["parcels"] = parcels(scratch / "parcels", told.quick, repeats)
    if told.quick:
        keep("labels-quick", found)
        return
    checks = checks_of(found)
    verdicts("Targets for labels", checks)
    kept = "labels" if not (told.only or told.real) else f"labels-{told.only or 'all'}{'-real' if told.real else ''}"
    keep(kept, found, checks)


if __name__ == "__main__":
    try:
        main()
    except FailedRunError as error:
        sys.exit(str(error))
