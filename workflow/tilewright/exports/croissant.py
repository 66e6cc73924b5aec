"""Croissant metadata of an export (JSON-LD, version 1.0 of the format: https://docs.mlcommons.org/croissant/docs/croissant-spec.html)."""

import hashlib
from collections import Counter
from pathlib import PurePosixPath
from typing import Any, Final

import pandas as pd

from tilewright.collection import bbox, interval, licence_of
from tilewright.exports.card import accepted_rows, credits_of
from tilewright.exports.protocol import Layout, Whole
from tilewright.exports.samples import MEANINGS, SAMPLES, samples_table
from tilewright.exports.writing import Writing

# The context that the specification gives; readers compare it with theirs.
_CONTEXT: Final[dict[str, Any]] = {
    "@language": "en", "@vocab": "https://schema.org/", "citeAs": "cr:citeAs", "column": "cr:column", "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/", "rai": "http://mlcommons.org/croissant/RAI/", "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"}, "dct": "http://purl.org/dc/terms/", "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"}, "extract": "cr:extract", "field": "cr:field", "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject", "fileSet": "cr:fileSet", "format": "cr:format", "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset", "jsonPath": "cr:jsonPath", "key": "cr:key", "md5": "cr:md5", "parentField": "cr:parentField",
    "path": "cr:path", "recordSet": "cr:recordSet", "references": "cr:references", "regex": "cr:regex", "repeated": "cr:repeated",
    "replace": "cr:replace", "samplingRate": "cr:samplingRate", "sc": "https://schema.org/", "separator": "cr:separator",
    "source": "cr:source", "subField": "cr:subField", "transform": "cr:transform",
}  # fmt: skip
_ENCODINGS: Final = {
    ".parquet": "application/x-parquet", ".tif": "image/tiff", ".png": "image/png", ".csv": "text/csv", ".json": "application/json",
    ".md": "text/markdown", ".tar": "application/x-tar", ".npz": "application/x-npz",
}  # fmt: skip
_TYPES: Final = {"b": "sc:Boolean", "i": "sc:Integer", "u": "sc:Integer", "f": "sc:Float", "M": "sc:DateTime"}


def croissant(
    whole: Whole, layout: Layout, records: pd.DataFrame, files: pd.DataFrame, writing: Writing
) -> dict[str, Any]:
    """The document: every file of the whole export with its digest, the tiles' files as sets, and the samples' table as records.

    Args:
        records: those of all samples.
        files: the tiles' files: path, bytes, crc32, cell_id.
        writing: holds the files of the whole export, `samples.parquet` among them.
    """
    described, rows = whole.dataset.described, accepted_rows(whole)
    west, south, east, north = bbox(rows)
    first, last = interval(rows)
    document = {
        "@context": _CONTEXT, "@type": "sc:Dataset", "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": f"{whole.settings.dataset}-{whole.settings.layout}",
        "description": f"{layout.title}: {len(rows)} cells, {len(records)} samples, made by tilewright. {' '.join(credits_of(whole))}",
        "license": _licences(described),
        "keywords": ["Earth observation", "Sentinel", *whole.dataset.collections, *whole.dataset.label_sets],
        "spatialCoverage": {"@type": "sc:Place", "geo": {"@type": "sc:GeoShape", "box": f"{south} {west} {north} {east}"}},
        "temporalCoverage": f"{first}/{last}" if first else None,
        "distribution": [*_objects(writing), *_sets(files)],
        "recordSet": [_samples(samples_table(whole, records))],
    }  # fmt: skip
    return {key: value for key, value in document.items() if value is not None}


def _licences(described: dict[str, Any]) -> list[str]:
    """The address of the one licence where it is known by SPDX, else the licences' texts, each once."""
    known = licence_of(described)
    if known != "other":
        return [f"https://spdx.org/licenses/{known}.html"]
    parts = [*described.get("collections", {}).values(), *described.get("labels", {}).values()]
    return list(dict.fromkeys(str(part.get("licence") or "not stated") for part in parts))


def _objects(writing: Writing) -> list[dict[str, Any]]:
    """The files of the whole export."""
    found = []
    for path, size in writing.files()[["path", "bytes"]].itertuples(index=False):
        digest = hashlib.sha256(writing.read(path)).hexdigest()
        found.append(
            {
                "@type": "cr:FileObject", "@id": path, "name": path, "contentUrl": path, "contentSize": f"{size} B",
                "encodingFormat": _encoding(path), "sha256": digest,
            }
        )  # fmt: skip
    return found


def _sets(files: pd.DataFrame) -> list[dict[str, Any]]:
    """The tiles' files by the folder at the root and the ending of their names, too many to be named one by one."""
    # a loop: of the 30 million paths of a whole SSL4EO-S12 columns of folders and endings take 8 GB and three times as long
    counts: Counter[tuple[str, str]] = Counter()
    sizes: Counter[tuple[str, str]] = Counter()
    for path, size in zip(files["path"], files["bytes"].tolist(), strict=True):
        folder, _, name = path.rpartition("/")
        _, dot, ending = name.rpartition(".")
        key = folder.partition("/")[0], dot + ending if dot and ending else ""
        counts[key] += 1
        sizes[key] += size
    found = []
    for folder, suffix in sorted(counts):
        # both: whether * takes slashes differs among readers
        includes = [f"{folder}/*{suffix}", f"{folder}/**/*{suffix}"] if folder else [f"*{suffix}"]
        found.append(
            {
                "@type": "cr:FileSet", "@id": f"{folder or 'files'}{suffix}", "name": f"{folder or 'files'}{suffix}",
                "description": f"{counts[folder, suffix]} files, {sizes[folder, suffix]} B", "encodingFormat": _encoding(f"x{suffix}"),
                "includes": includes,
            }
        )  # fmt: skip
    return found


def _encoding(path: str) -> str:
    return _ENCODINGS.get(PurePosixPath(path).suffix, "application/octet-stream")


def _samples(samples: pd.DataFrame) -> dict[str, Any]:
    """The table of the samples as records."""
    return {
        "@type": "cr:RecordSet", "@id": "samples", "name": "samples", "description": "A record for each sample",
        "field": [
            {
                "@type": "cr:Field", "@id": f"samples/{name}", "name": name, "description": MEANINGS.get(name, name.replace("_", " ")),
                "dataType": _TYPES.get(samples[name].dtype.kind, "sc:Text"),
                "source": {"fileObject": {"@id": SAMPLES}, "extract": {"column": name}},
            }
            for name in samples
        ],
    }  # fmt: skip
