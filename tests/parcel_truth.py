"""Parcels for tests and benchmarks, and what is true of their pixels: exact shares by exactextract, marks by counting."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import exactextract
import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from exactextract.raster import NumPyRasterSource

from tilewright.vector.ontology import Ontology
from tilewright.vector.parcels import ParcelArrays, ParcelBurner

EPSG = 32632
LEFT, TOP = 500_000, 5_220_000  # on the grids of all resolutions
CLASSES = 12


def crops(classes: int = CLASSES) -> Ontology:
    """Crops by the attribute CODE: K0 is the class 0, K1 the class 1 and so on."""
    return Ontology.model_validate(
        {
            "name": "crops", "version": 1, "channels": [{"name": "crop"}],
            "categories": [
                {
                    "name": f"crop{code}", "channel": "crop", "value": code, "precedence": code, "colour": "#00ff00",
                    "burn": "coverage", "rules": [{"attributes": {"CODE": [f"K{code}"]}}],
                }
                for code in range(classes)
            ],
        }
    )  # fmt: skip


@dataclass(frozen=True)
class Parcels:
    """Parcels in EPSG:32632: geometry, class and id, each (n,)."""

    geometry: np.ndarray
    classes: np.ndarray
    ids: np.ndarray

    def features(self) -> gpd.GeoDataFrame:
        """The parcels as the rows of features.parquet."""
        lonlat = gpd.GeoSeries(self.geometry, crs=EPSG).to_crs(4326)
        tags = [f'{{"CODE": "K{each}"}}' for each in self.classes.tolist()]
        columns = {"source_type": "row", "source_id": self.ids, "kind": "area", "tags": tags}
        return gpd.GeoDataFrame(pd.DataFrame(columns), geometry=lonlat.to_numpy(), crs=4326)


def voronoi(
    count: int, side_m: int, seed: int, buffered: float = 0.05, buffer_m: float = 8, doubled: float = 0.01
) -> Parcels:
    """Voronoi cells of random points in the square south-east of (LEFT, TOP), as a map of parcels with errors.

    A share `buffered` of them is grown by `buffer_m`, a share `doubled` is there twice, the second time with a class and an
    id of its own.
    """
    rng = np.random.default_rng(seed)
    square = shapely.box(LEFT, TOP - side_m, LEFT + side_m, TOP)
    points = rng.uniform(0, side_m, (count, 2)) * (1, -1) + (LEFT, TOP)
    cells = shapely.get_parts(shapely.voronoi_polygons(shapely.multipoints(points), extend_to=square))
    geometry = shapely.intersection(cells, square)
    chosen = rng.permutation(count)
    grown = chosen[: round(count * buffered)]
    geometry[grown] = shapely.buffer(geometry[grown], buffer_m)
    geometry = np.concatenate([geometry, geometry[chosen[-max(1, round(count * doubled)) :]]])
    return Parcels(geometry, rng.integers(0, CLASSES, len(geometry)), rng.permutation(len(geometry)) + 1)


@dataclass(frozen=True)
class Shares:
    """Exact shares of a square's pixels, one row for each parcel that covers some of a pixel."""

    parcel: np.ndarray
    pixel: np.ndarray
    share: np.ndarray


def exact_shares(geometry: np.ndarray, side_m: int, step: float) -> Shares:
    """What exactextract says of the square south-east of (LEFT, TOP): shares as its float32."""
    side = round(side_m / step)
    empty = np.broadcast_to(np.zeros((), dtype=np.uint8), (side, side))
    crs = gpd.GeoSeries([], crs=EPSG).crs.to_wkt()
    raster = NumPyRasterSource(empty, LEFT, TOP - side_m, LEFT + side_m, TOP, srs_wkt=crs)
    parcel, pixel, share = [], [], []
    for begin in range(0, len(geometry), 2000):
        some = gpd.GeoDataFrame(geometry=geometry[begin : begin + 2000], crs=EPSG)
        found = exactextract.exact_extract(raster, some, ["cell_id", "coverage"], output="pandas")
        lengths = [len(each) for each in found["cell_id"]]
        parcel.append(np.repeat(np.arange(begin, begin + len(some)), lengths))
        pixel.append(np.concatenate(found["cell_id"].to_list()).astype(np.int64))
        share.append(np.concatenate(found["coverage"].to_list()))
    return Shares(*(np.concatenate(each) for each in (parcel, pixel, share)))


@dataclass(frozen=True)
class Marks:
    """How parcels claim the pixels of a square: 0, 1 partly, 2 wholly, (pixel,)."""

    all: np.ndarray
    different: np.ndarray
    same: np.ndarray


def exact_marks(shares: Shares, classes: np.ndarray, pixels: int, least: float, whole: float) -> Marks:
    """Count the claims: of shares from `least`, and of those from `whole`."""
    marks = Marks(*(np.zeros(pixels, dtype=np.uint8) for _ in range(3)))
    for mark, lowest in ((1, least), (2, whole)):
        some = shares.share >= lowest
        pixel, kind = shares.pixel[some], classes[shares.parcel[some]]
        several = np.bincount(pixel, minlength=pixels) > 1
        marks.all[several] = mark
        claims = pd.DataFrame({"pixel": pixel, "kind": kind})[several[pixel]]
        parcels = claims.groupby(["pixel", "kind"]).size()
        kinds = parcels.groupby("pixel").size()
        marks.different[kinds.index[kinds > 1]] = mark
        marks.same[parcels.index.get_level_values("pixel")[parcels > 1]] = mark
    return marks


def burned(parcels: Parcels, side_m: int, step: float, cell_m: int, distances: bool = True) -> tuple[np.ndarray, ...]:
    """The square south-east of (LEFT, TOP) out of its cells: the arrays of `ParcelArrays` in their order, (…, y, x)."""
    burner = ParcelBurner(crops(), parcels.features(), EPSG, step, distances=distances)
    return mosaic(burner, side_m, step, cell_m)


def mosaic(burner: ParcelBurner, side_m: int, step: float, cell_m: int) -> tuple[np.ndarray, ...]:
    """All cells of a burner, side by side."""
    at, side, cell = np.arange(0, side_m, cell_m), round(side_m / step), round(cell_m / step)
    x, y = (each.ravel() for each in np.meshgrid(LEFT + at, TOP - at))
    whole: list[np.ndarray] = []
    for position, arrays in burner.cells(x, y, cell_m):
        row, column = round((TOP - y[position]) / step), round((x[position] - LEFT) / step)
        every = [getattr(arrays, name) for name in ARRAYS]
        whole = whole or [np.empty((*each.shape[:-2], side, side), each.dtype) for each in every]
        for canvas, array in zip(whole, every, strict=True):
            canvas[..., row : row + cell, column : column + cell] = array
    return tuple(whole)


ARRAYS: Sequence[str] = tuple(ParcelArrays.__dataclass_fields__)


@dataclass(frozen=True)
class Agreement:
    """How claims agree with exactextract's: shares of pixels, and pixels that are marked without cause."""

    mark: str
    partly: float
    wholly: float
    false_partly: int
    false_wholly: int


def agreement(parcels: Parcels, side_m: int, step: float, cell_m: int) -> Iterator[Agreement]:
    """Compare the marks of `parcels` on the square with exactextract's: of all claims, of different classes, of the same.

    Partly claimed is there what two parcels cover any of, wholly what each of two covers, to exactextract's float32, all of.
    """
    _, _, _, _, claims, same, _ = (each.ravel() for each in burned(parcels, side_m, step, cell_m, distances=False))
    shares = exact_shares(parcels.geometry, side_m, step)
    truth = exact_marks(shares, parcels.classes, len(claims), np.finfo(np.float32).tiny, 1.0)
    for name, ours, theirs in (
        ("all", np.maximum(claims, same), truth.all),
        ("different", claims, truth.different),
        ("same", same, truth.same),
    ):
        yield Agreement(
            name,
            float(((ours >= 1) == (theirs >= 1)).mean()),
            float(((ours == 2) == (theirs == 2)).mean()),
            int(((ours >= 1) & (theirs == 0)).sum()),
            int(((ours == 2) & (theirs < 2)).sum()),
        )
