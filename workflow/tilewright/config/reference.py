"""The config reference, `config/README.md`, made from the models so that it cannot say anything else than they do."""

import types
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from tilewright.config.model import Config
from tilewright.config.provider import Provider

_HEAD = """\
# Config reference

<!-- Made by `make reference` from workflow/tilewright/config; a test fails when it is stale. Do not edit by hand. -->

`config/config.yaml` is the default dataset and runs as it is. For another one, edit it, or write a whole config of your
own and run `snakemake --cores 8 --configfile mine.yaml`: it then stands alone, nothing of the default is mixed in, and
what it does not say has the defaults below. Single values can be set on the command line, in YAML, merged into whichever
file is used: `snakemake --cores 8 --config seed=7 cells='{fraction: 0.1}'`. Put targets before `--configfile` and `--config`.

Distances are in metres, angles in degrees (EPSG:4326), days in UTC, pixel values in DN (10000 is reflectance 1).
Unknown keys are errors. `recipes/` holds whole configs, `ontologies/` label ontologies, `providers/` sources of scenes.
"""


def reference(ontology: type[BaseModel]) -> str:
    """The whole text, Markdown; `ontology` is the model of ontology files."""
    parts = [
        _HEAD,
        *_sections(Config, "", "A dataset"),
        "\n# Providers\n",
        _about(Provider),
        *_sections(Provider, "", "A provider"),
        "\n# Ontologies\n",
        _about(ontology),
        *_sections(ontology, "", "An ontology"),
    ]
    return "\n".join(parts).rstrip() + "\n"


def provider_schema() -> dict[str, Any]:
    """JSON schema of the files in `config/providers`, for editors that check while one writes.

    A file that says whom it is `like` may leave out anything, at any depth: only files of their own are asked to be whole.
    """
    whole = Provider.model_json_schema()
    kinds = whole.pop("$defs")
    collection = kinds["ProviderCollection"]
    needed = {"required": whole.pop("required")}
    of_collection = {"additionalProperties": {"required": collection.pop("required")}}
    like = {"type": "string", "description": "another file here, whose keys this one has where it says nothing else"}
    whole["properties"] = {"like": like, **whole["properties"]}
    alone = {**needed, "properties": {"collections": of_collection}}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema", **whole, "anyOf": [{"required": ["like"]}, alone], "$defs": kinds,
    }  # fmt: skip


def _about(model: type[BaseModel]) -> str:
    return " ".join((model.__doc__ or "").split()) + "\n"


def _sections(model: type[BaseModel], key: str, title: str) -> list[str]:
    """A table for `model`, then one for each model inside it, in the order of the keys."""
    rows = ["| key | type | default | meaning |", "|---|---|---|---|"]
    inner: list[tuple[str, type[BaseModel]]] = []
    for name, field in model.model_fields.items():
        rows.append(f"| `{name}` | {_type(field.annotation)} | {_default(field)} | {_text(field.description or '')} |")
        inner += [(f"{key}.{name}" if key else name, each) for each in _models(field.annotation)]
    head = f"## `{key}`\n\n{_about(model)}" if key else f"## {title}\n\n{_about(model)}"
    if title and key:
        head = f"## `{key}` ({title})\n\n{_about(model)}"
    found = [head, *rows, ""]
    several = {name for name, _ in inner if sum(name == other for other, _ in inner) > 1}
    for name, each in inner:
        found += _sections(each, name, _called(each) if name in several else "")
    return found


def _called(model: type[BaseModel]) -> str:
    """How a user tells a model from others under the same key: by the `kind` that is written, if it has one."""
    kind = model.model_fields.get("kind")
    return ", ".join(get_args(kind.annotation)) if kind else model.__name__.lower()


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return list(dict.fromkeys(model for part in get_args(annotation) for model in _models(part)))


def _type(annotation: Any) -> str:
    """The type as a user thinks of it."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "mapping"
    if origin is Literal:
        return " · ".join(f"`{part}`" for part in parts)
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(_type(part) for part in parts if part is not type(None)))
    if origin is list:
        return f"list of {_type(parts[0])}"
    if origin is tuple:
        return f"{len(parts)} × {_type(parts[0])}"
    if origin is dict:
        return "mapping" if parts[1] is Any else f"mapping of {_type(parts[1])} by name"
    if hasattr(annotation, "__metadata__"):
        return _type(parts[0])
    return {"str": "text", "int": "whole number", "float": "number", "bool": "true or false", "date": "date"}.get(
        getattr(annotation, "__name__", ""), str(annotation)
    )


def _default(field: FieldInfo) -> str:
    if field.default is PydanticUndefined:
        return "**required**"
    if isinstance(field.default, BaseModel):
        return "see below"
    if field.default is None:
        return "none"
    return f"`{str(field.default).lower() if isinstance(field.default, bool) else field.default}`"


def _text(text: str) -> str:
    return text.replace("|", "\\|")
