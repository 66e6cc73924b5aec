"""The ontology: which tags, attributes or raster values mean which category, and where a channel is known to be none.

The models are what users write and the JSON schema beside the ontologies; `ontology_file` reads them, `ontology_checks`
holds what must be true of an ontology as a whole.
"""

import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from tilewright.config.bands import NONE, UNLABELED
from tilewright.config.base import Model
from tilewright.config.label_sets import Kind
from tilewright.vector.hidden import visible
from tilewright.vector.ontology_checks import problems

MAX_DILATE_M: Final = 500
MAX_GUARD_M: Final = 100
# Features are kept this far around a tile's cells: what is dilated furthest, guarded, and shrunk by a pixel still counts.
MARGIN_M: Final = MAX_DILATE_M + MAX_GUARD_M + 40

RuleKind = Literal["tags", "attributes", "pixels"]
Dilation = Literal["auto", "disk", "buffer"]
Word = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]

_TEXT = {"type": ["string", "integer"], "minLength": 1}


def _texts(value: Any) -> Any:
    """One value or several as a list of texts; whole numbers are written as such."""
    given = value if isinstance(value, list) else [value]
    for one in given:
        if isinstance(one, bool) or not isinstance(one, (str, int)):
            raise ValueError(f"has the value {one!r}: write text, and quote words such as 'yes', 'no' and dates")
    return [str(one) for one in given]


def _list(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


Texts = Annotated[
    list[Annotated[str, Field(min_length=1)]],
    Field(min_length=1),
    BeforeValidator(_texts),
    WithJsonSchema({"anyOf": [_TEXT, {"type": "array", "items": _TEXT, "minItems": 1}]}),
]
Numbers = Annotated[
    list[Annotated[int, Field(strict=True)]],
    Field(min_length=1),
    BeforeValidator(_list),
    WithJsonSchema({"anyOf": [{"type": "integer"}, {"type": "array", "items": {"type": "integer"}, "minItems": 1}]}),
]


def _one_kind(schema: dict[str, Any]) -> None:
    schema["oneOf"] = [{"required": [kind]} for kind in ("tags", "attributes", "pixels")]


class NoneRule(Model):
    """What an object or a raster's pixel must be: one of `tags`, `attributes` and `pixels`."""

    model_config = ConfigDict(json_schema_extra=_one_kind)

    tags: dict[str, Texts] | None = Field(
        None, min_length=1, description="OpenStreetMap: key → value or list of values; an object needs one of all these "
        "tags. `*` is any value but `no`",
    )  # fmt: skip
    attributes: dict[str, Texts] | None = Field(
        None, min_length=1, description="other vector sources: field → value or list of values, as text; an object needs one "
        "of them. `*` is any value",
    )  # fmt: skip
    pixels: Numbers | None = Field(None, description="rasters: value or list of values")
    exclude: dict[str, Texts] = Field({}, description="key or field → values that `*` does not stand for")

    requires: dict[str, Texts] = Field(
        {},
        description="further tags or attributes: key or field → value or list of values; an object needs one of each, too",
    )

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        given = [kind for kind in ("tags", "attributes", "pixels") if getattr(self, kind) is not None]
        if len(given) != 1:
            raise ValueError(f"gives {' and '.join(given) or 'nothing'}: write one of tags, attributes, pixels")
        if self.pixels is not None and self.requires:
            raise ValueError("requires means nothing for pixels of a raster: remove it")
        if idle := [key for key in self.exclude if "*" not in self.matches.get(key, [])]:
            raise ValueError(
                f"exclude names {idle[0]!r}, for which the rule has no '*': list the wanted values instead"
            )
        return self

    @property
    def kind(self) -> RuleKind:
        """What the rule looks at."""
        return "tags" if self.tags is not None else "attributes" if self.attributes is not None else "pixels"

    @property
    def matches(self) -> dict[str, list[str]]:
        """The tags or attributes; empty for pixels."""
        return self.tags or self.attributes or {}

    def fits(self, tags: Mapping[str, str]) -> bool:
        """Whether an object with these tags or attributes is meant."""
        named = any(key in tags and self.names(key, tags[key]) for key in self.matches)
        return named and self.allows(tags)

    def names(self, key: str, value: str) -> bool:
        """Whether the rule has this tag or attribute among its own."""
        values = self.matches.get(key, [])
        return value in values or ("*" in values and value not in self.exclude.get(key, ()) and self._any(value))

    def allows(self, tags: Mapping[str, str]) -> bool:
        """Whether all is there that the rule requires besides."""
        return all(
            key in tags and (tags[key] in values or ("*" in values and self._any(tags[key])))
            for key, values in self.requires.items()
        )

    def _any(self, value: str) -> bool:
        return self.tags is None or value != "no"


class Rule(NoneRule):
    """Objects, or pixels of a raster, that are of a category."""

    kinds: list[Kind] = Field(["area"], description="geometries the rule is for", min_length=1)
    dilate_m: float = Field(
        0, ge=0, le=MAX_DILATE_M, description="metres around what the rule burns that are of the category too"
    )
    dilate: Dilation | None = Field(None, description="how; default: as the ontology says")
    implies_none: list[Word] | None = Field(
        None, description="channels, of those that the category's `implies_none` names, of which these objects are evidence "
        "too; in those left out they undo others' evidence where they are. Default: all",
    )  # fmt: skip


class Category(Model):
    """One class of one channel."""

    name: Word
    channel: Word
    value: int = Field(ge=0, le=253, description="pixel value; 254 is none, 255 unlabeled")
    precedence: int = Field(0, description="of two categories of a channel on one pixel the higher wins")
    colour: str = Field(pattern=r"^#[0-9a-f]{6}$", description="for pictures, as '#1f78b4'")
    title: str = Field("", description="name for people, where `name` says too little")
    burn: Literal["centre", "touched", "coverage"] = Field(
        "centre", description="pixels that an area burns: those whose centre it covers; all that it touches; or those of which "
        "it covers more than any other does (then all categories of the channel must say so). Lines burn all that they touch",
    )  # fmt: skip
    implies: list[Word] = Field([], description="categories of other channels that its pixels are burned as, too")
    implies_none: list[Word] = Field(
        [], description="channels none of whose categories are in its areas (undilated, shrunk by a pixel)"
    )
    rules: list[Rule] = Field(
        [], description="what is of the category; may be left out where another category implies it"
    )

    def evidence(self, rule: Rule) -> list[str]:
        """Channels of which areas of `rule` are known to be none."""
        return self.implies_none if rule.implies_none is None else rule.implies_none

    def doubts(self, rule: Rule) -> list[str]:
        """Channels in which objects of `rule` undo others' evidence of none: its category implies none of them, but it not."""
        return [channel for channel in self.implies_none if channel not in self.evidence(rule)]


class Channel(Model):
    """One layer of the label array; its categories exclude each other."""

    name: Word
    none: list[NoneRule] = Field(
        [], description="areas, or pixels of a raster, known to be none of the channel's categories"
    )
    guard_m: float = Field(
        10, ge=0, le=MAX_GUARD_M, description="no pixel is none whose centre is within this distance of the centre of one "
        "that is of a category of the channel, metres",
    )  # fmt: skip


class Ontology(Model):
    """All channels and categories, in the order of the label array."""

    name: Word
    version: int = Field(ge=1, description="to be raised with each change that matters to users of the labels")
    channels: list[Channel] = Field(min_length=1)
    categories: list[Category] = Field(min_length=1)
    unlabeled: list[NoneRule] = Field(
        [], description="classes that are known and get no label: `unknown: error` does not complain of them"
    )
    dilate: Dilation = Field(
        "auto", description="disk: all pixels whose centre is within the distance of the centre of a burned one; buffer: pixels "
        "by the exact buffer around the object; auto: buffer below two pixels, disk from there",
    )  # fmt: skip
    drop_hidden: bool = Field(
        True, description="objects that no picture from above shows are not burned: tunnels, culverts, layer below 0 (but for "
        "water and ground cover), disused, demolished, proposed, …",
    )  # fmt: skip

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if found := problems(self):
            raise ValueError("; ".join(found))
        return self

    @property
    def kind(self) -> RuleKind:
        """What all rules look at."""
        return next(rule.kind for rule in self._matchers())

    def values(self) -> list[int]:
        """All pixel values: the categories' in ascending order, then none and unlabeled."""
        return [*sorted(category.value for category in self.categories), NONE, UNLABELED]

    def max_dilate_m(self) -> float:
        """Largest dilation of any rule, metres."""
        return max((rule.dilate_m for _, rule in self.rules()), default=0)

    def rules(self) -> Iterator[tuple[Category, Rule]]:
        """Every rule with its category, in the file's order."""
        for category in self.categories:
            for rule in category.rules:
                yield category, rule

    def keys(self) -> set[str]:
        """Tag keys or attribute names that the rules look at; empty for pixels."""
        return {key for rule in self._matchers() for key in (*rule.matches, *rule.requires)}

    def implied(self, category: Category) -> list[Category]:
        """Categories of other channels that pixels of `category` are burned as, directly or through another."""
        named = {each.name: each for each in self.categories}
        found: dict[str, Category] = {}
        waiting = list(category.implies)
        while waiting:
            name = waiting.pop(0)
            if name not in found and name != category.name:
                found[name] = named[name]
                waiting += named[name].implies
        return list(found.values())

    def pixel_table(self) -> dict[int, tuple[int, ...]]:
        """Value of a raster → label in each channel, for all values that are known; only of an ontology of pixels."""
        if self.kind != "pixels":
            raise ValueError(f"ontology {self.name} is of {self.kind}")
        at = {channel.name: number for number, channel in enumerate(self.channels)}
        table = {value: [UNLABELED] * len(at) for rule in self._matchers() for value in rule.pixels or []}
        for channel in self.channels:
            for value in (value for none in channel.none for value in none.pixels or []):
                table[value][at[channel.name]] = NONE
        for category in self.categories:
            for each in (category, *self.implied(category)):
                for value in (value for rule in category.rules for value in rule.pixels or []):
                    table[value][at[each.channel]] = each.value
        return {value: tuple(labels) for value, labels in sorted(table.items())}

    def _matchers(self) -> Iterator[NoneRule]:
        yield from (rule for _, rule in self.rules())
        yield from (rule for channel in self.channels for rule in channel.none)
        yield from self.unlabeled


class Matcher:
    """Tells which rules of an ontology of tags or attributes an object fits; quick for tags that were asked for before.

    Attributes:
        rules: all category rules with their category, in the ontology's order.
        nones: all none rules with the number of their channel; they follow the category rules in the numbering.
    """

    def __init__(self, ontology: Ontology) -> None:
        """Raises ValueError for an ontology of pixels."""
        if ontology.kind == "pixels":
            raise ValueError(f"ontology {ontology.name} is of pixels")
        self.ontology = ontology
        self.rules: list[tuple[Category, Rule]] = list(ontology.rules())
        self.nones: list[tuple[int, NoneRule]] = [
            (at, rule) for at, channel in enumerate(ontology.channels) for rule in channel.none
        ]
        self._drop_hidden = ontology.drop_hidden and ontology.kind == "tags"
        every = [*(rule for _, rule in self.rules), *(rule for _, rule in self.nones), *ontology.unlabeled]
        self._kinds: list[list[Kind]] = [rule.kinds if isinstance(rule, Rule) else ["area"] for rule in every]
        self._last = len(self.rules) + len(self.nones)
        self._every = every
        # By key and value, so that an object is held against few rules: sources with numbers in their attributes have a
        # document of its own for each object.
        self._exact: dict[tuple[str, str], list[int]] = {}
        self._star: dict[str, list[int]] = {}
        for number, rule in enumerate(every):
            for key, values in rule.matches.items():
                for value in values:
                    if value == "*":
                        self._star.setdefault(key, []).append(number)
                    self._exact.setdefault((key, value), []).append(number)
        self.knows = lru_cache(maxsize=200_000)(self._knows)
        """`knows(document)`: whether any rule, for whatever geometry, or `unlabeled` fits: false for a class that the
        ontology lacks."""
        self.of = lru_cache(maxsize=200_000)(self._of)
        """`of(document, kind)`: ascending numbers of the rules that an object with the tags `document` (a JSON text) and
        of the geometry `kind` fits: category rules first, none rules after; () for a hidden object."""

    def _of(self, document: str, kind: str) -> tuple[int, ...]:
        return tuple(
            number for number in self._fitting(document) if number < self._last and kind in self._kinds[number]
        )

    def _knows(self, document: str) -> bool:
        return bool(self._fitting(document))

    def tags(self, document: str) -> dict[str, str]:
        """All tags or attributes of a document."""
        tags: dict[str, str] = json.loads(document)
        return tags

    def seen(self, document: str) -> Mapping[str, str]:
        """The tags or attributes that count: all, but for those that the ontology drops as hidden."""
        return visible(self.tags(document)) if self._drop_hidden else self.tags(document)

    def _fitting(self, document: str) -> list[int]:
        tags = self.seen(document)
        found = {
            number
            for key, value in tags.items()
            for number in (*self._exact.get((key, value), ()), *self._star.get(key, ()))
            if self._every[number].names(key, value) and self._every[number].allows(tags)
        }
        return sorted(found)
