"""The page's words and tables, from the figures."""

import platform
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

import pandas as pd

from tilewright.config.bands import COLLECTION_BANDS, PRIMARY, RADAR
from tilewright.report.facts import Facts

_PACKAGES: Final = (
    "tilewright", "numpy", "pandas", "xarray", "zarr", "numcodecs", "rasterio", "pyproj", "shapely", "geopandas", "pyarrow",
    "odc-geo", "obstore", "imagecodecs", "tifffile", "stackstac", "dask", "pystac-client", "osmium", "osmnx", "pyogrio", "scipy", "matplotlib", "jinja2", "snakemake",
)  # fmt: skip
# By the quantity that a collection's store names.
_QUANTITIES: Final = {
    "dn": "harmonised DN", "sigma0_db": "sigma nought on the ellipsoid, dB", "gamma0_db": "gamma nought, terrain-corrected, dB",
}  # fmt: skip
_SAMPLING: Final = {
    "candidates": "cells of the lattice that the tiles hold whole: the sum of all lines below",
    "owned_by_other_tile": "left to the neighbouring tile that owns them (tiles overlap)",
    "zone_border": "dropped: not wholly inside the tile's own UTM zone",
    "outside_aoi": "not wholly inside the area of interest",
    "inactive": "without human activity, where that is asked for",
    "water": "wholly water, where that is asked for",
    "no_ground_truth": "met by no feature of the label set that cells.labelled_by names, where one is named",
    "not_drawn": "left out by the draw that cells.fraction or cells.number asks for",
    "kept": "the cells of this dataset",
}
_MAX_UNKNOWN: Final = 40


def sampling(facts: Facts) -> list[tuple[str, int, str]]:
    """Name, count and meaning of every way a cell can go, from the candidates to those kept."""
    counts = facts.statistics["cells"]["sampling"]
    names = [name for name in _SAMPLING if name in counts] + [name for name in counts if name not in _SAMPLING]
    return [(name, counts[name], _SAMPLING.get(name, "")) for name in names]


def figures(facts: Facts) -> list[tuple[str, str]]:
    """The line of figures under the title: number and what it counts."""
    known = facts.statistics
    tiles, count = facts.index["tile"].nunique(), len(known["periods"])
    return [
        (f"{known['cells']['total']:,}", _plural(known["cells"]["total"], "cell")),
        (f"{known['cells']['with_imagery']:,}", "with imagery"),
        (f"{known['patches']:,}", _plural(known["patches"], "patch", "patches")),
        *((f"{known['companions'][name]['patches']:,}", f"of {name}") for name in facts.companions),
        (f"{tiles:,}", _plural(tiles, "tile")),
        (f"{count:,}", _plural(count, "period")),
        (size_text(facts.size_bytes), "on disk"),
    ]


def _plural(count: int, one: str, many: str = "") -> str:
    return one if count == 1 else many or f"{one}s"


def size_text(size: float) -> str:
    """Bytes in decimal units, as `7.5 MB`."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 999.5:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:,.3g} TB"


def described(facts: Facts) -> str:
    """What the dataset is, in a few sentences."""
    dated = facts.index[facts.index["dates"] > 0]
    text = (
        f"Square cells of {facts.size_m:,} m on the pixel grid of Sentinel-2. A patch "
        f"is the pixels of one cell from one scene: {_bands_text(facts, PRIMARY)}, and the scene classification (SCL). Collection: "
        f"{PRIMARY}, from {facts.collections[PRIMARY].get('provider', 'a provider not stated')}."
    )
    for name in facts.companions:
        about, known = facts.collections[name], facts.statistics["companions"][name]
        text += (
            f" Paired with it {name} from {about['provider']}: {_bands_text(facts, name)} ({quantity(facts, name)}), "
            f"{known['patches']:,} patches; "
            f"{format(known['missing'], ',') + ' dates of cells have none' if known['missing'] else 'every date of a cell has one'}."
        )
    if len(dated):
        text += (
            f" Scenes from {pd.Timestamp(dated['first_date'].min()):%Y-%m-%d} to "
            f"{pd.Timestamp(dated['last_date'].max()):%Y-%m-%d}."
        )
    else:
        text += " No scene was good enough for any cell: there is no patch."
    for name, about in facts.labels.items():
        year = f", of {about['year']}" if about.get("year") else ""
        if about["ontology"] is None:
            text += f" Static layer “{name}” at {about['resolution_m']:g} m{year}: numbers as the source has them."
            continue
        channels = [each["name"] for each in about["ontology"]["channels"]]
        text += (
            f" Labels “{name}”: {_listed(channels)} at {about['resolution_m']:g} m{year}, by the ontology "
            f"{about['ontology']['name']} (version {about['ontology']['version']})."
        )
    if not facts.labels:
        text += " There are no labels."
    return text


def _bands_text(facts: Facts, collection: str) -> str:
    return "; ".join(f"{', '.join(each.names)} at {each.resolution_m} m" for each in facts.bands_of(collection))


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def absent(facts: Facts) -> list[str]:
    """What a reader could expect in the dataset and will not find."""
    known = facts.statistics["cells"]
    lines = []
    for collection in facts.collections:
        held = {band for each in facts.bands_of(collection) for band in each.names}
        # a radar scene has two of the four polarisations
        if collection not in RADAR and (missing := [band for band in COLLECTION_BANDS[collection] if band not in held]):
            lines.append(f"Bands of {collection} that were not asked for: {', '.join(missing)}.")
    lines.append(f"Imagery other than {_listed(list(facts.collections))}, and scenes outside the periods.")
    for name, of in facts.statistics["companions"].items():
        if of["missing"]:
            lines.append(
                f"{name} for {of['missing']:,} dates of cells: no scene of it was near enough in time and whole there."
            )
    if without := known["total"] - known["with_imagery"]:
        lines.append(
            f"Imagery of {without:,} of {known['total']:,} cells, for which no scene of any period was good enough; "
            "they are in the index, with 0 dates."
        )
    if border := known["sampling"].get("zone_border"):
        lines.append(
            f"Cells across a UTM zone's border: a strip of ground along it is in no cell ({border:,} such "
            "candidates in the whole of the tiles)."
        )
    lines.append(
        "Composites, gap filling and cloud removal: a patch is one scene as it was, with the bad pixels that the "
        "period's limits allow; SCL says where."
    )
    for name, part in facts.statistics["labels"].items():
        if without := part.get("cells_without_data"):
            lines.append(f"Layer “{name}” of {without:,} cells, on which the source has no data.")
        if outside := part.get("cells_outside_extent"):
            lines.append(
                f"Labels “{name}” of {outside:,} cells on which the raster has not data everywhere: pixels without "
                "read as unlabeled, and the cell's coverage is in the index."
                if facts.labels[name].get("kind") == "raster"
                else f"Labels “{name}” of {outside:,} cells that are not wholly inside the source's extent: pixels "
                "outside it read as unlabeled, and the cell's coverage is in the index."
            )
        if facts.labels[name]["ontology"] is not None:
            lines.append(
                f"Ground truth: labels “{name}” are what the map source says. Unlabeled is not “none”, and the map's "
                "date need not be the scene's."
            )
    return lines


@dataclass(frozen=True)
class ImageSource:
    """Whose imagery some collections are; `quantities`: what the numbers of each are, in words."""

    collections: list[str]
    about: dict[str, str]
    quantities: list[tuple[str, str]]


def image_sources(facts: Facts) -> list[ImageSource]:
    """The collections' sources, those that say the same together."""
    told: dict[tuple[str, ...], list[str]] = {}
    for name, about in facts.collections.items():
        told.setdefault(
            tuple(about.get(key, "not stated") for key in ("provider", "attribution", "licence")), []
        ).append(name)
    return [
        ImageSource(
            names, dict(zip(("Provider", "Attribution", "Licence"), words, strict=True)),
            [(name, _quantity_text(facts, name)) for name in names] if facts.companions else [],
        )
        for words, names in told.items()
    ]  # fmt: skip


def quantity(facts: Facts, collection: str) -> str:
    """What a collection's numbers are, in few words."""
    told = facts.collections[collection].get("quantity", "dn")
    return "amplitude, uncalibrated DN" if collection in RADAR and told == "dn" else _QUANTITIES[told]


def _quantity_text(facts: Facts, collection: str) -> str:
    own = facts.collections[collection].get("comment")
    return own or f"{quantity(facts, collection)}, 10,000 is a reflectance of 1"


@dataclass(frozen=True)
class LabelSource:
    """Where a label set comes from and what became of it, as the page words it; `odbl`: whether that licence is to be told.

    `losses` are (what, how many): objects without a geometry, geometries mended, classes that no rule knows.
    """

    name: str
    facts: list[tuple[str, str]]
    losses: list[tuple[str, str]]
    more_losses: int
    odbl: bool


def label_sources(facts: Facts) -> list[LabelSource]:
    """The label sets' sources."""
    found = []
    for name, about in facts.labels.items():
        known = facts.statistics["labels"][name]
        licence = str(about.get("licence") or "not stated")
        stated = [("Source", str(about.get("source") or "not stated")), ("Snapshot", _span(known["snapshots"]))]
        if about.get("year"):
            stated.append(("Year", str(about["year"])))
        of_data = about.get("kind") == "raster"
        stated.append(("Extent", "where the raster has data" if of_data else _box(known["extent"])))
        if about["ontology"] is not None:
            stated.append(("Ontology", f"{about['ontology']['name']}, version {about['ontology']['version']}"))
        if known["counts"]:
            stated.append(
                ("Features near the cells", ", ".join(f"{count:,} {kind}s" for kind, count in known["counts"].items()))
            )
        stated.append(("Licence", licence))
        losses = [(f"rejected: {reason}", f"{count:,}") for reason, count in known["rejects"].items()]
        if known["repaired"]:
            losses.append(("repaired: rings that crossed or touched themselves", f"{known['repaired']:,}"))
        unknown = sorted(known["unknown"].items(), key=lambda each: (-each[1], each[0]))
        losses += [(f"known to no rule: {what}", f"{count:,}") for what, count in unknown[:_MAX_UNKNOWN]]
        odbl = "odbl" in licence.lower() or "openstreetmap" in licence.lower()
        found.append(LabelSource(name, stated, losses, max(0, len(unknown) - _MAX_UNKNOWN), odbl))
    return found


def _span(snapshots: Sequence[str]) -> str:
    if not snapshots:
        return "not stated by the source"
    return snapshots[0] if len(snapshots) == 1 else f"{snapshots[0]} to {snapshots[-1]}"


def _box(extent: Sequence[float] | None) -> str:
    if extent is None:
        return "unknown: every cell is taken as covered"
    west, south, east, north = (round(float(value), 4) for value in extent)
    return f"{west:g}° to {east:g}° east, {south:g}° to {north:g}° north: the box around what of it is near the cells"


def versions() -> list[tuple[str, str]]:
    """Software here and now, names and versions only."""
    import rasterio

    found: list[tuple[str, Any]] = [("python", platform.python_version()), ("GDAL", rasterio.__gdal_version__)]
    for name in _PACKAGES:
        try:
            found.append((name, version(name)))
        except PackageNotFoundError:  # run from a checkout, or without an optional package
            continue
    return [(name, str(number)) for name, number in found]
