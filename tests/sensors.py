"""Small Level-2A, Level-1C and radar files over three cells, made as a test says, and the stages run on them."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import pyproj
import rasterio
import shapely
import xarray as xr
from rasterio.transform import Affine

from tilewright.catalog import Scene, scene_table
from tilewright.config.bands import COLLECTION_BANDS, RADAR
from tilewright.config.choice import Mask
from tilewright.config.collections import QUANTITIES, Pair
from tilewright.config.settings import CropSettings, GroupSettings, MaskSettings, Origin
from tilewright.imagery import Ask, ImageryReader
from tilewright.stages.crop import make_crop
from tilewright.stages.group import make_group
from tilewright.stages.mask import make_mask
from tilewright.store import read_table, write_table
from tilewright.store.zarrzip import StoreReader

EPSG, LEFT, TOP, SIZE_M, CELLS = 32632, 600_000, 5_200_000, 240, 3  # the cells lie side by side
START = datetime(2021, 6, 1, 10)
BANDS = {"s2_l2a": ["B02", "B11"], "s2_l1c": ["B02", "B10", "B11"], "s1_rtc": ["VV", "VH"], "s1_grd": ["VV", "VH"]}
T = TypeVar("T")


class Watching(ImageryReader):
    """A reader that remembers which collections' scenes were asked for."""

    def __init__(self) -> None:
        super().__init__(2)
        self.asked: list[tuple[str, str, str]] = []

    def read(self, asks: Iterable[Ask], finish: Callable[[int, int, np.ndarray], T]) -> Iterator[tuple[int, int, T]]:
        def noted() -> Iterator[Ask]:
            for ask in asks:
                self.asked.append((ask.asset.collection, ask.asset.scene_id, ask.asset.band))
                yield ask

        return super().read(noted(), finish)


def step_of(collection: str, band: str) -> int:
    return COLLECTION_BANDS[collection].get(band, 20)


def shape_of(step: int) -> tuple[int, int]:
    return SIZE_M // step, CELLS * SIZE_M // step


def footprint(first: int = 0, last: int = CELLS) -> str:
    """Outline of some cells in degrees."""
    x = LEFT + SIZE_M * np.array([first, last, last, first])
    y = TOP - SIZE_M * np.array([0, 0, 1, 1])
    lon, lat = pyproj.Transformer.from_crs(EPSG, 4326, always_xy=True).transform(x, y)
    return shapely.Polygon(np.column_stack([lon, lat])).wkt


@dataclass
class Place:
    """Three cells, the files of scenes over them, and the stages run on them."""

    folder: Path
    scenes: list[Scene] = field(default_factory=list)
    stored: dict[tuple[str, str], np.ndarray] = field(default_factory=dict)

    def add(
        self, collection: str, name: str, hours: float, datatake: str = "", empty: slice | None = None, offset: int = 0,
        baseline: str = "", bands: Sequence[str] | None = None, **told: Any,
    ) -> str:  # fmt: skip
        """A scene with random pixels in every band; `empty`: cells without data. Its id."""
        assets = {}
        with_scl = ["SCL"] if collection == "s2_l2a" else []
        for band in [*(BANDS[collection] if bands is None else bands), *with_scl]:
            pixels = self.pixels(collection, name, band)
            step = step_of(collection, band)
            if empty is not None:
                first, last, _ = empty.indices(CELLS)
                side = SIZE_M // step
                pixels[:, first * side : last * side] = np.nan if collection in RADAR else 0
            path = self.folder / f"{name}-{band}.tif"
            grid = Affine(step, 0, LEFT, 0, -step, TOP)
            with rasterio.open(
                path, "w", driver="GTiff", crs=EPSG, transform=grid, width=pixels.shape[1], height=pixels.shape[0],
                count=1, dtype=pixels.dtype, nodata=np.nan if collection in RADAR else 0, tiled=True, blockxsize=16,
                blockysize=16, compress="deflate",
            ) as file:  # fmt: skip
                file.write(pixels, 1)
            self.stored[name, band] = pixels
            radar = collection in RADAR
            assets[band] = {
                "href": str(path), "epsg": None if radar else EPSG, "transform": None if radar else list(grid)[:6],
                "shape": None if radar else list(pixels.shape), "calibration": "",
            }  # fmt: skip
        about: dict[str, Any] = {
            "collection": collection, "scene_id": name, "datetime": START + timedelta(hours=hours), "platform": "platform",
            "relative_orbit": 5, "orbit_state": "descending", "processing_baseline": baseline,
            "datatake": datatake or f"take-{name}", "generated": "", "acquisition": name, "cloud_cover": 0.0,
            "dn_offset": offset, "radiometry": "known", "refused": "", "footprint": footprint(),
            "assets": json.dumps(assets), "digest": f"digest-{name}", "item": "{}",
        }  # fmt: skip
        self.scenes.append(Scene(**(about | told)))
        return name

    @staticmethod
    def pixels(collection: str, name: str, band: str) -> np.ndarray:
        random = np.random.default_rng([*name.encode(), *band.encode()])
        shape = shape_of(step_of(collection, band))
        if band == "SCL":
            return random.choice(np.array([4, 5, 6], np.uint8), shape)
        if collection in RADAR:
            return random.uniform(0.001, 1.5, shape).astype(np.float32)
        return random.integers(500, 4000, shape).astype(np.uint16)

    def of(self, name: str, band: str, cell: int, collection: str) -> np.ndarray:
        """What a file holds of a cell."""
        side = SIZE_M // step_of(collection, band)
        return self.stored[name, band][:, cell * side : (cell + 1) * side]

    def settings(
        self, pairs: dict[str, Pair], scenes: int = 1, quantities: dict[str, Any] | None = None
    ) -> CropSettings:
        kinds = {key: QUANTITIES[key][0] for key in ("s2_l2a", *pairs)} | (quantities or {})
        return CropSettings(
            tile="32TPT", period="p", seed=1, scenes=scenes, order="latest", limits=Mask(max_bad=0.5, max_nodata=0.9),
            bands={key: BANDS[key] for key in kinds}, companions=pairs, quantities=kinds,
        )  # fmt: skip

    def crop(self, settings: CropSettings, cells: int = CELLS, reader: ImageryReader | None = None) -> pd.DataFrame:
        """Mask and crop; the selection."""
        columns = {
            "cell_id": [f"c{at}" for at in range(cells)], "epsg": EPSG, "ulx": LEFT + SIZE_M * np.arange(cells, dtype=float),
            "uly": float(TOP), "size_m": SIZE_M, "lon": 10.0, "lat": 46.9,
        }  # fmt: skip
        write_table(pd.DataFrame(columns).astype({"cell_id": object}), self.at("cells.parquet"), {})
        primary = [one for one in self.scenes if one.collection == "s2_l2a"]
        others = [one for one in self.scenes if one.collection in settings.companions]
        write_table(scene_table(primary), self.at("scenes.parquet"), {})
        write_table(scene_table(others), self.at("companions.parquet"), {})
        mask = MaskSettings(tile="32TPT", intensity_band="B02", intensity_percentile=5)
        cells_path, scenes_path, masks_path = (self.at(f"{name}.parquet") for name in ("cells", "scenes", "masks"))
        make_mask(cells_path, scenes_path, mask, masks_path, self.at("m.json"), ImageryReader(2))
        make_crop(
            cells_path, scenes_path, self.at("companions.parquet") if settings.companions else None, masks_path, settings,
            self.at("patches.zarr.zip"), self.at("selection.parquet"), self.at("t.json"), reader or ImageryReader(2),
        )  # fmt: skip
        return read_table(self.at("selection.parquet"))

    def group(self, settings: CropSettings, threads: int = 2, **changes: Any) -> xr.DataTree:
        """The series of what was cropped."""
        origin = {key: Origin(provider=f"{key} provider", licence="free", attribution="them") for key in settings.bands}
        told = GroupSettings(
            tile="32TPT",
            periods=["p"],
            bands=settings.bands,
            quantities={**settings.quantities, **changes},
            origins=origin,
        )
        make_group(self.at("cells.parquet"), [self.at("patches.zarr.zip")], told, self.at("series.zarr.zip"), threads)
        with StoreReader(self.at("series.zarr.zip")) as store:
            return store.tree(mask_and_scale=False).load()

    def at(self, name: str) -> Path:
        return self.folder / name
