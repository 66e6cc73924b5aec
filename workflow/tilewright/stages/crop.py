"""crop: choose which scene serves which cell, then read those pixels and no others."""

import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from tilewright.catalog import Scene, scene_asset, scenes_of
from tilewright.config.bands import SCL_CLASSES
from tilewright.config.settings import STAGE_VERSIONS, CropSettings, settings_digest
from tilewright.errors import TilewrightError
from tilewright.imagery import Ask, BrokenAssetError, ImageryReader, Reader
from tilewright.progress import SUMMARY, Progress
from tilewright.select import USED, Candidates, Rule, select
from tilewright.stages.mask import COUNT_COLUMNS, boxes
from tilewright.store import read_table, write_table
from tilewright.store.patches import Layer, PreviousPatches, groups_of
from tilewright.store.small import Small, Variable
from tilewright.store.spool import Spool
from tilewright.store.zarrzip import PASSING, StoreWriter, encode

log = logging.getLogger(__name__)

PRIMARY = "s2_l2a"  # the collection that the choice rule judges; others will be paired with its scenes


def make_crop(
    cells: Path,
    scenes: Path,
    masks: Path,
    settings: CropSettings,
    patches: Path,
    selection: Path,
    traffic: Path,
    reader: Reader | None = None,
) -> None:
    """Write the selection and the chosen patches, and what reading cost.

    A scene whose files prove broken is recorded as such and the next candidate serves; patches that the file at
    `patches` already holds are copied from it as they are.

    Raises:
        TilewrightError: when a source stays unreachable, naming tile, scene and asset, or every scene is broken.
    """
    reader = reader or ImageryReader()
    cell_table = read_table(cells, columns=["cell_id", "epsg", "ulx", "uly", "size_m"])
    scene_table = read_table(scenes)
    scene_table = scene_table[scene_table["collection"] == PRIMARY].reset_index(drop=True)
    found = scenes_of(scene_table)
    _check_bands(found, settings)
    candidates = _candidates(cell_table, scene_table, read_table(masks))
    rule = Rule(settings.tile, settings.period, settings.seed, settings.scenes, settings.order, settings.limits)
    size_m = int(cell_table["size_m"].iloc[0]) if len(cell_table) else 0
    layers = _layers(settings)
    made_by = f"{reader.version}, crop {STAGE_VERSIONS['crop']}"
    previous = PreviousPatches(patches, made_by, size_m)
    with Spool(patches.parent, len(cell_table), len(layers)) as spool:
        known = set(candidates.broken)
        filling = _Filling(spool, cell_table, found, layers, previous, reader)
        while True:
            chosen = select(candidates, rule)
            used = chosen[chosen["status"] == USED]
            try:
                filling.fill(used)
                newly = sorted(set(candidates.broken) - known)
                if newly and not filling.read:
                    filling.check_kept(newly[0])
            except BrokenAssetError as error:
                log.warning("scene %s is broken (%s): its cells take the next candidate", error.scene_id, error.why)
                candidates.broken[error.scene_id] = error.why
                continue
            except TilewrightError as error:
                raise TilewrightError(f"tile {settings.tile}, period {settings.period}: {error}") from error
            break
        _check_source(candidates, len(used), settings)
        spool.written()
        _write(patches, spool, used, candidates, settings, layers, size_m, made_by)
    write_table(chosen, selection, {"tile": settings.tile, "period": settings.period, "rule": _rule_words(settings)})
    told = {"patches": len(used), "pieces_read": filling.read, "pieces_reused": filling.reused}
    reader.traffic.write(traffic, stage="crop", tile=settings.tile, period=settings.period, **told)
    log.log(
        SUMMARY, "crop %s %s: %d patches of %d cells; pieces read %d, reused %d; %s", settings.tile, settings.period,
        len(used), len(cell_table), filling.read, filling.reused, reader.traffic.words(),
    )  # fmt: skip


def _layers(settings: CropSettings) -> list[Layer]:
    """Every band with its group, in the order of the store."""
    groups = groups_of(PRIMARY, settings.bands[PRIMARY])
    return [Layer(group, at) for group in groups for at in range(len(group.bands))]


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


class _Filling:
    """Brings every piece of a selection into the spool, from the previous output or from the scenes."""

    def __init__(
        self, spool: Spool, cells: pd.DataFrame, scenes: list[Scene], layers: list[Layer], previous: PreviousPatches,
        reader: Reader,
    ) -> None:  # fmt: skip
        self.read = 0
        self.reused = 0
        self._kept: Ask | None = None  # of a piece that was not read because the previous output had it
        self._spool = spool
        self._scenes = scenes
        self._layers = layers
        self._previous = previous
        self._reader = reader
        self._ids = [str(cell) for cell in cells["cell_id"]]
        self._place = {cell: at for at, cell in enumerate(self._ids)}
        self._boxes = {layer.group.resolution: boxes(cells, layer.group.resolution) for layer in layers}

    def fill(self, used: pd.DataFrame) -> None:
        """Bring what is not there yet.

        Raises:
            BrokenAssetError: for the first scene, in their order, that cannot serve.
        """
        wanted = {
            str(scene): np.array([self._place[str(cell)] for cell in part["cell_id"]])
            for scene, part in used.groupby("scene_id", sort=False)
        }
        scenes = [scene for scene in self._scenes if scene.scene_id in wanted]
        for scene in scenes:
            self._spool.want(scene.scene_id, wanted[scene.scene_id])
            for at, layer in enumerate(self._layers):
                self._reuse(scene, at, wanted[scene.scene_id])
                if scene_asset(scene, layer.band) is None and len(self._lacking(scene, at, wanted)):
                    raise BrokenAssetError(scene.scene_id, layer.band, "is not listed by the item")
        asked: list[tuple[Scene, int, np.ndarray]] = []
        missing = sum(len(self._lacking(scene, at, wanted)) for scene in scenes for at in range(len(self._layers)))
        progress = Progress(log, missing, "pieces")
        for ask, box, (data, zeros, clipped) in self._reader.read(
            self._asks(scenes, wanted, asked), lambda ask, _, pixels: self._finish(*asked[ask][:2], pixels)
        ):
            scene, at, cells = asked[ask]
            self._spool.put(scene.scene_id, at, int(cells[box]), data, zeros, clipped)
            self.read += 1
            progress.step(also=self._reader.traffic.words)

    def check_kept(self, broken: str) -> None:
        """See that a scene whose patches are kept is still there: if not, the source is gone, and not the scene `broken`.

        Raises:
            TilewrightError: where it is gone.
        """
        if self._kept is None:
            return
        try:
            for _ in self._reader.read([self._kept], lambda *_: None):
                pass
        except BrokenAssetError as error:
            raise TilewrightError(
                f"nothing can be read: not scene {broken}, and scene {error.scene_id} no longer ({error.why}), though its patches "
                "are here: bring the imagery back or mend the catalog, then run again"
            ) from error

    def _lacking(self, scene: Scene, at: int, wanted: dict[str, np.ndarray]) -> np.ndarray:
        return self._spool.lacks(scene.scene_id, at, wanted[scene.scene_id])

    def _reuse(self, scene: Scene, at: int, cells: np.ndarray) -> None:
        """Copy what the previous output has of a layer of a scene."""
        group, band = self._layers[at].group, self._layers[at].band
        for cell in self._spool.lacks(scene.scene_id, at, cells).tolist():
            kept = self._previous.get(group.collection, self._ids[cell], scene.digest, band)
            if kept is not None:
                self._spool.put(scene.scene_id, at, cell, kept.data, kept.zeros, kept.clipped)
                self.reused += 1
                asset = scene_asset(scene, band)
                if self._kept is None and asset is not None:
                    self._kept = Ask(asset, self._boxes[group.resolution].take(np.array([cell])), np.dtype(group.dtype))

    def _asks(
        self, scenes: list[Scene], wanted: dict[str, np.ndarray], asked: list[tuple[Scene, int, np.ndarray]]
    ) -> Iterator[Ask]:
        """One ask for each layer of each scene that lacks pieces; `asked` remembers which."""
        for scene in scenes:
            for at, layer in enumerate(self._layers):
                cells = self._lacking(scene, at, wanted)
                asset = scene_asset(scene, layer.band)
                if len(cells) and asset is not None:
                    asked.append((scene, at, cells))
                    yield Ask(asset, self._boxes[layer.group.resolution].take(cells), np.dtype(layer.group.dtype))

    def _finish(self, scene: Scene, at: int, pixels: np.ndarray) -> tuple[bytes, int, int]:
        """Harmonise and encode, in the reader's threads."""
        if self._layers[at].group.is_scl:
            return encode(pixels, PASSING), 0, 0
        pixels, clipped = harmonised(pixels, scene.dn_offset)
        return encode(pixels, PASSING), pixels.size - int(np.count_nonzero(pixels)), clipped


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
    path: Path, spool: Spool, used: pd.DataFrame, candidates: Candidates, settings: CropSettings, layers: list[Layer],
    size_m: int, made_by: str,
) -> None:  # fmt: skip
    """Write the store in the order of cells and, within a cell, of the walk."""
    row = {cell: at for at, cell in enumerate(candidates.cell_id)}
    keys = [(row[cell], str(scene)) for cell, scene in zip(used["cell_id"], used["scene_id"], strict=True)]
    attrs = {
        "tile": settings.tile, "period": settings.period, "size_m": size_m, "made_by": made_by, "bands": settings.bands,
        "settings_digest": settings_digest(settings),
    }  # fmt: skip
    counts = np.array([spool.counts(scene, cell) for cell, scene in keys], np.int32).reshape(len(keys), len(layers), 2)
    with StoreWriter(path, attrs) as store:
        store.small(PRIMARY, _coordinates(used, candidates))
        for group in dict.fromkeys(layer.group for layer in layers):
            side = group.side(size_m)
            dims = ("patch", "y", "x") if group.is_scl else ("patch", "band", "y", "x")
            shape = (len(keys), side, side) if group.is_scl else (len(keys), len(group.bands), side, side)
            if not group.is_scl:
                of = counts[:, [at for at, layer in enumerate(layers) if layer.group == group]]
                variables = {
                    name: Variable(("patch", "band"), of[..., which]) for which, name in enumerate(("zeros", "clipped"))
                }
                store.small(group.name, Small({"band": Variable(("band",), np.array(group.bands, object))}, variables))
            store.array(
                group.array, shape, group.dtype, group.chunk_shape(size_m) if size_m else shape, dims, packing=PASSING
            )
        for patch, (cell, scene) in enumerate(keys):
            for at, layer in enumerate(layers):
                index = layer.group.index(patch, layer.place)
                store.put_encoded(layer.group.array, index, spool.get(scene, at, cell))


def _coordinates(used: pd.DataFrame, candidates: Candidates) -> Small:
    """What is known of each patch."""
    scenes = candidates.scenes.set_index("scene_id")
    place = {scene: at for at, scene in enumerate(candidates.scenes["scene_id"])}
    row = {cell: at for at, cell in enumerate(candidates.cell_id)}
    of = scenes.loc[used["scene_id"]]
    at = ([row[cell] for cell in used["cell_id"]], [place[scene] for scene in used["scene_id"]])
    count = candidates.count[at].reshape(len(used), len(SCL_CLASSES)).astype(np.int32)

    def words(name: str) -> Variable:
        return Variable(("patch",), of[name].to_numpy(object).astype(object))

    return Small(
        {
            "cell_id": Variable(("patch",), used["cell_id"].to_numpy(object)),
            "scene_id": Variable(("patch",), used["scene_id"].to_numpy(object)),
            "time": Variable(("patch",), of["datetime"].to_numpy("datetime64[us]")),
            "platform": words("platform"),
            "processing_baseline": words("processing_baseline"),
            "datatake": words("datatake"),
            "digest": words("digest"),
            "relative_orbit": Variable(("patch",), of["relative_orbit"].to_numpy(np.int32)),
            "dn_offset": Variable(("patch",), of["dn_offset"].to_numpy(np.int32)),
            "bad_fraction": Variable(("patch",), used["bad_fraction"].to_numpy(np.float32)),
            "nodata_fraction": Variable(("patch",), used["nodata_fraction"].to_numpy(np.float32)),
            "scl_count": Variable(("patch", "scl_class"), count),
        }
    )
