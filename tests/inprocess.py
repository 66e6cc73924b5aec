"""Building a dataset by calling the stages in this process: for tests that put faults into them."""

import json
from pathlib import Path
from typing import Any

from harness import ROOT
from tilewright.config.cell_settings import CellsSettings
from tilewright.config.label_settings import FeaturesSettings, LabelsSettings, SourceSettings
from tilewright.config.settings import (
    CropSettings,
    GroupSettings,
    IndexSettings,
    MaskSettings,
    SearchSettings,
    parsed,
    parsed_access,
)
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
            wanted = dataset.config.cells.labelled_by
            truth = sources[dataset.sources[wanted]] if wanted else None
            sampled = parsed(CellsSettings, dataset.settings("cells", tile=tile))
            cells.make_cells(tile, sampled, at / "cells.parquet", truth)
            for period in dataset.periods:
                _period(dataset, tile, period, at, reader)
            if dataset.label_sets:
                told = parsed(FeaturesSettings, dataset.settings("features", tile=tile))
                features.make_features(at / "cells.parquet", sources, told, at / "features.parquet")
                rules = parsed(LabelsSettings, dataset.settings("labels", tile=tile))
                labels.make_labels(at / "cells.parquet", at / "features.parquet", rules, at / "labels.zarr.zip")
            patches = [at / period / "patches.zarr.zip" for period in dataset.periods]
            grouped = parsed(GroupSettings, dataset.settings("group", tile=tile))
            group.make_group(at / "cells.parquet", patches, grouped, at / "series.zarr.zip")
        zones.append(results / "zones" / f"{name}.parquet")
        zone.make_zone(
            [
                zone.TileFiles(
                    results / "tiles" / tile, dataset.periods, bool(dataset.label_sets), bool(dataset.companions)
                )
                for tile in tiles
            ],
            zones[-1],
        )
    told = parsed(IndexSettings, dataset.settings("index"))
    index.make_index(zones, told, results / "index.parquet", results / "statistics.json", results / "collection.json")
    return results


def build_kept(config: dict[str, Any], folder: Path) -> None:
    """As `build`, with the config kept beside the results, for `kept`."""
    (folder / "config.json").write_text(json.dumps(config))
    build(config, folder)


def kept(folder: Path) -> tuple[dict[str, Any], Path]:
    """Config and results of what `build_kept` made in a folder; nothing of it is written again."""
    config = json.loads((folder / "config.json").read_text())
    return config, folder / "results" / config["dataset"]


def _period(dataset: DatasetConfig, tile: str, period: str, at: Path, reader: Reader | None) -> None:
    """From the search to the patches of one tile and period, in the tile's folder `at`."""
    of = at / period
    stages = ["search", "mask", "crop", *(["search_companions"] if dataset.companions else [])]
    told = {stage: dataset.settings(stage, tile=tile, period=period) for stage in stages}
    access = parsed_access(dataset.access)
    search.make_search(parsed(SearchSettings, told["search"]), of / "scenes.parquet", access, reader)
    companions = of / "companions.parquet" if dataset.companions else None
    if companions:
        search.make_search(parsed(SearchSettings, told["search_companions"]), companions, access, reader)
    mask.make_mask(
        at / "cells.parquet", of / "scenes.parquet", parsed(MaskSettings, told["mask"]), of / "masks.parquet",
        of / "masks.traffic.json", reader,
    )  # fmt: skip
    crop.make_crop(
        at / "cells.parquet", of / "scenes.parquet", companions, of / "masks.parquet", parsed(CropSettings, told["crop"]),
        of / "patches.zarr.zip", of / "selection.parquet", of / "patches.traffic.json", reader,
    )  # fmt: skip
