"""Colours, and figures as SVG that stands in the page itself: its text takes the page's font and colours."""

import base64
import io
import re
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import imsave

# Paul Tol's "bright" scheme (Colour Schemes, SRON/EPS/TN/09-002): told apart with any colour vision, on light and on dark.
SPLIT_COLOURS: Final = {
    "train": "#4477AA", "val": "#DDAA33", "test": "#EE6677", "by_year": "#66CCEE", "": "#BBBBBB",
}  # fmt: skip
SERIES_COLOURS: Final = ("#4477AA", "#EE6677", "#228833", "#CCBB44", "#66CCEE", "#AA3377", "#BBBBBB")
# As Sentinel Hub's and ESA's viewers show the scene classification.
SCL_COLOURS: Final = (
    "#000000", "#ff0000", "#2f2f2f", "#643200", "#00a000", "#ffe65a", "#0000ff", "#808080", "#c0c0c0", "#ffffff",
    "#64c8ff", "#ff96ff",
)  # fmt: skip
NONE_COLOUR: Final = "#efefef"
UNKNOWN_COLOUR: Final = "#9a9a9a"  # of the hatching that stands for "unlabeled" and "no data"

# Ground that parcels claim: by their number of the masks, partly and wholly, of different classes and of the same.
CLAIM_COLOURS: Final = {"claims": ("#fdae61", "#d7191c"), "claims_same": ("#abd9e9", "#2c7bb6")}
HALF, WHOLE = 5.6, 10.2  # inches: width of a plot beside another, and of one alone

# Stand-ins that matplotlib takes for colours; the page's own take their place in the SVG, so it suits light and dark.
INK: Final = "#010203"
FAINT: Final = "#010204"
RULE: Final = "#010205"
PAPER: Final = "#010206"
_THEMED: Final = {INK: "currentColor", FAINT: "var(--faint)", RULE: "var(--rule)", PAPER: "var(--paper)"}

STYLE: Final[Any] = {
    "svg.hashsalt": "tilewright", "svg.fonttype": "none", "text.parse_math": False, "font.family": "DejaVu Sans",
    "font.size": 8.5, "axes.titlesize": 9, "axes.labelsize": 8.5, "xtick.labelsize": 8, "ytick.labelsize": 8,
    "legend.fontsize": 8, "legend.frameon": False, "text.color": INK, "axes.labelcolor": INK, "axes.titlecolor": INK,
    "axes.edgecolor": FAINT, "xtick.color": FAINT, "ytick.color": FAINT, "xtick.labelcolor": INK, "ytick.labelcolor": INK,
    "axes.spines.top": False, "axes.spines.right": False, "grid.color": RULE, "grid.linewidth": 0.6, "axes.axisbelow": True,
    "hatch.linewidth": 0.8, "figure.facecolor": "none", "axes.facecolor": "none", "path.simplify": False,
}  # fmt: skip
"""For `rc_context`, around all that draws."""


def percent(share: float) -> str:
    """A share of 1 in per cent with three figures, as the page shows it."""
    return "0" if share == 0 else f"{100 * share:.3g} %"


def half_figure(height: float) -> tuple[Figure, Axes]:
    """A plot that stands beside another, `height` inches high."""
    figure = Figure(figsize=(HALF, height), layout="constrained")
    return figure, figure.add_subplot()


@dataclass(frozen=True)
class Plot:
    """A figure of the page: its SVG and what exactly it counts."""

    name: str
    title: str
    svg: Markup
    caption: str


def plot(figure: Figure, name: str, title: str, caption: str) -> Plot:
    """`figure` as SVG for use inside HTML; ids begin with `name`, so that figures do not take each other's."""
    name = re.sub(r"[^A-Za-z0-9_-]", "-", name)
    buffer = io.StringIO()
    figure.savefig(
        buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None}, dpi=170
    )
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'\bid="', f'id="{name}-', text)
    text = text.replace("url(#", f"url(#{name}-").replace('href="#', f'href="#{name}-')
    for stand_in, own in _THEMED.items():
        text = text.replace(stand_in, own)
    text = text.replace("<svg ", f'<svg role="img" aria-label="{escape(title)}" ', 1)
    return Plot(name, title, Markup(text), caption)  # matplotlib has escaped the text in it


def png(pixels: np.ndarray) -> str:
    """An image, uint8 (y, x, 3 or 4), as the data URI of a PNG that says nothing of when and by what it was written."""
    buffer = io.BytesIO()
    nothing: dict[str, Any] = {"Software": None}
    imsave(buffer, np.ascontiguousarray(pixels), format="png", metadata=nothing)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def rgb(colour: str) -> tuple[int, int, int]:
    """`#rrggbb` as three numbers."""
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def with_holes(colours: np.ndarray, holes: np.ndarray) -> np.ndarray:
    """(y, x, 4): transparent in the holes, where the page's hatching shows through at the screen's own resolution."""
    alpha = np.where(holes, 0, 255).astype("uint8")[..., None]
    return np.concatenate([np.where(holes[..., None], 0, colours).astype("uint8"), alpha], axis=-1)


@dataclass(frozen=True)
class Frame:
    """One picture of a row, as a PNG in a data URI; `image` is empty where there is nothing to show, and `note` says why."""

    title: str
    note: str
    image: str


@dataclass(frozen=True)
class Entry:
    """One line of a legend; `look` is a colour, or "none" or "unknown", which the page draws in its own way."""

    name: str
    look: str


@dataclass(frozen=True)
class Legend:
    """What the colours of a layer mean: only the classes that the pictures show."""

    name: str
    entries: list[Entry]
