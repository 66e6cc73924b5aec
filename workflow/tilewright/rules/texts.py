"""The settings of each stage as text, worked out once for all tiles where only the tile's name differs.

Snakemake asks for them at each of a planet's 330,000 jobs, and again in each job of a cluster.
"""

from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from tilewright.config import settings
from tilewright.config.bands import PRIMARY
from tilewright.config.cell_settings import CellsSettings, clip_digest, samples_digest, samples_text
from tilewright.config.label_files import source_settings
from tilewright.config.label_sets import RasterFile, VectorFile
from tilewright.config.label_settings import FeaturesSettings, LabelSetSettings, LabelsSettings
from tilewright.config.location_settings import LocationsSettings
from tilewright.config.settings import SearchSettings
from tilewright.errors import TilewrightError

if TYPE_CHECKING:
    from tilewright.rules.dataset import DatasetConfig

# What goes to a stage is one word of a command line, which Linux ends at 128 kB.
_LONGEST_CLIP: Final = 30_000


class StageTexts:
    """The settings of the stages of one dataset."""

    def __init__(self, dataset: "DatasetConfig") -> None:
        self._dataset = dataset
        self._of_any_tile = cache(self._made)
        self._of_clip = cache(lambda clip: settings.text(self._cells({"clip": clip})))

    def of(self, stage: str, tile: str, period: str, source: str, layout: str) -> str:
        """The settings of a stage for these wildcards.

        They are the same object for all tiles of which only the name differs, which is `settings.ANY_TILE` in them and goes to
        the stage beside them: so a graph of 330,000 jobs does not hold as many texts.

        Raises:
            TilewrightError: for a tile that does not exist or is outside the AOI.
        """
        if stage == "cells":
            return self._of_cells(tile)
        if stage in ("search", "search_companions") and self._dataset.config.aoi.own is not None:
            return self._made(stage, tile, period, source, layout)  # it may be around the tile's own dates
        return self._of_any_tile(stage, settings.ANY_TILE, period, source, layout)

    def _made(self, stage: str, tile: str, period: str, source: str, layout: str) -> str:
        dataset = self._dataset
        config = dataset.config
        makers: dict[str, Callable[[], Any]] = {
            "simulate": lambda: config.simulate,
            "locations": self._locations,
            "search": lambda: self._search(tile, period, [PRIMARY]),
            "search_companions": lambda: self._search(tile, period, dataset.companions),
            "mask": lambda: settings.mask_settings(config, tile, period),
            "crop": lambda: settings.crop_settings(config, tile, period),
            "source": lambda: source_settings(dataset.of_source(source)),
            "ask": lambda: source_settings(dataset.of_source(source)),
            "features": lambda: FeaturesSettings(sources={**dataset.sources, **dataset.asked}),
            "labels": self._labels,
            "group": lambda: settings.group_settings(config, dataset.providers, tile),
            "index": lambda: settings.index_settings(config),
            "export": lambda: settings.export_settings(config, layout),
            "export_tile": lambda: settings.export_settings(config, layout),
        }
        return settings.text(makers[stage]())

    def _search(self, tile: str, period: str, collections: Sequence[str]) -> SearchSettings:
        dataset = self._dataset
        around = dataset.config.period(period).reference is not None
        references = dataset.reference_span(tile) if around else []
        return settings.search_settings(dataset.config, dataset.providers, tile, period, collections, references)

    def _locations(self) -> LocationsSettings:
        config = self._dataset.config
        if config.aoi.cities is None:
            raise TilewrightError("aoi.cities: is not in the config, so there are no locations to sample")
        return LocationsSettings(seed=config.seed, size_m=config.cells.size_m, cities=config.aoi.cities)

    def _of_cells(self, tile: str) -> str:
        """Settings of the cells of a tile: they differ by the part of the AOI, the samples or the locations that are in it."""
        dataset = self._dataset
        aoi = dataset.config.aoi
        if aoi.cities is not None:
            return settings.text(self._cells({"locations_digest": dataset.location_digest(tile)}))
        if aoi.own is not None:
            return settings.text(self._cells(self._samples_of(tile)))
        clip = dataset.aoi.clip(tile)
        if clip is None:
            return self._of_clip(clip)
        if len(clip) <= _LONGEST_CLIP:
            return settings.text(self._cells({"clip": clip}))
        # The stage clips again by itself; the digest says here whether this tile's part of the file changed.
        return settings.text(self._cells({"clip_file": aoi.file, "clip_digest": clip_digest(clip)}))

    def _cells(self, where: dict[str, Any]) -> CellsSettings:
        config = self._dataset.config
        cells = config.cells
        return CellsSettings(
            seed=config.seed, strategy=cells.strategy, size_m=cells.size_m, stride_m=cells.stride_m,
            grids=cells.lattices if cells.strategy == "grids" else None, reference=cells.reference, fraction=cells.fraction,
            number=cells.number, activity=cells.activity, water=cells.water, labelled_by=cells.labelled_by, **where,
        )  # fmt: skip

    def _samples_of(self, tile: str) -> dict[str, Any]:
        """The tile's own of the user's places, or where the stage finds them; those of other tiles make no difference."""
        samples = self._dataset.samples.of(tile)
        if len(samples_text(samples)) <= _LONGEST_CLIP:
            return {"samples": samples}
        return {"samples_of": self._dataset.config.aoi, "samples_digest": samples_digest(samples)}

    def _labels(self) -> LabelsSettings:
        dataset = self._dataset
        return LabelsSettings(
            sets={
                made: LabelSetSettings(
                    kind=each.source.kind, ontology=dataset.ontologies.get(family), resolution_m=each.resolution_m,
                    licence=each.source.licence, family=family, year=each.year, unknown=each.unknown, parcels=each.parcels,
                    values=each.source.values if isinstance(each.source, VectorFile) else [], regions=each.regions,
                    raster=each.source if isinstance(each.source, RasterFile) else None,
                )
                for family, labels in sorted(dataset.config.labels.items())
                for made, each in labels.by_year(family).items()
            }
        )  # fmt: skip
