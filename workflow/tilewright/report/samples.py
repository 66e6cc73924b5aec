"""Sample patches: a few cells as one sees them, with their scene classes and labels."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
import xarray as xr

from tilewright.config.bands import CLOUD, PRIMARY, SCL_CLASSES, SNOW
from tilewright.draw import unit_interval
from tilewright.report.companions import TRUE_COLOUR, Companions, caption, ranges, read_companions, shown_of, strip
from tilewright.report.drawing import SCL_COLOURS, Entry, Frame, Legend, png, rgb, with_holes
from tilewright.report.facts import Bands, Facts
from tilewright.report.labelpictures import SHOWN, Arrays, Picture, label_pictures
from tilewright.report.tables import quantity
from tilewright.stages.mask import on_grid
from tilewright.stages.zone import classes_of, share_column

CELLS: Final = 10
DATES: Final = 4
SIDE: Final = 256  # pictures of more pixels a side show every n-th
_COLOUR: Final = TRUE_COLOUR
_BRIGHT: Final = (*CLOUD, 10, *SNOW)  # clouds, cirrus and snow would leave the ground black


@dataclass(frozen=True)
class Sample:
    """One row: a cell. `companions`: a row of pictures for each paired collection, in the columns of the dates."""

    cell_id: str
    split: str
    place: str
    frames: list[Frame]
    companions: list[list[Frame]]


@dataclass(frozen=True)
class Samples:
    """The section: rows, legends, and how the pixels became colours."""

    rows: list[Sample]
    legends: list[Legend]
    caption: str

    @property
    def columns(self) -> int:
        """Pictures in a row."""
        return max((len(row.frames) for row in self.rows), default=1)


@dataclass(frozen=True)
class _Seen:
    """One cell's pixels. bands: (time, band, y, x) DN; valid: (time, y, x); scl: (time, y, x); labels: of each set."""

    row: pd.Series
    dates: list[tuple[pd.Timestamp, float]]
    periods: list[str]
    bands: np.ndarray
    valid: np.ndarray
    clear: np.ndarray
    scl: np.ndarray
    labels: dict[str, Arrays]
    companions: Companions


def chosen(facts: Facts) -> list[str]:
    """The cells to show: every split has its part, and within it they go evenly from rich in classes to poor.

    A cell with the fewest dates of all is among them, if cells differ in that; equals are taken by hash of their names.
    """
    table = facts.index[["cell_id", "split", "dates"]].copy()
    table["classes"] = _richness(facts)
    table["lot"] = [unit_interval("report", "sample", cell) for cell in table["cell_id"]]
    table = table.sort_values(["classes", "lot"], ascending=[False, True], kind="stable")
    fewest = (
        table[table["dates"] == table["dates"].min()].head(1)["cell_id"].tolist()
        if table["dates"].nunique() > 1
        else []
    )
    seen = table[(table["dates"] > 0) & ~table["cell_id"].isin(fewest)]
    pool = seen if len(seen) else table
    wanted = CELLS - len(fewest)
    sizes = {name: int((pool["split"] == name).sum()) for name in facts.splits}
    share = {name: min(size, max(2, int(wanted * size / max(1, len(pool))))) for name, size in sizes.items()}
    largest = max(sizes, key=lambda name: sizes[name])
    share[largest] = min(sizes[largest], wanted - sum(number for name, number in share.items() if name != largest))
    found = []
    for name, number in share.items():
        mine = pool[pool["split"] == name]["cell_id"].tolist()
        found += [mine[at] for at in dict.fromkeys(np.linspace(0, len(mine) - 1, number).astype(int).tolist())]
    return [*found, *fewest]


def _richness(facts: Facts) -> np.ndarray:
    """(cell,) number of classes that each cell has, none and unlabeled aside."""
    total = np.zeros(len(facts.index), int)
    for name, about in facts.labels.items():
        for channel in (each["name"] for each in about["ontology"]["channels"]) if about["ontology"] else ():
            for one, _ in classes_of(about["ontology"], channel)[:-2]:
                total += (facts.index[share_column(name, channel, one)] > 0).to_numpy()
    return total


def make_samples(facts: Facts, wanted: Sequence[str] | None = None, most: int = DATES) -> Samples:
    """Read and draw cells.

    Args:
        wanted: their ids; where not given those that `chosen` names.
        most: dates of a cell that are shown.
    """
    shown = _shown_bands(facts)
    cells = [_read(facts, cell, shown, most) for cell in (chosen(facts) if wanted is None else wanted)]
    low, high = _range(cells)
    classes: set[int] = set()
    columns = max(1, *(len(cell.dates) for cell in cells))
    pictures = {
        name: label_pictures(name, about, [cell.labels.get(name) for cell in cells], len(facts.labels) > 1)
        for name, about in facts.labels.items()
    }
    rows = [_row(cell, at, columns, low, high, classes, pictures) for at, cell in enumerate(cells)]
    paired = {name: drawn for name in facts.companions if (drawn := shown_of(facts, name)) is not None}
    limits = {name: ranges([cell.companions for cell in cells], name) for name in paired}
    for cell, row in zip(cells, rows, strict=True):
        days = [date for date, _ in cell.dates]
        row.companions.extend(strip(of, limits[name], days, name) for name, of in cell.companions.items())
    legends = []
    if classes:
        entries = [Entry(SCL_CLASSES[one].replace("_", " "), SCL_COLOURS[one]) for one in sorted(classes)]
        legends.append(Legend("Scene classification (SCL)", entries))
    legends += [picture.legend for each in pictures.values() for picture in each]
    text = _caption(facts, shown, low, high, most, spread=wanted is None)
    if paired:
        text += " Below each date what is paired with it, and how long before or after it was taken."
    for name, drawn in paired.items():
        text += caption(drawn, limits[name], quantity(facts, name).rpartition(", ")[2])
    return Samples(rows, legends, text)


def _caption(facts: Facts, shown: Bands | None, low: float, high: float, most: int, spread: bool) -> str:
    how = f", spread over the splits{' and from many label classes to few' if facts.labels else ''}" if spread else ""
    text = (
        f"Cells of {facts.size_m:,} m{how}; of each, up to "
        f"{most} of its dates, evenly over "
        "its series, with the share of bad pixels by the mask's classes."
    )
    if shown is not None and high > low:
        what = (
            "True colour (B04, B03, B02)"
            if shown.names == _COLOUR
            else f"{shown.names[0]} in grey (B04, B03, B02 are not all in the dataset)"
        )
        text += (
            f" {what} at {shown.resolution_m} m, reflectance {low / 1e4:.3f} (black) to {high / 1e4:.3f} (white), "
            "the same for every picture: medians of the pictures' 2nd and 98th percentiles, of valid pixels that are neither cloud, "
            "cirrus nor snow. SCL is of the date "
            "with most bad pixels. Hatched: no data; in label pictures: unlabeled."
        )
    side = max(
        [
            facts.size_m // shown.resolution_m if shown else 0,
            *(int(facts.size_m / each["resolution_m"]) for each in facts.labels.values()),
        ]
    )
    if side > SIDE:
        text += f" Pictures show one in {-(-side // SIDE)} rows and columns of the finest layer."
    return text


def _shown_bands(facts: Facts) -> Bands | None:
    """True colour if the dataset has it, else the first band of the finest resolution."""
    known = facts.bands_of(PRIMARY)
    for each in known:
        if set(_COLOUR) <= set(each.names):
            return Bands(each.collection, each.resolution_m, _COLOUR)
    return Bands(known[0].collection, known[0].resolution_m, known[0].names[:1]) if known else None


def _thinned(pixels: np.ndarray) -> np.ndarray:
    step = -(-pixels.shape[-1] // SIDE)
    return pixels[..., ::step, ::step]


def _read(facts: Facts, cell_id: str, shown: Bands | None, most: int) -> _Seen:
    row = facts.index.loc[cell_id]
    cell = facts.dataset[cell_id]
    picked = np.unique(np.linspace(0, max(row["dates"] - 1, 0), min(most, row["dates"])).astype(int))
    bands, valid, clear, scl = (
        np.zeros((0, 1, 1, 1)),
        np.zeros((0, 1, 1), bool),
        np.zeros((0, 1, 1), bool),
        np.zeros((0, 1, 1), "uint8"),
    )
    dates: list[tuple[pd.Timestamp, float]] = []
    periods: list[str] = []
    if len(picked) and shown is not None:
        series, part, classes = (
            cell[f"{shown.collection}{name}"].to_dataset() for name in ("", f"/r{shown.resolution_m}m", "/scl")
        )
        dates = [(pd.Timestamp(series["time"].values[at]), float(series["bad_fraction"].values[at])) for at in picked]
        periods = [str(series["period"].values[at]) for at in picked]
        own = [list(map(str, part["band"].values)).index(band) for band in shown.names]
        pixels = part["reflectance"].values[picked]
        scl = classes["scl"].values[picked]
        side = pixels.shape[-1]
        valid = np.stack([on_grid(one != 0, side) for one in scl]) & ~(pixels == 0).all(axis=1)
        clear = valid & np.stack([on_grid(~np.isin(one, _BRIGHT), side) for one in scl])
        bands, valid, clear, scl = _thinned(pixels[:, own]), _thinned(valid), _thinned(clear), _thinned(scl)
    labels = {
        name: _label_arrays(cell[f"labels/{name}"].to_dataset()) for name in facts.labels if row[f"{name}_row"] >= 0
    }
    companions = read_companions(facts, cell_id, picked, clear, SIDE) if dates and facts.companions else {}
    return _Seen(row, dates, periods, bands, valid, clear, scl, labels, companions)


def _label_arrays(of: xr.Dataset) -> Arrays:
    """What of a cell's label set has a picture; the names of the levels of `ignore` are its only other dimension's."""
    arrays = {name: _thinned(of[name].values) for name in SHOWN if name in of}
    if "ignore" in arrays:
        arrays["level"] = np.asarray(of["level"].values, dtype=object)
    return arrays


def _range(cells: Iterable[_Seen]) -> tuple[float, float]:
    """DN shown as black and as white; (0, 0) where there is no pixel.

    The medians of what the pictures would have each by itself: one hazy date, which SCL does not notice, must not darken the others.
    """
    limits = [
        np.percentile(bands[:, kept], [2, 98])
        for cell in cells
        for bands, kept in zip(cell.bands, cell.clear if cell.clear.any() else cell.valid, strict=True)
        if kept.any()
    ]
    if not limits:
        return 0.0, 0.0
    low, high = (float(value) for value in np.median(limits, axis=0))
    return low, max(high, low + 1)


def _row(
    cell: _Seen, place: int, columns: int, low: float, high: float, classes: set[int], pictures: dict[str, list[Picture]]
) -> Sample:  # fmt: skip
    """The pictures of the cell that is shown at `place`; adds the scene classes that they show to `classes`."""
    frames = []
    for at, ((date, bad), period) in enumerate(zip(cell.dates, cell.periods, strict=True)):
        colour = np.clip((np.moveaxis(cell.bands[at].astype(float), 0, -1) - low) / (high - low), 0, 1)
        pixels = np.rint(255 * np.broadcast_to(colour, (*colour.shape[:2], 3))).astype("uint8")
        day = f"{date:%Y-%m-%d}"
        # a period that is called after its days says nothing more
        title = day if day.startswith(period) else f"{day}, {period}"
        frames.append(Frame(title, _bad(bad), png(with_holes(pixels, ~cell.valid[at]))))
    nothing = "no further date" if cell.dates else "no scene was good enough"
    frames += [Frame("", nothing if at == 0 or cell.dates else "", "") for at in range(columns - len(frames))]
    if cell.dates:
        worst = max(range(len(cell.dates)), key=lambda at: (cell.dates[at][1], -at))
        table = np.array([rgb(colour) for colour in SCL_COLOURS], "uint8")
        classes |= set(np.unique(cell.scl[worst]).tolist())
        frames.append(Frame("SCL", f"{cell.dates[worst][0]:%Y-%m-%d}", png(table[cell.scl[worst]])))
    else:
        frames.append(Frame("SCL", "", ""))
    row = cell.row
    frames += [_label_frame(picture, name, place, row) for name, each in pictures.items() for picture in each]
    count = f"{row['dates']} date" + ("" if row["dates"] == 1 else "s")
    where = (
        f"tile {row['tile']} · {abs(row['lat']):.4f}° {'NS'[int(row['lat'] < 0)]} {abs(row['lon']):.4f}° "
        f"{'EW'[int(row['lon'] < 0)]} · {count}"
    )
    if isinstance(label := row.get("sample_label"), str):
        where += f" · {label}"
    if pd.notna(day := row.get("reference_date")):
        where += f" · around {day:%Y-%m-%d}"
    return Sample(str(row["cell_id"]), str(row["split"]), where, frames, [])


def _bad(share: float) -> str:
    if 0 < share < 0.0005:
        return "< 0.1 % bad"
    return f"{100 * share:.1f} % bad" if share else "0 % bad"


def _label_frame(picture: Picture, name: str, at: int, row: pd.Series) -> Frame:
    image = picture.images[at]
    if image is None:
        return Frame(picture.title, "no labels", "")
    covered = row[f"{name}_coverage"]
    return Frame(picture.title, f"{100 * covered:.3g} % {picture.of}" if covered < 1 else "", png(image))
