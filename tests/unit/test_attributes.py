"""Attributes of a vector map, by where the cells' centres lie, in the map's own CRS."""

from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pyproj
import pytest
import shapely

from splitting import squares
from tilewright.attributes import attributes_of
from tilewright.config.acceptance import Attributes
from tilewright.errors import TilewrightError


def centres(rows: pd.DataFrame, crs: int) -> np.ndarray:
    change = pyproj.Transformer.from_crs(32632, crs, always_xy=True)
    x, y = change.transform((rows["ulx"] + 960).to_numpy(float), (rows["uly"] - 960).to_numpy(float))
    return np.stack([x, y], axis=1)


def areas(rows: pd.DataFrame, crs: int) -> gpd.GeoDataFrame:
    """A triangle around each centre's own place; the third cell has none, the fourth has two, one of them a part of a multipolygon."""
    at = centres(rows, crs)
    reach = 0.002 if crs == 4326 else 200
    shapes: list[Any] = [
        shapely.Polygon([(x - reach, y - reach), (x + reach, y - reach), (x, y + reach)]) for x, y in at
    ]
    shapes[3] = shapely.MultiPolygon([shapes[3], shapely.box(*(at[3] + 50 * reach), *(at[3] + 60 * reach))])
    table = gpd.GeoDataFrame({"SLRAUM": np.arange(len(rows)), "RTYP3": [f"type {one}" for one in range(len(rows))], "share": 0.5}, geometry=shapes, crs=crs)  # fmt: skip
    again = table.iloc[[3]].assign(SLRAUM=99)
    return pd.concat([table.drop(index=2), again], ignore_index=True)


@pytest.mark.parametrize("crs", [4326, 25832, 3035])
@pytest.mark.parametrize("name", ["map.gpkg", "map.shp", "map.parquet"])
def test_each_cell_has_what_the_map_says_at_its_centre(tmp_path: Path, crs: int, name: str):
    rows = squares(1, side=3)
    whole = areas(rows, crs)
    whole.to_parquet(tmp_path / name) if name.endswith("parquet") else whole.to_file(tmp_path / name)
    found, told = attributes_of(rows, Attributes(path=str(tmp_path / name), columns=["SLRAUM", "RTYP3", "share"]))
    assert found["SLRAUM"].dtype == "Int64" and found["SLRAUM"].fillna(-1).tolist() == [0, 1, -1, 3, 4, 5, 6, 7, 8]
    assert found["RTYP3"].fillna("").tolist() == ["type 0", "type 1", "", *(f"type {one}" for one in range(3, 9))]
    assert np.isnan(found["share"][2]) and told == {"outside": 1, "ambiguous": 1}


def test_faults_of_the_map_are_told(tmp_path: Path):
    rows = squares(1, side=3)
    whole = areas(rows, 4326)
    whole.to_file(tmp_path / "map.gpkg", layer="one")
    whole.to_file(tmp_path / "map.gpkg", layer="two")
    whole.to_parquet(tmp_path / "map.parquet")
    whole.set_crs(None, allow_override=True).to_file(tmp_path / "nowhere.gpkg")
    whole.assign(geometry=whole.centroid).to_file(tmp_path / "points.gpkg")
    (tmp_path / "text.gpkg").write_text("no map")

    def fault(name: str, columns: list[str], layer: str | None = None) -> str:
        with pytest.raises(TilewrightError) as caught:
            attributes_of(rows, Attributes(path=str(tmp_path / name), columns=columns, layer=layer))
        return str(caught.value)

    assert "attributes.layer: " in fault("map.gpkg", ["SLRAUM"]) and "say which: one, two" in fault(
        "map.gpkg", ["SLRAUM"]
    )
    assert "has no layer 'three'; it has one, two" in fault("map.gpkg", ["SLRAUM"], "three")
    assert "has no column 'KTYP4'; it has SLRAUM, RTYP3, share" in fault("map.gpkg", ["SLRAUM", "KTYP4"], "one")
    assert "has no column 'KTYP4'; it has SLRAUM, RTYP3, share" in fault("map.parquet", ["KTYP4"])
    assert "GeoParquet, which has no layers" in fault("map.parquet", ["SLRAUM"], "one")
    assert "names no CRS; set it with ogr2ogr -a_srs" in fault("nowhere.gpkg", ["SLRAUM"])
    assert "holds no polygon" in fault("points.gpkg", ["SLRAUM"])
    assert "cannot be read as a vector map" in fault("text.gpkg", ["SLRAUM"])
    assert "cannot be read as a vector map" in fault("none.gpkg", ["SLRAUM"])
    for name in ("tile", "split", "accepted", "accepted_rank", "complete", "split_dates_val"):
        assert f"the index has a column '{name}' already" in fault("map.gpkg", [name], "one")
