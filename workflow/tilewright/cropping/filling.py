"""Bringing the pixels of what was chosen: copied from the previous output where it has them, else read."""

import logging
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from tilewright.catalog import Acquisition
from tilewright.config.bands import RADAR
from tilewright.config.collections import Quantity
from tilewright.cropping.choosing import unlisted
from tilewright.cropping.values import POWER, from_power, harmonised
from tilewright.errors import TilewrightError
from tilewright.grid import Boxes
from tilewright.imagery import Ask, BrokenAssetError, Mosaic, Prepared, Reader, read_mosaics
from tilewright.progress import Progress
from tilewright.store.patches import Layer, PreviousPatches, kept_as
from tilewright.store.spool import Spool
from tilewright.store.zarrzip import PASSING, encode

log = logging.getLogger(__name__)

Wanted = Mapping[str, np.ndarray]  # scene_id of an acquisition → ascending positions of cells


class BrokenAcquisitionError(Exception):
    """Permanent evidence that an acquisition cannot serve: a file of a part is gone or corrupt."""

    def __init__(self, scene_id: str, why: str) -> None:
        super().__init__(why)
        self.scene_id = scene_id
        self.why = why


class Filling:
    """Brings pieces of one collection into its spool.

    Attributes:
        read: how many pieces were read.
        reused: how many were copied.
    """

    def __init__(
        self, collection: str, quantity: Quantity, acquisitions: Sequence[Acquisition], layers: Sequence[Layer],
        grids: Mapping[int, Boxes], places: Mapping[str, str], spool: Spool, previous: PreviousPatches, reader: Reader,
    ) -> None:  # fmt: skip
        """`grids`: the cells' pixel grids by resolution; `places`: the cells' ids with `untold_places`, in the same order."""
        self.read = 0
        self.reused = 0
        self.layers = layers
        self.spool = spool
        self._quantity = quantity
        self._radar = collection in RADAR
        self._acquisitions = acquisitions
        self._of_part = {part.scene_id: one.scene_id for one in acquisitions for part in one.parts}
        self._grids = grids
        self._places = list(places.items())
        self._previous = previous
        self._reader = reader
        self._kept: Mosaic | None = None  # of a piece that was not read because the previous output had it

    def fill(self, wanted: Wanted) -> None:
        """Bring what is not there yet.

        Raises:
            BrokenAcquisitionError: for the first acquisition, in their order, that cannot serve.
            TilewrightError: when the source stays unreachable.
        """
        acquisitions = [one for one in self._acquisitions if one.scene_id in wanted]
        for one in acquisitions:
            self.spool.want(one.scene_id, wanted[one.scene_id])
            for at, layer in enumerate(self.layers):
                self._reuse(one, at, wanted[one.scene_id])
                if (why := unlisted(one, [layer.band])) and len(self._lacking(one, at, wanted)):
                    raise BrokenAcquisitionError(one.scene_id, why)
        asked: list[tuple[Acquisition, int, np.ndarray]] = []
        missing = sum(len(self._lacking(one, at, wanted)) for one in acquisitions for at in range(len(self.layers)))
        progress = Progress(log, missing, "pieces")

        def prepare(place: int, part: int, pixels: np.ndarray) -> Prepared:
            one, at, _ = asked[place]
            if self._radar or self.layers[at].group.is_scl:
                return Prepared(pixels, None)
            return harmonised(pixels, one.parts[part].dn_offset)

        try:
            for place, box, (data, zeros, clipped) in read_mosaics(
                self._reader, self._mosaics(acquisitions, wanted, asked), prepare,
                lambda place, _, prepared: self._finish(asked[place][1], prepared),
            ):  # fmt: skip
                one, at, cells = asked[place]
                self.spool.put(one.scene_id, at, int(cells[box]), data, zeros, clipped)
                self.read += 1
                progress.step(also=self._reader.traffic.words)
        except BrokenAssetError as error:
            name = self._of_part[error.scene_id]
            why = error.why if name == error.scene_id else f"{error.why} (part {error.scene_id})"
            raise BrokenAcquisitionError(name, why) from error

    def empty(self, wanted: Wanted) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
        """Of what is wanted, what the previous output's run read and did not keep: scene, cells, their shares without data."""
        for one in self._acquisitions:
            cells, name = wanted.get(one.scene_id, np.zeros(0, int)), self.layers[0].group.collection
            shares = np.array([self._previous.empty(name, *self._key(one, cell)) for cell in cells.tolist()])
            if (known := ~np.isnan(shares)).any():
                yield one.scene_id, cells[known], shares[known]

    def nodata(self, scene_id: str, cells: np.ndarray) -> np.ndarray:
        """(cell,) share of pixels without data in every band, of pieces that are there.

        A pixel that lacks in one band alone is a dark one; of bands of several resolutions the least share counts.
        """
        zeros = self.spool.counts(scene_id, cells)[..., 0]
        size = np.array([self._grids[layer.group.resolution].side ** 2 for layer in self.layers])
        return np.asarray((zeros / size).min(axis=1))

    def check_kept(self, broken: str) -> None:
        """See that a scene whose patches are kept is still there: if not, the source is gone, and not the scene `broken`.

        Raises:
            TilewrightError: where it is gone.
        """
        if self._kept is None:
            return
        try:
            for _ in self._reader.read(self._kept.parts, lambda *_: None):
                pass
        except BrokenAssetError as error:
            raise TilewrightError(
                f"nothing can be read: not scene {broken}, and scene {error.scene_id} no longer ({error.why}), though its patches "
                "are here: bring the imagery back or mend the catalog, then run again"
            ) from error

    def _key(self, one: Acquisition, cell: int) -> tuple[str, str]:
        """What the previous output has a cell's pixels of an acquisition under."""
        cell_id, place = self._places[cell]
        return cell_id, kept_as(one.digest, place)

    def _lacking(self, one: Acquisition, at: int, wanted: Wanted) -> np.ndarray:
        return self.spool.lacks(one.scene_id, at, wanted[one.scene_id])

    def _reuse(self, one: Acquisition, at: int, cells: np.ndarray) -> None:
        """Copy what the previous output has of a layer of an acquisition."""
        layer = self.layers[at]
        for cell in self.spool.lacks(one.scene_id, at, cells).tolist():
            kept = self._previous.get(layer.group.collection, *self._key(one, cell), layer.band)
            if kept is not None:
                self.spool.put(one.scene_id, at, cell, kept.data, kept.zeros, kept.clipped)
                self.reused += 1
                if self._kept is None and not unlisted(one, [layer.band]):
                    self._kept = self._mosaic(one, layer, np.array([cell]))

    def _mosaics(
        self, acquisitions: Sequence[Acquisition], wanted: Wanted, asked: list[tuple[Acquisition, int, np.ndarray]]
    ) -> Iterator[Mosaic]:
        """One mosaic for each layer of each acquisition that lacks pieces; `asked` remembers which."""
        for one in acquisitions:
            for at, layer in enumerate(self.layers):
                cells = self._lacking(one, at, wanted)
                if len(cells):
                    asked.append((one, at, cells))
                    yield self._mosaic(one, layer, cells)

    def _mosaic(self, one: Acquisition, layer: Layer, cells: np.ndarray) -> Mosaic:
        boxes, dtype = self._grids[layer.group.resolution].take(cells), np.dtype(layer.group.dtype)
        quantity = POWER[self._quantity] if self._radar else "pixels"
        return Mosaic(tuple(Ask(asset, boxes, dtype, quantity) for asset in one.assets(layer.band)))

    def _finish(self, at: int, prepared: Prepared) -> tuple[bytes, int, int]:
        """Bring to the quantity, count and encode, in the reader's threads."""
        pixels, flags = prepared
        if self.layers[at].group.is_scl:
            return encode(pixels, PASSING), 0, 0
        if self._radar:
            pixels = from_power(pixels, self._quantity)
            return encode(pixels, PASSING), int(np.count_nonzero(np.isnan(pixels))), 0
        clipped = 0 if flags is None else int(np.count_nonzero(flags))
        return encode(pixels, PASSING), pixels.size - int(np.count_nonzero(pixels)), clipped
