"""mlcroissant: is croissant.json valid, and do its records come out of the files beside it?"""

import datetime
from pathlib import Path
from typing import Any

import mlcroissant
from telling import Arrays, Said, run


def read(root: Path, exports: list[str], record_set: str = "samples") -> tuple[Said, Arrays]:
    """Said of each of the exports, folders in `root`: errors and warnings, the record sets, each record of one of them, the files named
    one by one, and of each file set which files it has.
    """
    return {name: _of_export(root / name, record_set) for name in exports}, {}


def _of_export(root: Path, record_set: str) -> Said:
    dataset = mlcroissant.Dataset(jsonld=root / "croissant.json")
    issues = dataset.metadata.ctx.issues
    return {
        "errors": sorted(issues.errors), "warnings": sorted(issues.warnings), "record_sets": [each.id for each in dataset.metadata.record_sets],
        "objects": {each.id: each.sha256 for each in dataset.metadata.file_objects},
        "records": [{name.removeprefix(f"{record_set}/"): _plain(value) for name, value in record.items()} for record in dataset.records(record_set)],
        "sets": {
            each.id: sorted({path.relative_to(root).as_posix() for pattern in each.includes for path in root.glob(pattern)})
            for each in dataset.metadata.file_sets
        },
    }  # fmt: skip


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, (datetime.datetime, datetime.date)):
        return value.isoformat()
    return value.item() if hasattr(value, "item") else value


if __name__ == "__main__":
    run(read)
