"""The sea, which OpenStreetMap has as coastlines only: water polygons made of them, from a file of their own."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import pyproj

from tilewright.errors import TilewrightError
from tilewright.grid.boxes import Box
from tilewright.store.batch import Batch
from tilewright.vector.mend import mended
from tilewright.vector.tables import parsed
from tilewright.vector.tags import document

SEA: Final = document({"natural": "water", "water": "sea"})
_BATCH: Final = 5_000  # polygons, which are large


def sea_batches(file: str, boxes: Sequence[Box] | None, rejects: Counter[str]) -> Iterator[Batch]:
    """The polygons of `file` (whatever GDAL reads, any CRS) whose bounding box meets one of `boxes`, whole; None: all.

    source_type is sea, source_id the feature's number in the file (FID). Those that no geometry can be made of are counted in
    `rejects`, as sea_<reason>.

    Raises:
        TilewrightError: where the file is missing, cannot be read, names no CRS or has anything but polygons.
    """
    import pyogrio

    if not Path(file).exists():
        raise TilewrightError(f"labels: {file}: no such file; mend labels.<set>.source.sea or leave it out")
    try:
        crs = pyogrio.read_info(file)["crs"]
        if crs is None:
            raise TilewrightError(f"labels: {file}: names no CRS; set one, such as EPSG:4326 (ogr2ogr -a_srs)")
        system = pyproj.CRS.from_user_input(crs)
        from_degrees = pyproj.Transformer.from_crs(4326, system, always_xy=True)
        seen: set[int] = set()
        for box in boxes if boxes is not None else [None]:
            around = from_degrees.transform_bounds(*box, densify_pts=65) if box else None
            with pyogrio.raw.open_arrow(
                file, columns=[], bbox=around, return_fids=True, batch_size=_BATCH, use_pyarrow=True
            ) as (about, stream):  # fmt: skip
                for part in stream:
                    number = np.asarray(part.column(about["fid_column"] or "OGC_FID"), dtype=np.int64)
                    wkb = part.column(about["geometry_name"] or "wkb_geometry").to_numpy(zero_copy_only=False)
                    new = np.array([each not in seen for each in number.tolist()], dtype=bool)
                    seen.update(number.tolist())
                    yield from _batch(file, number[new], parsed(wkb[new])[0], system, rejects)
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError, pyproj.exceptions.ProjError) as error:
        raise TilewrightError(
            f"labels: {file}: cannot be read ({' '.join(str(error).split())}); mend labels.<set>.source.sea"
        ) from error


def _batch(
    file: str, number: np.ndarray, geometry: np.ndarray, crs: pyproj.CRS, rejects: Counter[str]
) -> Iterator[Batch]:
    made = mended(geometry, crs)
    rejects.update(f"sea_{reason}" for reason in made.reject if reason)
    if strange := set(made.kind.tolist()) - {"area", ""}:
        raise TilewrightError(
            f"labels: {file}: has {', '.join(sorted(strange))}s beside or instead of polygons; source.sea needs water polygons"
        )
    kept = np.flatnonzero(made.kind == "area")
    if len(kept):
        count = len(kept)
        yield Batch(["sea"] * count, number[kept], ["area"] * count, [SEA] * count, made.geometry[kept])
