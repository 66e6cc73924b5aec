"""From the mapping that Snakemake merged (files, --config) to a checked `Config`, with one message for all that is wrong."""

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError

from tilewright.config.area import Aoi
from tilewright.config.collections import Collection, Quantity
from tilewright.config.label_sets import SOURCE_KINDS
from tilewright.config.model import Config
from tilewright.config.provider import Provider
from tilewright.config.seasons import FORMS, SEASONS
from tilewright.errors import TilewrightError

M = TypeVar("M", bound=BaseModel)


def keys_at(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """Names that are allowed where an unknown key stands: the fields of the model at that place.

    Args:
        model: the outermost.
        location: as pydantic has it, with the `kind` that it took a source for.
    """
    models = [model]
    for step in location[:-1]:
        inside = [each.model_fields.get(str(step)) for each in models]
        if found := [inner for field in inside if field is not None for inner in _models_in(field.annotation)]:
            models = found
        elif of_kind := [each for each in models if step in _kinds(each)]:
            models = of_kind
    return list(dict.fromkeys(name for each in models for name in each.model_fields))


def _kinds(model: type[BaseModel]) -> tuple[Any, ...]:
    return get_args(model.model_fields["kind"].annotation) if "kind" in model.model_fields else ()


def mend_of(key: str, allowed: list[str]) -> str:
    """What to do about an unknown key where the keys `allowed` may stand."""
    near = difflib.get_close_matches(key, allowed, 1)
    return f"did you mean {near[0]}?" if near else f"known here: {', '.join(allowed)}" if allowed else "remove it"


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for inner in getattr(annotation, "__args__", ()) for model in _models_in(inner)]


def _without_tags(location: tuple[int | str, ...]) -> tuple[int | str, ...]:
    """The keys that a user wrote: pydantic adds which form of `periods`, `source` or `extent` it took them for."""
    tags = {"periods": FORMS, "source": SOURCE_KINDS, "extent": ("box", "file")}
    return tuple(
        step for at, step in enumerate(location) if not (at > 0 and step in tags.get(str(location[at - 1]), ()))
    )


def _explain(error: Any, model: type[BaseModel]) -> str:
    """One line for one pydantic error: the key as a user writes it, and what is wrong."""
    location = _without_tags(error["loc"])
    key = ".".join(str(step) for step in location if step != "[key]")
    if error["type"] == "extra_forbidden":
        return f"{key}: unknown key; {mend_of(str(location[-1]), keys_at(model, error['loc']))}"
    if error["type"] in ("union_tag_invalid", "union_tag_not_found") and location[-1:] == ("source",):
        kind = error["input"].get("kind") if isinstance(error["input"], dict) else None
        return (
            f"{key}.kind: {kind!r} is none of {', '.join(SOURCE_KINDS)}"
            if kind
            else f"{key}.kind: is missing; one of {', '.join(SOURCE_KINDS)}"
        )
    if error["type"] == "union_tag_invalid" and location == ("periods",):
        return f"periods.seasons: {error['input']['seasons']!r} is none of {', '.join(SEASONS)}"
    if error["type"] == "missing":
        return f"{key}: is missing; add it (see config/README.md)"
    if location[:1] == ("provider",) and error["type"] in ("string_type", "dict_type"):
        return "provider: give the name of a file in config/providers, or {like: <name>, path: <catalog>}"
    if error["type"] == "string_type" and isinstance(error["input"], (int, float)):
        return f'{key}: write it in quotes, as "{error["input"]}"'
    message = error["msg"].removeprefix("Value error, ")
    if error["type"] == "string_pattern_mismatch" and "tiles" in location:
        message = f"{error['input']!r} is not a tile name such as 32TNT (two-digit zone, band, square)"
    elif error["type"] == "string_pattern_mismatch":
        message = f"{error['input']!r} becomes part of a path: use letters, digits, - and _ only"
    elif error["type"] in ("model_type", "dict_type", "model_attributes_type"):
        message = "must be a mapping of keys to values"
    elif error["type"] != "value_error" and not isinstance(error["input"], (dict, list)):
        message = f"{message}, not {error['input']!r}"
    return f"{key}: {message}" if key else message


def validated(model: type[M], mapping: Mapping[str, Any], source: str) -> M:
    """`mapping` as `model`.

    Raises:
        TilewrightError: one message, a line for each key at fault, headed by `source`.
    """
    try:
        return model.model_validate(mapping)
    except ValidationError as error:
        lines = dict.fromkeys(_explain(each, model) for each in error.errors())
        raise TilewrightError(f"{source}: " + "; ".join(lines)) from None


def _yaml(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        raise TilewrightError(f"{path}: is not YAML ({' '.join(str(error).split())})") from None
    if not isinstance(content, dict):
        raise TilewrightError(f"{path}: must be a mapping of keys to values")
    return content


def with_last_area(mapping: Mapping[str, Any], given: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A merged config whose area of interest is of one kind: that of the last document that names one.

    Snakemake merges key by key, so that `--config aoi='{file: mine.gpkg}'` would stand beside the bbox of a recipe.

    Args:
        given: what was merged, in that order.
    """
    said = [each["aoi"] for each in given if isinstance(each.get("aoi"), Mapping)]
    named = [kinds for each in said if (kinds := set(each) & Aoi.model_fields.keys())]
    if not named or not isinstance(mapping.get("aoi"), Mapping):
        return dict(mapping)
    gone = Aoi.model_fields.keys() - named[-1]
    return {**mapping, "aoi": {key: value for key, value in mapping["aoi"].items() if key not in gone}}


def merged_configs(files: Sequence[Path]) -> dict[str, Any]:
    """What Snakemake makes of config files, given in this order.

    Raises:
        TilewrightError: a file that is missing or is no mapping in YAML.
    """
    given = []
    for path in files:
        if not path.is_file():
            raise TilewrightError(f"{path}: no such file; give the config with --configfile")
        given.append(_yaml(path))
    merged: dict[str, Any] = {}
    for each in given:
        merged = _merged(merged, each)
    return with_last_area(merged, given)


def load_config(mapping: Mapping[str, Any]) -> Config:
    """Check a merged config.

    Raises:
        TilewrightError: naming every key at fault and the mend.
    """
    return validated(Config, mapping, "config")


def load_providers(config: Config, root: Path) -> dict[str, Provider]:
    """Whom to ask for each collection: its own provider, or the dataset's.

    Raises:
        TilewrightError: for an unknown name, a bad file, or what the provider does not hold.
    """
    shared = _provider(config.provider, root, "provider")
    providers = {}
    for key, collection in sorted(config.collections.items()):
        own = collection.provider
        provider = shared if own is None else _provider(own, root, f"collections.{key}.provider")
        _check_held(key, collection, config.quantities()[key], provider)
        providers[key] = provider
    return providers


def _check_held(key: str, collection: Collection, quantity: Quantity, provider: Provider) -> None:
    held = provider.collections.get(key)
    if held is None:
        raise TilewrightError(
            f"collections.{key}: not held by the provider; it has {', '.join(provider.collections) or 'none'}; "
            f"collections.{key}.provider names another for it"
        )
    if missing := [band for band in collection.bands if band not in held.assets]:
        raise TilewrightError(
            f"collections.{key}.bands: the provider names no asset for {missing[0]}; add it under assets in its file"
        )
    wanted = {"s2_l2a": "scl", "s2_l1c": "paired"}.get(key, "pixels")
    if held.mask != wanted:
        raise TilewrightError(
            f"collections.{key}: the provider's file says `mask: {held.mask}`; here only `{wanted}` works"
        )
    of_radar = {"s1_grd": "amplitude", "s1_rtc": "power"}
    if held.radiometry != of_radar.get(key) and (key in of_radar or held.radiometry in of_radar.values()):
        raise TilewrightError(
            f"collections.{key}: the provider's file says `radiometry: {held.radiometry}`, which is not of this sensor"
        )
    if quantity == "sigma0_db" and (missing := [band for band in collection.bands if band not in held.calibration]):
        raise TilewrightError(
            f"collections.{key}.quantity: sigma0_db needs the calibration of {missing[0]}, which the provider does not name; "
            "use dn, or add it under calibration in its file"
        )


def _provider(said: str | dict[str, Any], root: Path, key: str) -> Provider:
    """A provider from `root`/config/providers, with what the config says otherwise; `key` names it in errors."""
    mapping = {"like": said} if isinstance(said, str) else dict(said)
    own_catalog = "path" in mapping
    chain: list[str] = []
    while (name := mapping.pop("like", None)) is not None:
        path = root / "config" / "providers" / f"{name}.yaml"
        if name in chain:
            raise TilewrightError(
                f"{key}: {' is like '.join([*chain, name])}: a circle; give one of them a kind of its own"
            )
        if not path.is_file():
            known = sorted(file.stem for file in (root / "config" / "providers").glob("*.yaml"))
            raise TilewrightError(f"{key}: {name!r} is not in config/providers; use one of {', '.join(known)}")
        chain.append(name)
        mapping = _merged(_yaml(path), mapping)
    if not chain and not {"kind", "collections"} & mapping.keys():
        raise TilewrightError(
            f"{key}: say what it is like, as in {{like: <name of a file in config/providers>, path: <catalog>}}"
        )
    if own_catalog:
        mapping |= {"kind": "local", "url": None}
    return validated(Provider, mapping, f"provider {chain[0]}" if chain else key)


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """As Snakemake merges configs: maps key by key, anything else replaced."""
    merged = dict(below)
    for name, value in above.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(name), Mapping)
        merged[name] = _merged(merged[name], value) if both else value
    return merged


def ontology_path(name: str, root: Path, key: str = "labels.ontology") -> Path:
    """The ontology file that `name` means: a path, or a file in `root`/config/ontologies; `key` names it in errors.

    Raises:
        TilewrightError: when there is neither.
    """
    inside = root / "config" / "ontologies" / f"{name}.yaml"
    if inside.is_file():
        # relative where it can be: a project that is moved as a whole stays the same
        return inside.relative_to(Path.cwd()) if inside.is_relative_to(Path.cwd()) else inside
    if Path(name).is_file():
        return Path(name)
    known = sorted(file.stem for file in (root / "config" / "ontologies").glob("*.yaml"))
    raise TilewrightError(f"{key}: {name!r} is neither a file nor one of {', '.join(known)}")
