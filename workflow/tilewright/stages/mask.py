"""mask: how many pixels of each SCL class every cell has in every acquisition, and how bright it is."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd

from tilewright.catalog import Acquisition, acquisitions, scenes_of
from tilewright.config.bands import COLLECTION_BANDS, NO_DATA, PRIMARY, SCL_CLASSES, SCL_RESOLUTION
from tilewright.config.settings import MaskSettings
from tilewright.cropping.values import harmonised
from tilewright.errors import TilewrightError
from tilewright.grid import Boxes
from tilewright.imagery import Ask, BrokenAssetError, ImageryReader, Mosaic, Prepared, Reader, read_mosaics
from tilewright.progress import SUMMARY, Progress
from tilewright.select import COUNT_COLUMNS
from tilewright.store import read_table, write_table
from tilewright.windows import windows_of

log = logging.getLogger(__name__)


@dataclass
class _Found:
    """What is known of one acquisition in its wanted cells: (cell, 12) counts, (cell,) brightness, and why it cannot be read."""

    counts: np.ndarray
    brightness: np.ndarray
    why: str

    @classmethod
    def nothing(cls, cells: int, why: str = "") -> Self:
        return cls(np.zeros((cells, len(SCL_CLASSES)), np.int32), np.full(cells, np.nan, np.float32), why)


def make_mask(
    cells: Path, scenes: Path, settings: MaskSettings, output: Path, traffic: Path, reader: Reader | None = None
) -> None:
    """Write one row for each (acquisition, cell), in the order of the acquisitions and the cells, and what reading cost.

    With a reference, only for acquisitions of the days around the cell's reference date: others are not read there. The parts of an acquisition are taken as one image; scenes refused at search are not read. Columns: scene_id (the first
    part's), cell_id, scl_00 … scl_11 (pixels), brightness (DN percentile of the intensity band's valid pixels, harmonised; NaN
    where the filter is off or nothing is valid), broken (why the SCL or intensity band of a part cannot be read; the counts are
    then 0).

    Raises:
        TilewrightError: when a source stays unreachable, or none of several scenes can be read.
    """
    reader = reader or ImageryReader()
    dated = ["reference_date"] if settings.reference else []
    cell_table = read_table(cells, columns=["cell_id", "epsg", "ulx", "uly", "size_m", *dated])
    known = acquisitions([scene for scene in scenes_of(read_table(scenes)) if scene.collection == PRIMARY])
    pairs = [(one, rows) for one, rows in zip(known, _wanted(cell_table, known, settings), strict=True) if len(rows)]
    found, wanted = [one for one, _ in pairs], [rows for _, rows in pairs]
    try:
        measured = _measure(cell_table, found, wanted, settings, reader)
    except TilewrightError as error:
        raise TilewrightError(f"tile {settings.tile}: {error}") from error
    broken = [one.why for one in measured if one.why]
    if len(broken) == len(found) >= 2:
        # One scene may vanish or break; all of them at once is a disk that is not mounted or a mirror that moved.
        raise TilewrightError(
            f"tile {settings.tile}: none of {len(broken)} scenes can be read, such as {_href(found)} ({broken[0]}): the imagery "
            "is not what the catalog says; bring it back or mend the catalog, then run again"
        )
    table = _table(cell_table, found, wanted, measured)
    write_table(table, output, {"tile": settings.tile, "reader": reader.version, "scl_classes": list(SCL_CLASSES)})
    reader.traffic.write(traffic, stage="mask", tile=settings.tile)
    log.log(
        SUMMARY, "mask %s: %d scenes over %d cells; %s", settings.tile, len(found), len(cell_table), reader.traffic.words()
    )  # fmt: skip


def _wanted(cells: pd.DataFrame, scenes: list[Acquisition], settings: MaskSettings) -> list[np.ndarray]:
    """The cells of each acquisition that are counted, as ascending positions."""
    times = np.array([scene.datetime for scene in scenes], "datetime64[us]")
    dates = cells["reference_date"].to_numpy("datetime64[us]") if settings.reference else None
    inside = windows_of(times, (), settings.reference, dates, len(cells)) >= 0
    return [np.flatnonzero(inside[:, at]) for at in range(len(scenes))]


def _table(
    cells: pd.DataFrame, scenes: list[Acquisition], wanted: list[np.ndarray], measured: list[_Found]
) -> pd.DataFrame:
    """One row for each (acquisition, cell) that is wanted."""
    parts = []
    for scene, rows, one in zip(scenes, wanted, measured, strict=True):
        part = pd.DataFrame(one.counts, columns=COUNT_COLUMNS)
        part.insert(0, "cell_id", cells["cell_id"].to_numpy()[rows])
        part.insert(0, "scene_id", scene.scene_id)
        parts.append(part.assign(brightness=one.brightness, broken=one.why))
    empty = pd.DataFrame({"scene_id": [], "cell_id": []}, dtype=object).assign(
        **{name: np.zeros(0, np.int32) for name in COUNT_COLUMNS}, brightness=np.zeros(0, np.float32), broken=""
    )
    return pd.concat(parts, ignore_index=True) if parts else empty


def _href(scenes: list[Acquisition]) -> str:
    """Where the first SCL should be."""
    return next((asset.shown for scene in scenes for asset in scene.assets("SCL")), "an asset without href")


def _measure(
    cells: pd.DataFrame, scenes: list[Acquisition], wanted: list[np.ndarray], settings: MaskSettings, reader: Reader
) -> list[_Found]:
    """What is found in each acquisition, in their order.

    Args:
        wanted: ascending positions of the cells of each, at least one.
    """
    bands = ["SCL", *([settings.intensity_band] if settings.intensity_band else [])]
    place = {part.scene_id: at for at, scene in enumerate(scenes) for part in scene.parts}
    found = [_Found.nothing(len(rows), _unlisted(scene, bands)) for scene, rows in zip(scenes, wanted, strict=True)]
    todo = [at for at, one in enumerate(found) if not one.why]
    progress = Progress(log, sum(len(wanted[at]) for at in todo) * len(bands), "pieces")
    while todo:
        try:
            _run(cells, scenes, wanted, todo, bands, found, settings, reader, progress)
            break
        except BrokenAssetError as error:
            log.warning("scene %s is broken (%s)", error.scene_id, error.why)
            at = place[error.scene_id]
            why = error.why if error.scene_id == scenes[at].scene_id else f"{error.why} (part {error.scene_id})"
            found[at] = _Found.nothing(len(wanted[at]), why)
            todo = [one for one in todo if one > at]  # readers answer in order: those before are done
    return found


def _unlisted(scene: Acquisition, bands: list[str]) -> str:
    """Why an acquisition cannot be measured for want of an asset of a part; empty where it has them."""
    lacking = [band for band in bands if len(scene.assets(band)) < len(scene.parts)]
    if "SCL" in lacking:
        return "the item lists no usable SCL asset"
    return f"{lacking[0]} is not listed by the item" if lacking else ""


def _run(
    cells: pd.DataFrame, scenes: list[Acquisition], wanted: list[np.ndarray], todo: list[int], bands: list[str],
    found: list[_Found], settings: MaskSettings, reader: Reader, progress: Progress,
) -> None:  # fmt: skip
    """Fill in `found` for the acquisitions in `todo`."""
    grids = {band: boxes(cells, COLLECTION_BANDS[PRIMARY].get(band, SCL_RESOLUTION)) for band in bands}
    asked = [(at, band) for at in todo for band in bands]
    kinds = {band: np.dtype("uint8" if band == "SCL" else "uint16") for band in bands}
    mosaics = (
        Mosaic(tuple(Ask(asset, grids[band].take(wanted[at]), kinds[band]) for asset in scenes[at].assets(band)))
        for at, band in asked
    )
    classes: dict[tuple[int, int], np.ndarray] = {}

    def prepare(place: int, part: int, pixels: np.ndarray) -> Prepared:
        at, band = asked[place]
        return Prepared(pixels, None) if band == "SCL" else harmonised(pixels, scenes[at].parts[part].dn_offset)

    def finish(place: int, cell: int, prepared: Prepared) -> tuple[np.ndarray | None, np.ndarray]:
        pixels = prepared.pixels
        if asked[place][1] != "SCL":
            return None, pixels
        # Values above 11 mean nothing: counted as defective, the class for pixels not to be trusted.
        known = np.where(pixels < len(SCL_CLASSES), pixels, 1)
        return np.bincount(known.ravel(), minlength=len(SCL_CLASSES)), pixels

    for place, cell, (counts, pixels) in read_mosaics(reader, mosaics, prepare, finish):
        at = asked[place][0]
        if counts is None:
            found[at].brightness[cell] = _brightness(pixels, classes.pop((at, cell)), settings)
        else:
            found[at].counts[cell] = counts
            if len(bands) > 1:
                classes[at, cell] = pixels
        progress.step(also=reader.traffic.words)


def _brightness(pixels: np.ndarray, classes: np.ndarray, settings: MaskSettings) -> float:
    """Percentile over the pixels that SCL does not call no data, in harmonised DN; NaN where there are none."""
    valid = on_grid(classes != NO_DATA, pixels.shape[0])
    if not valid.any():
        return np.nan
    # "lower" picks a value that is there, so that no interpolation can round differently elsewhere
    return float(np.percentile(pixels[valid], settings.intensity_percentile or 0.0, method="lower"))


def boxes(cells: pd.DataFrame, resolution: int) -> Boxes:
    """The cells' pixel grids at `resolution` metres.

    Raises:
        TilewrightError: where pixels of that size do not fill a cell.
    """
    epsg, size_m = (int(cells[name].iloc[0]) if len(cells) else 0 for name in ("epsg", "size_m"))
    side, rest = divmod(size_m, resolution)
    if rest:
        raise TilewrightError(
            f"{size_m} m is not a multiple of {resolution} m pixels: change cells.size_m or the bands"
        )
    return Boxes(epsg, resolution, side, cells["ulx"].to_numpy(np.float64), cells["uly"].to_numpy(np.float64))


def on_grid(valid: np.ndarray, side: int) -> np.ndarray:
    """A square mask of SCL pixels on a grid of `side` pixels.

    Repeated on finer grids; on coarser ones a pixel is valid where every SCL pixel that it covers is. Where neither side
    divides the other, by nearest centre.
    """
    own = valid.shape[0]
    if side % own == 0:
        return valid.repeat(side // own, 0).repeat(side // own, 1)
    if own % side == 0:
        step = own // side
        return np.asarray(valid.reshape(side, step, side, step).all(axis=(1, 3)))
    near = ((np.arange(side) + 0.5) * own / side).astype(int)
    return valid[np.ix_(near, near)]
