"""The ontology: which tags mean which category, where a channel knows that none of its categories is there."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

import yaml
from pydantic import Field, ValidationError, field_validator, model_validator

from tilewright.config.bands import NONE, UNLABELED
from tilewright.config.model import Model
from tilewright.errors import TilewrightError
from tilewright.vector.tags import LABEL_KEYS

# Features are kept this far around a tile's cells, so nothing can be dilated further.
MAX_DILATE_M: Final = 500

Kind = Literal["area", "line", "point"]
Word = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
Texts = list[Annotated[str, Field(strict=True, min_length=1)]]


class Tags(Model):
    """Tags, of which an object needs one."""

    tags: dict[str, Texts] = Field(
        description="key → value or list of values, any of which fits; `*` is any value but `no`", min_length=1
    )
    exclude: dict[str, Texts] = Field({}, description="key → values that `*` does not stand for")

    @field_validator("tags", "exclude", mode="before")
    @classmethod
    def _lists(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        if wrong := [
            key for key, given in value.items() if isinstance(given, bool) or not isinstance(given, (str, list))
        ]:
            raise ValueError(
                f"{wrong[0]} has the value {value[wrong[0]]!r}: write text, and quote words such as 'yes' and 'no'"
            )
        return {key: [given] if isinstance(given, str) else given for key, given in value.items()}

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        if unknown := [key for key in self.tags if key not in LABEL_KEYS]:
            raise ValueError(f"tag key {unknown[0]!r} is not among those that features keep: {', '.join(LABEL_KEYS)}")
        if idle := [key for key in self.exclude if "*" not in self.tags.get(key, [])]:
            raise ValueError(
                f"exclude names {idle[0]!r}, for which the rule has no '*': list the wanted values instead"
            )
        return self

    def fits(self, tags: Mapping[str, str]) -> bool:
        """Whether an object with `tags` is meant."""
        for key, values in self.tags.items():
            value = tags.get(key)
            if value is None:
                continue
            if value in values or ("*" in values and value != "no" and value not in self.exclude.get(key, [])):
                return True
        return False


class Rule(Tags):
    """Objects that are of a category."""

    kinds: list[Kind] = Field(["area"], description="geometries the rule is for", min_length=1)
    dilate_m: float = Field(
        0,
        ge=0,
        le=MAX_DILATE_M,
        description="pixels whose centre is this near to the centre of a burned one are burned too, metres",
    )
    implies_none: bool = Field(
        True, description="false: these objects are no evidence for `implies_none`, and undo others' where they are"
    )


class Category(Model):
    """One class of one channel."""

    name: Word
    channel: Word
    value: int = Field(ge=0, le=253, description="pixel value; 254 is none, 255 unlabeled")
    precedence: int = Field(description="of two categories of a channel on one pixel the higher wins")
    colour: str = Field(pattern=r"^#[0-9a-f]{6}$", description="for pictures, as '#1f78b4'")
    burn: Literal["centre", "touched"] = Field(
        "centre", description="pixels that an area burns: those whose centre it covers, or all that it touches"
    )
    rules: list[Rule] = Field(min_length=1)


class Channel(Model):
    """One layer of the label array; its categories exclude each other."""

    name: Word
    none: list[Tags] = Field([], description="areas that are known to be none of the channel's categories")
    implies_none: list[Word] = Field(
        [],
        description="categories whose areas, undilated and shrunk by a pixel, are known to be none of this channel's",
    )


class Ontology(Model):
    """All channels and categories, in the order of the label array."""

    name: Word
    version: int = Field(ge=1)
    channels: list[Channel] = Field(min_length=1)
    categories: list[Category] = Field(min_length=1)

    @model_validator(mode="after")
    def _whole(self) -> Self:
        channels = [channel.name for channel in self.channels]
        names = [category.name for category in self.categories]
        _distinct("channels: the name", channels)
        _distinct("categories: the name", names)
        _distinct("categories: the value", [category.value for category in self.categories])
        for category in self.categories:
            if category.channel not in channels:
                raise ValueError(
                    f"category {category.name}: channel {category.channel!r} does not exist; there are {', '.join(channels)}"
                )
        for channel in self.channels:
            mine = [category for category in self.categories if category.channel == channel.name]
            if not mine:
                raise ValueError(f"channel {channel.name}: no category is in it; remove it or give it one")
            # With equal precedence the order of the file would decide, unseen.
            _distinct(f"channel {channel.name}: the precedence", [category.precedence for category in mine])
            for name in channel.implies_none:
                if name not in names:
                    raise ValueError(
                        f"channel {channel.name}: implies_none names {name!r}, which is no category; there are {', '.join(names)}"
                    )
                if name in [category.name for category in mine]:
                    raise ValueError(
                        f"channel {channel.name}: implies_none names {name}, a category of the channel itself"
                    )
        return self

    def values(self) -> list[int]:
        """All pixel values: the categories' in ascending order, then none and unlabeled."""
        return [*sorted(category.value for category in self.categories), NONE, UNLABELED]

    def max_dilate_m(self) -> float:
        """Largest dilation of any rule, metres."""
        return max(rule.dilate_m for category in self.categories for rule in category.rules)

    def rules(self) -> Iterator[tuple[Category, Rule]]:
        """Every rule with its category, in the file's order."""
        for category in self.categories:
            for rule in category.rules:
                yield category, rule


def _distinct(what: str, given: list[Any]) -> None:
    if doubled := sorted({one for one in given if given.count(one) > 1}):
        raise ValueError(f"{what} {doubled[0]} is given twice")


class _Loader(yaml.SafeLoader):
    """SafeLoader that refuses a key given twice, of which YAML would silently keep the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.constructor.ConstructorError(None, None, f"key {key!r} is given twice", node.start_mark)
        return super().construct_mapping(node, deep)


def _place(document: Any, location: tuple[int | str, ...]) -> str:
    """Name the place of an error as a reader finds it: `category water, rule 2, dilate_m`."""
    words: list[str] = []
    singular = {"categories": "category", "channels": "channel", "rules": "rule", "none": "none rule"}
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


def load_ontology(path: str | Path) -> Ontology:
    """Read and check an ontology file (YAML).

    Raises:
        TilewrightError: one message that names the file and every category, channel or rule at fault.
    """
    path = Path(path)
    try:
        document = yaml.load(path.read_text(encoding="utf-8"), _Loader)  # a SafeLoader
    except FileNotFoundError:
        raise TilewrightError(f"{path}: no such ontology file") from None
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise TilewrightError(f"{path}: is not an ontology: {' '.join(str(error).split())}") from None
    if not isinstance(document, dict):
        raise TilewrightError(f"{path}: is not an ontology: must be a mapping with name, version, channels, categories")
    try:
        return Ontology.model_validate(document)
    except ValidationError as error:
        lines = []
        for each in error.errors():
            message = each["msg"].removeprefix("Value error, ")
            if each["type"] not in ("value_error", "missing") and not isinstance(each["input"], (dict, list)):
                message = f"{message}, not {each['input']!r}"
            place = _place(document, each["loc"])
            lines.append(f"{place}: {message}" if place else message)
        raise TilewrightError(f"{path}: " + "; ".join(dict.fromkeys(lines))) from None
