"""mask: how many pixels of each SCL class every cell has in every scene, and how bright it is."""

import logging
from pathlib import Path

import numpy as np
import pandas as pd
from odc.geo.geobox import GeoBox

from tilewright.catalog import Scene, scene_asset, scenes_of
from tilewright.config.bands import COLLECTION_BANDS, NO_DATA, SCL_CLASSES, SCL_RESOLUTION
from tilewright.config.settings import MaskSettings
from tilewright.errors import TilewrightError
from tilewright.grid import cell_geobox
from tilewright.imagery import BrokenAssetError, Reader, StackReader
from tilewright.store import read_table, write_table

log = logging.getLogger(__name__)

COUNT_COLUMNS = [f"scl_{value:02}" for value in range(len(SCL_CLASSES))]


def make_mask(cells: Path, scenes: Path, settings: MaskSettings, output: Path, reader: Reader | None = None) -> None:
    """Write one row for each (scene, cell), in the order of the scenes and the cells.

    Columns: scene_id, cell_id, scl_00 … scl_11 (pixels), brightness (DN percentile of the intensity band's valid
    pixels, harmonised; NaN where the filter is off or nothing is valid), broken (why the scene's SCL or intensity band
    cannot be read; its counts are then 0).

    Raises:
        TilewrightError: when a source stays unreachable, or none of several scenes can be read.
    """
    reader = reader or StackReader()
    cell_table = read_table(cells, columns=["cell_id", "epsg", "ulx", "uly", "size_m"])
    found = scenes_of(read_table(scenes))
    parts = []
    for at, scene in enumerate(found, 1):
        if scene.refused:
            continue
        counts, brightness, why = _measure(cell_table, scene, settings, reader)
        part = pd.DataFrame(counts, columns=COUNT_COLUMNS)
        part.insert(0, "cell_id", cell_table["cell_id"].to_numpy())
        part.insert(0, "scene_id", scene.scene_id)
        parts.append(part.assign(brightness=brightness, broken=why))
        log.info("%d of %d scenes: %s%s", at, len(found), scene.scene_id, f" ({why})" if why else "")
    broken = [part["broken"].iloc[0] for part in parts if len(part) and part["broken"].iloc[0]]
    if len(broken) == len(parts) >= 2:
        # One scene may vanish or break; all of them at once is a disk that is not mounted or a mirror that moved.
        raise TilewrightError(
            f"tile {settings.tile}: none of {len(broken)} scenes can be read, such as {_href(found)} ({broken[0]}): the imagery "
            "is not what the catalog says; bring it back or mend the catalog, then run again"
        )
    empty = pd.DataFrame({"scene_id": [], "cell_id": []}, dtype=object).assign(
        **{name: np.zeros(0, np.int32) for name in COUNT_COLUMNS}, brightness=np.zeros(0, np.float32), broken=""
    )
    table = pd.concat(parts, ignore_index=True) if parts else empty
    write_table(table, output, {"tile": settings.tile, "reader": reader.version, "scl_classes": list(SCL_CLASSES)})


def _href(scenes: list[Scene]) -> str:
    """Where the first scene's SCL should be."""
    return next((asset.href for scene in scenes if (asset := scene_asset(scene, "SCL"))), "an asset without href")


def _measure(
    cells: pd.DataFrame, scene: Scene, settings: MaskSettings, reader: Reader
) -> tuple[np.ndarray, np.ndarray, str]:
    """(cell, 12) counts, (cell,) brightness and why not, for one scene."""
    counts = np.zeros((len(cells), len(SCL_CLASSES)), np.int32)
    brightness = np.full(len(cells), np.nan, np.float32)
    asset = scene_asset(scene, "SCL")
    if asset is None:
        return counts, brightness, "the item lists no usable SCL asset"
    classes: dict[int, np.ndarray] = {}
    try:
        for at, pixels in reader.read(asset, boxes(cells, SCL_RESOLUTION)):
            # Values above 11 mean nothing: counted as defective, the class for pixels not to be trusted.
            known = np.where(pixels < len(SCL_CLASSES), pixels, 1)
            counts[at] = np.bincount(known.ravel(), minlength=len(SCL_CLASSES))
            if settings.intensity_band is not None:
                classes[at] = pixels
        if settings.intensity_band is not None:
            brightness = _brightness(cells, scene, settings, reader, classes)
    except BrokenAssetError as error:
        return np.zeros_like(counts), np.full_like(brightness, np.nan), error.why
    return counts, brightness, ""


def _brightness(
    cells: pd.DataFrame, scene: Scene, settings: MaskSettings, reader: Reader, classes: dict[int, np.ndarray]
) -> np.ndarray:
    """(cell,) percentile of the intensity band over pixels that SCL does not call no data, in harmonised DN."""
    band = str(settings.intensity_band)
    step = COLLECTION_BANDS[scene.collection][band]
    brightness = np.full(len(cells), np.nan, np.float32)
    asset = scene_asset(scene, band)
    if asset is None:
        raise BrokenAssetError(scene.scene_id, band, "is not listed by the item")
    for at, pixels in reader.read(asset, boxes(cells, step)):
        valid = on_grid(classes[at] != NO_DATA, pixels.shape[0])
        if valid.any():
            # "lower" picks a value that is there, so that no interpolation can round differently elsewhere
            value = np.percentile(pixels[valid], settings.intensity_percentile or 0.0, method="lower")
            brightness[at] = float(value) + (scene.dn_offset if value > 0 else 0)
    return brightness


def boxes(cells: pd.DataFrame, resolution: int) -> list[GeoBox]:
    """The cells' GeoBoxes at `resolution` metres."""
    columns = (cells[name] for name in ("epsg", "ulx", "uly", "size_m"))
    return [cell_geobox(epsg, ulx, uly, size, resolution) for epsg, ulx, uly, size in zip(*columns, strict=True)]


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
