"""export_tile: the files of one tile's accepted cells, and a table of them."""

import hashlib
import json
import logging
from pathlib import Path
from typing import Any

import pandas as pd

from tilewright.config.settings import STAGE_VERSIONS, ExportSettings, text
from tilewright.errors import TilewrightError
from tilewright.exports.protocol import Whole
from tilewright.exports.registry import layout_named
from tilewright.exports.source import TileSource
from tilewright.exports.writing import Writing, crc32_of
from tilewright.loader.dataset import Dataset
from tilewright.progress import SUMMARY
from tilewright.store import read_table, table_metadata, write_table

log = logging.getLogger(__name__)


def read_whole(folder: Path, settings: ExportSettings, locations: Path | None = None) -> Whole:
    """The dataset in `folder`; `locations` as in `Whole`.

    Raises:
        TilewrightError: where it is not whole, or no cell is accepted.
    """
    dataset = Dataset(folder)
    if not dataset.index["accepted"].any():
        raise TilewrightError(
            f"{folder}: no cell is accepted, so that there is nothing to export: see the report for what cells lack, and loosen `accept` or `mask`"
        )
    statistics = json.loads((folder / "statistics.json").read_text())
    return Whole(dataset, statistics, settings, locations)


def make_export_tile(folder: Path, tile: str, settings: ExportSettings, root: Path, files: Path, records: Path) -> None:
    """Write the files of a tile's accepted cells into the export's folder, then what they are.

    A tile that was written before, from the same stores and settings, and whose files are all there with the same bytes, is left as it is.

    Args:
        folder: the dataset's.
        root: the export's.
        files: table of the files: path, bytes, crc32, cell_id.
        records: table of the samples, which the whole export's files are made of.

    Raises:
        TilewrightError: where the dataset cannot be laid out so, a store is damaged, or the disk is full.
    """
    whole = read_whole(folder, settings)
    layout = layout_named(settings.layout)
    layout.check(whole)
    source = TileSource.of(whole.dataset, tile, settings.periods)
    digest = _digest(whole, source, layout.shared(whole, source))
    done = _is_done(root, files, records, digest)
    if done:
        # the tables are written anew below: Snakemake expects them to be newer
        table, made = read_table(files), read_table(records)
    else:
        try:
            with Writing(root, tile) as writing:
                made = pd.DataFrame(list(layout.write(whole, source, writing)) if len(source) else [])
        except TilewrightError as error:
            raise TilewrightError(f"export {settings.layout}, tile {tile}: {error}") from error
        table = writing.files()
    write_table(made, records, {"tile": tile, "digest": digest})
    write_table(table, files, {"tile": tile, "digest": digest})
    log.log(
        SUMMARY, "export %s %s: %d cells, %d files, %.1f MB%s", settings.layout, tile, len(source), len(table),
        table["bytes"].sum() / 1e6, "; nothing has changed" if done else "",
    )  # fmt: skip


def _digest(whole: Whole, source: TileSource, shared: Any) -> str:
    """Of all that the tile's files are made of: settings, the index's rows, the stores, the items, what the layout has of the whole dataset."""
    rows = source.rows.drop(columns=["geometry", "accepted_rank"]).to_json(date_format="iso")
    years = json.dumps(sorted(whole.years.items()))
    told = [text(whole.settings), str(STAGE_VERSIONS["export_tile"]), rows, years, json.dumps(shared, sort_keys=True)]
    made = hashlib.blake2b("\n".join(told).encode(), digest_size=16)
    for name in ("series.zarr.zip", "labels.zarr.zip"):
        if (path := source.folder / name).is_file():
            made.update(_of_file(path))
    for period in source.periods:
        for name in ("scenes.parquet", "companions.parquet"):
            if (path := source.folder / period / name).is_file():
                made.update(_of_file(path))
    return made.hexdigest()


def _of_file(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "blake2b").digest()


def _is_done(root: Path, files: Path, records: Path, digest: str) -> bool:
    if not (files.is_file() and records.is_file()):
        return False
    try:
        if any(table_metadata(path).get("digest") != digest for path in (files, records)):
            return False
        known = read_table(files)
    except TilewrightError:
        return False
    # sizes first, which is quick. Sizes alone do not do: where places in the draw name files, an export that was begun with other
    # places and given up has put files of as many bytes of another tile in the place of this one's
    places = [root / path for path in known["path"]]
    if any(
        not path.is_file() or path.stat().st_size != size for path, size in zip(places, known["bytes"], strict=True)
    ):
        return False
    return all(crc32_of(path) == crc for path, crc in zip(places, known["crc32"], strict=True))
