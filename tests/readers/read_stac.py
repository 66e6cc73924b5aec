"""stac-validator, offline, and pystac: are the collection, the catalogs and the items valid, and do links and assets lead to files?"""

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pystac
from stac_validator.stac_validator import StacValidate
from telling import Arrays, Said, run

HERE = Path(__file__).parent


def schemas() -> dict[str, str]:
    """Address of each schema → file: the core's are in pystac's package, JSON Schema's own in jsonschema's, the extensions' beside this script."""
    found = {}
    for path in (HERE / "schemas").glob("*.json"):
        name, _, version = path.stem.rpartition("-v")
        found[f"https://stac-extensions.github.io/{name}/v{version}/schema.json"] = str(path)
    core = Path(str(files("pystac"))) / "validation" / "jsonschemas"
    for path in core.rglob("*.json"):
        # by the files' names: the id of common.json is misspelt, there and in the specification
        found[f"{str(json.loads(path.read_text())['$id']).rpartition('/')[0]}/{path.name}"] = str(path)
    drafts = Path(str(files("jsonschema_specifications"))) / "schemas"
    found["http://json-schema.org/draft-07/schema"] = str(drafts / "draft7" / "metaschema.json")
    return found


def validate(path: Path) -> dict[str, Any]:
    """What stac-validator says of one file."""
    validator = StacValidate(str(path), schema_map=schemas())
    validator.run()
    told: dict[str, Any] = validator.message[0]
    return told


def read(root: Path, exports: list[str]) -> tuple[Said, Arrays]:
    """Said of each of the exports, folders in `root`: files that are valid and those that are not, with the verdict, schemas that were
    used, assets whose files are missing, what items say of place and time, and the ids in the tables of items.
    """
    return {name: _of_export(root / name) for name in exports}, {}


def _of_export(root: Path) -> Said:
    said: Said = {"invalid": {}, "valid": [], "schemas": [], "missing": [], "items": {}, "tables": {}}

    def judge(path: Path) -> None:
        told = validate(path)
        if told["valid_stac"]:
            said["valid"].append(path.relative_to(root).as_posix())
            said["schemas"] = sorted({*said["schemas"], *told["schema"]})
        else:
            said["invalid"][path.relative_to(root).as_posix()] = told

    judge(root / "collection.json")
    collection = pystac.Collection.from_file(str(root / "collection.json"))
    said["collection"] = collection.id
    for catalog in collection.get_children():
        judge(Path(catalog.self_href))
        for item in catalog.get_items():
            judge(Path(item.self_href))
            projections = {}
            for key, asset in item.assets.items():
                path = Path(asset.get_absolute_href() or "")
                if not path.is_file():
                    said["missing"].append(str(path))
                projections[key] = {"path": path.relative_to(root).as_posix(), "shape": asset.extra_fields["proj:shape"],
                                    "transform": asset.extra_fields["proj:transform"]}  # fmt: skip
            said["items"][item.id] = {
                "collection": item.get_collection().id, "datetime": item.datetime.isoformat() if item.datetime else None, "bbox": item.bbox,
                "code": item.properties["proj:code"], "assets": projections,
            }  # fmt: skip
    for path in sorted(root.glob("items/*.parquet")):
        table = pyarrow.parquet.read_table(path)
        said["tables"][path.name] = sorted(table["id"].to_pylist())
    return said


if __name__ == "__main__":
    run(read)
