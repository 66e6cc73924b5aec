"""A map of a dataset's tiles by how far they are: PNG, or a page by itself with the failures below. Nothing is fetched for it."""

import html
from collections import Counter
from pathlib import Path
from typing import Any, Final

import numpy as np
from matplotlib import rc_context
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from tilewright.errors import TilewrightError
from tilewright.grid import SIDE_M, tiles
from tilewright.grid.zones import lonlat, ring
from tilewright.operations.board import BEGUN, DONE, FAILED, STATES, TO_DO, Board
from tilewright.report.cellmap import turned
from tilewright.report.drawing import FAINT, INK, PAPER, RULE, STYLE, WHOLE, plot
from tilewright.store import replacing

# Paul Tol's "bright" scheme, as the report's.
_COLOURS: Final = {DONE: "#228833", FAILED: "#EE6677", BEGUN: "#CCBB44", TO_DO: "#BBBBBB"}
_WORDS: Final = {DONE: "done", FAILED: "failed", BEGUN: "begun", TO_DO: "to do"}
_NAMED: Final = 40  # tiles at most whose names are written
_LEGIBLE: Final = 0.5  # inches of a degree, which a tile is, below which their names would cover each other
_MAX_VECTORS: Final = 1_000  # more shapes than that are an image inside the page's SVG
_PLAIN: Final = {
    INK: "#222222",
    FAINT: "#666666",
    RULE: "#dddddd",
    PAPER: "#ffffff",
}  # for a PNG, which no page gives colours to


def write_map(board: Board, name: str, path: Path) -> None:
    """Draw the tiles into `path`, .png or .html.

    Args:
        name: the dataset's folder.

    Raises:
        TilewrightError: for another ending, or where no tile is known.
    """
    ending = path.suffix.lower()
    if ending not in (".png", ".html", ".htm"):
        raise TilewrightError(f"--map {path}: a map is drawn as .png, .html or .htm: end its name so")
    if not board.expected.tiles:
        raise TilewrightError(
            f"--map {path}: no tile of {name} is known yet, so that there is nothing to draw: give its config with --configfile, or run snakemake first"
        )
    if ending == ".png":
        style: dict[Any, Any] = {key: _PLAIN.get(str(value), value) for key, value in STYLE.items()}
        with rc_context({**style, "figure.facecolor": "white"}), replacing(path) as part:
            _figure(board, _PLAIN).savefig(part, format="png", dpi=150, metadata={"Software": None})
    else:
        with rc_context(STYLE):
            drawn = plot(_figure(board, {each: each for each in _PLAIN}), "tiles", f"Tiles of {name}", "")
        with replacing(path) as part:
            part.write_text(_page(board, name, str(drawn.svg)), encoding="utf-8")


def _figure(board: Board, colours: dict[str, str]) -> Figure:
    names = board.expected.tiles
    states = [board.state_of(name) for name in names]
    lon, lat = _outlines(names)
    squeeze = max(0.2, float(np.cos(np.radians((lat.min() + lat.max()) / 2))))
    wide, high = max(0.5, np.ptp(lon)) * squeeze, max(0.5, float(np.ptp(lat)))
    height = min(0.7, 0.9 * max(0.25, high / wide)) * WHOLE
    figure = Figure(figsize=(WHOLE, height + 0.7), layout="constrained")
    axes = figure.add_subplot()
    shapes = np.stack([lon, lat], axis=-1)
    for state in (TO_DO, DONE, BEGUN, FAILED):  # tiles overlap: what matters most lies on top
        mine = [shape for shape, own in zip(shapes, states, strict=True) if own == state]
        axes.add_collection(
            PolyCollection(
                mine, facecolors=_COLOURS[state], edgecolors=colours[PAPER], linewidths=0.6 if len(names) <= _MAX_VECTORS else 0.1, alpha=0.9,
                rasterized=len(names) > _MAX_VECTORS,
            )
        )  # fmt: skip
    legible = min(0.9 * WHOLE / wide, height / high) > _LEGIBLE
    if not legible:  # so that one of thousands is seen
        mine = shapes[np.array(states) == FAILED].mean(axis=1)
        axes.scatter(
            mine[:, 0], mine[:, 1], s=12, c=_COLOURS[FAILED], edgecolors=colours[PAPER], linewidths=0.3, zorder=3
        )
    if len(names) <= _NAMED and legible:
        for name, shape in zip(names, shapes, strict=True):
            axes.text(
                float(shape[:, 0].mean()),
                float(shape[:, 1].mean()),
                name,
                ha="center",
                va="center",
                fontsize=8,
                color=colours[INK],
            )
    axes.autoscale_view()
    axes.set_aspect(1 / squeeze, adjustable="datalim")
    axes.grid(True)
    axes.tick_params(length=0)
    axes.set_xlabel("longitude, degrees")
    axes.set_ylabel("latitude, degrees")
    counts = Counter(states)
    handles = [
        Patch(facecolor=_COLOURS[state], label=f"{_WORDS[state]} ({counts[state]:,})")
        for state in STATES
        if counts[state]
    ]
    figure.legend(handles=handles, loc="outside upper left", ncols=4)
    return figure


def _outlines(names: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """(tile, 4) longitude and latitude of their corners, those of tiles across ±180° lying together."""
    table = tiles()
    rows = np.searchsorted(table.name, names)  # sorted by name
    lon, lat = np.empty((2, len(names), 4))
    for epsg in np.unique(table.epsg[rows]):
        own = table.epsg[rows] == epsg
        lon[own], lat[own] = lonlat(int(epsg), *ring(table.ulx[rows[own]], table.uly[rows[own]], SIDE_M, 1))
    middle = lon.mean(axis=1)
    return lon + (turned(middle) - middle)[:, None], lat


def _page(board: Board, name: str, svg: str) -> str:
    rows = "".join(
        f"<tr><td>{html.escape(str(job))}<td>{html.escape(why)}<td><code>{html.escape(str(log))}</code>"
        for job, why, log in board.failed
    )
    failed = f"<h2>Failed jobs</h2><table><tr><th>job<th>error<th>log{rows}</table>" if rows else ""
    stages = "".join(
        f"<tr><td>{stage}{''.join(f'<td class=n>{counts.get(state, 0):,}' for state in STATES)}"
        for stage, counts in board.counts.items()
    )
    return f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{html.escape(name)}</title>
<style>
:root {{ --ink: #1a1a1a; --paper: #fff; --faint: #666; --rule: #ddd; color-scheme: light dark; }}
@media (prefers-color-scheme: dark) {{ :root {{ --ink: #e6e6e6; --paper: #181818; --faint: #999; --rule: #333; }} }}
body {{ font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 64rem; margin: 2rem auto; padding: 0 1rem; }}
svg {{ width: 100%; height: auto; }} td, th {{ text-align: left; vertical-align: top; padding: .15rem .8rem .15rem 0; }} .n {{ text-align: right; }}
</style>
<h1>{html.escape(name)}: how far it is</h1>
{svg}
<table><tr><th>stage{"".join(f"<th>{state}" for state in STATES)}{stages}</table>
{failed}
</html>
"""
