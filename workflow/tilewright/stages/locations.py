"""locations: sample places around cities, once for the whole dataset. One row for each location that is kept."""

import logging
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from tilewright.config.location_settings import LocationsSettings
from tilewright.errors import TilewrightError
from tilewright.grid.samples import placed
from tilewright.locations import candidates, kept, most_populous, rule_m
from tilewright.locations.file import write_locations
from tilewright.progress import SUMMARY

log = logging.getLogger(__name__)


def make_locations(settings: LocationsSettings, output: Path) -> None:
    """Write the locations as GeoParquet, in the order of the draw.

    Columns: sample (place among the kept, from 0), lon, lat (of the point drawn, EPSG:4326), city, tile (owner of the cell around
    it; empty where there is none), reason (why none; see `tilewright.grid.samples`), geometry. The table's metadata has `counts`:
    `candidates` is the sum of `too_close` and `kept`; `kept` that of `in_tiles` and of the reasons. `source` says where the
    cities are from and under which licence; `tiles` has a digest of each tile's rows.

    Raises:
        TilewrightError: a table of cities that cannot be used; no location in any tile.
    """
    rows, metadata = sampled(settings)
    write_locations(rows, output, metadata)


def sampled(settings: LocationsSettings) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The locations, a value for each by column, and what is said of them: as `make_locations` writes them.

    Raises:
        TilewrightError: see `make_locations`.
    """
    cities = settings.cities
    table = most_populous(cities.table, cities.most_populous)
    drawn = candidates(table, cities.candidates, settings.seed, cities.sigma_km, cities.spread)
    keep = kept(drawn, cities.overlap, settings.size_m)
    lon, lat, names = drawn.lon[keep], drawn.lat[keep], table.name[drawn.city[keep]]
    cells = placed(lon, lat, settings.size_m)
    reasons = Counter(cells.reason[cells.tile == ""].tolist())
    counts = {
        "candidates": len(drawn),
        "too_close": len(drawn) - len(lon),
        "kept": len(lon),
        **dict(sorted(reasons.items())),
    }
    counts["in_tiles"] = len(lon) - sum(reasons.values())
    log.info("%d cities; %s", len(table), ", ".join(f"{count} {name}" for name, count in counts.items()))
    if not counts["in_tiles"]:
        raise TilewrightError(
            f"aoi.cities: no tile holds any of the {len(lon)} locations ({counts}); check lat and lng in {cities.table}"
        )
    if counts["in_tiles"] < cities.locations:
        log.log(
            SUMMARY, "aoi.cities: %d locations for the %d wanted: raise overdraw to have more", counts["in_tiles"], cities.locations
        )  # fmt: skip
    rows = {
        "sample": np.arange(len(lon), dtype=np.int64), "lon": lon, "lat": lat, "city": names.astype(object),
        "tile": cells.tile.astype(object), "reason": cells.reason.astype(object),
    }  # fmt: skip
    metadata = {
        "seed": settings.seed, "size_m": settings.size_m, "wanted": cities.locations, "cities": len(table),
        "rule_m": rule_m(cities.overlap, settings.size_m), "counts": counts, "source": table.source,
    }  # fmt: skip
    return rows, metadata
