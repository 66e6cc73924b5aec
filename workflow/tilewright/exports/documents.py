"""What every export has beside its layout's own files: table of the samples, data card, Croissant metadata, STAC collection."""

import pandas as pd

from tilewright.exports.card import data_card
from tilewright.exports.croissant import croissant
from tilewright.exports.protocol import Layout, Whole
from tilewright.exports.samples import SAMPLES, parquet_bytes, samples_table
from tilewright.exports.stac import export_collection
from tilewright.exports.writing import Writing
from tilewright.store.seal import json_text


def write_documents(
    whole: Whole, layout: Layout, records: pd.DataFrame, files: pd.DataFrame, config_text: str, writing: Writing
) -> None:
    """Write samples.parquet, README.md, croissant.json and collection.json at the export's root.

    Args:
        records: those of all samples.
        files: the tiles' files: path, bytes, crc32, cell_id.
        config_text: the config, as the card shows it.
    """
    writing.put(SAMPLES, parquet_bytes(samples_table(whole, records)))
    writing.put("README.md", data_card(whole, layout, records, files, config_text).encode())
    # the files of the whole export, which Croissant names with their digests, are there by now
    document = croissant(whole, layout, records, files, writing)
    writing.put("croissant.json", json_text(document, indent=1))
    writing.put("collection.json", json_text(export_collection(whole, layout, records, files), indent=1))
