"""Simulated datasets that differ in what a job's cost may depend on: cells, their side, dates, bands, sensors, labels, layouts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

ROOT: Final = Path(__file__).resolve().parents[1]
L2A: Final = ["B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B11", "B12"]
L1C: Final = [*L2A[:10], "B10", *L2A[10:]]
FOUR: Final = ["B02", "B03", "B04", "B08"]
LAYOUTS: Final = ["ssl4eo-s12", "seasonet", "opensentinelmap", "deepsatdata", "geotiff", "webdataset"]
SEASONS: Final = {"spring": (1, 3), "summer": (4, 6), "fall": (7, 9), "winter": (10, 12)}
OSM: Final = {
    "source": {"kind": "pbf", "path": "data/simulated/world.osm.pbf", "licence": "CC0-1.0"},
    "ontology": "opensentinelmap",
}
COVER: Final = {
    "source": {"kind": "vector", "path": "cover.gpkg", "attributes": ["CLC18"], "licence": "CC0-1.0"}, "ontology": "seasonet-clc",
}  # fmt: skip


@dataclass(frozen=True)
class World:
    """Ground and scenes that some cases share.

    Attributes:
        box: west, south, east, north of all cells, degrees.
    """

    name: str
    tile: str
    simulate: dict[str, Any]
    box: tuple[float, float, float, float]


def site(name: str, lon: float, lat: float, side_m: int, tile: str, years: list[int], scenes: int, sensors: list[str]) -> World:  # fmt: skip
    """A world of one square."""
    place = {"name": name, "lon": lon, "lat": lat, "side_m": side_m, "tiles": [tile]}
    told = {"seed": 7, "sites": [place], "years": years, "scenes_per_year": scenes, "sensors": sensors}
    high, wide = side_m / 2 / 111_700, side_m / 2 / 85_000
    return World(name, tile, told, (lon - wide, lat - high, lon + wide, lat + high))


LAND: Final = site("land", 11.0, 41.9, 14_000, "32TPM", [2019, 2020], 12, [])
SENSORS: Final = site("sensors", 12.05, 42.0, 8_000, "33TTG", [2019], 4, ["s2_l1c", "s1_grd", "s1_rtc"])


@dataclass(frozen=True)
class Case:
    """One dataset."""

    name: str
    world: World
    config: dict[str, Any]

    def document(self) -> dict[str, Any]:
        """The whole config."""
        if self.name == "demo":
            return self.config
        return {
            "dataset": self.name, "seed": 42, "provider": "simulated", "aoi": {"bbox": list(self.world.box)},
            "simulate": self.world.simulate, "split": {"audit": {"mode": "report"}}, **self.config,
        }  # fmt: skip


def _case(
    name: str, world: World, size_m: int, stride_m: int, bands: list[str], periods: list[dict[str, Any]], labels: dict[str, Any],
    **more: Any,
) -> Case:  # fmt: skip
    cells = {"strategy": "lattice", "size_m": size_m, "stride_m": stride_m}
    config = {"cells": cells, "collections": {"s2_l2a": {"bands": bands}}, "periods": periods, "labels": labels, **more}
    return Case(name, world, config)


def _period(name: str, start: str, end: str, scenes: int, order: str = "shuffled_by_month") -> dict[str, Any]:
    return {"name": name, "start": start, "end": end, "scenes": scenes, "order": order}


def _year(year: int, scenes: int, order: str = "shuffled_by_month") -> dict[str, Any]:
    return _period(f"{year}", f"{year}-01-01", f"{year}-12-31", scenes, order)


_BRIGHT: Final = {"mask": {"intensity": {"band": "B02", "percentile": 5, "max_dn": 3000}}}
_MONTHS: Final = [_period("winter", "2019-01-01", "2019-01-31", 1)]
_BOTH: Final = [_period("both", "2019-01-01", "2020-12-31", 12, "clearest")]
_SENSED: Final = {
    "s2_l2a": {"bands": L2A}, "s2_l1c": {"bands": L1C, "pair": {"required": True}},
    "s1_grd": {"bands": ["VV", "VH"], "pair": {"nearest_days": 15, "required": True}},
}  # fmt: skip
_QUARTERS: Final = [_period(name, f"2019-{a:02}-01", f"2019-{b:02}-28", 1) for name, (a, b) in SEASONS.items()]
_SENSED_CASE: Final = {
    "collections": _SENSED, "mask": {"max_bad": 1.0}, "accept": {"complete": True},
    "cells": {"strategy": "grids", "size_m": 960, "grids": {"offsets_m": [0]}},
}  # fmt: skip

_DEMO: Final = yaml.safe_load((ROOT / "config/config.yaml").read_text())

CASES: Final = (
    Case("demo", World("demo", "", {}, tuple(_DEMO["aoi"]["bbox"])), _DEMO),
    _case("few", LAND, 1920, 3840, FOUR, _MONTHS, {}),
    _case("plain", LAND, 1920, 1920, L2A, [_year(2019, 2), _year(2020, 2)], {"osm": OSM}, **_BRIGHT),
    _case("small", LAND, 640, 640, FOUR, _BOTH, {"osm": OSM}),
    _case("many", LAND, 640, 340, L2A, [_year(2019, 4)], {"osm": OSM, "fine": {**OSM, "resolution_m": 2.5}}),
    _case("tiny", LAND, 240, 140, FOUR, [_year(2019, 4)], {"osm": OSM}),
    _case("wide", LAND, 2640, 480, L2A, [_year(2019, 2)], {}),
    _case("long", LAND, 2640, 2640, L2A, [_year(2019, 10, "spread"), _year(2020, 10, "spread")], {"osm": OSM}),
    # the same dataset twice: opensentinelmap takes other labels than the rest
    _case("sensed", SENSORS, 960, 960, L2A, _QUARTERS, {"osm": OSM, "clc": COVER}, **_SENSED_CASE,
          export={"layout": [name for name in LAYOUTS if name != "opensentinelmap"], "labels": "clc"}),
    _case("sensed", SENSORS, 960, 960, L2A, _QUARTERS, {"osm": OSM, "clc": COVER}, **_SENSED_CASE,
          export={"layout": "opensentinelmap", "labels": "osm"}),
    _case("sensed-wide", SENSORS, 2640, 660, L2A, _QUARTERS[:2], {}, collections={**_SENSED, "s1_rtc": {"bands": ["VV", "VH"]}},
          mask={"max_bad": 1.0}),
)  # fmt: skip
