"""Writing the chosen patches as a store, in the order of the selection whatever the order in which they were read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tilewright.catalog import Acquisition
from tilewright.config.bands import RADAR, SCL_CLASSES
from tilewright.select import Candidates
from tilewright.store.patches import EMPTY, Layer, empty_of, kept_as
from tilewright.store.small import Small, Variable
from tilewright.store.spool import Spool
from tilewright.store.zarrzip import PASSING, StoreWriter


@dataclass(frozen=True)
class Patches:
    """The patches of one collection.

    Attributes:
        used: the rows of selection.parquet that serve, one a patch: cell_id, scene_id, pair_of, bad_fraction, nodata_fraction.
        acquisitions: by scene_id.
        spool: holds the pieces of all of them.
        places: of each cell, as `untold_places`.
        empty: what was read and not kept, for its want of data: cell_id, scene_id, nodata_fraction; None of the primary.
    """

    collection: str
    used: pd.DataFrame
    acquisitions: Mapping[str, Acquisition]
    layers: Sequence[Layer]
    spool: Spool
    places: Mapping[str, str]
    empty: pd.DataFrame | None


def write_patches(
    path: Path, attrs: dict[str, Any], parts: Sequence[Patches], candidates: Candidates, size_m: int
) -> None:
    """Write the store: the collections in turn, each in the order of its rows.

    Args:
        candidates: what the mask counted in the primary scenes.
        size_m: side of a cell, 0 where there is none.
    """
    with StoreWriter(path, attrs) as store:
        for part in parts:
            _write(store, part, candidates, size_m)


def _write(store: StoreWriter, part: Patches, candidates: Candidates, size_m: int) -> None:
    row = {cell: at for at, cell in enumerate(candidates.cell_id)}
    keys = [(row[cell], str(scene)) for cell, scene in zip(part.used["cell_id"], part.used["scene_id"], strict=True)]
    layers = part.layers
    counts = np.array([part.spool.counts(scene, np.array([cell])) for cell, scene in keys], np.int32)
    counts = counts.reshape(len(keys), len(layers), 2)
    store.small(part.collection, _coordinates(part, candidates))
    if part.empty is not None:
        told = (
            part.empty["cell_id"].to_numpy(object),
            np.array(_kept_as(part, part.empty), object),
            part.empty["nodata_fraction"].to_numpy(),
        )
        data = {name: Variable(("empty",), values) for name, values in zip(EMPTY, told, strict=True)}
        store.small(empty_of(part.collection), Small({}, data))
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
            group.array, shape, group.dtype, group.chunk_shape(size_m) if size_m else shape, dims,
            fill_value=group.nothing, packing=PASSING,
        )  # fmt: skip
    for patch, (cell, scene) in enumerate(keys):
        for at, layer in enumerate(layers):
            index = layer.group.index(patch, layer.place)
            store.put_encoded(layer.group.array, index, part.spool.get(scene, at, cell))


def _kept_as(part: Patches, rows: pd.DataFrame) -> list[str]:
    """What the next run finds the pixels of `rows` by, beside their cells' ids."""
    pairs = zip(rows["cell_id"], rows["scene_id"], strict=True)
    return [kept_as(part.acquisitions[scene].digest, part.places[cell]) for cell, scene in pairs]


def _coordinates(part: Patches, candidates: Candidates) -> Small:
    """What is known of each patch; of radar nothing that an SCL would say."""
    used = part.used
    of = [part.acquisitions[scene] for scene in used["scene_id"]]

    def words(values: Sequence[str]) -> Variable:
        return Variable(("patch",), np.array(list(values), object))

    found = {
        "cell_id": words(used["cell_id"]),
        "scene_id": words(used["scene_id"]),
        "pair_of": words(used["pair_of"]),
        "parts": words([" ".join(scene.scene_id for scene in one.parts) for one in of]),
        "time": Variable(("patch",), np.array([one.datetime for one in of], "datetime64[us]")),
        "platform": words([one.platform for one in of]),
        "orbit_state": words([one.orbit_state for one in of]),
        "processing_baseline": words([one.processing_baseline for one in of]),
        "datatake": words([one.datatake for one in of]),
        "digest": words(_kept_as(part, used)),
        "relative_orbit": Variable(("patch",), np.array([one.relative_orbit for one in of], np.int32)),
        "nodata_fraction": Variable(("patch",), used["nodata_fraction"].to_numpy(np.float32)),
    }
    if part.collection in RADAR:
        return Small(found)
    place = {scene: at for at, scene in enumerate(candidates.scenes["scene_id"])}
    row = {cell: at for at, cell in enumerate(candidates.cell_id)}
    # a Level-1C scene has the SCL of the Level-2A scene whose pair it is
    judged = used["scene_id"].where(used["pair_of"] == "", used["pair_of"])
    at = ([row[cell] for cell in used["cell_id"]], [place[scene] for scene in judged])
    count = candidates.count[at].reshape(len(used), len(SCL_CLASSES)).astype(np.int32)
    offsets = np.array([min(scene.dn_offset for scene in one.parts) for one in of], np.int32)
    return Small(
        found
        | {
            "dn_offset": Variable(("patch",), offsets),
            "bad_fraction": Variable(("patch",), used["bad_fraction"].to_numpy(np.float32)),
            "scl_count": Variable(("patch", "scl_class"), count),
        }
    )
