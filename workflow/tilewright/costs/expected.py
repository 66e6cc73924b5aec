"""The work of a dataset's jobs as far as its config tells, or somebody who knows more: no file is looked at."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Final

from tilewright.config.area import Aoi
from tilewright.config.bands import COLLECTION_BANDS, PRIMARY, RADAR, SCL_RESOLUTION
from tilewright.config.choice import Period
from tilewright.config.label_sets import LabelSet, OsmFile, Overpass, RasterFile, VectorFile
from tilewright.config.model import Config
from tilewright.config.simulated import Simulate
from tilewright.costs.blocks import block_mb, expected
from tilewright.costs.work import Work

# A tile owns the ground of its MGRS square.
_SQUARE_M: Final = 100_000
_DEGREE_M: Final = 111_700  # of latitude or, on the equator, of longitude, at most
# Two satellites pass an orbit every 5 days; a tile lies in one orbit's swath or two (more towards the poles, where it is asked for again).
_REVISIT_DAYS: Final = 5
_ORBITS: Final = 2
# Sentinel-1 images over a tile a day, both directions and both images that a tile lies across (6 to 12 days' repeat, 2 to 4 images).
_RADAR_A_DAY: Final = 0.6
# Features of OpenStreetMap that are kept, in a whole tile of mapped country (benchmarks/label_world.py, after Central Europe).
_OSM_FEATURES: Final = 690_000
# Such features in a MB of an extract, at most (benchmarks/resources_large.py).
_FEATURES_A_MB: Final = 21_000
_VECTOR_FEATURES: Final = 100_000
# Where users' own places and locations around cities lie is not known from the config: of one tile at most so many are planned for.
_SAMPLES: Final = 500
# A cell takes other dates than its neighbour where clouds are: a block is read of so many scenes for each date of a cell
# (benchmarks/resources.py).
READ_AGAIN: Final = 1.6
_CHANNELS: Final = 3  # of an ontology whose channels are not told: opensentinelmap's
_PARCEL_BYTES: Final = 4 + 4 + 4 + 1 + 1  # instance, coverage, distance, claims, claims_same
_ITEM_BYTES: Final = {"s2_l2a": 2, "s2_l1c": 2, "s1_grd": 4, "s1_rtc": 4}  # of a pixel in the stores; SCL: 1
_FILE_BYTES: Final = {"s2_l2a": 2, "s2_l1c": 2, "s1_grd": 2, "s1_rtc": 4}  # in the files


@dataclass(frozen=True)
class Known:
    """What is known beyond the config; what is None is estimated.

    Attributes:
        tiles: tiles that the job gathers.
        cells: cells of these tiles.
        blocks: resolution → blocks of a tile's images that the cells touch.
        scenes: acquisitions of the primary collection that mask counts in the period.
        companions: companion items that are found in the period, by collection.
        features: features of the label sources in the tiles; of source: in the source.
        source_mb: of the files that a source is read from (`costs.sources`).
        channels: label set → channels of its ontology.
        layout: of an export.
    """

    tiles: int = 1
    cells: int | None = None
    blocks: Mapping[int, float] | None = None
    scenes: float | None = None
    companions: Mapping[str, float] | None = None
    features: float | None = None
    source_mb: float = 0
    channels: Mapping[str, int] = field(default_factory=dict)
    layout: str = ""


def cells_of_tile(config: Config) -> int:
    """Cells of a tile that lies wholly in the AOI: at most, before rasters, labels and other zones take some away."""
    cells = config.cells
    if cells.strategy == "samples":
        return min(cells.number or _SAMPLES, config.aoi.cities.locations if config.aoi.cities else _SAMPLES)
    many = min(candidates_of_tile(config), _of_area(config))
    kept = math.ceil(many * (cells.fraction or 1))
    return min(cells.number or kept, kept)


def candidates_of_tile(config: Config) -> int:
    """Cells that are laid out in a whole tile, before any is taken away."""
    cells = config.cells
    if cells.strategy == "samples":
        return cells_of_tile(config)
    grids = len(cells.lattices.offsets_m) if cells.strategy == "grids" else 1
    return (_SQUARE_M // (cells.stride_m or cells.size_m) + 1) ** 2 * grids


def cells_of(config: Config, tiles: int) -> int:
    """Cells of so many tiles together, at most."""
    if config.aoi.cities is not None and tiles > 1:
        return config.aoi.cities.candidates
    many = cells_of_tile(config) * tiles
    if config.aoi.bbox is None or config.cells.strategy == "samples":
        return many
    # what tiles share is owned by one of them
    return min(many, math.ceil(_of_area(config) * (config.cells.fraction or 1)))


def _of_area(config: Config) -> float:
    """Cells of a whole bbox, before any draw; without end of what is not told in the config itself."""
    cells = config.cells
    grids = len(cells.lattices.offsets_m) if cells.strategy == "grids" else 1
    return (_area_m2(config.aoi) / (cells.stride_m or cells.size_m) ** 2 + 1) * grids


def _area_m2(aoi: Aoi) -> float:
    """Area of a bbox, roughly; without end of what is not told in the config itself."""
    if aoi.bbox is None:
        return math.inf
    west, south, east, north = aoi.bbox
    nearest = 0.0 if south <= 0 <= north else min(abs(south), abs(north))
    # across the antimeridian west is above east; round the world both are one meridian
    wide = (east - west) % 360 or 360
    return wide * (north - south) * _DEGREE_M**2 * math.cos(math.radians(nearest))


def days_of(period: Period) -> int:
    """Days that a period has for a cell."""
    if period.reference is not None:
        return period.reference.to_days - period.reference.from_days + 1
    return sum((last - first).days + 1 for first, last in period.days())


def scenes_of(config: Config, period: Period) -> float:
    """Acquisitions of a tile in a period: of a simulated world as its config has them, else by the satellites' revisit."""
    world = config.simulate if config.provider == "simulated" else None
    if world is None or period.reference is not None:
        # around reference dates a job searches the days of all its cells: at most those of the draw
        span = config.cells.reference.shift_days if period.reference and config.cells.reference else 0
        return (days_of(period) + span) / _REVISIT_DAYS * _ORBITS
    return world.scenes_per_year * sum(_overlap(period, year) for year in set(world.years))


def _overlap(period: Period, year: int) -> float:
    """Share of a year that a period has."""
    days = 0
    for first, last in period.days():
        begin, end = max(first, date(year, 1, 1)), min(last, date(year, 12, 31))
        days += max(0, (end - begin).days + 1)
    return days / 365


def companions_of(config: Config, period: Period) -> dict[str, float]:
    """Items of each companion collection that a search of the period finds."""
    found = {}
    for key, collection in config.collections.items():
        if key == PRIMARY:
            continue
        days = days_of(period) + 2 * collection.pair.nearest_days
        found[key] = days * _RADAR_A_DAY if key in RADAR else scenes_of(config, period)
    return found


def work_of(config: Config, stage: str, known: Known = Known(), period: str | None = None) -> Work:
    """The amounts of one job of `stage`.

    Args:
        period: of search, mask and crop; without it the one that has the most to do.
    """
    periods = [one for one in config.all_periods() if period in (None, one.name)]
    if stage in ("search", "search_companions", "mask", "crop"):
        made = [_of_period(config, stage, known, one) for one in periods]
        return max(made, key=lambda work: (work.read_mb + work.jp2_mb + work.radar_mb, work.scenes))
    return _of_tile(config, stage, known)


def _of_period(config: Config, stage: str, known: Known, period: Period) -> Work:
    cells = cells_of(config, known.tiles) if known.cells is None else known.cells
    scenes = scenes_of(config, period) if known.scenes is None else known.scenes
    others = companions_of(config, period) if known.companions is None else known.companions
    if stage == "search_companions":
        return Work(scenes=sum(others.values()))
    if stage == "search":
        return Work(scenes=scenes)
    touched = _Touched(config, cells, known.blocks)
    if stage == "mask":
        band = config.mask.intensity.band if config.mask.intensity else None
        read = touched.mb(SCL_RESOLUTION, 1) + (touched.mb(COLLECTION_BANDS[PRIMARY][band], 2) if band else 0)
        # around reference dates each cell is counted in its own window only
        share = min(1.0, days_of(period) / _REVISIT_DAYS * _ORBITS / max(1, scenes)) if period.reference else 1
        return Work(cells=cells, scenes=scenes * share, read_mb=scenes * read)
    distinct = min(scenes, period.scenes * (1 if period.order == "spread" else READ_AGAIN))
    unpacked = {"SCL": distinct * touched.mb(SCL_RESOLUTION, 1)}
    for key, collection in config.collections.items():
        bands = COLLECTION_BANDS[key]
        unpacked[key] = distinct * sum(touched.mb(bands[band], _FILE_BYTES[key]) for band in collection.bands)
    pieces, pixels_mb = _patches(config, cells, min(period.scenes, scenes))
    return Work(
        cells=cells, scenes=scenes, companions=sum(others.values()), pieces=pieces, pixels_mb=pixels_mb,
        read_mb=sum(unpacked.get(key, 0) for key in ("SCL", PRIMARY, "s1_rtc")), jp2_mb=unpacked.get("s2_l1c", 0),
        radar_mb=unpacked.get("s1_grd", 0),
    )  # fmt: skip


def _of_tile(config: Config, stage: str, known: Known) -> Work:
    cells = cells_of(config, known.tiles) if known.cells is None else known.cells
    periods = config.all_periods()
    pieces, pixels_mb = _patches(config, cells, sum(min(one.scenes, scenes_of(config, one)) for one in periods))
    sets = config.label_sets()
    features = known.features
    if features is None:
        mapped = known.source_mb * _FEATURES_A_MB if stage == "source" else sum(map(_features, sets.values()))
        features = mapped * known.tiles
    labels = [
        _label_bytes(each, config.cells.size_m, known.channels.get(name, _CHANNELS)) for name, each in sets.items()
    ]
    return Work(
        tiles=known.tiles, cells=cells, candidates=candidates_of_tile(config), periods=len(periods), pieces=pieces, pixels_mb=pixels_mb, label_sets=len(sets),
        label_mb=cells * sum(labels) / 1e6, features=features, source_mb=known.source_mb, layout=known.layout,
        simulated_mb=_simulated_mb(config.simulate) if config.simulate else 0,
        simulated_km2=max(site.side_m**2 / 1e6 for site in config.simulate.sites) if config.simulate else 0,
    )  # fmt: skip


def _patches(config: Config, cells: int, dates: float) -> tuple[float, float]:
    """Pieces, and MB of their pixels, of as many dates of each cell with a companion of each collection."""
    size = config.cells.size_m
    layers, pixels = 1, (size // SCL_RESOLUTION) ** 2
    for key, collection in config.collections.items():
        layers += len(collection.bands)
        pixels += sum((size // COLLECTION_BANDS[key][band]) ** 2 for band in collection.bands) * _ITEM_BYTES[key]
    return cells * dates * layers, cells * dates * pixels / 1e6


def _features(labels: LabelSet) -> float:
    """Features of a source in a tile, where nothing is known of it."""
    if isinstance(labels.source, RasterFile):
        return 0
    return _OSM_FEATURES if isinstance(labels.source, OsmFile | Overpass) else _VECTOR_FEATURES


def _label_bytes(labels: LabelSet, size_m: int, channels: int) -> float:
    """Bytes of one cell's arrays of a label set."""
    each = 4 if labels.ontology is None else channels
    if labels.parcels is not None:
        values = labels.source.values if isinstance(labels.source, VectorFile) else []
        each += _PARCEL_BYTES + 4 * len(values)
    if labels.regions is not None:
        each += channels * len(labels.regions.ignore_below)
    return float((size_m / labels.resolution_m) ** 2 * each)


def _simulated_mb(world: Simulate) -> float:
    """MB of the world's pixels: its Sentinel-2 bands and SCL have as many as 6 bands of 10 m; other sensors cost three times as much."""
    pixels = sum(len(site.tiles) * (site.side_m / 10) ** 2 for site in world.sites)
    return pixels * 2 * 6 * world.scenes_per_year * len(set(world.years)) * (1 + 3 * len(world.sensors)) / 1e6


@dataclass(frozen=True)
class _Touched:
    """What is unpacked of one image of a tile for its cells."""

    config: Config
    cells: int
    blocks: Mapping[int, float] | None

    def mb(self, resolution: int, item_bytes: int) -> float:
        """MB of the blocks that the cells touch in one band."""
        if self.blocks is not None:
            return self.blocks[resolution] * block_mb(resolution, item_bytes)
        return expected(self.cells, self.config.cells.size_m, resolution) * block_mb(resolution, item_bytes)
