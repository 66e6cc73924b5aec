"""Pages of `make recipes`: one for each recipe with its samples side by side, drawn as the report draws them, and an index."""

from __future__ import annotations

import html
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pandas as pd
from jinja2 import ChoiceLoader, Environment, FileSystemLoader, PackageLoader, StrictUndefined

from tilewright.report.cellmap import cell_map, split_words
from tilewright.report.drawing import NONE_COLOUR, SPLIT_COLOURS, UNKNOWN_COLOUR
from tilewright.report.facts import Facts, read_facts
from tilewright.report.samples import make_samples
from tilewright.store import replacing

_SHOWN: Final = 60  # files of an export that a page names


@dataclass(frozen=True)
class Told:
    """A finished run of one recipe.

    `said`: what Snakemake wrote; `seconds`: of this run, which may have had little left to do; `configs`: in the order given.
    """

    name: str
    results: Path
    said: str
    seconds: float
    configs: list[Path]

    @property
    def jobs(self) -> Counter[str]:
        """Jobs that were done, by rule."""
        return Counter(
            rule
            for rule in re.findall(r"^Finished jobid: \d+ \(Rule: (\w+)\)", self.said, re.MULTILINE)
            if rule != "all"
        )


@dataclass(frozen=True)
class Shown:
    """Which cells a recipe's page shows: so many, with up to so many dates each, and why these."""

    cells: int
    dates: int
    words: str


_PAGES: Final[dict[str, Shown]] = {
    "ssl4eo-s12": Shown(6, 4, "The first places that were accepted, in the order of the draw: the four seasons as Level-2A, and below each what is paired with it (the radar of this world is smooth on purpose)."),
    "deepsatdata": Shown(4, 8, "Windows with the most parcels: their series, then crop types, ids of parcels, and ground that several parcels claim."),
    "seasonet": Shown(5, 5, "Cells with images in most of the five sets, of both grids: the sets, the classes, and which regions are too small for easy, medium and hard."),
    "opensentinelmap": Shown(6, 8, "Cells with the most classes: the pairs of four years, and the three channels of labels."),
    "own-samples": Shown(8, 3, "Samples with their labels, and the clearest images from 15 days before to 15 days after the day of each."),
}  # fmt: skip


def chosen(facts: Facts, name: str) -> list[str]:
    """The cells that the page of a recipe shows."""
    table = facts.index[facts.index["accepted"]]
    ranked = table.sort_values("accepted_rank", kind="stable")
    if name in ("deepsatdata", "opensentinelmap"):
        ranked = ranked.assign(rich=_classes(ranked, facts)).sort_values("rich", ascending=False, kind="stable")
    elif name == "seasonet":
        sets = (ranked[[column for column in ranked if re.fullmatch(r"dates_\w+", column)]] > 0).sum(axis=1)
        ranked = ranked.assign(sets=sets).sort_values("sets", ascending=False, kind="stable")
        # of each grid in turn
        ranked = ranked.assign(turn=ranked.groupby("grid").cumcount()).sort_values(["turn", "grid"], kind="stable")
    elif name == "own-samples":
        ranked = ranked.drop_duplicates("sample_label", keep="first")
    return [str(cell) for cell in ranked["cell_id"].head(_PAGES[name].cells)]


def _classes(table: pd.DataFrame, facts: Facts) -> pd.Series:
    """How many classes each cell has."""
    columns = [column for column in table if any(column.startswith(f"share_{name}_") for name in facts.labels)]
    return (table[columns] > 0).sum(axis=1)


def make_page(told: Told, output: Path) -> Path:
    """Draw the page of a recipe; the same dataset gives the same pictures."""
    facts = read_facts(told.results)
    shown = _PAGES[told.name]
    exports = sorted(
        path for path in (told.results / "exports").iterdir() if path.is_dir() and not path.name.endswith(".tiles")
    )
    return _write(
        "recipe.html.j2", output, name=told.name, what=_head(told.configs[0]), words=shown.words, figures=_figures(facts),
        map=cell_map(facts), samples=make_samples(facts, chosen(facts, told.name), shown.dates), periods=_periods(facts),
        exports=[_export(path) for path in exports], jobs=sorted(told.jobs.items()), seconds=round(told.seconds),
        folder=told.results.relative_to(output.parent), configs=[(path.parent.name + "/" + path.name, path.read_text()) for path in told.configs],
        splits=split_words, split_colours=SPLIT_COLOURS, none_colour=NONE_COLOUR, unknown_colour=UNKNOWN_COLOUR,
    )  # fmt: skip


def make_index(names: tuple[str, ...], folder: Path) -> Path:
    """The page that leads to those that are there."""
    there = [
        (name, _head(Path(__file__).resolve().parents[1] / f"config/recipes/{name}.yaml"))
        for name in names
        if (folder / f"{name}.html").is_file()
    ]
    return _write(
        "recipes.html.j2", folder / "index.html", pages=there, samples={"columns": 1}, split_colours=SPLIT_COLOURS, none_colour=NONE_COLOUR,
        unknown_colour=UNKNOWN_COLOUR,
    )  # fmt: skip


def _write(template: str, output: Path, **told: Any) -> Path:
    loader = ChoiceLoader(
        [FileSystemLoader(Path(__file__).parent / "recipes_templates"), PackageLoader("tilewright.report", "")]
    )
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"split_words": split_words, "number": lambda value: f"{value:,}"}
    with replacing(output) as part:
        part.write_text(environment.get_template(template).render(**told), encoding="utf-8")
    return output


def _head(recipe: Path) -> str:
    """The first sentence of a recipe's head."""
    lines = [line.removeprefix("#").strip() for line in recipe.read_text().split("\n#\n")[0].splitlines()]
    return " ".join(lines).split(" Deviations:")[0]


def _figures(facts: Facts) -> list[tuple[str, str]]:
    index = facts.index
    taken = index[index["accepted"]]
    by_split = ", ".join(f"{count:,} {split_words(name)}" for name, count in taken.groupby("split").size().items())
    figures = [
        (f"{facts.statistics['cells']['index']:,}", "cells made"),
        (f"{len(taken):,}", f"accepted ({by_split})"),
        (f"{int(taken['dates'].sum()):,}", "images of s2_l2a"),
    ]
    figures += [(f"{int(taken[f'{name}_dates'].sum()):,}", f"of {name}") for name in facts.companions]
    return figures


def _periods(facts: Facts) -> list[tuple[str, int, int]]:
    """Of each period the accepted cells that have a date in it, and the dates."""
    taken = facts.index[facts.index["accepted"]]
    columns = [column for column in taken if re.fullmatch(r"dates_.+", column)]
    return [
        (column.removeprefix("dates_"), int((taken[column] > 0).sum()), int(taken[column].sum())) for column in columns
    ]


def _export(folder: Path) -> dict[str, Any]:
    """An export's files: how many, how large, and the names of the first of each kind of place."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    size = sum(path.stat().st_size for path in files)
    by_folder = Counter(str(path.parent.relative_to(folder)) for path in files)
    names = [str(path.relative_to(folder)) for path in files]
    listed = names if len(names) <= _SHOWN else [*names[:_SHOWN], f"… and {len(names) - _SHOWN:,} more"]
    return {
        "name": folder.name,
        "files": len(files),
        "folders": len(by_folder),
        "megabytes": size / 1e6,
        "listed": listed,
        "card": html.unescape((folder / "README.md").read_text()),
    }
