"""Colours, and figures as SVG that stands in the page itself: its text takes the page's font and colours."""

import base64
import io
import re
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from markupsafe import Markup, escape
from matplotlib.figure import Figure
from matplotlib.image import imsave

# Paul Tol's "bright" scheme (Colour Schemes, SRON/EPS/TN/09-002): told apart with any colour vision, on light and on dark.
SPLIT_COLOURS: Final = {"train": "#4477AA", "val": "#DDAA33", "test": "#EE6677"}
SERIES_COLOURS: Final = ("#4477AA", "#EE6677", "#228833", "#CCBB44", "#66CCEE", "#AA3377", "#BBBBBB")
# As Sentinel Hub's and ESA's viewers show the scene classification.
SCL_COLOURS: Final = (
    "#000000", "#ff0000", "#2f2f2f", "#643200", "#00a000", "#ffe65a", "#0000ff", "#808080", "#c0c0c0", "#ffffff",
    "#64c8ff", "#ff96ff",
)  # fmt: skip
NONE_COLOUR: Final = "#efefef"
UNKNOWN_COLOUR: Final = "#9a9a9a"  # of the hatching that stands for "unlabeled" and "no data"

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
