"""The statistics as plots; every figure in them is one of `statistics.json`."""

import math
from collections import Counter
from typing import Any, Final

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

from tilewright.config.bands import COLLECTION_BANDS
from tilewright.report.drawing import FAINT, INK, NONE_COLOUR, SERIES_COLOURS, STYLE, UNKNOWN_COLOUR, Plot, plot
from tilewright.report.facts import Facts
from tilewright.stages.zone import classes_of

_HALF: Final = 5.6  # inches: width of a plot beside another
_WHOLE: Final = 10.2
_MAX_PERIODS: Final = 24  # with more, plots show all periods together; the table has each


def percent(share: float) -> str:
    """A share of 1 in per cent with three figures, as the page shows it."""
    return "0" if share == 0 else f"{100 * share:.3g} %"


def all_plots(facts: Facts) -> list[Plot]:
    """The plots for which the dataset has figures."""
    sets = [made for name in facts.statistics["labels"] for made in (label_shares(facts, name), coverage(facts, name))]
    others = [bands(facts), dates_per_cell(facts), months(facts), refusals(facts)]
    return [each for each in (*sets, *others) if each is not None]


@rc_context(STYLE)
def bands(facts: Facts) -> Plot | None:
    """Mean and standard deviation of each band."""
    known = facts.statistics["bands_train"]
    names = [(key, band) for key, own in COLLECTION_BANDS.items() for band in own if f"{key}_{band}" in known]
    if not names:
        return None
    values = [known["_".join(name)] for name in names]
    figure, axes = _figure(_HALF, 2.9)
    at = np.arange(len(names))
    mean, std = np.array([each["mean"] for each in values]), np.array([each["std"] for each in values])
    axes.errorbar(
        at, mean, yerr=std, fmt="o", color=SERIES_COLOURS[0], ecolor=SERIES_COLOURS[0], markersize=4.5, capsize=3
    )
    for x, y, top in zip(at, mean, mean + std, strict=True):
        axes.annotate(f"{y:,.0f}", (x, top), xytext=(0, 3), textcoords="offset points", fontsize=7, ha="center")
    axes.axhline(0, color=FAINT, linewidth=0.8)
    axes.set_xticks(at, [band for _, band in names])
    axes.set_xlim(-0.6, len(names) - 0.4)
    axes.margins(y=0.09)
    _thousands(axes)
    axes.set_ylabel("harmonised DN (10,000 = reflectance 1)")
    axes.grid(axis="y")
    caption = (
        "Mean (point, and the figure above it) and one population standard deviation to either side (bar) of each "
        "band in harmonised DN, over the valid "
        f"pixels of all patches of the training split ({max(each['pixels'] for each in values):,} in the finest "
        "band). Valid: SCL is not 0 "
        "and not all bands of that resolution are zero; clouds count."
    )
    return plot(figure, "bands", "Bands: mean and standard deviation", caption)


@rc_context(STYLE)
def label_shares(facts: Facts, name: str) -> Plot | None:
    """How many images have each class and how many pixels it has."""
    found = facts.statistics["labels"][name]
    if not found["cells"]:
        return None
    ontology = facts.labels[name]["ontology"]
    rows = _class_rows(ontology, found["classes"])
    figure = Figure(figsize=(_WHOLE, 0.195 * len(rows) + 0.75), layout="constrained")
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
        [at for at, row in enumerate(rows) if "name" in row], [row["name"] for row in rows if "name" in row]
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
        f"the {found['cells']:,} cells "
        f"wholly inside the source's extent, with or without imagery ({found['cells_outside_extent']:,} not wholly "
        "inside are left out). Each "
        "channel's pixels add up to 100 %. “none”: known to be none of the channel's classes; “unlabeled”: unknown."
    )
    return plot(figure, f"classes-{name}", f"Label classes of {name}", caption)


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


@rc_context(STYLE)
def coverage(facts: Facts, name: str) -> Plot | None:
    """Histogram of the labelled share of cells."""
    found = facts.statistics["labels"][name]
    if not found["cells"]:
        return None
    figure, axes = _figure(_HALF, 2.9)
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
        f"Label set “{name}”: the {found['cells']:,} cells wholly inside the source's extent, all splits, by the "
        "share of their pixels that have a class (neither none nor unlabeled) in any channel, in "
        f"{len(counts)} steps of {100 * width:g} %, as OpenSentinelMap's Figure 4 (left)."
    )
    return plot(figure, f"coverage-{name}", f"Label coverage of {name}", caption)


@rc_context(STYLE)
def dates_per_cell(facts: Facts) -> Plot:
    """How many dates cells have."""
    counts = {int(dates): number for dates, number in facts.statistics["dates_per_cell"].items()}
    figure, axes = _figure(_HALF, 2.9)
    most = max(counts, default=0)
    bars = axes.bar(list(counts), list(counts.values()), 0.8, color=SERIES_COLOURS[0])
    if most <= 16:
        axes.bar_label(bars, fmt="{:,.0f}", fontsize=7.5, padding=2)
    aside = 0.7 + max(0, 5 - most) / 2
    axes.set_xlim(-aside, most + aside)
    axes.set_ylim(0, max(counts.values(), default=1) * 1.1)
    step = -(-max(most, 1) // 16)
    axes.set_xticks(range(0, most + 1, step))
    _thousands(axes)
    axes.set_xlabel("dates (patches) of the cell, all periods")
    axes.set_ylabel("cells")
    axes.grid(axis="y")
    total = facts.statistics["cells"]["total"]
    caption = (
        f"All {total:,} cells, all splits, by how many patches they have over all periods; 0: no scene was good enough."
    )
    return plot(figure, "dates", "Dates per cell", caption)


@rc_context(STYLE)
def months(facts: Facts) -> Plot | None:
    """In which months the patches were taken."""
    periods = facts.statistics["periods"]
    named = {period: Counter(part["patches_by_month"]) for period, part in periods.items()}
    if not any(named.values()):
        return None
    if len(named) > len(SERIES_COLOURS):
        named = {"all periods": sum(named.values(), Counter())}
    present = sorted({month for counts in named.values() for month in counts})
    first, last = (int(month[:4]) * 12 + int(month[5:]) - 1 for month in (present[0], present[-1]))
    span = range(first, last + 1)
    names = [f"{month // 12:04}-{month % 12 + 1:02}" for month in span]
    figure, axes = _figure(_HALF, 2.9)
    base = np.zeros(len(names))
    for (period, counts), colour in zip(named.items(), SERIES_COLOURS, strict=False):
        height = np.array([counts[name] for name in names])
        axes.bar(range(len(names)), height, 0.82, base, color=colour, label=period)
        base += height
    step = next(step for step in (1, 2, 3, 6, 12, 24, 60, 120, 600) if len(names) / step <= 14)
    shown = [at for at, month in enumerate(span) if month % step == 0] or [0]
    upright = len(shown) > 8
    axes.set_xticks(
        shown, [names[at] for at in shown], rotation=45 if upright else 0, ha="right" if upright else "center"
    )
    aside = 0.7 + max(0, 6 - len(names)) / 2  # few bars stand in the middle, not wider than others
    axes.set_xlim(-aside, len(names) - 1 + aside)
    axes.set_ylim(0, base.max() * 1.08)
    _thousands(axes)
    axes.set_ylabel("patches")
    axes.grid(axis="y")
    if len(named) > 1:
        axes.figure.legend(loc="outside upper left", ncols=4)
    caption = (
        f"All {facts.statistics['patches']:,} patches (one cell from one scene), all splits, by the scene's month "
        "in UTC and by period."
    )
    return plot(figure, "months", "Patches per month", caption)


@rc_context(STYLE)
def refusals(facts: Facts) -> Plot | None:
    """Why scenes were not used."""
    named = {period: Counter(part["refusals"]) for period, part in facts.statistics["periods"].items()}
    total: Counter[str] = sum(named.values(), Counter())
    if not total:
        return None
    if len(named) > _MAX_PERIODS:
        named = {"all periods": total}
    reasons = sorted(total, key=lambda reason: (-total[reason], reason))
    own = reasons if len(reasons) <= len(SERIES_COLOURS) else reasons[: len(SERIES_COLOURS) - 1]
    figure, axes = _figure(_HALF, 0.36 * len(named) + 1.5)
    base = np.zeros(len(named))
    for reason, colour in zip(
        [*own, *(["other reasons"] if len(own) < len(reasons) else [])], SERIES_COLOURS, strict=False
    ):
        picked = [reason] if reason in own else reasons[len(own) :]
        width = np.array([sum(counts[each] for each in picked) for counts in named.values()])
        axes.barh(range(len(named)), width, 0.62, base, color=colour, label=f"{reason} ({int(width.sum()):,})")
        base += width
    axes.set_yticks(range(len(named)), list(named))
    axes.set_ylim(len(named) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True, steps=[1, 2, 5, 10]))
    axes.set_xlabel("(cell, scene) pairs refused")
    axes.grid(axis="x")
    axes.figure.legend(loc="outside upper left", ncols=3)
    caption = (
        "Pairs of a cell and a scene of its tile that were refused, by period and by the first reason that held; "
        "all splits. Scenes that were "
        "good enough but not needed are not refusals and not counted."
    )
    return plot(figure, "refusals", "Refused scenes by reason", caption)


def _figure(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.add_subplot()


def _thousands(axes: Axes) -> None:
    axes.yaxis.set_major_locator(MaxNLocator(6, integer=True, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
