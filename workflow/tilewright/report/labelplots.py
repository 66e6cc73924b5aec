"""Plots of the label sets: prevalence of classes, labelled shares, layers, and where they are."""

import math
from typing import Any, Final

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from tilewright.report.cellmap import label_map
from tilewright.report.drawing import (
    CLAIM_COLOURS,
    FAINT,
    INK,
    NONE_COLOUR,
    SERIES_COLOURS,
    STYLE,
    UNKNOWN_COLOUR,
    WHOLE,
    Plot,
    half_figure,
    percent,
    plot,
)
from tilewright.report.facts import Facts
from tilewright.stages.zone import classes_of

_LONGEST: Final = 48  # letters of a class's name


def label_plots(facts: Facts, name: str) -> list[Plot]:
    """The plots of one label set, for which it has figures."""
    if facts.labels[name]["ontology"] is None:
        made = [layer(facts, name), label_map(facts, name)]
    else:
        made = [label_shares(facts, name), coverage(facts, name), label_map(facts, name)]
    return [each for each in made if each is not None]


@rc_context(STYLE)
def label_shares(facts: Facts, name: str) -> Plot | None:
    """How many images have each class and how many pixels it has."""
    found = facts.statistics["labels"][name]
    if not found["cells"]:
        return None
    rows = [*_class_rows(facts.labels[name]["ontology"], found["classes"]), *_claim_rows(found)]
    figure = Figure(figsize=(WHOLE, 0.195 * len(rows) + 0.75), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    positive = [row["pixels"] for row in rows if row.get("pixels", 0) > 0]
    least = 10.0 ** math.floor(math.log10(min(positive, default=0.1)) - 1e-9)
    for at, row in enumerate(rows):
        if "heading" in row:
            left.text(
                -0.012,
                at,
                row["heading"],
                transform=left.get_yaxis_transform(),
                ha="right",
                va="center",
                fontweight="bold",
            )
            continue
        look = {
            "none": {"color": NONE_COLOUR},
            "unlabeled": {"color": "#ffffff", "hatch": "/////", "edgecolor": UNKNOWN_COLOUR},
        }
        bar: dict[str, Any] = {
            "height": 0.72,
            "linewidth": 0.5,
            "edgecolor": FAINT,
            **look.get(row["name"], {"color": row["colour"]}),
        }
        if "hatch" in bar:
            bar = {**bar, "facecolor": bar.pop("color")}
        if row["cells"]:
            left.barh(at, row["cells"], **bar)
            right.barh(at, max(row["pixels"] - least, 0), left=least, **bar)
        for axes, value in ((left, row["cells"]), (right, row["pixels"])):
            start = max(value, least) if axes is right else value
            axes.annotate(
                percent(value),
                (start, at),
                xytext=(3, 0),
                textcoords="offset points",
                va="center",
                fontsize=7.5,
                color=INK,
            )
    left.set_ylim(len(rows) - 0.5, -0.5)
    left.set_yticks(
        [at for at, row in enumerate(rows) if "name" in row], [shortened(row["name"]) for row in rows if "name" in row]
    )
    left.set_xlim(0, 1.16)
    left.set_xticks(np.linspace(0, 1, 5))
    left.set_title("Share of images with the class", loc="left")
    right.set_xscale("log")
    right.set_xlim(least, 10 ** (math.log10(1 / least) * 1.19) * least)
    right.set_xticks([10.0**power for power in range(0, round(math.log10(least)) - 1, -1 if least > 1e-5 else -2)])
    right.xaxis.set_minor_locator(NullLocator())
    right.set_title("Share of pixels in the class (log scale)", loc="left")
    for axes in (left, right):
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g} %"))
        axes.grid(axis="x")
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(axes is left)
    caption = (
        f"Label set “{name}”, all splits together: left, the share of images (cells) with at least one pixel of the "
        "class; right, the mean over "
        f"cells of its share of the cell's pixels, on a log scale that begins at {100 * least:g} %. Denominator: "
        f"{_denominator(facts, name)}. Each "
        "channel's pixels add up to 100 %. “none”: known to be none of the channel's classes; “unlabeled”: unknown."
    )
    if "claimed_partly" in found:
        caption += " Claimed: pixels that parcels of different classes share, partly (or wholly), and wholly."
    return plot(figure, f"classes-{name}", f"Label classes of {name}", caption)


def _denominator(facts: Facts, name: str) -> str:
    """Of which cells the figures of a set of classes are."""
    found = facts.statistics["labels"][name]
    if facts.labels[name].get("kind") == "raster":
        return f"the {found['cells']:,} cells on which the raster has data, without the pixels that have none, with or without imagery"  # fmt: skip
    if found["extent"] is None and not found["cells_outside_extent"]:
        return f"the {found['cells']:,} cells, with or without imagery (the source's extent is unknown: all are taken as covered)"  # fmt: skip
    return (
        f"the {found['cells']:,} cells wholly inside the source's extent, with or without imagery "
        f"({found['cells_outside_extent']:,} not wholly inside are left out)"
    )


def _class_rows(ontology: dict[str, Any], classes: dict[str, dict[str, float]]) -> list[dict[str, Any]]:
    """Headings of channels and classes below them, the most frequent first, none and unlabeled last."""
    colours = {each["name"]: each["colour"] for each in ontology["categories"]}
    rows: list[dict[str, Any]] = []
    for channel in (each["name"] for each in ontology["channels"]):
        names = [name for name, _ in classes_of(ontology, channel)]
        own = sorted(names[:-2], key=lambda name: (-classes[f"{channel}/{name}"]["pixels"], name))
        rows.append({"heading": channel})
        rows += [
            {"name": one, "colour": colours.get(one), **classes[f"{channel}/{one}"]} for one in (*own, *names[-2:])
        ]
    return rows


def _claim_rows(found: dict[str, Any]) -> list[dict[str, Any]]:
    """A heading and parcels' claims below it, where there are any figures of them."""
    ways = [how for how in ("partly", "wholly") if f"claimed_{how}" in found]
    rows: list[dict[str, Any]] = [{"heading": "claimed twice"}] if ways else []
    for how, colour in zip(ways, CLAIM_COLOURS["claims"], strict=False):
        rows.append(
            {"name": "partly or wholly" if how == "partly" else how, "colour": colour, **found[f"claimed_{how}"]}
        )
    return rows


def shortened(name: str) -> str:
    """A class's name for an axis."""
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"


@rc_context(STYLE)
def layer(facts: Facts, name: str) -> Plot | None:
    """Histogram of a static layer's mean over each cell."""
    found = facts.statistics["labels"][name]
    if not found["cells"]:
        return None
    figure, axes = half_figure(2.9)
    edges, counts = np.array(found["cell_mean_edges"]), np.array(found["cell_mean_histogram"])
    axes.bar((edges[1:] + edges[:-1]) / 2, counts / found["cells"], 0.88 * np.diff(edges), color=SERIES_COLOURS[0])
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g} %"))
    axes.set_xlabel("mean of the cell's pixels with data, in the layer's unit")
    axes.set_ylabel("share of cells")
    axes.grid(axis="y")
    caption = (
        f"Layer “{name}”: the {found['cells']:,} cells with data ({found['cells_without_data']:,} have none, "
        f"{found['cells_partly']:,} in a part only), all splits, by their mean. Over all their pixels: mean "
        f"{found['mean']:,.5g}, from {found['min']:,.5g} to {found['max']:,.5g}."
    )
    return plot(figure, f"layer-{name}", f"Distribution of {name}", caption)


@rc_context(STYLE)
def coverage(facts: Facts, name: str) -> Plot | None:
    """Histogram of the labelled share of cells."""
    found = facts.statistics["labels"][name]
    if not found["cells"]:
        return None
    figure, axes = half_figure(2.9)
    counts = np.array(found["labelled_share_histogram"])
    width = 1 / len(counts)
    axes.bar((np.arange(len(counts)) + 0.5) * width, counts / found["cells"], 0.88 * width, color=SERIES_COLOURS[0])
    for formatted in (axes.xaxis, axes.yaxis):
        formatted.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g} %"))
    axes.set_xlim(0, 1)
    axes.set_xlabel("labelled share of the cell's pixels")
    axes.set_ylabel("share of cells")
    axes.grid(axis="y")
    caption = (
        f"Label set “{name}”: {_denominator(facts, name)}, all splits, by the "
        "share of their pixels that have a class (neither none nor unlabeled) in any channel, in "
        f"{len(counts)} steps of {100 * width:g} %, as OpenSentinelMap's Figure 4 (left). On average "
        f"{percent(found['labelled_share'])} of a cell is labelled; {percent(found['cells_below_1_percent'])} of the cells "
        f"have less than 1 %, {percent(found['cells_above_90_percent'])} more than 90 %."
    )
    return plot(figure, f"coverage-{name}", f"Label coverage of {name}", caption)
