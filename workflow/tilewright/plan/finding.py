"""Which scenes a search of a tile and period will find: asked of the catalog, or what stands for it."""

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
import shapely

from tilewright.catalog import Scene, find_items, grouped, read_scene
from tilewright.catalog.radiometry import Decision
from tilewright.catalog.scene import settled, to_look_at
from tilewright.config.bands import PRIMARY, RADAR
from tilewright.config.provider import Provider
from tilewright.config.settings import SearchSettings, parsed
from tilewright.config.simulated import Simulate
from tilewright.config.spans import Days, joined
from tilewright.grid import SIDE_M, Tile
from tilewright.grid import tile as tile_named
from tilewright.grid.zones import lonlat
from tilewright.plan.orbits import acquisitions_of
from tilewright.plan.world import is_made
from tilewright.rules import DatasetConfig
from tilewright.simulate.ground import COARSEST, simulated_box
from tilewright.simulate.mgrs import frame
from tilewright.simulate.products import products
from tilewright.simulate.schedule import SimScene, schedule

ASKED: Final = "asked of the catalog"
SIMULATED: Final = "those that will be simulated, clouds guessed by the kind of day"
ESTIMATED: Final = "estimated: the satellites' orbits, clouds drawn around the mean over land"

# Share of cloud by the simulator's kinds of day (tilewright.simulate.sky).
_CLOUD: Final = {"clear": 0.0, "cumulus": 0.25, "overcast": 0.97, "swath": 0.0, "snow": 0.0, "hazy": 0.0}

_Way = Callable[[str, Tile, Sequence[Days]], list[Scene]]


class Finding:
    """Finds scenes as the stage `search` will, without looking at pixels.

    Attributes:
        known: collection → words, what its scenes rest on.
    """

    def __init__(self, dataset: DatasetConfig, search: bool) -> None:
        """Args: `search`: whether APIs may be asked; local catalogs always are."""
        self._dataset = dataset
        self._ways: dict[str, _Way] = {}
        self.known: dict[str, str] = {}
        for collection, provider in dataset.providers.items():
            way, self.known[collection] = self._way(provider, search)
            self._ways[collection] = way
        self._found: dict[tuple[str, str], list[Scene]] = {}

    def _way(self, provider: Provider, search: bool) -> tuple[_Way, str]:
        catalog = provider.catalog
        if catalog is not None and self._dataset.is_simulated(catalog) and not is_made(self._dataset):
            return self._simulated, SIMULATED
        if catalog is not None or search:
            return self._asked, ASKED
        return self._estimated, ESTIMATED

    def scenes(self, tile: str, period: str) -> dict[str, list[Scene]]:
        """Collection → scenes by time and id, as scenes.parquet and companions.parquet will have them.

        Raises:
            TilewrightError: a catalog that cannot be read whole.
        """
        stages = ["search", *(["search_companions"] if self._dataset.companions else [])]
        told = [
            parsed(SearchSettings, self._dataset.settings(stage, tile=tile, period=period)).spans for stage in stages
        ]
        spans = {collection: days for each in told for collection, days in each.items()}
        return {collection: self._period(collection, tile, days) for collection, days in spans.items()}

    def _period(self, collection: str, name: str, spans: Sequence[Days]) -> list[Scene]:
        """Of all that is found for the tile in all periods, what lies in some days."""
        found = self._all(collection, name)
        return grouped(
            [scene for scene in found if _within(scene, spans)],
            self._dataset.providers[collection].collections[collection].duplicates,
        )

    def _all(self, collection: str, name: str) -> list[Scene]:
        """One search for all periods, so that an API is asked as little as can be."""
        if (collection, name) not in self._found:
            stage = "search" if collection == PRIMARY else "search_companions"
            settings = [
                parsed(SearchSettings, self._dataset.settings(stage, tile=name, period=period))
                for period in self._dataset.periods
            ]
            spans = joined(days for each in settings for days in each.spans[collection])
            self._found[collection, name] = self._ways[collection](collection, tile_named(name), spans)
        return self._found[collection, name]

    def _asked(self, collection: str, tile: Tile, spans: Sequence[Days]) -> list[Scene]:
        provider = self._dataset.providers[collection]
        held = provider.collections[collection]
        items = [item for first, last in spans for item in find_items(provider, collection, tile, first, last)]
        found = [read_scene(collection, item, held, provider.access, provider.kind == "local") for item in items]
        # whose offset only pixels tell: it will serve, as a rule
        return [settled(scene, Decision(0, "")) if to_look_at(scene) else scene for scene in found]

    def _estimated(self, collection: str, tile: Tile, spans: Sequence[Days]) -> list[Scene]:
        return acquisitions_of(collection, tile, spans, self._dataset.config.seed)

    def _simulated(self, collection: str, tile: Tile, spans: Sequence[Days]) -> list[Scene]:
        settings = self._dataset.config.simulate
        assert settings is not None
        outline = site_outline(settings, tile)
        if outline is None:
            return []
        scenes = schedule(settings)
        if collection in RADAR:  # a pass in two directions within three days of each scene
            found = [
                _scene(collection, f"{scene.id}-{direction}", scene, outline, orbit_state=direction)
                for scene in scenes
                for direction in ("ascending", "descending")
            ]
        else:
            level = "L2A" if collection == PRIMARY else "L1C"
            found = [
                _scene(
                    collection, product.id, product.scene, _part(outline, product.part),
                    datatake=product.datatake.rpartition("_N")[0], processing_baseline=product.processing_baseline,
                )
                for product in products(settings, scenes) if product.level == level
            ]  # fmt: skip
        mine = {scene.id for scene in scenes if scene.tile == tile.name}
        return [scene for scene in found if scene.item in mine and _within(scene, spans)]


def site_outline(settings: Simulate, tile: Tile) -> shapely.Polygon | None:
    """The ground of a tile that is simulated, in metres of its zone; None where there is none."""
    site = next((site for site in settings.sites if tile.name in site.tiles), None)
    if site is None:
        return None
    if settings.dense:
        return shapely.box(tile.ulx, tile.uly - SIDE_M, tile.ulx + SIDE_M, tile.uly)
    box = simulated_box(site, frame(tile.name), False)
    left, top = tile.ulx + COARSEST * box.column, tile.uly - COARSEST * box.row
    return shapely.box(left, top - COARSEST * box.rows, left + COARSEST * box.columns, top)


def _part(outline: shapely.Polygon, part: int | None) -> shapely.Polygon:
    """The northern (0) or southern (1) half; None: the whole."""
    left, bottom, right, top = outline.bounds
    middle = (bottom + top) / 2
    return (
        outline
        if part is None
        else shapely.box(left, *((middle, right, top) if part == 0 else (bottom, right, middle)))
    )


def _scene(collection: str, name: str, scene: SimScene, outline: shapely.Polygon, **told: str) -> Scene:
    """A scene of the simulated world before there are files; `item` is the id of what is seen."""

    def degrees(points: np.ndarray) -> np.ndarray:
        return np.column_stack(lonlat(scene.epsg, points[:, 0], points[:, 1]))

    return Scene(
        collection=collection, scene_id=name, datetime=scene.datetime.replace(tzinfo=None), platform=scene.platform,
        relative_orbit=scene.relative_orbit, generated=name, acquisition=name, cloud_cover=100 * _CLOUD[scene.weather],
        dn_offset=0, radiometry="", refused="", footprint=shapely.to_wkt(shapely.transform(outline, degrees)), assets="{}",
        digest="", item=scene.id, **{"orbit_state": "", "processing_baseline": "", "datatake": name, **told},
    )  # fmt: skip


def _within(scene: Scene, spans: Sequence[Days]) -> bool:
    return any(first <= scene.datetime.date() <= last for first, last in spans)
