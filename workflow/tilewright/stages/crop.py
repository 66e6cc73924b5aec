"""crop: choose which scene serves which cell, then read those pixels and no others."""

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from tilewright.catalog import Scene, scene_asset, scenes_of
from tilewright.config.bands import SCL_CLASSES
from tilewright.config.settings import STAGE_VERSIONS, CropSettings, settings_digest
from tilewright.errors import TilewrightError
from tilewright.imagery import BrokenAssetError, Reader, StackReader
from tilewright.select import USED, Candidates, Rule, select
from tilewright.stages.mask import COUNT_COLUMNS, boxes
from tilewright.store import StoreWriter, read_table, write_table
from tilewright.store.patches import SCL, Group, PreviousPatches, groups_of
from tilewright.store.spool import Spool
from tilewright.store.zarrzip import encode

log = logging.getLogger(__name__)

PRIMARY = "s2_l2a"  # the collection that the choice rule judges; others will be paired with its scenes


@dataclass
class _Progress:
    """What the run read and reused, in (patch, band) pieces; for the log only, so that outputs do not tell runs apart."""

    read: int = 0
    reused: int = 0


def make_crop(
    cells: Path,
    scenes: Path,
    masks: Path,
    settings: CropSettings,
    patches: Path,
    selection: Path,
    reader: Reader | None = None,
) -> None:
    """Write the selection and the chosen patches.

    A scene whose files prove broken is recorded as such and the next candidate serves; patches that the file at
    `patches` already holds are copied from it as they are.

    Raises:
        TilewrightError: when a source stays unreachable, naming tile, scene and asset, or every scene is broken.
    """
    reader = reader or StackReader()
    cell_table = read_table(cells, columns=["cell_id", "epsg", "ulx", "uly", "size_m"])
    scene_table = read_table(scenes)
    scene_table = scene_table[scene_table["collection"] == PRIMARY].reset_index(drop=True)
    found = scenes_of(scene_table)
    _check_bands(found, settings)
    candidates = _candidates(cell_table, scene_table, read_table(masks))
    rule = Rule(settings.tile, settings.period, settings.seed, settings.scenes, settings.order, settings.limits)
    size_m = int(cell_table["size_m"].iloc[0]) if len(cell_table) else 0
    groups = groups_of(PRIMARY, settings.bands[PRIMARY])
    made_by = f"{reader.version}, crop {STAGE_VERSIONS['crop']}"
    previous = PreviousPatches(patches, made_by, size_m)
    progress = _Progress()
    counts: dict[tuple[str, str, str], tuple[int, int]] = {}
    with Spool(patches.parent) as spool:
        while True:
            chosen = select(candidates, rule)
            used = chosen[chosen["status"] == USED]
            try:
                _fill(spool, counts, used, cell_table, found, groups, reader, previous, progress)
            except BrokenAssetError as error:
                log.warning("scene %s is broken (%s): its cells take the next candidate", error.scene_id, error.why)
                candidates.broken[error.scene_id] = error.why
                continue
            break
        _check_source(candidates, len(used), settings)
        _write(patches, spool, counts, used, candidates, settings, groups, size_m, made_by)
    write_table(chosen, selection, {"tile": settings.tile, "period": settings.period, "rule": _rule_words(settings)})
    log.info(
        "%d patches of %d cells; pieces read %d, reused %d", len(used), len(cell_table), progress.read, progress.reused
    )


def _check_bands(scenes: list[Scene], settings: CropSettings) -> None:
    """Bands that no scene lists are a mistake in the asset names, not many broken scenes."""
    for band in settings.bands[PRIMARY] if scenes else []:
        if not any(scene_asset(scene, band) for scene in scenes):
            raise TilewrightError(
                f"tile {settings.tile}, period {settings.period}: none of {len(scenes)} scenes lists a usable asset for {band}: "
                "mend the provider's asset names, or leave the band out"
            )


def _check_source(candidates: Candidates, used: int, settings: CropSettings) -> None:
    """A scene may break; where nothing serves and most are broken, the source is not what the catalog says."""
    if used == 0 and len(candidates.broken) > 1 and 2 * len(candidates.broken) >= len(candidates.scenes):
        scene, why = sorted(candidates.broken.items())[0]
        raise TilewrightError(
            f"tile {settings.tile}, period {settings.period}: no scene serves and {len(candidates.broken)} of "
            f"{len(candidates.scenes)} are broken, such as {scene} ({why}): mend the catalog or its files, then run again"
        )


def _rule_words(settings: CropSettings) -> dict[str, object]:
    return settings.model_dump(mode="json", include={"seed", "scenes", "order", "limits"})


def _candidates(cells: pd.DataFrame, scenes: pd.DataFrame, masks: pd.DataFrame) -> Candidates:
    """Line the masks up as (cell, scene) arrays; a scene refused at search has no counts."""
    shape = (len(cells), len(scenes))
    count = np.zeros((*shape, len(SCL_CLASSES)), np.int64)
    brightness = np.full(shape, np.nan, np.float32)
    broken: dict[str, str] = {}
    place = {scene: at for at, scene in enumerate(scenes["scene_id"])}
    row = {cell: at for at, cell in enumerate(cells["cell_id"])}
    for scene, part in masks.groupby("scene_id", sort=False):
        at = place[str(scene)]
        rows = part["cell_id"].map(row).to_numpy()
        count[rows, at] = part[COUNT_COLUMNS].to_numpy()
        brightness[rows, at] = part["brightness"].to_numpy()
        if why := str(part["broken"].iloc[0]):
            broken[str(scene)] = why
    return Candidates(cells["cell_id"].to_numpy(object), scenes, count, brightness, broken)


def _fill(
    spool: Spool, counts: dict[tuple[str, str, str], tuple[int, int]], used: pd.DataFrame, cells: pd.DataFrame,
    scenes: list[Scene], groups: list[Group], reader: Reader, previous: PreviousPatches, progress: _Progress,
) -> None:  # fmt: skip
    """Bring every (cell, scene, band) of the selection into the spool, from the previous output or from the scene."""
    place = {cell: at for at, cell in enumerate(cells["cell_id"])}
    by_scene = dict(tuple(used.groupby("scene_id", sort=False)))
    for scene in scenes:
        if scene.scene_id not in by_scene:
            continue
        ids = [str(cell) for cell in by_scene[scene.scene_id]["cell_id"]]
        for group in groups:
            for band in group.bands:
                wanted = [cell for cell in ids if (cell, scene.scene_id, band) not in spool]
                missing = []
                for cell in wanted:
                    kept = previous.get(group.collection, cell, scene.digest, band)
                    if kept is None:
                        missing.append(cell)
                        continue
                    spool.put((cell, scene.scene_id, band), kept.data)
                    counts[cell, scene.scene_id, band] = (kept.zeros, kept.clipped)
                    progress.reused += 1
                if missing:
                    table = cells.iloc[[place[cell] for cell in missing]]
                    _read(spool, counts, table, missing, scene, group, band, reader)
                    progress.read += len(missing)
        log.info("scene %s: %d patches", scene.scene_id, len(ids))


def _read(
    spool: Spool, counts: dict[tuple[str, str, str], tuple[int, int]], table: pd.DataFrame, missing: list[str],
    scene: Scene, group: Group, band: str, reader: Reader,
) -> None:  # fmt: skip
    """Read one band of one scene for the cells in `table`, harmonise it and put it into the spool, encoded."""
    asset = scene_asset(scene, band)
    if asset is None:
        raise BrokenAssetError(scene.scene_id, band, "is not listed by the item")
    for at, stored in reader.read(asset, boxes(table, group.resolution)):
        pixels, clipped = (stored, 0) if band == SCL else harmonised(stored, scene.dn_offset)
        key = (missing[at], scene.scene_id, band)
        spool.put(key, encode(np.ascontiguousarray(pixels)))
        counts[key] = (int((pixels == 0).sum()), clipped)


def harmonised(stored: np.ndarray, offset: int) -> tuple[np.ndarray, int]:
    """Pixels in harmonised DN, and how many were clipped.

    Where an offset applies, stored 0 is no data and stays 0; every other pixel is valid and clips at 1, so that a dark
    pixel never turns into no data.
    """
    if offset == 0:
        return stored, 0
    moved = stored.astype(np.int32) + offset
    clipped = (stored > 0) & (moved < 1)
    return np.where(stored > 0, np.maximum(moved, 1), 0).astype(stored.dtype), int(clipped.sum())


def _write(
    path: Path, spool: Spool, counts: dict[tuple[str, str, str], tuple[int, int]], used: pd.DataFrame,
    candidates: Candidates, settings: CropSettings, groups: list[Group], size_m: int, made_by: str,
) -> None:  # fmt: skip
    """Write the store in the order of cells and, within a cell, of the walk."""
    keys = list(zip(used["cell_id"].astype(str), used["scene_id"].astype(str), strict=True))
    attrs = {
        "tile": settings.tile, "period": settings.period, "size_m": size_m, "made_by": made_by, "bands": settings.bands,
        "settings_digest": settings_digest(settings),
    }  # fmt: skip
    with StoreWriter(path, attrs) as store:
        store.coords(PRIMARY, _coordinates(used, candidates))
        for group in groups:
            side = group.side(size_m)
            dims = ("patch", "y", "x") if group.is_scl else ("patch", "band", "y", "x")
            shape = (len(keys), side, side) if group.is_scl else (len(keys), len(group.bands), side, side)
            if not group.is_scl:
                zeros, clipped = (
                    np.array([[counts[cell, scene, band][which] for band in group.bands] for cell, scene in keys], np.int32)
                    .reshape(len(keys), len(group.bands))
                    for which in (0, 1)
                )  # fmt: skip
                store.coords(
                    group.name,
                    xr.Dataset(
                        {"zeros": (("patch", "band"), zeros), "clipped": (("patch", "band"), clipped)},
                        coords={"band": np.array(group.bands, object)},
                    ),
                )
            store.array(group.array, shape, group.dtype, group.chunk_shape(size_m) if size_m else shape, dims)
        for patch, (cell, scene) in enumerate(keys):
            for group in groups:
                for at, band in enumerate(group.bands):
                    store.put_encoded(group.array, group.index(patch, at), spool.get((cell, scene, band)))


def _coordinates(used: pd.DataFrame, candidates: Candidates) -> xr.Dataset:
    """What is known of each patch."""
    scenes = candidates.scenes.set_index("scene_id")
    place = {scene: at for at, scene in enumerate(candidates.scenes["scene_id"])}
    row = {cell: at for at, cell in enumerate(candidates.cell_id)}
    of = scenes.loc[used["scene_id"]]
    at = ([row[cell] for cell in used["cell_id"]], [place[scene] for scene in used["scene_id"]])
    count = candidates.count[at].reshape(len(used), len(SCL_CLASSES)).astype(np.int32)

    def words(name: str) -> tuple[str, np.ndarray]:
        return "patch", of[name].to_numpy(object).astype(object)

    return xr.Dataset(
        coords={
            "cell_id": ("patch", used["cell_id"].to_numpy(object)),
            "scene_id": ("patch", used["scene_id"].to_numpy(object)),
            "time": ("patch", of["datetime"].to_numpy("datetime64[us]")),
            "platform": words("platform"),
            "processing_baseline": words("processing_baseline"),
            "datatake": words("datatake"),
            "digest": words("digest"),
            "relative_orbit": ("patch", of["relative_orbit"].to_numpy(np.int32)),
            "dn_offset": ("patch", of["dn_offset"].to_numpy(np.int32)),
            "bad_fraction": ("patch", used["bad_fraction"].to_numpy(np.float32)),
            "nodata_fraction": ("patch", used["nodata_fraction"].to_numpy(np.float32)),
            "scl_count": (("patch", "scl_class"), count),
        }
    )
