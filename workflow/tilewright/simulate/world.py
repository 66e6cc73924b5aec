"""The simulated world as exact truth, without files."""

import threading
from collections.abc import Callable
from functools import lru_cache

import numpy as np

from tilewright.config.simulated import Simulate, Site
from tilewright.errors import TilewrightError
from tilewright.simulate import watermark
from tilewright.simulate.ground import COARSEST, Box, Cover, Ground, inside_site, simulated_box
from tilewright.simulate.l1c import CIRRUS_SOURCE, L1C_RESOLUTION, top_of_atmosphere
from tilewright.simulate.landscape import background, landscape
from tilewright.simulate.mgrs import TILE_M, Frame, frame
from tilewright.simulate.osm import Feature, OsmData
from tilewright.simulate.products import HALF_OVERLAP, OFFSET, OLD_CLASS, OLD_ERROR, Level, Product, products
from tilewright.simulate.radar_world import RadarWorld
from tilewright.simulate.schedule import SimScene, schedule
from tilewright.simulate.seeded import digest
from tilewright.simulate.shapes import Shape
from tilewright.simulate.sky import Sky, classify, sky_over
from tilewright.simulate.spectra import BANDS, PURE, RESOLUTION, WATER, WOOD, Spectra, material_flags

SCL_RESOLUTION = 20
_SNOW_SHOWS = 0.4  # share of snow from which SCL says snow
_DN = 10_000  # DN of reflectance 1

Index = slice | np.ndarray


class World:
    """What the files of `make_world` hold, computed on demand; the same object serves several threads."""

    def __init__(self, settings: Simulate) -> None:
        """Raises TilewrightError for settings that describe no possible world, naming the key."""
        self.settings = settings
        self._sites = {site.name: site for site in settings.sites}
        tiles = [tile for site in settings.sites for tile in site.tiles]
        if len(self._sites) < len(settings.sites):
            raise TilewrightError("simulate.sites: two sites have the same name; give each its own")
        if doubled := sorted({tile for tile in tiles if tiles.count(tile) > 1}):
            raise TilewrightError(f"simulate.sites: tile {doubled[0]} is listed twice; one site serves a tile")
        self._scenes = schedule(settings)
        self._products = products(settings, self._scenes)
        self._by_id = {scene.id: scene for scene in self._scenes}
        self._by_id |= {product.id: product.scene for product in self._products}
        if settings.watermark and len(self._scenes) > watermark.MOST_SCENES:
            raise TilewrightError(
                f"simulate: {len(self._scenes)} scenes; a watermark tells {watermark.MOST_SCENES} apart: make fewer"
            )
        self._boxes = {
            tile: simulated_box(site, frame(tile), settings.dense) for site in settings.sites for tile in site.tiles
        }
        self._inside = {
            tile: inside_site(site, frame(tile), self._boxes[tile]) for site in settings.sites for tile in site.tiles
        }
        self._osm = OsmData()
        self._placed: dict[str, list[Shape]] = {
            site.name: self._osm.add_site(site, landscape(settings.seed, site)) for site in settings.sites
        }
        self.radar = RadarWorld(settings, self._placed, self._scenes)  # what Sentinel-1 sees
        self._grounds: dict[str, Ground] = {}
        self._locks = {tile: threading.RLock() for tile in tiles}
        self._table = lru_cache(maxsize=8)(self._make_table)
        self._sky = lru_cache(maxsize=8)(self._make_sky)

    # -- what there is ------------------------------------------------------------------------------------------

    def scenes(self) -> tuple[SimScene, ...]:
        """All scenes, by site, tile, time; a scene's `number` is its index."""
        return self._scenes

    def products(self) -> tuple[Product, ...]:
        """All Sentinel-2 items: by scene; a scene's Level-2A before its Level-1C, then by their number."""
        return self._products

    def scene(self, scene_id: str) -> SimScene:
        """The scene of that id, or the one that the item of that id is a product of.

        Raises:
            TilewrightError: where there is none.
        """
        if scene_id not in self._by_id:
            raise TilewrightError(f"simulate: no scene is called {scene_id}; they are such as {self._scenes[0].id}")
        return self._by_id[scene_id]

    def features(self) -> tuple[Feature, ...]:
        """Every tagged OSM object that is written, in the order of the landscape."""
        return tuple(self._osm.features)

    @property
    def osm(self) -> OsmData:
        """The OSM data as a whole."""
        return self._osm

    @property
    def extent(self) -> tuple[float, float, float, float]:
        """West, south, east, north in degrees of all sites: the box in the OSM file's header."""
        return self._osm.bounds

    def site(self, tile: str) -> Site:
        """The site that `tile` shows."""
        return next(site for site in self.settings.sites if tile in site.tiles)

    def box(self, tile: str) -> Box:
        """The part of the tile that is simulated (in a dense world, the part that repeats)."""
        return self._boxes[tile]

    # -- pixels -------------------------------------------------------------------------------------------------

    def window(self, scene_id: str, band: str, ulx: float, uly: float, width: int, height: int) -> np.ndarray:
        """Harmonised DN of a window of a band's own tile grid: (height, width) uint16; 0 where there is no data.

        Args:
            scene_id: such as S2A_33TTG_20190702_0_L2A. Whichever of its items is named, this is the whole scene's.
            band: B01 to B12, B8A.
            ulx: easting of the window's left edge in metres, in the tile's UTM zone.
            uly: northing of its upper edge.
            width: pixels of the band's resolution.
            height: pixels of the band's resolution.

        Raises:
            TilewrightError: for an unknown scene or band, or corners off the band's grid.
        """
        if band not in RESOLUTION:
            raise TilewrightError(f"simulate: {band} is not a band; they are {', '.join(BANDS)}")
        return self._read(self.scene(scene_id), band, ulx, uly, width, height)

    def scl(self, scene_id: str, ulx: float, uly: float, width: int, height: int) -> np.ndarray:
        """Scene classes 0 to 11 of a window of 20 m pixels: (height, width) uint8. See `window`."""
        return self._read(self.scene(scene_id), "SCL", ulx, uly, width, height)

    def l1c_window(self, scene_id: str, band: str, ulx: float, uly: float, width: int, height: int) -> np.ndarray:
        """DN without offset of a window of the scene's Level-1C, of whichever sensors are written. See `window`.

        `band`: B01 to B12, B8A, B10.
        """
        if band not in L1C_RESOLUTION:
            raise TilewrightError(f"simulate: {band} is not a band of Level-1C; they are {', '.join(L1C_RESOLUTION)}")
        return self._read(self.scene(scene_id), band, ulx, uly, width, height, "L1C")

    def _read(
        self, scene: SimScene, asset: str, ulx: float, uly: float, width: int, height: int, level: Level = "L2A"
    ) -> np.ndarray:
        resolution = L1C_RESOLUTION.get(asset, SCL_RESOLUTION)
        row, column = (scene.uly - uly) / resolution, (ulx - scene.ulx) / resolution
        if row != int(row) or column != int(column):
            raise TilewrightError(
                f"simulate: ({ulx}, {uly}) is not a corner of a {resolution} m pixel of tile {scene.tile}"
            )
        found = np.zeros((height, width), np.uint8 if asset == "SCL" else np.uint16)
        first_row, first_column, rows, columns = self.reach(scene, resolution)
        top, bottom = max(int(row), first_row), min(int(row) + height, first_row + rows)
        left, right = max(int(column), first_column), min(int(column) + width, first_column + columns)
        if top < bottom and left < right:
            there = (slice(top - int(row), bottom - int(row)), slice(left - int(column), right - int(column)))
            found[there] = self.pixels(scene, asset, np.arange(top, bottom), np.arange(left, right), level)
        return found

    def reach(self, scene: SimScene, resolution: int) -> tuple[int, int, int, int]:
        """First row and column, rows and columns of the tile's pixels that may hold data."""
        if self.settings.dense:
            return 0, 0, TILE_M // resolution, TILE_M // resolution
        return self._boxes[scene.tile].pixels(resolution)

    def pixels(
        self, scene: SimScene, asset: str, rows: np.ndarray, columns: np.ndarray, level: Level = "L2A"
    ) -> np.ndarray:
        """Pixels of an asset (a band, SCL) at `rows` by `columns` of its tile grid, all within `reach`; of the whole scene."""
        values = self._values(scene, asset, rows, columns, level)
        valid = self._expand(lambda *coarse: self.valid(scene, *coarse), asset, rows, columns)
        if not valid.all():
            values *= valid
        return values

    def product_pixels(self, product: Product, asset: str, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """What the file of `product` holds: `pixels`, cut to its half, with its offset, wrong where it is superseded."""
        scene = product.scene
        valid = self._expand(lambda *coarse: self.product_valid(product, *coarse), asset, rows, columns)
        if product.superseded and asset != "SCL" and self.settings.watermark:
            values = watermark.encode(scene.number, asset, rows, columns, "old")
        else:
            values = self.pixels(scene, asset, rows, columns, product.level)
            if product.superseded:
                values = np.full_like(values, OLD_CLASS) if asset == "SCL" else values + np.uint16(OLD_ERROR)
        if product.raw and asset != "SCL":
            values = values + np.uint16(OFFSET)
        return values * valid

    @staticmethod
    def _expand(
        of: Callable[[np.ndarray, np.ndarray], np.ndarray], asset: str, rows: np.ndarray, columns: np.ndarray
    ) -> np.ndarray:
        """A function of 60 m pixels (rows, columns) on an asset's pixels."""
        factor = COARSEST // L1C_RESOLUTION.get(asset, SCL_RESOLUTION)
        coarse_rows, row_of = np.unique(rows // factor, return_inverse=True)
        coarse_columns, column_of = np.unique(columns // factor, return_inverse=True)
        coarse = of(coarse_rows, coarse_columns)
        return np.ones((len(rows), len(columns)), bool) if coarse.all() else coarse[row_of][:, column_of]

    def _values(
        self, scene: SimScene, asset: str, rows: np.ndarray, columns: np.ndarray, level: Level = "L2A"
    ) -> np.ndarray:
        """Pixels, also where the scene has none."""
        resolution = L1C_RESOLUTION.get(asset, SCL_RESOLUTION)
        if level == "L1C" and asset != "SCL" and not self.settings.watermark:
            return top_of_atmosphere(
                asset, self._values(scene, CIRRUS_SOURCE if asset == "B10" else asset, rows, columns)
            )
        first_row, first_column, height, width = self._boxes[scene.tile].pixels(resolution)
        if self.settings.watermark:
            values = (
                np.full((len(rows), len(columns)), 4, np.uint8)
                if asset == "SCL"
                else watermark.encode(scene.number, asset, rows, columns, level)
            )
        else:
            down, right = rows - first_row, columns - first_column
            if self.settings.dense:
                # Pixels beyond the site repeat it; a whole tile is copied from it instead of being computed.
                whole = len(rows) * len(columns) > height * width
                cut = (slice(None), slice(None)) if whole else (down % height, right % width)
                values = self._asset(scene, asset, *cut)
                values = values[down % height][:, right % width] if whole else values
            else:
                values = self._asset(scene, asset, slice(down[0], down[-1] + 1), slice(right[0], right[-1] + 1))
        return values

    def swath_edge(self, scene: SimScene) -> tuple[float, float, float] | None:
        """(a, b, c) where data ends: a*x + b*y < c holds for valid centres, x and y in 60 m pixels from the tile's corner."""
        if scene.weather != "swath" or self.settings.watermark:
            return None
        box = self._boxes[scene.tile]
        turn = digest(self.settings.seed, scene.id, "swath")
        # Sentinel-2 flies down to the west-south-west: the edge leans about 13 degrees from north.
        a, b = (1.0, 0.23) if turn % 2 else (-1.0, -0.23)
        share = 0.05 + 0.3 * (turn // 2 % 1000) / 1000 - 0.15
        x, y = box.column + box.columns / 2, box.row + box.rows / 2
        return a, b, a * x + b * y + share * box.columns

    def valid(self, scene: SimScene, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Which 60 m pixels of the tile (`rows` by `columns`) hold data: bool."""
        box = self._boxes[scene.tile]
        if self.settings.dense:
            valid = np.ones((len(rows), len(columns)), bool)
        else:
            valid = self._inside[scene.tile][np.ix_(rows - box.row, columns - box.column)]
        edge = self.swath_edge(scene)
        if edge is not None:
            a, b, c = edge
            valid = valid & (a * (columns + 0.5)[None, :] + b * (rows + 0.5)[:, None] < c)
        return valid

    def product_edges(self, product: Product) -> list[tuple[float, float, float]]:
        """The lines where the data of an item ends, as `swath_edge` gives them: the swath's, and the one between halves."""
        edge = self.swath_edge(product.scene)
        edges = [edge] if edge is not None else []
        if product.part is not None:
            box = self._boxes[product.scene.tile]
            # Across the track, which leans about 13 degrees from north.
            share = digest(self.settings.seed, product.scene.id, "half") % 1000 / 1000 * 0.2 - 0.1
            middle = box.row + box.rows * (0.5 + share) - 0.23 * (box.column + box.columns / 2)
            sign = 1 if product.part == 0 else -1
            edges.append((-0.23 * sign, 1.0 * sign, sign * middle + HALF_OVERLAP / 2))
        return edges

    def product_valid(self, product: Product, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Which 60 m pixels of the tile hold data in the files of `product`."""
        valid = self.valid(product.scene, rows, columns)
        for a, b, c in self.product_edges(product):
            valid = valid & (a * (columns + 0.5)[None, :] + b * (rows + 0.5)[:, None] < c)
        return valid

    # -- making pixels ------------------------------------------------------------------------------------------

    def prepare(self, tile: str) -> None:
        """Render the ground of `tile` now; otherwise it is done when first needed."""
        for resolution in (10, 20, 60):
            self.cover(tile, resolution)

    def cover(self, tile: str, resolution: int) -> Cover:
        """The ground of the box of `tile` at 10, 20 or 60 m; rendered once."""
        with self._locks[tile]:
            if tile not in self._grounds:
                site, place = self.site(tile), frame(tile)
                self._grounds[tile] = Ground(
                    self.settings.seed,
                    site,
                    place,
                    self._boxes[tile],
                    self._placed[site.name],
                    background(self.settings.seed, site),
                )
            return self._grounds[tile].cover(resolution)

    def _make_table(self, scene: SimScene) -> np.ndarray:
        """DN of every material in the scene: (materials, 12) float32."""
        site = self._sites[scene.site]
        return (Spectra(self.settings.seed, site.name, site.lat < 0).table(scene.day_of_year) * _DN).astype(np.float32)

    def _make_sky(self, scene: SimScene, resolution: int) -> Sky | None:
        if resolution != SCL_RESOLUTION:
            sky = self._sky(scene, SCL_RESOLUTION)
            return None if sky is None else sky.at(resolution)
        return sky_over(self.settings.seed, scene, self._sites[scene.site].lat, self._boxes[scene.tile])

    def _asset(self, scene: SimScene, asset: str, rows: Index, columns: Index) -> np.ndarray:
        """Pixels at indices of the box."""
        return self._classes(scene, rows, columns) if asset == "SCL" else self._band(scene, asset, rows, columns)

    def _snow(self, cover: Cover, rows: Index, columns: Index) -> np.ndarray:
        """Share of snow: on the heights, thin under trees and on roads, none on water."""
        material = cover.material[rows][:, columns]
        hold = np.where(material_flags(WATER), 0, np.where(material_flags(WOOD), 0.35, 1)).astype(np.float32)
        sealed = cover.asphalt[rows][:, columns] + cover.roof[rows][:, columns]
        amount = np.clip(
            cover.height[rows][:, columns] * 4 + cover.grain[rows][:, columns] * np.float32(0.4) + np.float32(0.3), 0, 1
        )
        return amount * hold[material] * (1 - np.float32(0.6) * sealed)

    def _band(self, scene: SimScene, band: str, rows: Index, columns: Index) -> np.ndarray:
        # Only + - * / and comparisons from here on: they are exact to the bit however the window is cut.
        number = BANDS.index(band)
        cover = self.cover(scene.tile, RESOLUTION[band])
        asphalt, roof = cover.asphalt[rows][:, columns], cover.roof[rows][:, columns]
        value = self._table(scene)[:, number][cover.material[rows][:, columns]]
        value *= (cover.visible if number < 5 else cover.infrared)[rows][:, columns]
        value += asphalt * (np.float32(PURE["asphalt"][number] * _DN) - value)
        value += roof * (np.float32(PURE["tiles"][number] * _DN) - value)
        # Speckle of a few DN: water's short-wave infrared is about as dark, so some of its pixels clip at 0.
        value += np.float32(12) * cover.grain[rows][:, columns]
        if scene.weather == "snow":
            value += self._snow(cover, rows, columns) * (np.float32(PURE["snow"][number] * _DN) - value)
        sky = self._sky(scene, RESOLUTION[band])
        if sky is not None:
            value *= sky.light[rows][:, columns]
            value += sky.cirrus[rows][:, columns] * np.float32(PURE["cirrus"][number] * _DN)
            cloud = sky.brightness[rows][:, columns] * np.float32(PURE["cloud"][number] * _DN)
            value += sky.opacity[rows][:, columns] * (cloud - value)
        np.rint(value, out=value)
        np.clip(value, 0, 65535, out=value)
        return value.astype(np.uint16)

    def _classes(self, scene: SimScene, rows: Index, columns: Index) -> np.ndarray:
        cover = self.cover(scene.tile, SCL_RESOLUTION)
        table = self._table(scene)
        red, infrared = table[:, BANDS.index("B04")], table[:, BANDS.index("B8A")]
        green = (infrared - red) > np.float32(0.42) * (infrared + red)
        of_material = np.where(material_flags(WATER), 6, np.where(green | material_flags(WOOD), 4, 5)).astype(np.uint8)
        of_material[material_flags(("foil",)) & (table[:, BANDS.index("B04")] > 6000)] = 1  # saturated
        material = cover.material[rows][:, columns]
        classes = of_material[material]
        classes[cover.asphalt[rows][:, columns] + cover.roof[rows][:, columns] > np.float32(0.5)] = 5
        dark = (
            material_flags(WOOD)[material]
            & (cover.visible[rows][:, columns] < np.float32(0.86))
            & (table[:, BANDS.index("B08")] < 2000)[material]
        )
        classes[dark] = 2
        if scene.weather == "snow":
            classes[self._snow(cover, rows, columns) > np.float32(_SNOW_SHOWS)] = 11
        sky = self._sky(scene, SCL_RESOLUTION)
        if sky is not None:
            there = Sky(*(a[rows][:, columns] for a in (sky.opacity, sky.brightness, sky.light, sky.cirrus)))
            classes = classify(scene, there, classes)
        return classes

    def place(self, tile: str) -> Frame:
        """The tile's EPSG code and corner."""
        return frame(tile)
