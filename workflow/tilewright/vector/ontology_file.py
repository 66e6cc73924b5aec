"""Reading ontology files, with messages that name the place at fault, and the JSON schema that editors check them by."""

import re
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import ValidationError
from pydantic.json_schema import GenerateJsonSchema

from tilewright.config.load import keys_at, mend_of
from tilewright.errors import TilewrightError
from tilewright.vector.ontology import Ontology, RuleKind

_KIND_OF_SOURCE: Final[dict[str, RuleKind]] = {
    "pbf": "tags", "osm_xml": "tags", "overpass": "tags", "vector": "attributes", "raster": "pixels",
}  # fmt: skip


class _Loader(yaml.SafeLoader):
    """SafeLoader that refuses what YAML 1.1 would silently read as something else."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:  # of which YAML would keep the last
                raise yaml.constructor.ConstructorError(None, None, f"key {key!r} is given twice", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        if not re.fullmatch(r"-?(0|[1-9][0-9]*)", node.value):  # 011 is 9, 1:30 is 90
            message = f"{node.value} would be read as the number {super().construct_yaml_int(node)}: put it in quotes"
            raise yaml.constructor.ConstructorError(None, None, message, node.start_mark)
        return int(node.value)


_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_yaml_int)


def load_ontology(path: str | Path, source_kind: str | None = None) -> Ontology:
    """Read and check an ontology file (YAML).

    Args:
        source_kind: kind of the label source that it is for (pbf, osm_xml, overpass, vector, raster), which its rules must
            suit.

    Raises:
        TilewrightError: one message that names the file and every category, channel or rule at fault.
    """
    path = Path(path)
    try:
        document = yaml.load(path.read_text(encoding="utf-8"), _Loader)  # a SafeLoader
    except FileNotFoundError:
        raise TilewrightError(f"{path}: no such ontology file") from None
    except (yaml.YAMLError, UnicodeDecodeError, OSError, RecursionError, TypeError) as error:
        raise TilewrightError(f"{path}: is not an ontology: {' '.join(str(error).split())}") from None
    if not isinstance(document, dict):
        raise TilewrightError(f"{path}: is not an ontology: must be a mapping with name, version, channels, categories")
    try:
        ontology = Ontology.model_validate(document)
    except ValidationError as error:
        lines = [_line(document, dict(each)) for each in error.errors()]
        raise TilewrightError(f"{path}: " + "; ".join(dict.fromkeys(lines))) from None
    if source_kind is not None and (wanted := _KIND_OF_SOURCE[source_kind]) != ontology.kind:
        raise TilewrightError(
            f"{path}: its rules look at {ontology.kind}, but a source of kind {source_kind} has {wanted}: "
            f"name an ontology of {wanted}"
        )
    return ontology


def _line(document: dict[str, Any], error: dict[str, Any]) -> str:
    """What one error says, with its place."""
    message = error["msg"].removeprefix("Value error, ")
    if error["type"] not in ("value_error", "missing", "extra_forbidden") and not isinstance(
        error["input"], (dict, list)
    ):
        message = f"{message}, not {error['input']!r}"
    if error["type"] == "extra_forbidden":
        mend = mend_of(str(error["loc"][-1]), keys_at(Ontology, error["loc"]))
        message = f"is no key that an ontology knows here; {mend}"
    place = _place(document, error["loc"])
    return f"{place}: {message}" if place else message


def _place(document: Any, location: tuple[int | str, ...]) -> str:
    """Name the place of an error as a reader finds it: `category water, rule 2, dilate_m`."""
    words: list[str] = []
    singular = {
        "categories": "category", "channels": "channel", "rules": "rule", "none": "none rule",
        "unlabeled": "unlabeled rule",
    }  # fmt: skip
    at = document
    for step in location:
        if isinstance(step, int) and words and words[-1] in singular:
            at = at[step] if isinstance(at, list) and step < len(at) else None
            label = at.get("name", step + 1) if isinstance(at, dict) else step + 1
            words[-1] = f"{singular[words[-1]]} {label}"
            continue
        at = at.get(step) if isinstance(at, dict) else None
        words.append(str(step))
    return ", ".join(words)


class _Untitled(GenerateJsonSchema):
    """Without titles such as "Dilate M", which editors would show in place of the descriptions."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def ontology_schema() -> dict[str, Any]:
    """The JSON schema (draft 2020-12) of ontology files, with descriptions, as `config/ontologies/schema.json` has it.

    It says what a file looks like; what its parts must be to each other, `load_ontology` checks.
    """
    schema = Ontology.model_json_schema(schema_generator=_Untitled)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "tilewright ontology"}
