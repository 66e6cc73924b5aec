"""One dataset's checked config, and the answers that the rules need: tiles by zone, input files, settings by stage."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

from tilewright.config import settings
from tilewright.config.cities import GEONAMES
from tilewright.config.label_files import files, parts, source_name
from tilewright.config.label_sets import LabelSet, OsmFile, Overpass, RasterFile, VectorFile
from tilewright.config.load import load_config, load_providers, ontology_path
from tilewright.config.model import Config
from tilewright.config.provider import Provider
from tilewright.config.settings import with_tile
from tilewright.config.spans import Days, joined
from tilewright.errors import TilewrightError
from tilewright.rules.checks import check_files
from tilewright.rules.texts import StageTexts

if TYPE_CHECKING:
    # Imported where they are needed: most jobs of a cluster read the Snakefile and ask nothing of tiles.
    from tilewright.grid import AreaOfInterest
    from tilewright.grid.sample_files import SampleTable

_TILES_SHOWN: Final = 200


@dataclass(frozen=True)
class DatasetConfig:
    """A config with its provider and its files, all of them checked."""

    config: Config
    providers: dict[str, Provider]
    ontologies: dict[str, str]

    @classmethod
    def load(cls, mapping: Mapping[str, Any], root: Path) -> "DatasetConfig":
        """Check all that can be checked before any job starts.

        Args:
            mapping: the merged config.
            root: the project's folder, where config/providers and config/ontologies are.

        Raises:
            TilewrightError: one message with every fault.
        """
        config = load_config(mapping)
        providers = load_providers(config, root)
        ontologies = {
            name: str(ontology_path(each.ontology, root, f"labels.{name}.ontology"))
            for name, each in sorted(config.labels.items())
            if each.ontology is not None
        }
        made = cls(config, providers, ontologies)
        check_files(made)
        return made

    @staticmethod
    def simulated_folder() -> Path:
        """Where the simulated world is kept, relative to the working directory."""
        return Path("data/simulated")

    @staticmethod
    def simulated_catalog() -> Path:
        """Its catalog, which tells of what settings it was made."""
        return DatasetConfig.simulated_folder() / "catalog.json"

    def is_simulated(self, path: Path) -> bool:
        """Whether a file is of the simulated world, which the workflow makes."""
        return self.config.simulate is not None and path.parent == self.simulated_folder()

    def simulated_files(self) -> list[Path]:
        """The files of the simulated world that catalogs and label sources of the config name; none where it is not read."""
        named = [Path(path) for path in self.catalogs(list(self.providers))]
        named += [path for each in self.sets.values() for _, path in files(each)]
        return [path for path in named if self.is_simulated(path)]

    @property
    def name(self) -> str:
        """The dataset's name."""
        return self.config.dataset

    @property
    def periods(self) -> list[str]:
        """Names of the periods, in the config's order."""
        return [period.name for period in self.config.all_periods()]

    @property
    def label_sets(self) -> list[str]:
        """Names of the label sets, those of several years expanded."""
        return list(self.sets)

    @cached_property
    def sets(self) -> dict[str, LabelSet]:
        """The label sets, those of several years expanded, by name."""
        return self.config.label_sets()

    @cached_property
    def sources(self) -> dict[str, str]:
        """{label set: name of its normalised source}: sets that read the same file alike share one.

        The name says what is read and how, not for which set: a new label set, or a renamed one, reads nothing again.
        """
        return {
            name: source_name(each) for name, each in self.sets.items() if isinstance(each.source, OsmFile | VectorFile)
        }

    def of_source(self, source: str) -> LabelSet:
        """A label set that is read from a normalised source, or an API's answer."""
        return next(self.sets[name] for name, used in {**self.sources, **self.asked}.items() if used == source)

    @property
    def companions(self) -> list[str]:
        """The collections whose scenes are paired with the primary's."""
        return list(settings.companions_of(self.config))

    def catalogs(self, collections: Sequence[str]) -> list[str]:
        """The local catalogs of some collections, as input files; none for an API."""
        return sorted({str(found) for key in collections if (found := self.providers[key].catalog)})

    @cached_property
    def access(self) -> str:
        """How the assets of each collection are opened, as text."""
        return json.dumps(
            {key: one.model_dump(mode="json") for key, one in settings.access_settings(self.providers).items()},
            sort_keys=True, separators=(",", ":"),
        )  # fmt: skip

    @property
    def cell_rasters(self) -> list[str]:
        """The rasters that cells are sampled with."""
        cells = self.config.cells
        return [*(cells.activity.files if cells.activity else []), *([cells.water.file] if cells.water else [])]

    def family(self, label_set: str) -> str:
        """The set's name in the config: that of all its years."""
        return next(name for name, each in self.config.labels.items() if label_set in each.by_year(name))

    def source_files(self, source: str) -> list[str]:
        """The files that a normalised source, or an API's answer, is made of; none for a database."""
        return [str(part) for _, path in files(self.of_source(source)) for part in parts(path)]

    @cached_property
    def asked(self) -> dict[str, str]:
        """{label set: name of the answer of its API}, as `sources`."""
        return {name: source_name(each) for name, each in self.sets.items() if isinstance(each.source, Overpass)}

    @property
    def files_of_index(self) -> list[tuple[str, Path]]:
        """(key, path) of the files that the index reads beside the zones'."""
        named = []
        if self.config.attributes is not None:
            named.append(("attributes.path", Path(self.config.attributes.path)))
        if self.config.split.column is not None and self.config.split.column.file is not None:
            named.append(("split.column.file.path", Path(self.config.split.column.file.path)))
        return named

    @property
    def index_files(self) -> list[str]:
        """The files of the user's own that the index reads: a map of attributes, a table of splits."""
        return [str(part) for _, path in self.files_of_index for part in parts(path)]

    @property
    def label_rasters(self) -> list[str]:
        """The rasters that labels are read from."""
        rasters = [each for each in self.sets.values() if isinstance(each.source, RasterFile)]
        return sorted({str(path) for each in rasters for _, path in files(each)})

    @staticmethod
    def version(stage: str) -> int:
        """The stage's version, for its rule's params: code that means something else runs again."""
        return settings.STAGE_VERSIONS[stage]

    @property
    def text(self) -> str:
        """The whole config, defaults included, as YAML; of a long list of tiles the beginning."""
        document = self.config.model_dump(mode="json", exclude_none=True)
        tiles = document["aoi"].get("tiles", [])
        if len(tiles) > _TILES_SHOWN:
            document["aoi"]["tiles"] = [*tiles[:_TILES_SHOWN], f"and {len(tiles) - _TILES_SHOWN} more"]
        return yaml.safe_dump(document, sort_keys=False, allow_unicode=True)

    @cached_property
    def aoi(self) -> "AreaOfInterest":
        """The area of interest; its tiles are found only when asked for."""
        from tilewright.grid import load_aoi

        return load_aoi(self.config.aoi)

    @cached_property
    def samples(self) -> "SampleTable":
        """The user's own places, of `aoi.points` or `aoi.polygons`; read only when asked for."""
        from tilewright.grid.sample_files import load_samples

        return load_samples(self.config.aoi, self.config.cells.size_m)

    def reference_span(self, tile: str) -> list[Days]:
        """The days that the reference dates of the tile's cells are among; none where no cell has one.

        Raises:
            TilewrightError: where the file of the user's own places does not serve.
        """
        reference = self.config.cells.reference
        if reference is not None:
            return [(reference.date - timedelta(reference.shift_days - 1), reference.date)]
        return joined((day, day) for day in self.samples.dates(tile)) if self.config.aoi.own is not None else []

    @property
    def city_table(self) -> list[str]:
        """The file that locations are sampled from; none for a table that a package brings."""
        cities = self.config.aoi.cities
        return [] if cities is None or cities.table == GEONAMES else [cities.table]

    @property
    def locations_file(self) -> str:
        """Where the locations around cities are kept, relative to the working directory."""
        return f"results/{self.name}/locations.parquet"

    @cached_property
    def _location_tiles(self) -> dict[str, str]:
        """{tile: digest of its locations}; only after the stage `locations`."""
        from tilewright.locations.file import tiles_of

        return tiles_of(Path(self.locations_file))

    def location_digest(self, tile: str) -> str | None:
        """A digest of the tile's locations around cities, so that it runs again where they change; None without cities.

        Raises:
            TilewrightError: a tile without any.
        """
        if self.config.aoi.cities is None:
            return None
        if tile not in self._location_tiles:
            raise TilewrightError(
                f"tile {tile} has none of the locations around cities (aoi.cities): ask for one of the "
                f"{len(self._location_tiles)} tiles in {self.locations_file}"
            )
        return self._location_tiles[tile]

    def tiles_by_zone(self) -> dict[str, list[str]]:
        """{zone: tiles} that the AOI meets, sorted; those of the locations around cities, once these are sampled.

        Raises:
            TilewrightError: where the AOI meets no tile; where the file of locations is missing.
        """
        from tilewright.grid import tile

        found: dict[str, list[str]] = {}
        for name in self._tiles():
            found.setdefault(tile(name).zone, []).append(name)
        return dict(sorted(found.items()))

    @property
    def layouts(self) -> list[str]:
        """The layouts that the dataset is exported in."""
        return list(self.config.export.layout) if self.config.export else []

    def _tiles(self) -> Iterable[str]:
        if self.config.aoi.cities is not None:
            return self._location_tiles
        return self.samples.tiles() if self.config.aoi.own is not None else self.aoi.tiles()

    @cached_property
    def _texts(self) -> StageTexts:
        return StageTexts(self)

    def settings(
        self, stage: str, tile: str = "", period: str = "", zone: str = "", source: str = "", layout: str = ""
    ) -> str:
        """The settings of a stage for these wildcards, as text.

        Raises:
            TilewrightError: for a tile that does not exist or is outside the AOI.
        """
        return with_tile(self.shared_settings(stage, tile, period, zone, source, layout), tile)

    def shared_settings(
        self, stage: str, tile: str = "", period: str = "", zone: str = "", source: str = "", layout: str = ""
    ) -> str:
        """The same as one text for all tiles of which only the name differs: it is left open, and the stage gets it beside them.

        Raises:
            TilewrightError: as `settings`.
        """
        return self._texts.of(stage, tile, period, source, layout)
