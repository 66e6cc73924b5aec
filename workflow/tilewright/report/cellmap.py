"""Maps: where the cells are, coloured by split, by how much of them is labelled, or by a static layer."""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
import shapely
from matplotlib import colormaps, rc_context
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import PolyCollection
from matplotlib.colors import Normalize, to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter

from tilewright.draw import unit_interval
from tilewright.grid import SIDE_M, tile
from tilewright.grid.zones import lonlat, ring
from tilewright.report.drawing import FAINT, HALF, INK, PAPER, SPLIT_COLOURS, STYLE, WHOLE, Plot, plot
from tilewright.report.facts import Facts

MAX_CELLS: Final = 20_000
MIN_GAP: Final = 15.0
_MAX_VECTORS: Final = 1_000  # more shapes than that are drawn as an image inside the SVG
_MAX_TILES: Final = 40  # outlines of more tiles would only be a mesh
_SHADES: Final = 10  # colours of a scale
_LEAST_SLENDER, _MOST_SLENDER = 0.3, 0.6  # height by width of the ground that is shown
_FEW_POINTS: Final = 3.0  # footprints smaller than that (in 1/72 inch) are drawn as points


def turned(lon: np.ndarray) -> np.ndarray:
    """Longitudes as they lie together: cut at the widest empty arc, so that none is drawn around the globe.

    Where no arc is empty (MIN_GAP degrees at least) they are as given, and the map is cut at ±180° as maps are.
    """
    east = np.asarray(lon, float) % 360
    around = np.unique(east)
    gaps = np.diff(np.append(around, around[0] + 360))
    if gaps.max() < MIN_GAP:
        return np.asarray(lon, float)
    westernmost = around[(int(np.argmax(gaps)) + 1) % len(around)]
    return (westernmost + 180) % 360 - 180 + (east - westernmost) % 360


def _sample(rows: pd.DataFrame) -> pd.DataFrame:
    """At most MAX_CELLS rows, those that come first in the order of their names' hashes."""
    if len(rows) <= MAX_CELLS:
        return rows
    lots = np.array([unit_interval("report", "map", cell) for cell in rows["cell_id"]])
    return rows.iloc[np.sort(np.argsort(lots, kind="stable")[:MAX_CELLS])]


def _degrees(value: float, positive: str, negative: str) -> str:
    value = (value + 180) % 360 - 180 if positive == "E" else value
    text = f"{abs(value):.5f}".rstrip("0").rstrip(".")
    return f"{text}°" + ("" if value == 0 else f" {positive}" if value > 0 else f" {negative}")


@dataclass(frozen=True)
class _Ground:
    """A map begun: axes in degrees around the cells `rows`, whose centres are `lon` (as they lie together) and `lat`."""

    figure: Figure
    axes: Axes
    rows: pd.DataFrame
    lon: np.ndarray
    lat: np.ndarray
    small: bool
    middle: float
    borders: bool

    def drawn(self, total: int) -> str:
        """Which cells are drawn, and how, as a caption begins."""
        which = f"{len(self.rows):,} of the {total:,} cells, drawn by hash of their names," if len(self.rows) < total else "All cells"  # fmt: skip
        return f"{which} by {{}}, as {'points at their centres' if self.small else 'footprints'}."

    def about(self) -> str:
        """How the map is to be read, as a caption ends."""
        text = (
            " Longitude and latitude in degrees (EPSG:4326), both to the same scale at "
            f"{_degrees(round(self.middle, 2), 'N', 'S')}."
        )
        if self.borders:
            text += " Dashed: the tiles' borders; tiles overlap, a cell belongs to one."
        return text


def _ground(facts: Facts, inches: float, names: bool) -> _Ground:
    """The ground of a dataset in degrees, as square kilometres look at the middle latitude, without the cells."""
    rows = _sample(facts.index)
    lon, lat = turned(rows["lon"].to_numpy(float)), rows["lat"].to_numpy(float)
    half = facts.size_m / 111_320 / 2  # metres in a degree of latitude
    squeeze = math.cos(math.radians(float((lat.min() + lat.max()) / 2)))
    west, east = lon.min() - half / squeeze, lon.max() + half / squeeze
    south, north = max(lat.min() - half, -90.0), min(lat.max() + half, 90.0)
    margin = 0.04 * max((east - west) * squeeze, north - south)
    west, east, south, north = west - margin / squeeze, east + margin / squeeze, south - margin, north + margin
    wide, high = (east - west) * squeeze, north - south
    # Ground is added beside what is too slender for the frame.
    more = max(0.0, high / _MOST_SLENDER - wide) / squeeze / 2, max(0.0, wide * _LEAST_SLENDER - high) / 2
    west, east, south, north = west - more[0], east + more[0], south - more[1], north + more[1]
    # Beside the axes stand their numbers, and of the small maps the scale.
    height = (0.9 if inches > HALF else 0.78) * inches * (north - south) / ((east - west) * squeeze) + 0.6
    figure = Figure(figsize=(inches, height), layout="constrained")
    axes = figure.add_subplot()
    axes.set_xlim(west, east)
    axes.set_ylim(south, north)
    axes.set_aspect(1 / squeeze, adjustable="box")
    axes.grid(True)
    small = 2 * half / (north - south) * height * 72 < _FEW_POINTS
    tiles = sorted(rows["tile"].unique())
    borders = False
    if len(tiles) <= _MAX_TILES:
        borders = _draw_tiles(axes, tiles, float(lon.mean()))
        for name in tiles if names and len(tiles) > 1 else ():
            mine = (rows["tile"] == name).to_numpy()
            box = {"facecolor": PAPER, "edgecolor": "none", "alpha": 0.75, "pad": 1.5}
            axes.text(lon[mine].mean(), lat[mine].mean(), name, ha="center", va="center", fontsize=8, bbox=box)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _degrees(value, "E", "W")))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _degrees(value, "N", "S")))
    axes.tick_params(length=0)
    axes.locator_params(nbins=6 if inches > HALF else 4)
    return _Ground(figure, axes, rows, lon, lat, small, (south + north) / 2, borders)


@rc_context(STYLE)
def cell_map(facts: Facts) -> Plot:
    """The cells of a dataset, coloured by split."""
    ground = _ground(facts, WHOLE, names=True)
    filled = (ground.rows["dates"] > 0).to_numpy()
    _draw_cells(ground, ground.rows["split"].map(SPLIT_COLOURS).to_numpy(object), filled)
    _legend(ground.figure, facts)
    caption = ground.drawn(len(facts.index)).format("split")
    if not filled.all():
        caption += " Hollow: no scene was good enough in any period."
    return plot(ground.figure, "map", "Map of the cells by split", caption + ground.about())


@rc_context(STYLE)
def label_map(facts: Facts, name: str) -> Plot:
    """How much of each cell's ground a label set labels, or the mean of a static layer over it."""
    ground = _ground(facts, HALF, names=False)
    rows = ground.rows
    layer = facts.labels[name]["ontology"] is None
    coverage = rows[f"{name}_coverage"].to_numpy(float)
    known = (rows[f"{name}_row"].to_numpy() >= 0) & ~(coverage == 0)
    if layer:
        values = rows[f"{name}_mean"].to_numpy(float)
        known &= ~np.isnan(values)
    else:
        values = rows[f"{name}_labelled"].to_numpy(float) / np.where(coverage > 0, coverage, 1)
    low, high = (0.0, 1.0) if not layer else (float(values[known].min()), float(values[known].max())) if known.any() else (0.0, 1.0)  # fmt: skip
    shades = colormaps["cividis" if layer else "viridis"].resampled(_SHADES)
    norm = Normalize(low, high if high > low else low + 1)
    colours = np.array([to_hex(shades(norm(value))) for value in np.where(known, values, low)], object)
    colours[~known] = FAINT
    _draw_cells(ground, colours, known)
    # as high as the map, whose sides keep their proportion
    bar = ground.figure.colorbar(ScalarMappable(norm, shades), cax=ground.axes.inset_axes((1.02, 0, 0.03, 1)))
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=0)
    if not layer:
        bar.set_ticks(list(np.linspace(0, 1, 5)))
        bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g} %"))
    caption = f"Label set “{name}”: " + ground.drawn(len(facts.index)).format(
        "the mean of the layer's pixels with data" if layer else "the labelled share of their ground"
    ).replace("All", "all", 1)  # fmt: skip
    if not layer:
        caption += (
            " A pixel is labelled where it has a class (neither none nor unlabeled) in any channel. As OpenSentinelMap's "
            "Figure 5; of cells partly outside the source's extent the share of the part inside."
        )
    if not known.all():
        caption += f" Hollow: no {'data' if layer else 'ground inside the extent'}."
    title = f"Map of {name}: mean" if layer else f"Map of {name}: labelled share"
    return plot(ground.figure, f"labelmap-{name}", title, caption + ground.about())


def _draw_cells(ground: _Ground, colours: np.ndarray, filled: np.ndarray) -> None:
    """Those that are not `filled` as outlines."""
    rows, axes, lon = ground.rows, ground.axes, ground.lon
    raster = len(rows) > _MAX_VECTORS
    if ground.small:
        face = np.where(filled, colours, "none")
        axes.scatter(lon, ground.lat, s=5, c=list(face), edgecolors=list(colours), linewidths=0.5, rasterized=raster)
        return
    shapes = []
    for shape, middle in zip(rows.geometry, lon, strict=True):
        corners = shapely.get_coordinates(shape.exterior)
        # Each footprint is turned to its own centre, so that one on the other side of ±180° stays whole.
        shapes.append(np.column_stack([middle + (corners[:, 0] - middle + 180) % 360 - 180, corners[:, 1]]))
    for full in (True, False):
        mine = np.flatnonzero(filled == full)
        if len(mine):
            own = [str(colours[at]) for at in mine]
            edge = [PAPER] * len(own) if full and not raster else "none" if full else own
            axes.add_collection(
                PolyCollection(
                    [shapes[at] for at in mine],
                    facecolors=own if full else "none",
                    edgecolors=edge,
                    linewidths=0.4 if full else 1,
                    rasterized=raster,
                ),
                autolim=False,
            )


def _draw_tiles(axes: Axes, names: list[str], middle: float) -> bool:
    """Their borders, within the limits that the axes have; whether any is in sight."""
    (west, east), (south, north) = limits = axes.get_xlim(), axes.get_ylim()
    seen = False
    for name in names:
        one = tile(name)
        x, y = ring(np.array([one.ulx]), np.array([one.uly]), SIDE_M, 64)
        lon, lat = lonlat(one.epsg, x[0], y[0])
        lon = lon + 360 * np.round((middle - lon.mean()) / 360)
        seen = seen or bool(((lon > west) & (lon < east) & (lat > south) & (lat < north)).any())
        axes.plot(np.append(lon, lon[0]), np.append(lat, lat[0]), color=FAINT, linewidth=0.8, linestyle=(0, (4, 3)))
    axes.set_xlim(limits[0])
    axes.set_ylim(limits[1])
    return seen


def split_words(name: str) -> str:
    """What stands for a value of the column `split`."""
    return {"by_year": "split by year", "": "in no split"}.get(name, name)


def _legend(figure: Figure, facts: Facts) -> None:
    counts = facts.index["split"].value_counts()
    handles = [
        Patch(facecolor=SPLIT_COLOURS[name], label=f"{split_words(name)} ({counts[name]:,})") for name in facts.splits
    ]
    without = facts.statistics["cells"]["total"] - facts.statistics["cells"]["with_imagery"]
    if without:
        handles.append(Patch(facecolor="none", edgecolor=INK, label=f"without imagery ({without:,})"))
    figure.legend(handles=handles, loc="outside upper left", ncols=4)
