"""What those that burn parcels share: the parcels, the grid, and how a result is kept for the comparison.

python parcels_<tool>.py <folder> <side_m> <step> [option]      the folder holds parcels.parquet and ontology.yaml
"""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from label_parcels import EPSG, ULX, ULY


@dataclass(frozen=True)
class ParcelsJob:
    """20 x 20 km, or less."""

    folder: Path
    side_m: int
    step: float
    option: str

    @property
    def side(self) -> int:
        """Pixels."""
        return round(self.side_m / self.step)

    @property
    def features(self) -> gpd.GeoDataFrame:
        """source_id, kind, tags, geometry (EPSG:4326)."""
        return gpd.read_parquet(self.folder / "parcels.parquet")

    def projected(self) -> gpd.GeoDataFrame:
        """source_id, crop, geometry: exactly the coordinates that tilewright burns."""
        from tilewright.vector.project import project

        table = self.features
        crop = pd.Series(table["tags"].str.extract(r'"crop":"(\d+)"')[0].astype(int).to_numpy(), name="crop")
        return gpd.GeoDataFrame(
            {"source_id": table["source_id"].to_numpy(), "crop": crop},
            geometry=project(table.geometry.to_numpy(), EPSG),
            crs=EPSG,
        )

    def keep(self, tool: str, **arrays: np.ndarray) -> None:
        """For parcels_check.py."""
        for name, array in arrays.items():
            np.save(self.folder / f"{tool}-{self.step:g}-{name}.npy", array)

    def kept(self, tool: str, name: str) -> np.ndarray:
        return np.load(self.folder / f"{tool}-{self.step:g}-{name}.npy", mmap_mode="r")


def job() -> ParcelsJob:
    folder, side_m, step, *option = sys.argv[1:]
    return ParcelsJob(Path(folder), int(side_m), float(step), option[0] if option else "")


def timed(work: Callable[[], None]) -> float:
    """CPU seconds of `work`."""
    begun = time.process_time()
    work()
    return time.process_time() - begun


__all__ = ["EPSG", "ULX", "ULY", "ParcelsJob", "job", "timed"]
