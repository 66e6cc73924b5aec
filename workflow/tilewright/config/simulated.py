"""What a user says of the simulated world."""

from typing import Literal

from pydantic import Field

from tilewright.config.base import Fraction, Model, Name, TileName

Sensor = Literal["s2_l1c", "s1_grd", "s1_rtc"]


class Broken(Model):
    """An asset that the simulator damages on purpose."""

    scene: str = Field(description="item id, of any sensor")
    asset: str = Field(description="asset key, such as red, scl or vv")
    how: Literal["missing", "truncated", "corrupt", "no_asset"] = Field(
        description="missing: no file; truncated: half of it; corrupt: damaged blocks; no_asset: the item does not list it"
    )


class Site(Model):
    """A square of simulated landscape."""

    name: Name
    lon: float = Field(ge=-180, le=180, description="centre, degrees")
    lat: float = Field(ge=-80, le=84, description="centre, degrees")
    side_m: int = Field(20_000, ge=2_000, le=120_000, description="side in metres")
    tiles: list[TileName] = Field(description="tiles that get scenes of this site, one series each", min_length=1)


class Simulate(Model):
    """The simulated world that the offline default reads."""

    seed: int = Field(7, description="of the landscape, the clouds and the scenes")
    sites: list[Site] = Field(min_length=1)
    years: list[int] = Field([2019, 2020], min_length=1, description="years with scenes")
    scenes_per_year: int = Field(7, ge=1, le=73, description="acquisitions of each tile in a year")
    dense: bool = Field(False, description="fill whole tiles instead of the sites only (for benchmarks)")
    watermark: bool = Field(
        False,
        description="Sentinel-2 pixels say their scene, level, band, row and column instead of showing a landscape",
    )
    broken: list[Broken] = Field([], description="assets damaged on purpose")
    sensors: list[Sensor] = Field(
        [], description="what else there is beside Level-2A. s2_l1c: Level-1C of each scene, as JPEG 2000. s1_grd: Sentinel-1 amplitude in radar geometry. "
        "s1_rtc: Sentinel-1 gamma0 in UTM"
    )  # fmt: skip
    halves: Fraction | list[str] = Field(
        0.0, description="share of the scenes, or their ids, written as two items _0_ and _1_ that are halves of one datatake"
    )  # fmt: skip
    reprocessed: Fraction | list[str] = Field(
        0.0, description="share of the scenes, or their ids, that exist twice: _0_ of the day's baseline with wrong pixels, _1_ of a newer one with the right pixels"
    )  # fmt: skip
    radiometry: Literal["harmonised", "raw", "unsaid", "mixed"] = Field(
        "harmonised", description="Level-2A from baseline 04.00 on. harmonised: the -1000 are applied, and boa_offset_applied says so. raw: they are not, nor does it. "
        "unsaid: they are, but it says no. mixed: some scenes of each"
    )  # fmt: skip
