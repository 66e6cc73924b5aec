"""Looking at pixels: whether a scene carries the offset of its baseline, where its catalog does not tell."""

from dataclasses import replace

import numpy as np
import pyproj
import shapely
from shapely.geometry.base import BaseGeometry

from tilewright.catalog import Asset, Scene, scene_asset
from tilewright.catalog.acquisitions import outline_of
from tilewright.catalog.radiometry import OFFSET, WITNESSES, Decision, Witness, confirmed, judge
from tilewright.catalog.scene import AMBIGUOUS, UNSEEN, settled
from tilewright.config.bands import S2_L2A, SCL_RESOLUTION
from tilewright.grid import Boxes
from tilewright.imagery.protocol import Ask, BrokenAssetError, Reader

# What is read of a scene: at most 25 boxes of SCL, spread over its footprint, and of each witness's band the 4 of them
# that show the most of its class: of a whole tile's COGs in blocks of 1024 pixels about 2 MB of SCL, 15 MB of bands. Of the few scenes
# that come out raw B12 is read at all boxes, some 25 MB more.
_ACROSS = 5
_SIDE_M = 1280
_READ = 4
_STEP_M = 60  # the grid that all resolutions share


def look(scene: Scene, reader: Reader) -> Scene:
    """The scene with its offset told by its pixels, or refused with what they say.

    Raises:
        TilewrightError: when the imagery stays unreachable.
    """
    try:
        found = _look(scene, reader)
    except BrokenAssetError as error:
        found = Decision(None, f"{UNSEEN}{error.why}")
    told = scene.radiometry.removeprefix(AMBIGUOUS)
    return settled(scene, replace(found, evidence=f"{told}; {found.evidence}"))


def _look(scene: Scene, reader: Reader) -> Decision:
    scl = scene_asset(scene, "SCL")
    if scl is None:
        return Decision(None, "the item places no SCL to look at its pixels by")
    corners = places(outline_of(scene), scl)
    classes = _read(scl, corners, SCL_RESOLUTION, "uint8", reader)
    made = judge({each.name: _pixels(scene, each, corners, classes, reader) for each in WITNESSES})
    if made.offset != OFFSET:
        return made
    # Haze or a dry season may make harmonised vegetation as bright as raw vegetation is dark. Haze ends before 2.2 um, and somewhere in a
    # tile there are shadows or water.
    asset = scene_asset(scene, "B12") or scene_asset(scene, "B04")
    if asset is None:
        raise ValueError(f"{scene.scene_id}: judged without a band")
    return confirmed(made, asset.band, _read(asset, corners, S2_L2A[asset.band], "uint16", reader))


def places(footprint: BaseGeometry, scl: Asset) -> np.ndarray:
    """(n, 2) upper-left corners of boxes of 1280 m, spread over where the asset has data; metres in the asset's CRS.

    Args:
        footprint: of the scene, EPSG:4326; where it is not known, or nowhere near the asset, all of the asset counts.
        scl: an asset with a grid.
    """
    if scl.epsg is None or scl.transform is None or scl.shape is None:
        raise ValueError(f"{scl.scene_id}: {scl.band} has no grid")
    step, _, left, _, down, top = scl.transform
    asset = shapely.box(left, top + scl.shape[0] * down, left + scl.shape[1] * step, top)
    to_metres = pyproj.Transformer.from_crs(4326, scl.epsg, always_xy=True)
    ground = shapely.transform(
        shapely.segmentize(footprint, 0.1),
        lambda points: np.column_stack(to_metres.transform(points[:, 0], points[:, 1])),
    )
    known = not ground.is_empty and np.isfinite(ground.bounds).all()
    inside = asset.intersection(shapely.make_valid(ground)) if known else asset
    inside = asset if inside.is_empty else inside
    west, south, east, north = inside.bounds
    corners = [
        (left + _STEP_M * ((x - left) // _STEP_M), top - _STEP_M * ((top - y) // _STEP_M))
        for y in reversed(_spread(south + _SIDE_M, north + _SIDE_M))
        for x in _spread(west, east)
    ]
    half = _SIDE_M / 2
    held = [corner for corner in corners if inside.contains(shapely.Point(corner[0] + half, corner[1] - half))]
    return np.array(held or corners)


def _spread(low: float, high: float) -> list[float]:
    """Lower ends of boxes spread evenly from `low` to `high`."""
    number = int(max(1, min(_ACROSS, (high - low) // _SIDE_M)))
    pitch = (high - low) / number
    return [low + pitch * at + (pitch - _SIDE_M) / 2 for at in range(number)]


def _read(asset: Asset, corners: np.ndarray, resolution: int, dtype: str, reader: Reader) -> np.ndarray:
    """(n, side, side) pixels of the boxes at `corners`."""
    side = _SIDE_M // resolution
    boxes = Boxes(asset.epsg or 0, resolution, side, corners[:, 0], corners[:, 1])
    found = np.zeros((len(corners), side, side), dtype)
    for _, at, pixels in reader.read([Ask(asset, boxes, np.dtype(dtype))], lambda _ask, _box, pixels: pixels):
        found[at] = pixels
    return found


def _pixels(scene: Scene, witness: Witness, corners: np.ndarray, classes: np.ndarray, reader: Reader) -> np.ndarray:
    """(n,) DN of a witness's class, of the boxes that show the most of it; without empty pixels."""
    asset = scene_asset(scene, witness.band)
    counts = (classes == witness.scl).sum(axis=(1, 2))
    most = np.argsort(-counts, kind="stable")[:_READ]
    most = np.sort(most[counts[most] > 0])
    if asset is None or not len(most):
        return np.zeros(0, np.uint16)
    found = _read(asset, corners[most], S2_L2A[witness.band], "uint16", reader)
    repeat = found.shape[1] // classes.shape[1]
    shown = (classes[most] == witness.scl).repeat(repeat, 1).repeat(repeat, 2)
    return found[shown & (found > 0)]
