"""Which cells are of the dataset, how they were split, and what the audit found, in words and tables."""

from dataclasses import dataclass
from typing import Any

from tilewright.config.split_names import NAMES
from tilewright.report.drawing import percent
from tilewright.report.facts import Facts

_UNITS = {"tile": "tiles", "block": "blocks", "location": "locations", "year": "years", "column": "values of a column"}


@dataclass(frozen=True)
class SplitRow:
    """A split: what was asked for (a share, years, or nothing), and what it has."""

    name: str
    asked: str
    cells: int
    made: str
    patches: int


def split_rows(facts: Facts) -> list[SplitRow]:
    """The splits, and the accepted cells that are in none where there are any."""
    made, sizes = facts.statistics["split"], facts.statistics["splits"]
    total = max(1, facts.statistics["cells"]["total"])
    asked = {name: percent(made["shares"][name]) for name in NAMES}
    if made["by"] == "column":
        asked = dict.fromkeys(NAMES, "")
    if made["years"] is not None:
        asked = {name: ", ".join(map(str, made["years"].get(name, []))) for name in NAMES}
    return [
        SplitRow(name, asked.get(name, ""), of["cells"], percent(of["cells"] / total), of["patches"])
        for name, of in ((name, sizes[name]) for name in (*NAMES, "none") if name in sizes)
    ]


def acceptance(facts: Facts) -> list[str]:
    """Sentences on which cells are of the dataset; none where all are and nothing was asked."""
    known, cells = facts.statistics["accept"], facts.statistics["cells"]
    if not known["complete_asked"] and known["number"] is None and not known["lacking"]:
        return []
    of = ", ".join(known["periods"]) if known["periods"] else "every period"
    lines = [
        f"Of {cells['index']:,} cells {known['complete']:,} are complete: they have a date in {of}, with all its companions.",
        f"Cells of the dataset: {known['accepted']:,}"
        + ("." if known["complete_asked"] or known["number"] is not None else "; complete ones were not asked for."),
    ]
    if known["lacking"]:
        lacks = ", ".join(f"{reason} {count:,}" for reason, count in sorted(known["lacking"].items()))
        lines.append(f"Cells that lack a period or a companion (one cell may lack several): {lacks}.")
    if known["beyond_number"]:
        lines.append(f"Beyond the number asked for, in the order of the draw: {known['beyond_number']:,}.")
    return lines


def how_split(facts: Facts) -> list[str]:
    """Sentences on how the cells were split."""
    made = facts.statistics["split"]
    side = f" of {made['block_m']:,} m a side" if made["block_m"] else ""
    lines = [
        f"Asked for: by {made['asked']}. Made: by {made['by']}, from {made['units']:,} {_UNITS[made['by']]}{side}."
    ]
    if made["reason"]:
        lines.append(f"Not as asked, because {made['reason']}.")
    if made["dropped"]:
        gone = ", ".join(f"{count:,} of {name}" for name, count in made["dropped"].items())
        near = f"are nearer than {made['buffer_m']:g} m to" if made["buffer_m"] else "share"
        lines.append(f"In no split, because they {near} ground of a smaller one: {gone}.")
    if made["unmapped"]:
        told = ", ".join(f"{value} {count:,}" for value, count in list(made["unmapped"].items())[:20])
        lines.append(f"In no split, because their value means none: {told}.")
    if (strata := made["strata"]) is not None:
        common = (
            "" if strata["tolerance"] is None else f"{percent(strata['tolerance'])} for classes of 100 cells or more, "
        )
        lines.append(
            f"Strata: the {len(strata['classes']):,} classes of “{strata['label_set']}” that occur. Largest deviation of a split's share "
            f"of a class from the share asked for: {common}{percent(strata['worst'])} for any class."
        )
    return lines


def audited(facts: Facts) -> str:
    """A sentence on what the audit found."""
    found = facts.statistics["split"]["audit"]
    if found["of"] == "time":
        what = (
            f"dates of one ground at most {found['gap_days']} days apart"
            if found["gap_days"]
            else "a day of one ground"
        )
    else:
        what = f"ground within {found['distance_m']:g} m" if found["distance_m"] else "ground"
    if not found["pairs"]:
        return f"Audit: no two splits share {what}."
    by = ", ".join(f"{splits} {count:,}" for splits, count in found["by_splits"].items())
    return f"Audit: splits share {what}: {found['pairs']:,} pairs ({by}){_example(found)}."


def _example(found: dict[str, Any]) -> str:
    one, other = (
        f"{cell} in {split}" for cell, split in zip(found["example"]["cells"], found["example"]["splits"], strict=True)
    )
    if found["of"] == "time":
        return f", such as {one} and {other} on {' and '.join(found['example']['days'])}"
    cells = ", ".join(f"{count:,} of {name}" for name, count in found["cells"].items())
    return f", of cells: {cells}; {found['shared_km2']:,.4g} km² in all; such as {one} and {other}"
