"""What must be true of an ontology as a whole: names that exist, nothing that the order of the file would decide."""

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from tilewright.vector.hidden import visible
from tilewright.vector.tags import DETAIL_KEYS, LABEL_KEYS

if TYPE_CHECKING:
    from tilewright.vector.ontology import Category, NoneRule, Ontology, Rule

_STATES: Final = ("none", "unlabeled")  # of pixels without a category; the index has their shares, too
_MOST: Final = 254  # of the 256 values of uint8 two mean none and unlabeled


def problems(ontology: "Ontology") -> list[str]:
    """What is wrong, one line each with its place; later checks only where those before found nothing."""
    for check in (_names, _rules, _burning, _implications, _none, _pixels):
        if found := list(check(ontology)):
            return found
    return []


def _names(ontology: "Ontology") -> Iterator[str]:
    channels = [channel.name for channel in ontology.channels]
    categories = ontology.categories
    if len(categories) > _MOST:
        yield (
            f"categories: there are {len(categories)}, but a pixel has one of 256 values, of which 254 is none and 255 "
            f"unlabeled: keep at most {_MOST}, or use two ontologies"
        )
        return
    yield from _twice("channels: the name", channels, "give each its own")
    yield from _twice("categories: the name", [each.name for each in categories], "give each its own")
    for value in _doubled([each.value for each in categories]):
        whose = " and ".join(each.name for each in categories if each.value == value)
        yield f"categories: the value {value} is given twice, to {whose}: give each category its own"
    for category in categories:
        if category.name in _STATES:
            yield f"category {category.name}: the name is that of pixels which are {category.name}: give it another"
        if category.channel not in channels:
            yield f"category {category.name}: channel {category.channel!r} does not exist; there are {', '.join(channels)}"
    for channel in channels:
        mine = [each for each in categories if each.channel == channel]
        if not mine:
            yield f"channel {channel}: no category is in it; remove it or give it one"
        # With equal precedence the order of the file would decide, unseen. Pixels of a raster have one value only.
        for precedence in _doubled([each.precedence for each in mine]):
            if any(rule.pixels is None for each in mine for rule in each.rules):
                whose = " and ".join(each.name for each in mine if each.precedence == precedence)
                yield f"channel {channel}: the precedence {precedence} is given twice, to {whose}: which of them wins?"


def _rules(ontology: "Ontology") -> Iterator[str]:
    everywhere = list(_places(ontology))
    if not everywhere:
        yield "categories: none has a rule"
        return
    first_place, first = everywhere[0]
    for place, rule in everywhere:
        if rule.kind != first.kind:
            yield (
                f"{place}: looks at {rule.kind}, but {first_place} at {first.kind}: an ontology is of one kind of source"
            )
        if rule.kind == "tags":
            yield from (f"{place}: {message}" for message in _tags(rule, ontology.drop_hidden))


def _places(ontology: "Ontology") -> Iterator[tuple[str, "NoneRule"]]:
    for category, number, rule in _numbered(ontology):
        yield f"category {category.name}, rule {number}", rule
    for channel in ontology.channels:
        for number, none in enumerate(channel.none, 1):
            yield f"channel {channel.name}, none rule {number}", none
    for number, each in enumerate(ontology.unlabeled, 1):
        yield f"unlabeled rule {number}", each


def _numbered(ontology: "Ontology") -> Iterator[tuple["Category", int, "Rule"]]:
    for category in ontology.categories:
        for number, rule in enumerate(category.rules, 1):
            yield category, number, rule


def _tags(rule: "NoneRule", drop_hidden: bool) -> Iterator[str]:
    kept = (*LABEL_KEYS, *DETAIL_KEYS)
    for key in (*rule.matches, *rule.requires):
        if key not in kept:
            yield f"tag key {key!r} is not among those that features keep: {', '.join(kept)}"
    for key, values in rule.matches.items():
        for value in values:
            if drop_hidden and not visible({key: value}):
                yield f"{key}={value} fits nothing, because hidden objects are dropped: remove it, or write drop_hidden: false"


def _burning(ontology: "Ontology") -> Iterator[str]:
    for channel in ontology.channels:
        mine = [each for each in ontology.categories if each.channel == channel.name]
        by_coverage = [each for each in mine if each.burn == "coverage"]
        if by_coverage and len(by_coverage) < len(mine):
            other = next(each for each in mine if each.burn != "coverage")
            yield (
                f"channel {channel.name}: category {by_coverage[0].name} burns by coverage, {other.name} by {other.burn}: "
                "write burn: coverage in all categories of the channel or in none"
            )
    for category, number, rule in _numbered(ontology):
        place = f"category {category.name}, rule {number}"
        if rule.pixels is not None:
            if idle := sorted({"kinds", "dilate_m", "dilate", "implies_none"} & rule.model_fields_set):
                yield f"{place}: {idle[0]} means nothing for pixels of a raster: remove it"
            continue
        if rule.dilate is not None and rule.dilate_m == 0:
            yield f"{place}: dilate says how, but dilate_m does not say how far"
        if category.burn == "coverage" and rule.dilate_m:
            yield f"{place}: dilate_m does not go with burn: coverage, which shares pixels out by area: remove one"
        if category.burn == "coverage" and set(rule.kinds) != {"area"}:
            yield f"{place}: kinds {', '.join(rule.kinds)} do not go with burn: coverage: lines and points cover nothing"
    if ontology.kind != "pixels":
        return
    for category in ontology.categories:
        if idle := sorted({"burn", "implies_none"} & category.model_fields_set):
            yield f"category {category.name}: {idle[0]} means nothing for pixels of a raster: remove it"
    for channel in ontology.channels:
        if "guard_m" in channel.model_fields_set:
            yield f"channel {channel.name}: guard_m means nothing for pixels of a raster: remove it"


def _implications(ontology: "Ontology") -> Iterator[str]:
    named = {each.name: each for each in ontology.categories}
    for category in ontology.categories:
        for name in category.implies:
            if name not in named:
                yield f"category {category.name}: implies names {name!r}, which is no category; there are {', '.join(named)}"
            elif named[name].channel == category.channel:
                yield (
                    f"category {category.name}: implies {name}, which is of its own channel {category.channel}: "
                    "a pixel has one category of a channel"
                    if name != category.name
                    else f"category {name}: implies itself"
                )
            elif named[name].burn == "coverage":
                yield (
                    f"category {category.name}: implies {name}, which burns by coverage: there each pixel is of one feature "
                    f"only, that covers most of it; give {name} another burn rule"
                )
        if not category.rules and not any(category.name in each.implies for each in ontology.categories):
            yield f"category {category.name}: has no rules, and no category implies it: give it rules or remove it"
    if any(name not in named for category in ontology.categories for name in category.implies):
        return
    cycles = list(_cycles(ontology))
    yield from cycles
    if cycles:
        return
    for category in ontology.categories:
        implied = ontology.implied(category)
        for one in implied:
            if one.channel == category.channel and one.name not in category.implies:
                yield (
                    f"category {category.name}: implies {one.name} through another, which is of its own channel "
                    f"{category.channel}: a pixel has one category of a channel"
                )
        for channel in _doubled([one.channel for one in implied if one.channel != category.channel]):
            both = " and ".join(one.name for one in implied if one.channel == channel)
            yield f"category {category.name}: implies {both}, both of channel {channel}: a pixel has one category of a channel"


def _cycles(ontology: "Ontology") -> Iterator[str]:
    """Each cycle of `implies` once, told from its first category in the file."""
    implies = {each.name: each.implies for each in ontology.categories}
    done: set[str] = set()
    for start in implies:
        way = [start]
        branches = [iter(implies[start])]
        while way:
            name = next(branches[-1], None)
            if name is None:
                done.add(way.pop())
                branches.pop()
            elif name in way:
                cycle = [*way[way.index(name) :], name]
                if len(cycle) > 2:
                    lines = ", ".join(f"{one} implies {other}" for one, other in pairwise(cycle))
                    yield f"categories: implies runs in a circle: {lines}: remove one of them"
            elif name not in done:
                way.append(name)
                branches.append(iter(implies[name]))


def _none(ontology: "Ontology") -> Iterator[str]:
    channels = [channel.name for channel in ontology.channels]
    for category in ontology.categories:
        where = f"category {category.name}"
        for name in category.implies_none:
            if name not in channels:
                yield f"{where}: implies_none names {name!r}, which is no channel; there are {', '.join(channels)}"
        if category.channel in category.implies_none:
            yield f"{where}: implies_none names {category.channel}, its own channel"
        # Not to be true of the category's pixels alone, but of those of all that imply it.
        for one in ontology.implied(category):
            if one.channel in category.implies_none:
                yield f"{where}: implies {one.name}, and none of its channel {one.channel}: remove one of the two"
            if category.channel in one.implies_none:
                yield (
                    f"{where}: implies {one.name}, which implies none of {where}'s own channel {category.channel}: "
                    "remove one of the two"
                )
    for category, number, rule in _numbered(ontology):
        for name in rule.implies_none or []:
            if name not in category.implies_none:
                yield (
                    f"category {category.name}, rule {number}: implies_none names {name!r}, which the category's does not: "
                    "name it there, and write implies_none: [] in the rules that are no evidence"
                )


def _pixels(ontology: "Ontology") -> Iterator[str]:
    """A raster's value cannot mean two things in one channel: nothing on the ground would decide between them."""
    meant: dict[tuple[str, int], list[str]] = {}
    for category in ontology.categories:
        for each in (category, *ontology.implied(category)):
            for value in (value for rule in category.rules for value in rule.pixels or []):
                meant.setdefault((each.channel, value), []).append(each.name)
    for channel in ontology.channels:
        for value in (value for none in channel.none for value in none.pixels or []):
            meant.setdefault((channel.name, value), []).append("none")
    for (name, value), things in meant.items():
        if len(things) > 1:
            yield f"channel {name}: the raster's value {value} is given twice, as {' and as '.join(things)}: keep one"


def _doubled(given: list[Any]) -> list[Any]:
    return sorted({one for one in given if given.count(one) > 1})


def _twice(what: str, given: list[Any], mend: str) -> Iterator[str]:
    for one in _doubled(given):
        yield f"{what} {one} is given twice: {mend}"
