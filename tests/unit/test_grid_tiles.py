"""The table of tiles, their places, and windows of pixels."""

import csv
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyproj
import pytest
from hypothesis import given
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox

from tilewright.errors import TilewrightError
from tilewright.grid import SIDE_M, Boxes, cell_geobox, land_tiles, tile, tiles

ANY_TILE = st.integers(0, 56_685).map(lambda at: tiles()[at])
COLUMNS = ["ABCDEFGH", "JKLMNPQR", "STUVWXYZ"]
ROWS = "ABCDEFGHJKLMNPQRSTUV"
BANDS = "CDEFGHJKLMNPQRSTUVWX"


def test_every_published_tile_is_at_its_published_place(shared_data: Path) -> None:
    with (shared_data / "grid" / "s2_tiles.csv").open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    table = tiles()
    assert [row["tile"] for row in rows] == table.name.tolist()
    assert [int(row["epsg"]) for row in rows] == table.epsg.tolist()
    assert [int(row["ulx"]) for row in rows] == table.ulx.tolist()
    assert [int(row["uly"]) for row in rows] == table.uly.tolist()
    assert [row["land"] == "True" for row in rows] == table.land.tolist()


def test_the_packed_list_is_what_its_script_writes(shared_data: Path, root: Path, tmp_path: Path) -> None:
    script, source = root / "resources" / "make_s2_tiles.py", shared_data / "grid" / "s2_tiles.csv"
    subprocess.run([sys.executable, script, source, tmp_path / "out.gz"], check=True)
    packed = root / "workflow" / "tilewright" / "grid" / "s2_tiles.csv.gz"
    assert (tmp_path / "out.gz").read_bytes() == packed.read_bytes()


def test_counts_and_known_tiles() -> None:
    assert len(tiles()) == 56_686 == len(set(tiles().name.tolist()))
    assert len(land_tiles()) == 20_430
    vaduz = tile("32TNT")
    assert (vaduz.epsg, vaduz.ulx, vaduz.uly, vaduz.land) == (32632, 499980, 5300040, True)
    assert (vaduz.zone, vaduz.square) == ("32N", (500_000, 5_200_000, 600_000, 5_300_000))
    assert vaduz.bounds == (499980, 5300040 - 109_800, 499980 + 109_800, 5300040)
    assert tile("29RKH").epsg == 32629
    assert tile("60KYF").zone == "60S"


@given(ANY_TILE)
def test_place_and_name_agree(one) -> None:
    zone = int(one.name[:2])
    west, south, east, north = one.square
    assert (west % 100_000, south % 100_000, east - west, north - south) == (0, 0, 100_000, 100_000)
    assert COLUMNS[(zone - 1) % 3][west // 100_000 - 1] == one.name[3]
    assert ROWS[(south // 100_000 + (5 if zone % 2 == 0 else 0)) % 20] == one.name[4]
    left, bottom, right, top = one.bounds
    assert left <= west and right >= east and bottom <= south and top >= north  # a tile holds its square
    assert west - left < 60 and top - north < 60
    equator = 10_000_000 if one.zone.endswith("S") else 0
    assert (left % 60, (top - equator) % 60) == (0, 0)
    _, lat = pyproj.Transformer.from_crs(one.epsg, 4326, always_xy=True).transform(west + 50_000, south + 50_000)
    middle = -76 + 8 * BANDS.index(one.name[2])
    assert abs(lat - middle) < 4.0 + (4.2 if one.name[2] in "CX" else 1.5)


@pytest.mark.parametrize(("name", "words"), [
    ("32TNZ", "not a tile's name"), ("32tnt", "not a tile's name"), ("", "not a tile's name"), ("T32TNT", "not a tile's name"),
    ("32TAA", "is not a Sentinel-2 tile; near it are 32T"), ("32XNG", "is not a Sentinel-2 tile; near it are 32W"),
    ("32TKQ", "is not a Sentinel-2 tile; near it are 32TLQ"),
])  # fmt: skip
def test_unknown_names(name: str, words: str) -> None:
    with pytest.raises(TilewrightError, match=words):
        tile(name)


def test_near_names_are_neighbours() -> None:
    """A real tile's name under the next band letter is no tile; what is offered first lies where it would be."""
    with pytest.raises(TilewrightError, match="near it are 32TNT"):
        tile("32UNT")


def test_the_grid_is_light_to_import() -> None:
    code = "import sys, tilewright.grid as g; g.tiles(); g.cells_of(g.tile('32TNT'), 1920); print(*sys.modules)"
    loaded = set(
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    )
    assert "tilewright.grid" in loaded
    assert not loaded & {
        "geopandas",
        "pandas",
        "rasterio",
        "rioxarray",
        "xarray",
        "odc.geo.geobox",
        "zarr",
        "snakemake",
    }


@pytest.mark.parametrize("resolution", [10, 20, 60])
def test_tile_geobox(resolution: int) -> None:
    box = tile("32TNT").geobox(resolution)
    assert box.shape == (SIDE_M // resolution, SIDE_M // resolution)
    assert box.crs.epsg == 32632
    assert tuple(box.boundingbox) == tile("32TNT").bounds


def boxes(epsg: int, resolution: int, side: int, ulx: list[float], uly: list[float]) -> Boxes:
    return Boxes(epsg, resolution, side, np.array(ulx, np.float64), np.array(uly, np.float64))


def windows(found: tuple[np.ndarray, np.ndarray] | None) -> list[tuple[int, int]] | None:
    return None if found is None else list(zip(found[0].tolist(), found[1].tolist(), strict=True))


PLACES = st.lists(st.tuples(st.integers(-50, 6000), st.integers(-50, 6000)), min_size=1, max_size=5)


@given(ANY_TILE, st.sampled_from([10, 20, 60]), PLACES, st.integers(1, 400))
def test_windows_are_the_shifts_in_pixels(one, resolution: int, places: list[tuple[int, int]], side: int) -> None:
    asset = one.geobox(resolution)
    ulx = [one.ulx + col * resolution for _, col in places]
    uly = [one.uly - row * resolution for row, _ in places]
    found = boxes(one.epsg, resolution, side, ulx, uly)
    assert windows(found.windows_in(asset)) == places
    assert found[0] == cell_geobox(one.epsg, ulx[0], uly[0], side * resolution, resolution)
    # one box off the grid is enough
    half, quarter = [*ulx[:-1], ulx[-1] + resolution / 2], [*uly[:-1], uly[-1] + resolution / 4]
    assert boxes(one.epsg, resolution, side, half, uly).windows_in(asset) is None
    assert boxes(one.epsg, resolution, side, ulx, quarter).windows_in(asset) is None
    assert boxes(one.epsg, resolution * 2, side, ulx, uly).windows_in(asset) is None
    assert boxes(32600 + one.epsg % 100 % 60 + 1, resolution, side, ulx, uly).windows_in(asset) is None


def test_windows_in_an_asset_that_is_rotated_or_flipped() -> None:
    from affine import Affine

    cell = boxes(32632, 10, 192, [499980], [5300040])
    assert cell.windows_in(GeoBox((100, 100), cell[0].affine * Affine.rotation(30), 32632)) is None
    assert cell.windows_in(GeoBox((100, 100), Affine(10, 0, 499980, 0, 10, 5300040), 32632)) is None


def test_windows_in_a_crop_of_the_tile() -> None:
    asset = tile("32TNT").geobox(10)[4000:4900, 3000:3900]
    cell = boxes(32632, 10, 192, [499980 + 31000], [5300040 - 41000])
    assert windows(cell.windows_in(asset)) == [(100, 100)]


def test_pixels_must_fill_a_cell() -> None:
    with pytest.raises(TilewrightError, match=r"1930 m is not a multiple of 20 m"):
        cell_geobox(32632, 0, 0, 1930, 20)


def test_take_keeps_rows_together() -> None:
    few = tiles().take(np.array([5, 17]))
    assert [few[0], few[1]] == [tiles()[5], tiles()[17]]
