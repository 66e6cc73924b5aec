"""Watermarks tell scene, band, row and column, and name what was done to a window."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st

from tilewright.config.simulated import Simulate
from tilewright.errors import TilewrightError
from tilewright.simulate import Watermark, World, decode_watermark, make_world
from tilewright.simulate.spectra import BANDS, RESOLUTION
from tilewright.simulate.watermark import LEVELS, MOST_SCENES, Level, encode

SETTINGS = Simulate.model_validate(
    {
        "sites": [{"name": "north", "lon": 12.0, "lat": 42.0, "side_m": 2400, "tiles": ["32TQM", "33TTG"]}],
        "years": [2019], "scenes_per_year": 2, "watermark": True,
    }
)  # fmt: skip


def _window(
    scene: int = 3,
    band: str = "B04",
    row: int = 5001,
    column: int = 7350,
    height: int = 24,
    width: int = 24,
    level: Level = "L2A",
) -> np.ndarray:
    return encode(scene, band, np.arange(row, row + height), np.arange(column, column + width), level)


@given(
    scene=st.integers(0, MOST_SCENES), band=st.sampled_from([*BANDS, "B10"]), level=st.sampled_from(LEVELS), row=st.integers(0, 10_976), column=st.integers(0, 10_976),
    shape=st.sampled_from([(1, 4), (4, 1), (4, 4), (5, 7), (2, 9), (33, 4)]),
)  # fmt: skip
def test_round_trip(scene: int, band: str, level: Level, row: int, column: int, shape: tuple[int, int]) -> None:
    pixels = encode(scene, band, np.arange(row, row + shape[0]), np.arange(column, column + shape[1]), level)
    assert pixels.dtype == np.uint16 and (pixels > 0).all()
    assert decode_watermark(pixels) == Watermark(scene, band, row, column, level)


def test_a_shift_a_wrong_band_and_a_wrong_scene_show_in_the_fields() -> None:
    expected = Watermark(3, "B04", 5001, 7350)
    assert decode_watermark(_window()) == expected
    assert decode_watermark(_window(row=5002)) == Watermark(3, "B04", 5002, 7350)
    assert decode_watermark(_window(column=7349)) == Watermark(3, "B04", 5001, 7349)
    assert decode_watermark(_window(band="B03")).band == "B03"
    assert decode_watermark(_window(scene=4)).scene == 4
    assert decode_watermark(_window(level="L1C")) == Watermark(3, "B04", 5001, 7350, "L1C")


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (lambda a: a.T, "axes are transposed"),
        (lambda a: a[::-1], "upside down"),
        (lambda a: a[:, ::-1], "mirrored"),
        (lambda a: a[::-1, ::-1], "180 degrees"),
        (np.rot90, "90 degrees counter-clockwise"),
        (lambda a: np.rot90(a, -1), "90 degrees clockwise"),
        (lambda a: a.byteswap(), "bytes of each value are swapped"),
        (lambda a: np.roll(a, 1, axis=1), "pixel"),
        (lambda a: np.concatenate([a[:12], _window(row=5014, height=12)]), r"from pixel \(12, 0\) on they say .*row=5014"),
        (lambda a: np.concatenate([a[:, :9], _window(scene=8, column=7359, width=15)], axis=1), r"from pixel \(0, 9\) on they say Watermark\(scene=8"),
        (lambda a: a * 0.0001, "scaled or resampled"),
        (lambda a: a[None], "3 axes"),
        (lambda a: a * 0, "every pixel is 0"),
        (lambda a: np.where(np.eye(24, dtype=bool), 0, a), "24 pixels are 0"),
        (lambda a: a[:1, :3], "too few"),
    ],
)  # fmt: skip
def test_damage_is_named(damage, named: str) -> None:
    with pytest.raises(TilewrightError, match=named):
        decode_watermark(damage(_window()))


@given(place=st.tuples(st.integers(0, 23), st.integers(0, 23)), change=st.integers(1, 65_535))
def test_one_changed_pixel_is_found(place: tuple[int, int], change: int) -> None:
    pixels = _window()
    pixels[place] ^= change
    with pytest.raises(TilewrightError):
        decode_watermark(pixels)


@given(shape=st.sampled_from([(8, 8), (24, 16)]), factor=st.sampled_from([2, 4]))
def test_averaged_pixels_do_not_pass(shape: tuple[int, int], factor: int) -> None:
    whole = _window(height=shape[0] * factor, width=shape[1] * factor).astype(np.int64)
    mean = whole.reshape(shape[0], factor, shape[1], factor).mean(axis=(1, 3)).astype(np.uint16)
    with pytest.raises(TilewrightError):
        decode_watermark(mean)


def test_files_carry_their_place(tmp_path: Path) -> None:
    make_world(SETTINGS, tmp_path / "w")
    world = World(SETTINGS)
    assert [scene.number for scene in world.scenes()] == list(range(4))
    for scene in world.scenes():
        for band in BANDS:
            resolution = RESOLUTION[band]
            row, column, rows, columns = (int(value) for value in world.box(scene.tile).pixels(resolution))
            top, left = row + rows // 2 - 5, column + columns // 2 - 3
            with rasterio.open(tmp_path / "w" / scene.id / f"{band}.tif") as source:
                pixels = source.read(1, window=rasterio.windows.Window(left, top, 9, 8))
            assert decode_watermark(pixels) == Watermark(scene.number, band, top, left)
            truth = world.window(scene.id, band, scene.ulx + left * resolution, scene.uly - top * resolution, 9, 8)
            np.testing.assert_array_equal(pixels, truth)
        with rasterio.open(tmp_path / "w" / scene.id / "SCL.tif") as source:
            assert set(np.unique(source.read(1))) == {0, 4}
