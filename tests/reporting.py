"""Datasets for tests of the report: written by hand as search, mask and crop leave them, then by the project's own stages."""

import base64
import io
from collections.abc import Callable
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import shapely
import xarray as xr
import yaml
from matplotlib.image import imread

import labelsets
from handmade import small_of
from tilewright.config.bands import SCL_CLASSES
from tilewright.config.cell_settings import CellsSettings
from tilewright.config.settings import GroupSettings, IndexSettings, Origin
from tilewright.config.splits import Split
from tilewright.report import make_report
from tilewright.report.drawing import Frame
from tilewright.stages.cells import make_cells
from tilewright.stages.group import make_group
from tilewright.stages.index import make_index
from tilewright.stages.zone import TileFiles, make_zone
from tilewright.store import read_table, write_table
from tilewright.store.patches import groups_of
from tilewright.store.zarrzip import StoreWriter

SIZE = 240
TILE = "32TNT"
HOSTILE = '<script>alert("1")</script><img src=x onerror=alert(2)>'
BANDS = ["B02", "B03", "B04", "B05", "B08"]


COMPANIONS: dict[str, list[str]] = {"s1_grd": ["VV", "VH"], "s2_l1c": ["B02", "B03", "B04", "B10"]}
# of each date: days to the radar scene and its direction (None: none), and whether there is a Level-1C scene
PAIRED: dict[str, tuple[float | None, str, bool]] = {
    "2019-03-04T10:00:00": (-1.25, "descending", True), "2019-05-06T10:00:00": (None, "", True),
    "2020-07-08T10:00:00": (0.5, "ascending", False),
}  # fmt: skip


@dataclass
class Patches:
    """Some patches of one collection in one period: a row each."""

    collection: str
    bands: list[str]
    cells: list[str]
    scenes: list[str]
    times: list[np.datetime64]
    pairs: list[str]
    states: list[str]


def dated(collection: str, bands: list[str], cells: list[str], dates: list[str]) -> Patches:
    """Every cell has every date; of a companion, those that are paired."""
    rows = []
    for cell in cells:
        for date in dates:
            scene, time, (away, state, optical) = (
                f"S2_{date}",
                np.datetime64(date, "us"),
                PAIRED.get(date, (None, "", False)),
            )
            if collection == "s2_l2a":
                rows.append((cell, scene, time, "", ""))
            elif collection == "s2_l1c" and optical:
                rows.append((cell, f"L1C_{date}", time, scene, ""))
            elif collection == "s1_grd" and away is not None:
                rows.append((cell, f"S1_{date}", time + np.timedelta64(int(away * 24), "h"), scene, state))
    rows.sort(key=lambda row: (cells.index(row[0]), row[2]))
    columns = [list(each) for each in zip(*rows, strict=True)] or [[], [], [], [], []]
    return Patches(collection, bands, *columns)


def plane(collection: str, group: Any, band: str) -> np.ndarray:
    """(y, x) of a patch: a ramp; radar has no data in a corner."""
    ramp = np.arange(24 * 24, dtype="uint16").reshape(24, 24)
    step = 10 // group.resolution or group.resolution // 10
    if group.is_scl:
        return 4 + (ramp[::step, ::step] // 300)
    if collection == "s1_grd":
        decibel = -10 - 6 * (band == "VH") + ramp[::step, ::step].astype("float32") / 100
        decibel[:4, :6] = np.nan
        return decibel
    return 100 * (1 + ("B02", "B03", "B04", "B05", "B08", "B10").index(band)) + ramp[::step, ::step]


def put_patches(store: StoreWriter, of: Patches) -> None:
    count = len(of.cells)
    word, number = np.full(count, "x", object), np.zeros(count, np.int32)
    words = {
        "cell_id": of.cells,
        "scene_id": of.scenes,
        "pair_of": of.pairs,
        "orbit_state": of.states,
        "parts": of.scenes,
    }
    coords: dict[str, Any] = {name: ("patch", np.array(values, object)) for name, values in words.items()}
    coords |= {
        "time": ("patch", np.array(of.times, "datetime64[us]")), "platform": ("patch", word), "processing_baseline": ("patch", word),
        "relative_orbit": ("patch", number), "nodata_fraction": ("patch", np.zeros(count, np.float32)),
    }  # fmt: skip
    if of.collection != "s1_grd":
        bad = np.resize(np.array([0.125, 0.0], np.float32), count)
        counts = np.zeros((count, len(SCL_CLASSES)), np.int32)
        coords |= {
            "dn_offset": ("patch", number),
            "bad_fraction": ("patch", bad),
            "scl_count": (("patch", "scl_class"), counts),
        }
    store.small(of.collection, small_of(xr.Dataset(coords=coords)))
    for group in groups_of(of.collection, of.bands):
        side = group.side(SIZE)
        dims = ("patch", "y", "x") if group.is_scl else ("patch", "band", "y", "x")
        shape = (count, side, side) if group.is_scl else (count, len(group.bands), side, side)
        store.array(group.array, shape, group.dtype, group.chunk_shape(SIZE), dims)
        for patch in range(count):
            for at, band in enumerate(group.bands):
                pixels = plane(of.collection, group, band).astype(group.dtype)
                store.put(group.array, group.index(patch, at), pixels.reshape(group.chunk_shape(SIZE)))


def scene_rows(
    scenes: list[str], times: list[np.datetime64], collection: str, evidence: str, offset: int = 0
) -> pd.DataFrame:
    """What of scenes.parquet matters here; one more scene that a newer product supersedes, and one that is refused."""
    table = pd.DataFrame(
        {
            "scene_id": scenes,
            "datetime": pd.Series(times, dtype="datetime64[us]"),
            "radiometry": evidence,
            "refused": "",
        }
    )
    table["acquisition"] = scenes
    more = pd.DataFrame(
        {
            "scene_id": [f"{collection}_old", f"{collection}_odd"], "datetime": pd.to_datetime(["2019-05-01", "2019-06-01"]),
            "radiometry": [evidence, "its pixels do not tell (water in B12: 801 of 900 pixels)"], "acquisition": [scenes[0] if scenes else "", ""],
            "refused": [f"superseded by {scenes[0] if scenes else 'x'}", "offset unresolved: its pixels do not tell (water …)"],
        }
    )  # fmt: skip
    return pd.concat([table, more], ignore_index=True).assign(collection=collection, dn_offset=offset)


def write_patches(
    folder: Path,
    cells: pd.DataFrame,
    period: str,
    dates: list[str],
    bands: dict[str, list[str]],
    blank: int,
    offset: int = 0,
) -> Path:
    """What search, mask and crop leave: every cell has every date, but the first `blank` cells none."""
    folder.mkdir(parents=True)
    ids = cells["cell_id"].tolist()[blank:]
    held = [dated(name, own, ids, dates) for name, own in bands.items()]
    quantities = {name: "sigma0_db" if name == "s1_grd" else "dn" for name in bands}
    with StoreWriter(folder / "patches.zarr.zip", {"settings_digest": "0", "quantities": quantities}) as store:
        for each in held:
            put_patches(store, each)
    times = {each.collection: dict(zip(each.scenes, each.times, strict=True)) for each in held}
    times["s2_l2a"] = {f"S2_{date}": np.datetime64(date, "us") for date in dates}
    tables = {
        name: scene_rows(list(of), list(of.values()), name, f"by {HOSTILE}" if name == "s2_l2a" else f"{name} is so", offset)
        for name, of in times.items()
    }  # fmt: skip
    write_table(tables.pop("s2_l2a"), folder / "scenes.parquet", {})
    if tables:
        spans = {name: ["2019-01-01", "2020-12-31"] for name in tables}
        write_table(pd.concat(tables.values(), ignore_index=True), folder / "companions.parquet", {"spans": spans})
    rows = [
        {
            "collection": each.collection,
            "cell_id": cell,
            "scene_id": scene,
            "pair_of": pair,
            "status": "used",
            "reason": "",
        }
        for each in held
        for cell, scene, pair in zip(each.cells, each.scenes, each.pairs, strict=True)
    ]
    rows += [{"collection": "s2_l2a", "cell_id": cell, "scene_id": "S2_gone", "pair_of": "", "status": "refused", "reason": "broken: 404 <b>"} for cell in cells["cell_id"]]  # fmt: skip
    for name in tables:
        there = {
            (cell, pair)
            for each in held
            if each.collection == name
            for cell, pair in zip(each.cells, each.pairs, strict=True)
        }
        lacking = [(cell, f"S2_{date}") for cell in ids for date in dates if (cell, f"S2_{date}") not in there]
        rows += [{"collection": name, "cell_id": cell, "scene_id": "", "pair_of": pair, "status": "missing", "reason": f"no {name} that serves within 3 days"} for cell, pair in lacking]  # fmt: skip
        rows += [{"collection": name, "cell_id": cell, "scene_id": "far", "pair_of": pair, "status": "refused", "reason": "nodata"} for cell, pair in lacking[:2]]  # fmt: skip
    write_table(pd.DataFrame(rows), folder / "selection.parquet", {"rule": {"period": period}})
    return folder / "patches.zarr.zip"


Labels = Callable[[Path, pd.DataFrame], tuple[dict[str, dict[str, Any]], dict[str, dict[str, Any]]]]
"""(root, cells) -> label sets as `labelsets` writes them, and what features.parquet says of them."""


def shipped(root: Path, name: str) -> dict[str, Any]:
    return yaml.safe_load((root / f"config/ontologies/{name}.yaml").read_text())


def woods(root: Path, cells: pd.DataFrame) -> tuple[dict[str, dict[str, Any]], dict[str, dict[str, Any]]]:
    """A wood in the middle of the first four cells; the last three cells are half outside the extent."""
    labels = np.full((len(cells), 3, 24, 24), 255, "uint8")
    labels[:4, 0, 6:18, 6:18] = 0
    coverage = np.ones(len(cells))
    coverage[-3:] = 0.5
    west, south, east, north = cells.total_bounds
    about = {
        "source": "a.osm.pbf", "snapshot": "2020-01-01T00:00:00Z", "licence": "© OpenStreetMap contributors, ODbL 1.0",
        "ontology": shipped(root, "opensentinelmap"), "kind": "pbf",
        "extent": [float(west - 1), float(south - 1), float(east - 0.002), float(north + 1)],
    }  # fmt: skip
    held = {"kind": "pbf", "counts": {"area": 4}, "rejects": {}, "repaired": 0, "extent": "POLYGON EMPTY"}
    return {"osm": {"arrays": {"labels": labels}, "about": about, "coverage": coverage}}, {"osm": held}


def everything(root: Path, cells: pd.DataFrame) -> tuple[dict[str, dict[str, Any]], dict[str, dict[str, Any]]]:
    """A layer, 33 classes with regions, parcels of two years with claims: each drawn, but in patches as maps are."""
    count = len(cells)

    def patches(name: str, values: list[int], side: int, *more: int) -> np.ndarray:
        draw = np.random.default_rng([*name.encode()])
        coarse = draw.choice(np.array(values, "uint8"), (count, *more, side // 4, side // 4))
        return coarse.repeat(4, axis=-1).repeat(4, axis=-2)

    clc, crops = (
        shipped(root, "seasonet-clc"),
        labelsets.ontology({"crop": {"wheat": 1, "maize": 2, "grass": 7}}, "crops"),
    )
    land = patches("clc", [*range(1, 34), 255], 96, 1)
    land[:, :, :40, :40] = 16
    ignore = np.stack([land != 16, (land != 16) & (land > 20), land > 250]).astype("uint8").transpose(1, 0, 2, 3, 4)
    dem = (400 + 90 * np.arange(count)[:, None, None] + np.add.outer(np.arange(24), np.arange(24))).astype("float32")
    dem[2], dem[3, :12] = np.nan, np.nan
    sets: dict[str, dict[str, Any]] = {
        "clc": {"arrays": {"labels": land, "ignore": ignore}, "about": {"ontology": clc, "unknown": {"CLC18=335": 3, "CLC18=<b>": 1}}},
        "dem": {"arrays": {"layer": dem}, "about": {"kind": "raster", "source": "dem.tif"}},
    }  # fmt: skip
    for year in (2019, 2020):
        name = f"lpis-{year}"
        arrays = {
            "labels": patches(name, [1, 2, 7, 255], 24, 1), "claims": patches(f"{name}a", [0] * 7 + [1, 2], 24),
            "claims_same": patches(f"{name}b", [0] * 7 + [1, 2], 24),
        }  # fmt: skip
        if year == 2020:
            arrays["claims"] *= 0
            arrays["claims_same"] *= 0
        sets[name] = {"arrays": arrays, "about": {"ontology": crops, "family": "lpis", "year": year}}
    held = {
        "clc": {"kind": "vector", "counts": {"area": 1234}, "rejects": {"null geometry": 17}, "repaired": 5, "extent": None},
        **{f"lpis-{year}": {"kind": "vector", "counts": {"area": 50}, "rejects": {}, "repaired": 0} for year in (2019, 2020)},
    }  # fmt: skip
    return sets, held


def build(
    folder: Path, root: Path, *, blank: int = 1, bands: list[str] = BANDS, labels: Labels | None = woods, attribution: str = "Us",
    periods: int = 2, companions: dict[str, list[str]] | None = None, days: list[str] | None = None,
) -> Path:  # fmt: skip
    """A dataset's folder, by the project's own stages."""
    tile = folder / "tiles" / TILE
    clip = shapely.box(9.46, 47.10, 9.49, 47.115).wkt
    make_cells(TILE, CellsSettings(size_m=SIZE, clip=clip, number=14), tile / "cells.parquet")
    cells = read_table(tile / "cells.parquet")
    spans = {"early": ["2019-03-04T10:00:00", "2019-05-06T10:00:00"], "late": ["2020-07-08T10:00:00"]}
    if days is not None:
        spans = {"only": days}
    names = list(spans)[:periods]
    held = {"s2_l2a": bands, **(companions or {})}
    stores = [write_patches(tile / name, cells, name, spans[name], held, blank) for name in names]
    origins = {
        name: Origin(provider="here" if name == "s2_l2a" else "there", licence="free", attribution=attribution)
        for name in held
    }
    settings = GroupSettings(
        tile=TILE, periods=names, bands=held, origins=origins,
        quantities={name: "sigma0_db" if name == "s1_grd" else "dn" for name in held},
    )  # fmt: skip
    make_group(tile / "cells.parquet", stores, settings, tile / "series.zarr.zip")
    if labels is not None:
        sets, about = labels(root, cells)
        write_table(pd.DataFrame({"label_set": []}), tile / "features.parquet", {"label_sets": about})
        labelsets.write_store(tile / "labels.zarr.zip", sets, cells["cell_id"].tolist(), SIZE)
    make_zone([TileFiles(tile, names, labels is not None, bool(companions))], folder / "zones" / "32N.parquet")
    split = IndexSettings(dataset="small", seed=1, size_m=SIZE, split=Split(block_m=480))
    make_index(
        [folder / "zones" / "32N.parquet"],
        split,
        folder / "index.parquet",
        folder / "statistics.json",
        folder / "collection.json",
    )
    return folder


def page_of(folder: Path, config: str = "dataset: small\n", name: str = "report.html") -> str:
    make_report(folder, config, folder / name)
    return (folder / name).read_text(encoding="utf-8")


class Page(HTMLParser):
    """Every element with its attributes, and the text outside of style."""

    def __init__(self, text: str):
        super().__init__()
        self.elements, self.text, self._style = [], "", False
        self.feed(text)
        self.text = " ".join(self.text.split())

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self._style = tag == "style"

    def handle_endtag(self, tag):
        self._style = False

    def handle_data(self, data):
        self.text += "" if self._style else f"{data} "

    def images(self) -> list[np.ndarray]:
        sources = [attrs["src"] for tag, attrs in self.elements if tag == "img"]
        return [imread(io.BytesIO(base64.b64decode(one.split(",", 1)[1])), format="png") for one in sources]


def pixels_of(frame: Frame) -> np.ndarray:
    """(y, x, 4) whole numbers."""
    return np.rint(255 * imread(io.BytesIO(base64.b64decode(frame.image.split(",")[1])), format="png")).astype(int)
