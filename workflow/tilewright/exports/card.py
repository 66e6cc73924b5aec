"""The data card of an export: README.md, in Markdown, with the front matter that dataset hubs read."""

import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

import geopandas as gpd
import pandas as pd
import yaml

from tilewright import __version__
from tilewright.acceptance import period_column
from tilewright.collection import bbox, image_credits, interval, label_credits, licence_of
from tilewright.config.bands import COLLECTION_BANDS, PRIMARY
from tilewright.config.splits import NAMES
from tilewright.exports.protocol import Layout, Whole
from tilewright.exports.source import bands_of
from tilewright.splits import BY_YEAR, NO_SPLIT
from tilewright.store import table_metadata

_SIZES: Final = (
    (1e3, "n<1K"), (1e4, "1K<n<10K"), (1e5, "10K<n<100K"), (1e6, "100K<n<1M"), (1e7, "1M<n<10M"), (1e8, "10M<n<100M"),
)  # fmt: skip
_SPDX_OF_HUBS: Final = {"ODbL-1.0": "odbl", "PDDL-1.0": "pddl"}
_TILES_SHOWN: Final = 60
_QUANTITIES: Final = {
    "dn": "amplitude, uncalibrated", "sigma0_db": "sigma nought on the ellipsoid, dB", "gamma0_db": "gamma nought, terrain-flattened, dB",
}  # fmt: skip

Row = Sequence[Any]


def data_card(whole: Whole, layout: Layout, records: pd.DataFrame, files: pd.DataFrame, config_text: str) -> str:
    """README.md: what, where, when, splits, labels, licences, how made, statistics, deviations from the original.

    Args:
        records: those of all samples.
        files: the tiles' files: path, bytes, crc32, cell_id.
        config_text: the config, shown as it is.
    """
    rows = accepted_rows(whole)
    parts = [
        _front_matter(whole, layout, len(records)),
        f"# {layout.title}: {whole.settings.dataset}",
        _what(whole, rows, records, files), _where(rows), _when(whole, rows), _splits(whole, rows), _labels(whole),
        _licences(whole), _band_statistics(whole), _class_shares(whole), _deviations(layout, whole), _how_made(whole, config_text),
    ]  # fmt: skip
    return "\n\n".join(part for part in parts if part) + "\n"


def accepted_rows(whole: Whole) -> gpd.GeoDataFrame:
    """The cells that the export is of, in the index's order."""
    return whole.dataset.index[whole.dataset.index["accepted"]]


def table(header: Row, rows: Iterable[Row]) -> str:
    """A table in Markdown."""
    lines = [[_cell(value) for value in row] for row in (header, *rows)]
    lines.insert(1, ["---"] * len(header))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(value: Any) -> str:
    return re.sub(r"\s+", " ", str(value)).replace("|", "\\|").replace("<", "&lt;")


def _front_matter(whole: Whole, layout: Layout, samples: int) -> str:
    licence = licence_of(whole.dataset.described)
    labels = whole.dataset.described.get("labels", {})
    known: dict[str, Any] = {
        "pretty_name": f"{layout.title}: {whole.settings.dataset}",
        "license": _SPDX_OF_HUBS.get(licence, licence.lower()),
    }
    if licence == "other":
        known |= {"license_name": "several", "license_link": "README.md"}
    segmented = any(about.get("ontology") for about in labels.values())
    known |= {
        "size_categories": [next((name for limit, name in _SIZES if samples < limit), "n>100M")],
        "task_categories": ["image-segmentation"] if segmented else ["image-feature-extraction"],
        "tags": ["remote-sensing", "earth-observation", *(name.replace("_", "-") for name in whole.dataset.collections), "tilewright"],
    }  # fmt: skip
    return f"---\n{yaml.safe_dump(known, sort_keys=False, allow_unicode=True)}---"


def _what(whole: Whole, rows: gpd.GeoDataFrame, records: pd.DataFrame, files: pd.DataFrame) -> str:
    sizes = sorted({int(size) for size in rows["size_m"]})
    lines = [
        f"{len(rows):,} cells of {', '.join(f'{size:,} m' for size in sizes)}, {_patches(whole, rows)}; {len(records):,} samples in "
        f"{len(files):,} files of the tiles, {files['bytes'].sum() / 1e6:,.1f} MB. Made by tilewright in the layout "
        f"`{whole.settings.layout}`. A patch is the pixels of one cell from one scene.",
        "",
    ]
    shown = []
    for collection, bands in bands_of(whole.dataset).items():
        for step in sorted({COLLECTION_BANDS[collection][band] for band in bands}):
            of_step = [band for band in bands if COLLECTION_BANDS[collection][band] == step]
            pixels = ", ".join(f"{size // step} × {size // step}" for size in sizes)
            shown.append((collection, f"{step} m", ", ".join(of_step), pixels, _quantity(whole, collection)))
    head = ("collection", "ground resolution", "bands", "pixels", "numbers in the dataset's stores")
    return "## What\n\n" + "\n".join(lines) + table(head, shown)


def _patches(whole: Whole, rows: gpd.GeoDataFrame) -> str:
    others = [name for name in whole.dataset.collections if name != PRIMARY]
    counts = [(PRIMARY, int(rows["dates"].sum())), *((name, int(rows[f"{name}_dates"].sum())) for name in others)]
    return ", ".join(f"{count:,} patches of {name}" for name, count in counts)


def _quantity(whole: Whole, collection: str) -> str:
    about = whole.dataset.described.get("collections", {}).get(collection, {})
    if collection.startswith("s2_"):
        return "reflectance × 10,000, harmonised: every processing baseline means the same; 0 in all bands is no data"
    return _QUANTITIES.get(str(about.get("quantity", "")), "backscatter")


def _where(rows: gpd.GeoDataFrame) -> str:
    west, south, east, north = bbox(rows)
    tiles = sorted(set(rows["tile"]))
    shown = ", ".join(tiles[:_TILES_SHOWN]) + (
        f" and {len(tiles) - _TILES_SHOWN:,} more" if len(tiles) > _TILES_SHOWN else ""
    )
    zones = ", ".join(f"EPSG:{code}" for code in sorted(set(map(int, rows["epsg"]))))
    across = " (across the antimeridian)" if west > east else ""
    return (
        "## Where\n\n"
        f"Longitude {west:.5f} to {east:.5f}{across}, latitude {south:.5f} to {north:.5f}. {len(tiles):,} MGRS tiles: {shown}. "
        f"Pixels are on the tiles' own grids, in {zones}."
    )  # fmt: skip


def _when(whole: Whole, rows: gpd.GeoDataFrame) -> str:
    first, last = interval(rows)
    names = whole.settings.periods
    shown = [
        (period, *(_dates(rows, collection, period) for collection in whole.dataset.collections)) for period in names
    ]
    told = f"Imagery from {first} to {last} (UTC)." if first else "There is no imagery."
    head = ("period", *(f"dates of {name}" for name in whole.dataset.collections))
    return f"## When\n\n{told} The periods' limits and choice rules are in the config below.\n\n{table(head, shown)}"


def _dates(rows: gpd.GeoDataFrame, collection: str, period: str) -> str:
    column = period_column(collection, period)
    return f"{int(rows[column].sum()):,}" if column in rows else "not counted"


def _splits(whole: Whole, rows: gpd.GeoDataFrame) -> str:
    made = whole.statistics.get("split", {})
    counts = rows["split"].value_counts()
    shown = [(name, f"{counts[name]:,}", f"{counts[name] / len(rows):.1%}") for name in NAMES if counts.get(name, 0)]
    for name, words in ((BY_YEAR, "in each, with the dates of its years"), (NO_SPLIT, "in none")):
        if counts.get(name, 0):
            shown.append((words, f"{counts[name]:,}", f"{counts[name] / len(rows):.1%}"))
    told = [f"By {made.get('by', 'the config')}" + (f", {made['units']:,} of them" if made.get("units") else "") + "."]
    if made.get("reason"):
        told.append(f"Not as asked for: {made['reason']}.")
    if made.get("buffer_m") is not None:
        dropped = sum(made.get("dropped", {}).values())
        told.append(f"Cells within {made['buffer_m']:g} m of another split's ground are in none: {dropped:,} of them.")
    if made.get("years"):
        told.append(
            "Years: " + "; ".join(f"{name} {', '.join(map(str, years))}" for name, years in made["years"].items()) + "."
        )
    return f"## Splits\n\n{' '.join(told)}\n\n{table(('split', 'cells', 'share'), shown)}"


def _labels(whole: Whole) -> str:
    labels = whole.dataset.described.get("labels", {})
    if not labels:
        return "## Labels\n\nThere are none."
    lines = []
    for name, about in sorted(labels.items()):
        ontology = about.get("ontology")
        year = f", of {about['year']}" if about.get("year") else ""
        if ontology is None:
            lines.append(f"- `{name}`: a layer of numbers at {about['resolution_m']:g} m{year}.")
            continue
        channels = ", ".join(str(each["name"]) for each in ontology["channels"])
        lines.append(
            f"- `{name}`: ontology {ontology['name']} (version {ontology['version']}), {len(ontology['categories'])} classes in {channels}, at "
            f"{about['resolution_m']:g} m{year}."
        )
    return "## Labels\n\n" + "\n".join(lines)


def _licences(whole: Whole) -> str:
    described = whole.dataset.described
    parts = {**described.get("collections", {}), **dict(sorted(described.get("labels", {}).items()))}
    shown = [
        (f"`{name}`", about.get("provider") or about.get("kind") or "", about.get("licence") or "not stated") for name, about in parts.items()
    ]  # fmt: skip
    if cities := _cities(whole):
        shown.append(("places", cities["table"], cities["licence"] or "not stated"))
    return (
        "## Licences and attribution\n\n" + table(("part", "source", "licence"), shown) + "\n\nTo be said wherever the data are used: "
        + " ".join(credits_of(whole))
    )  # fmt: skip


def credits_of(whole: Whole) -> list[str]:
    """How imagery, labels and the table of cities are to be credited, a sentence each."""
    described = whole.dataset.described
    return [
        *image_credits(described.get("collections", {})), *label_credits(described.get("labels", {})), *place_credits(whole),
    ]  # fmt: skip


def place_credits(whole: Whole) -> list[str]:
    """How the table of cities that the places were drawn around is to be credited; nothing where there is none."""
    told = _cities(whole).get("attribution")
    return [f"{told}."] if told else []


def _cities(whole: Whole) -> dict[str, Any]:
    """What is known of the table of cities: table, licence, attribution; empty where places are not of cities."""
    places = whole.locations or whole.dataset.path / "locations.parquet"
    found: dict[str, Any] = table_metadata(places)["source"] if places.is_file() else {}
    return found


def _band_statistics(whole: Whole) -> str:
    """As Tables XII and XIII of the paper on SSL4EO-S12: mean and standard deviation of each band, product by product."""
    known = whole.statistics.get("bands_train", {})
    parts = []
    for collection, bands in bands_of(whole.dataset).items():
        shown = [
            (band, f"{known[key]['mean']:,.2f}", f"{known[key]['std']:,.2f}", known[key]["unit"], f"{known[key]['pixels']:,}")
            for band in bands if (key := f"{collection}_{band}") in known
        ]  # fmt: skip
        if shown:
            parts.append(f"### {collection}\n\n{table(('band', 'mean', 'std', 'unit', 'valid pixels'), shown)}")
    if not parts:
        return "## Statistics of the bands\n\nNo cell of the split train has pixels."
    note = "Over the valid pixels of the split train, as the stores hold them (before any scaling of this layout)."
    return f"## Statistics of the bands\n\n{note}\n\n" + "\n\n".join(parts)


def _class_shares(whole: Whole) -> str:
    parts = []
    for name, known in sorted(whole.statistics.get("labels", {}).items()):
        if "classes" in known:
            shown = [
                (key, f"{share['pixels']:.3%}", f"{share['cells']:.2%}") for key, share in known["classes"].items()
            ]
            parts.append(f"### {name}\n\n{table(('channel/class', 'pixels', 'cells that have it'), shown)}")
        elif "mean" in known:
            parts.append(f"### {name}\n\nFrom {known['min']:g} to {known['max']:g}, mean {known['mean']:g}.")
    note = "Over all cells of the dataset that the labels' source covers."
    return f"## Shares of the classes\n\n{note}\n\n" + "\n\n".join(parts) if parts else ""


def _deviations(layout: Layout, whole: Whole) -> str:
    found = layout.deviations(whole)
    if not found:
        return "## Deviations from the original\n\nNone: the layout is tilewright's own, of no published dataset."
    shown = [(each.subject, each.original, each.here, each.why) for each in found]
    return f"## Deviations from the original\n\n{table(('what', 'the original', 'here', 'why'), shown)}"


def _how_made(whole: Whole, config_text: str) -> str:
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall(r"`+", config_text)), default=0))
    software = whole.dataset.described.get("software", f"tilewright {__version__}")
    return (
        f"## How it was made\n\nStores by {software}, this export by tilewright {__version__}. Sampling of cells, scenes that were refused and "
        f"why are in the dataset's report. The config:\n\n{fence}yaml\n{config_text.rstrip()}\n{fence}"
    )  # fmt: skip
