"""Building a dataset by calling the stages in this process: for tests that put faults into them."""

from pathlib import Path
from typing import Any

from harness import ROOT
from tilewright.config.cell_settings import CellsSettings
from tilewright.config.label_settings import FeaturesSettings, LabelsSettings, SourceSettings
from tilewright.config.settings import CropSettings, GroupSettings, IndexSettings, MaskSettings, SearchSettings, parsed
from tilewright.imagery import Reader
from tilewright.rules import DatasetConfig
from tilewright.stages import cells, crop, features, group, index, labels, mask, search, source, zone


def build(config: dict[str, Any], folder: Path, reader: Reader | None = None) -> Path:
    """The whole way for every tile of the AOI, report left out; the dataset's folder."""
    dataset = DatasetConfig.load(config, ROOT)
    results = folder / "results" / dataset.name
    zones = []
    sources = {name: results / "sources" / f"{name}.parquet" for name in dataset.sources.values()}
    for name, path in sources.items():
        source.make_source(parsed(SourceSettings, dataset.settings("source", source=name)), path)
    for name, tiles in dataset.tiles_by_zone().items():
        for tile in tiles:
            at = results / "tiles" / tile
            cells.make_cells(tile, parsed(CellsSettings, dataset.settings("cells", tile=tile)), at / "cells.parquet")
            for period in dataset.periods:
                of = at / period
                settings = {
                    stage: dataset.settings(stage, tile=tile, period=period) for stage in ("search", "mask", "crop")
                }
                search.make_search(parsed(SearchSettings, settings["search"]), of / "scenes.parquet")
                mask.make_mask(
                    at / "cells.parquet",
                    of / "scenes.parquet",
                    parsed(MaskSettings, settings["mask"]),
                    of / "masks.parquet",
                    of / "masks.traffic.json",
                    reader,
                )
                crop.make_crop(
                    at / "cells.parquet", of / "scenes.parquet", of / "masks.parquet", parsed(CropSettings, settings["crop"]),
                    of / "patches.zarr.zip", of / "selection.parquet",
                    of / "patches.traffic.json", reader,
                )  # fmt: skip
            told = parsed(FeaturesSettings, dataset.settings("features", tile=tile))
            features.make_features(at / "cells.parquet", sources, told, at / "features.parquet")
            rules = parsed(LabelsSettings, dataset.settings("labels", tile=tile))
            labels.make_labels(at / "cells.parquet", at / "features.parquet", rules, at / "labels.zarr.zip")
            patches = [at / period / "patches.zarr.zip" for period in dataset.periods]
            grouped = parsed(GroupSettings, dataset.settings("group", tile=tile))
            group.make_group(at / "cells.parquet", patches, grouped, at / "series.zarr.zip")
        zones.append(results / "zones" / f"{name}.parquet")
        zone.make_zone([zone.TileFiles(results / "tiles" / tile, dataset.periods, True) for tile in tiles], zones[-1])
    told = parsed(IndexSettings, dataset.settings("index"))
    index.make_index(zones, told, results / "index.parquet", results / "statistics.json", results / "collection.json")
    return results
