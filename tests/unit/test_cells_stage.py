"""The cells stage: its table, its counts, its draw, its rasters."""

import hashlib
from pathlib import Path

import geopandas as gpd
import numpy as np
import pyproj
import pytest
import rasterio
import shapely
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st

from tilewright.config.cell_settings import CellsSettings
from tilewright.config.cells import Activity, Grids, Water
from tilewright.draw import lots
from tilewright.errors import TilewrightError
from tilewright.grid import cells_of, tile
from tilewright.grid.rasters import cells_meeting
from tilewright.stages.cells import make_cells
from tilewright.store import read_table, table_metadata

VADUZ = "MULTIPOLYGON (((9.4 47, 9.4 47.3, 9.7 47.3, 9.7 47, 9.4 47)))"
COLUMNS = [
    "cell_id", "tile", "epsg", "ulx", "uly", "size_m", "col", "row", "grid", "sample", "lon", "lat", "sample_id", "sample_label",
    "reference_date", "draw_order", "geometry",
]  # fmt: skip
REASONS = ["owned_by_other_tile", "zone_border", "outside_aoi", "inactive", "water", "not_drawn", "kept"]


def made(path: Path, name: str = "32TNT", **chosen) -> gpd.GeoDataFrame:
    make_cells(name, CellsSettings(**chosen), path)
    table, counts = read_table(path), table_metadata(path)["counts"]
    assert list(table) == COLUMNS
    assert sorted(counts) == sorted(["candidates", *REASONS])
    assert counts["candidates"] == sum(counts[reason] for reason in REASONS)
    assert counts["kept"] == len(table)
    assert sorted(table.draw_order) == list(range(len(table)))
    assert table.reference_date.isna().all() and table.reference_date.dtype.kind == "M"
    assert (table.sort_values(["row", "col"]).index == table.index).all()
    assert table.crs == "EPSG:4326"
    return table


def counts(path: Path) -> dict[str, int]:
    return table_metadata(path)["counts"]


def write_raster(path: Path, values: np.ndarray, transform: Affine, crs: int, nodata: float | None = None) -> str:
    height, width = values.shape
    with rasterio.open(
        path, "w", driver="GTiff", height=height, width=width, count=1, dtype=values.dtype, crs=f"EPSG:{crs}",
        transform=transform, nodata=nodata, tiled=True, blockxsize=256, blockysize=256,
    ) as target:  # fmt: skip
        target.write(values, 1)
    return str(path)


def test_a_whole_tile(tmp_path: Path) -> None:
    table = made(tmp_path / "cells.parquet")
    assert counts(tmp_path / "cells.parquet")["owned_by_other_tile"] == 432 and len(table) == 2704
    whole = cells_of(tile("32TNT"), 1920)
    assert table.cell_id.tolist() == whole.cell_id.tolist()
    assert table.geometry.geom_equals(gpd.GeoSeries(whole.polygons(), crs=4326)).all()


def test_the_same_settings_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        make_cells("32TNT", CellsSettings(fraction=0.1, clip=VADUZ), tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_no_cells_is_a_table_with_the_same_columns(tmp_path: Path) -> None:
    empty = made(tmp_path / "empty", clip="POLYGON EMPTY")
    full = made(tmp_path / "full")
    assert len(empty) == 0 and list(empty.dtypes) == list(full.dtypes)
    assert counts(tmp_path / "empty")["outside_aoi"] == 2704
    assert len(made(tmp_path / "border", name="31VEG")) == 0


def test_the_clip(tmp_path: Path) -> None:
    table = made(tmp_path / "cells", clip=VADUZ)
    area = shapely.from_wkt(VADUZ)
    whole = made(tmp_path / "whole")
    assert set(table.cell_id) == set(whole.cell_id[whole.geometry.within(area)]) and len(table) > 100


def lot(seed: int, cell: str) -> float:
    return int.from_bytes(hashlib.blake2b(f"{seed}:{cell}".encode(), digest_size=8).digest(), "big") / 2**64


@pytest.mark.parametrize("seed", [0, 42])
def test_the_draw_is_each_cells_own_lot(tmp_path: Path, seed: int) -> None:
    whole = made(tmp_path / "whole", seed=seed)
    lots = whole.cell_id.map(lambda cell: lot(seed, cell))
    assert whole.cell_id[whole.draw_order.argsort()].tolist() == whole.cell_id[lots.argsort(kind="stable")].tolist()
    tenth = made(tmp_path / "tenth", seed=seed, fraction=0.1)
    assert tenth.cell_id.tolist() == whole.cell_id[lots < 0.1].tolist()
    third = made(tmp_path / "third", seed=seed, fraction=0.3)
    assert set(tenth.cell_id) < set(third.cell_id)
    few = made(tmp_path / "few", seed=seed, number=7)
    assert set(few.cell_id) == set(whole.cell_id[lots.argsort(kind="stable")][:7])
    assert (
        few.set_index("cell_id").draw_order.sort_values().index.tolist()
        == whole.cell_id[lots.argsort(kind="stable")][:7].tolist()
    )
    assert len(made(tmp_path / "many", seed=seed, number=10_000)) == 2704
    assert counts(tmp_path / "few")["not_drawn"] == 2697


def test_fractions_are_about_what_they_say() -> None:
    ids = cells_of(tile("32TNT"), 640).cell_id.tolist()
    share = (lots(3, ids) < 2**62).mean()
    assert abs(share - 0.25) < 4 * np.sqrt(0.25 * 0.75 / len(ids))
    assert not (lots(3, ids) == lots(4, ids)).any()


def test_number_counts_cells_that_pass_the_filters(tmp_path: Path) -> None:
    table = made(tmp_path / "cells", clip=VADUZ, number=5)
    inside = made(tmp_path / "inside", clip=VADUZ)
    assert set(table.cell_id) == set(inside.cell_id[inside.draw_order < 5])


def brute(values: np.ndarray, transform: Affine, crs: int, size: int, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Cells that a true pixel surely overlaps (by a thousandth of its area), and those it may (within about a metre)."""
    mine = cells_of(tile(name), size)
    change = pyproj.Transformer.from_crs(mine.tile.epsg, crs, always_xy=True)
    sure, possible = np.zeros((2, len(mine)), bool)
    rows, cols = np.nonzero(values)
    pixels = [
        shapely.Polygon([transform @ corner for corner in ((c, r), (c + 1, r), (c + 1, r + 1), (c, r + 1))])
        for r, c in zip(rows, cols, strict=True)
    ]
    boxes = shapely.segmentize(shapely.box(mine.ulx, mine.uly - size, mine.ulx + size, mine.uly), size / 8)
    boxes = shapely.transform(boxes, lambda xy: np.column_stack(change.transform(*xy.T)))
    for pixel in pixels:
        sure |= shapely.area(shapely.intersection(boxes, pixel)) > 1e-3 * pixel.area
        possible |= shapely.dwithin(boxes, pixel, 1e-5 if crs == 4326 else 1.0)
    return sure, possible


@pytest.mark.parametrize(("crs", "transform", "shape"), [
    (4326, Affine(1 / 240, 0, 8.8, 0, -1 / 240, 48.0), (300, 500)),  # VIIRS night lights' 15 seconds
    (32632, Affine(1000, 0, 490_300, 0, -1000, 5_310_700), (130, 130)),
    (3035, Affine(900, 0, 4_150_000, 0, -900, 2_850_000), (400, 400)),
    (32633, Affine(500, 120, -10_000, 120, -500, 5_330_000), (400, 400)),  # rotated
])  # fmt: skip
def test_activity_is_any_overlap_with_an_active_pixel(
    tmp_path: Path, crs: int, transform: Affine, shape: tuple[int, int]
) -> None:
    rng = np.random.default_rng(crs)
    values = np.where(rng.random(shape) < 0.002, 7, 2).astype(np.float32)
    file = write_raster(tmp_path / "night.tif", values, transform, crs)
    mine = cells_of(tile("32TNT"), 2640)
    meeting = cells_meeting(file, "cells.activity.files", mine, lambda v, nodata: v > 2)
    sure, possible = brute(values > 2, transform, crs, 2640, "32TNT")
    assert 20 < sure.sum() <= possible.sum() < len(mine)
    assert meeting.covered.all()
    assert (sure <= meeting.met).all() and (meeting.met <= possible).all()


def test_pixels_on_the_lattice_do_not_leak_into_neighbours(tmp_path: Path) -> None:
    """Pixels as large as cells and aligned with them: exactly the cells whose own pixel is active."""
    mine = cells_of(tile("32TNT"), 1920)
    left, top = int(mine.ulx.min()), int(mine.uly.max())
    values = np.random.default_rng(1).integers(0, 2, (60, 60)).astype(np.uint8)
    file = write_raster(tmp_path / "night.tif", values, Affine(1920, 0, left, 0, -1920, top), 32632)
    table = made(tmp_path / "cells", activity=Activity(files=[file]))
    expected = values[(top - mine.uly) // 1920, (mine.ulx - left) // 1920] > 0
    assert table.cell_id.tolist() == mine.cell_id[expected].tolist()
    assert counts(tmp_path / "cells")["inactive"] == (~expected).sum()


def test_activity_of_any_file_counts_and_nodata_does_not(tmp_path: Path) -> None:
    mine = cells_of(tile("32TNT"), 1920)
    left, top = int(mine.ulx.min()), int(mine.uly.max())
    grid = Affine(1920, 0, left, 0, -1920, top)
    one, two = np.zeros((2, 60, 60), np.float32)
    one[3, 4], two[5, 6], two[9, 9], one[8, 8] = 5, 5, 99, np.nan
    files = [
        write_raster(tmp_path / "1.tif", one, grid, 32632),
        write_raster(tmp_path / "2.tif", two, grid, 32632, nodata=99),
    ]
    table = made(tmp_path / "cells", activity=Activity(files=files, threshold=4))
    places = {(int((top - row.uly) // 1920), int((row.ulx - left) // 1920)) for row in table.itertuples()}
    assert places == {(3, 4), (5, 6)}


def test_activity_that_does_not_cover_a_cell_is_an_error(tmp_path: Path) -> None:
    file = write_raster(
        tmp_path / "half.tif", np.zeros((50, 50), np.uint8), Affine(1920, 0, 500_000, 0, -1920, 5_300_000), 32632
    )
    with pytest.raises(
        TilewrightError, match=r"cells.activity.files: .*half.tif does not cover \d+ cells of tile 32TNT"
    ):
        made(tmp_path / "cells", activity=Activity(files=[file]))
    far = write_raster(tmp_path / "far.tif", np.ones((9, 9), np.uint8), Affine(0.1, 0, 100, 0, -0.1, 10), 4326)
    with pytest.raises(TilewrightError, match=r"far.tif does not cover 2704 cells"):
        made(tmp_path / "cells", activity=Activity(files=[far]))
    assert not (tmp_path / "cells").exists()
    small = write_raster(
        tmp_path / "small.tif", np.zeros((50, 50), np.uint8), Affine(0.01, 0, 9.3, 0, -0.01, 47.4), 4326
    )
    assert len(made(tmp_path / "cells", activity=Activity(files=[small]), clip=VADUZ)) == 0


def test_water_is_dropped_where_it_is_all_there_is(tmp_path: Path) -> None:
    mine = cells_of(tile("32TNT"), 1920)
    left, top = int(mine.ulx.min()), int(mine.uly.max())
    values = np.full((60 * 4, 60 * 4), 210, np.uint8)  # four pixels in a cell's side
    values[0:4, 0:4] = 10  # cell (0, 0) is land
    values[4 * 4 + 3, 5 * 4 + 2] = 10  # cell (4, 5) has one land pixel
    values[6 * 4, 7 * 4] = 0  # cell (6, 7) has nodata
    values[8 * 4 : 9 * 4, 9 * 4 : 10 * 4] = 220  # cell (8, 9) is the other kind of water
    file = write_raster(tmp_path / "cover.tif", values, Affine(480, 0, left, 0, -480, top), 32632, nodata=0)
    table = made(tmp_path / "cells", water=Water(file=file))
    places = {(int((top - row.uly) // 1920), int((row.ulx - left) // 1920)) for row in table.itertuples()}
    assert places == {(0, 0), (4, 5), (6, 7), (8, 9)}
    table = made(tmp_path / "cells", water=Water(file=file, values=[210, 220]))
    assert len(table) == 3 and counts(tmp_path / "cells")["water"] == 2701


def test_ground_outside_the_water_raster_is_kept(tmp_path: Path) -> None:
    mine = cells_of(tile("32TNT"), 1920)
    left, top = int(mine.ulx.min()), int(mine.uly.max())
    file = write_raster(
        tmp_path / "cover.tif", np.full((20, 20), 210, np.uint8), Affine(960, 0, left, 0, -960, top), 32632
    )
    table = made(tmp_path / "cells", water=Water(file=file))
    assert len(table) == 2704 - 100


@given(st.integers(0, 2**32), st.sampled_from([20, 210, 333]), st.floats(0.0001, 0.3))
@settings(max_examples=15, deadline=None)
def test_small_pixels_and_big_ones(
    tmp_path_factory: pytest.TempPathFactory, seed: int, step: int, share: float
) -> None:
    """Pixels of many sizes against sums over whole pixel blocks, in the tile's own metres."""
    size = 2640
    mine = cells_of(tile("32TNT"), size)
    mine = mine.take((mine.col < mine.col.min() + 4) & (mine.row < mine.row.min() + 4))
    left, top = int(mine.ulx.min()) - step // 3, int(mine.uly.max()) + step // 3
    pixels = 5 * size // step
    values = np.random.default_rng(seed).random((pixels, pixels)) < share
    file = write_raster(
        tmp_path_factory.mktemp("r") / "a.tif", values.astype(np.uint8), Affine(step, 0, left, 0, -step, top), 32632
    )
    met = cells_meeting(file, "key", mine, lambda v, nodata: v > 0).met
    for at in range(len(mine)):
        first_col, last_col = (mine.ulx[at] - left) // step, -(-(mine.ulx[at] + size - left) // step)
        first_row, last_row = (top - mine.uly[at]) // step, -(-(top - mine.uly[at] + size) // step)
        assert met[at] == values[first_row:last_row, first_col:last_col].any()


def test_rasters_that_do_not_serve(tmp_path: Path) -> None:
    (tmp_path / "text.tif").write_text("no raster")
    with pytest.raises(TilewrightError, match=r"cells.water.file: .*text.tif cannot be read"):
        made(tmp_path / "cells", water=Water(file=str(tmp_path / "text.tif")))
    with pytest.raises(TilewrightError, match=r"cells.activity.files: .*none.tif cannot be read"):
        made(tmp_path / "cells", activity=Activity(files=[str(tmp_path / "none.tif")]))
    with rasterio.open(tmp_path / "bare.tif", "w", driver="GTiff", height=9, width=9, count=1, dtype="uint8") as target:
        target.write(np.ones((9, 9), np.uint8), 1)
    with pytest.raises(TilewrightError, match=r"bare.tif names no CRS"):
        made(tmp_path / "cells", water=Water(file=str(tmp_path / "bare.tif")))


def test_an_unknown_tile(tmp_path: Path) -> None:
    with pytest.raises(TilewrightError, match="tile 32UNT is not a Sentinel-2 tile"):
        make_cells("32UNT", CellsSettings(), tmp_path / "cells")


def test_grids_pass_the_same_filters_and_all_that_is_dropped_is_counted(tmp_path: Path) -> None:
    """SeasoNet's lattices, cut by an area and thinned by a draw."""
    told = CellsSettings(strategy="grids", size_m=1200, clip=VADUZ, fraction=0.5)
    make_cells("32TNT", told, tmp_path / "cells")
    table, said = read_table(tmp_path / "cells"), counts(tmp_path / "cells")
    assert list(table) == COLUMNS and set(table.grid) == {1, 2} and (table["sample"] == -1).all()
    assert sorted(said) == sorted(["candidates", "overlaps_neighbour", *REASONS])
    assert said["candidates"] == 2 * 91 * 91 == sum(said.values()) - said["candidates"]
    assert said["outside_aoi"] > 1000 and said["overlaps_neighbour"] > 0 and said["kept"] == len(table) > 100
    assert table.geometry.within(shapely.from_wkt(VADUZ)).all()
    assert (table.sort_values(["row", "col", "grid"]).index == table.index).all()
    kept = CellsSettings(strategy="grids", size_m=1200, grids=Grids(offsets_m=[600], overlaps="keep"))
    make_cells("32TNT", kept, tmp_path / "kept")
    assert set(read_table(tmp_path / "kept").grid) == {1} and counts(tmp_path / "kept")["overlaps_neighbour"] == 0


def test_windows_that_overlap_are_rows_of_their_own(tmp_path: Path) -> None:
    table = made(tmp_path / "cells", size_m=1920, stride_m=960, clip=VADUZ)
    whole = made(tmp_path / "whole", size_m=1920, clip=VADUZ)
    corners, others = (set(each[["ulx", "uly"]].itertuples(index=False, name=None)) for each in (whole, table))
    assert table.cell_id.is_unique and corners < others
    assert 3 < len(table) / len(whole) < 4.5
