"""All that Sentinel-1 sees of a simulated world, as exact truth."""

from collections.abc import Mapping, Sequence

import numpy as np

from tilewright.config.simulated import Simulate
from tilewright.errors import TilewrightError
from tilewright.simulate.radar import Polarisation, Radar
from tilewright.simulate.radar_schedule import RadarScene
from tilewright.simulate.schedule import SimScene
from tilewright.simulate.shapes import Shape

RTC = "_rtc"  # after the id of the amplitude product


class RadarWorld:
    """The Sentinel-1 products of every site and their truth."""

    def __init__(self, settings: Simulate, placed: Mapping[str, Sequence[Shape]], scenes: Sequence[SimScene]) -> None:
        """`placed`: the shapes of each site in lon/lat, in painting order; `scenes`: the optical ones."""
        self._sites = {site.name: Radar(settings, site, placed[site.name], scenes) for site in settings.sites}
        self._by_id = {scene.id: scene for radar in self._sites.values() for scene in radar.scenes}

    def over(self, site: str) -> Radar:
        """Sentinel-1 over the site of that name."""
        return self._sites[site]

    def scenes(self) -> tuple[RadarScene, ...]:
        """All products, by site, then time; the terrain-corrected one of each has `_rtc` after its id."""
        return tuple(self._by_id.values())

    def scene(self, scene_id: str) -> RadarScene:
        """The product of that id, with or without `_rtc`.

        Raises:
            TilewrightError: where there is none.
        """
        found = self._by_id.get(scene_id.removesuffix(RTC))
        if found is None:
            raise TilewrightError(f"simulate: no radar scene is called {scene_id}")
        return found

    def slices(self, scene_id: str) -> tuple[RadarScene, ...]:
        """All products of the datatake that the product of that id is of, by time."""
        one = self.scene(scene_id)
        mark = (one.site, one.platform, one.datatake)
        return tuple(each for each in self._by_id.values() if (each.site, each.platform, each.datatake) == mark)

    def backscatter(
        self, scene_id: str, polarisation: Polarisation, easting: np.ndarray, northing: np.ndarray, epsg: int
    ) -> np.ndarray:
        """Linear sigma0 (for an id that ends in `_rtc`: gamma0) at points of a CRS: float64 of their shape.

        It is the whole datatake's: NaN where none of its slices has data. Files differ from it by rounding: DN to whole
        numbers, gamma0 to 10 bits after the first.
        """
        scene = self.scene(scene_id)
        radar = self._sites[scene.site]
        x, y = radar.plane(np.asarray(easting), np.asarray(northing), epsg)
        value = (radar.gamma0 if scene_id.endswith(RTC) else radar.sigma0)(scene, polarisation, x, y)
        line, pixel = radar.geometries[scene.direction].radar(x, y)
        seen = np.logical_or.reduce([radar.seen(each, line, pixel) for each in self.slices(scene_id)])
        return np.where(seen, value, np.nan)

    def geolocation(self, scene_id: str, line: np.ndarray, pixel: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Longitude and latitude that pixels of a GRD file show (whole numbers: their centres, from 0)."""
        scene = self.scene(scene_id)
        return self._sites[scene.site].geolocation(scene, line, pixel)
