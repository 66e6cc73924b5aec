"""The statistics as plots; every figure in them is one of `statistics.json`."""

from collections import Counter
from typing import Final

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from tilewright.config.bands import COLLECTION_BANDS, PRIMARY, RADAR
from tilewright.report.drawing import FAINT, SERIES_COLOURS, STYLE, Plot, half_figure, plot
from tilewright.report.facts import Facts
from tilewright.report.labelplots import label_plots
from tilewright.report.tables import quantity

_MAX_PERIODS: Final = 24  # with more, plots show all periods together; the table has each


def all_plots(facts: Facts) -> list[Plot]:
    """The plots for which the dataset has figures."""
    sets = [made for name in facts.statistics["labels"] for made in label_plots(facts, name)]
    others = [
        *(bands(facts, name) for name in facts.collections),
        dates_per_cell(facts),
        months(facts),
        refusals(facts),
    ]
    return [each for each in (*sets, *others) if each is not None]


@rc_context(STYLE)
def bands(facts: Facts, collection: str = PRIMARY) -> Plot | None:
    """Mean and standard deviation of each band of a collection."""
    known, radar = facts.statistics["bands_train"], collection in RADAR
    names = [band for band in COLLECTION_BANDS[collection] if f"{collection}_{band}" in known]
    if not names:
        return None
    values = [known[f"{collection}_{band}"] for band in names]
    figure, axes = half_figure(2.9)
    at = np.arange(len(names))
    mean, std = np.array([each["mean"] for each in values]), np.array([each["std"] for each in values])
    axes.errorbar(
        at, mean, yerr=std, fmt="o", color=SERIES_COLOURS[0], ecolor=SERIES_COLOURS[0], markersize=4.5, capsize=3
    )
    for x, y, top in zip(at, mean, mean + std, strict=True):
        text = f"{y:,.1f}" if radar else f"{y:,.0f}"
        axes.annotate(text, (x, top), xytext=(0, 3), textcoords="offset points", fontsize=7, ha="center")
    if not radar:
        axes.axhline(0, color=FAINT, linewidth=0.8)
    axes.set_xticks(at, names)
    # few bands stand in the middle, not wider apart than others
    aside = 0.6 + max(0, 4 - len(names)) / 2
    axes.set_xlim(-aside, len(names) - 1 + aside)
    axes.margins(y=0.09)
    _thousands(axes)
    axes.set_ylabel(quantity(facts, collection) if radar else "harmonised DN (10,000 = reflectance 1)")
    axes.grid(axis="y")
    caption = (
        "Mean (point, and the figure above it) and one population standard deviation to either side (bar) of each "
        f"band in {values[0]['unit'] if radar else 'harmonised DN'}, over the "
        f"{'pixels with data' if radar else 'valid pixels'} of all patches{' of the training split' if facts.statistics['split']['years'] is None else ', whatever their split'} "
        f"({max(each['pixels'] for each in values):,} in the {'fullest' if radar else 'finest'} band). "
    )
    if radar:
        caption += "The figures are of decibels, not of power." if values[0]["unit"] == "dB" else ""
    else:
        seen = "SCL is not 0 and not all" if collection == PRIMARY else "not all"
        caption += f"Valid: {seen} bands of that resolution are zero; clouds count."
    several = f" of {collection}" if facts.companions else ""
    name = "bands" if collection == PRIMARY else f"bands-{collection}"
    return plot(figure, name, f"Bands{several}: mean and standard deviation", caption.strip())


@rc_context(STYLE)
def dates_per_cell(facts: Facts) -> Plot:
    """How many dates cells have."""
    counts = {int(dates): number for dates, number in facts.statistics["dates_per_cell"].items()}
    figure, axes = half_figure(2.9)
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
    caption = f"All {total:,} cells, all splits, by how many patches{_primary(facts)} they have over all periods; 0: no scene was good enough."
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
    figure, axes = half_figure(2.9)
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
        f"All {facts.statistics['patches']:,} patches{_primary(facts)} (one cell from one scene), all splits, by the scene's month "
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
    figure, axes = half_figure(0.36 * len(named) + 1.5)
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
        f"Pairs of a cell and a scene{_primary(facts)} of its tile that were refused, by period and by the first reason that held; "
        "all splits. Scenes that were "
        "good enough but not needed are not refusals and not counted."
    )
    return plot(figure, "refusals", "Refused scenes by reason", caption)


def _primary(facts: Facts) -> str:
    """Whose figures they are, where there are other collections."""
    return f" of {PRIMARY}" if facts.companions else ""


def _thousands(axes: Axes) -> None:
    axes.yaxis.set_major_locator(MaxNLocator(6, integer=True, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
