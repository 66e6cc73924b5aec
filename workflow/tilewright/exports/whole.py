"""export: what an export needs beside its tiles' files: lists, splits, metadata, and no file too many."""

import logging
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from tilewright.config.settings import ExportSettings
from tilewright.exports.documents import write_documents
from tilewright.exports.registry import layout_named
from tilewright.exports.tile import read_whole
from tilewright.exports.writing import Writing, sweep
from tilewright.progress import SUMMARY
from tilewright.store import read_table

log = logging.getLogger(__name__)


def make_export(
    folder: Path, settings: ExportSettings, tables: Sequence[Path], root: Path, config_text: str, locations: Path | None = None
) -> None:  # fmt: skip
    """Write the files of the whole export and remove files that are of no tile any more.

    Args:
        folder: the dataset's.
        tables: the folders of the tiles' tables (files.parquet, records.parquet).
        root: the export's.
        config_text: the config, for the data card.
        locations: the draw around cities, where it is not among the dataset's files.

    Raises:
        TilewrightError: where the dataset cannot be laid out so, a table is damaged, or the disk is full.
    """
    whole = read_whole(folder, settings, locations)
    layout = layout_named(settings.layout)
    layout.check(whole)
    parts = [read_table(path / "records.parquet") for path in tables]
    kept = [part for part in parts if len(part)]
    records = pd.concat(kept, ignore_index=True) if kept else pd.DataFrame()
    files = pd.concat([read_table(path / "files.parquet") for path in tables], ignore_index=True)
    with Writing(root, "whole") as writing:
        layout.finish(whole, records, writing)
        write_documents(whole, layout, records, files, config_text, writing)
        own = writing.files()
    removed = sweep(root, {*files["path"], *own["path"]})
    log.log(
        SUMMARY, "export %s: %d samples in %d files, %.1f MB; %d old files removed", settings.layout, len(records),
        len(files) + len(own), (files["bytes"].sum() + own["bytes"].sum()) / 1e6, removed,
    )  # fmt: skip
