"""Resampling by pixel centres, against exact arithmetic."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tilewright.loader.resample import all_valid, bilinear, covered, nearest
from tilewright.stages.mask import on_grid

SIDES = st.sampled_from([1, 2, 3, 4, 6, 12, 16, 24])


def centre(pixel: int, side: int, to: int) -> Fraction:
    """Where the centre of output pixel `pixel` is, in input pixels from the outer edge."""
    return (Fraction(pixel) + Fraction(1, 2)) * side / to


def weights(pixel: int, side: int, to: int) -> dict[int, Fraction]:
    """Input pixels and their weights along one axis, by the definition."""
    at = centre(pixel, side, to) - Fraction(1, 2)
    at = min(max(at, Fraction(0)), Fraction(side - 1))
    lower = at.__floor__()
    found = {lower: 1 - (at - lower)}
    if at > lower:
        found[lower + 1] = at - lower
    return found


def exact(pixels: np.ndarray, to: int) -> list[list[Fraction]]:
    side = len(pixels)
    along = [weights(pixel, side, to) for pixel in range(to)]
    return [
        [sum((wy * wx * int(pixels[y, x]) for y, wy in rows.items() for x, wx in columns.items()), Fraction(0)) for columns in along]
        for rows in along
    ]  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(side=SIDES, to=SIDES, data=st.data())
def test_bilinear_is_the_definition(side: int, to: int, data: st.DataObject):
    pixels = data.draw(arrays("uint16", (side, side), elements=st.integers(0, 65535)))
    found = bilinear(pixels, to)
    truth = np.array(exact(pixels, to), dtype=np.float64)
    assert found.dtype == np.float32 and found.shape == (to, to)
    # three roundings of float32 along each axis
    np.testing.assert_allclose(found, truth, rtol=1e-6, atol=65535 * 2**-22)


@settings(max_examples=40, deadline=None)
@given(side=SIDES, factor=st.sampled_from([1, 2, 4]), data=st.data())
def test_bilinear_by_a_power_of_two_is_exact(side: int, factor: int, data: st.DataObject):
    pixels = data.draw(arrays("uint16", (side, side), elements=st.integers(0, 16383)))
    assert bilinear(pixels, side * factor).astype(object).tolist() == [
        [float(each) for each in row] for row in exact(pixels, side * factor)
    ]


@settings(max_examples=40, deadline=None)
@given(side=SIDES, to=SIDES)
def test_nearest_takes_the_pixel_that_the_centre_falls_into(side: int, to: int):
    pixels = np.arange(side * side, dtype=np.uint16).reshape(1, side, side)
    at = [centre(pixel, side, to).__floor__() for pixel in range(to)]
    np.testing.assert_array_equal(nearest(pixels, to)[0], pixels[0][np.ix_(at, at)])
    assert nearest(pixels, to).dtype == np.uint16


@pytest.mark.parametrize(("side", "to"), [(96, 192), (32, 192), (192, 96), (24, 16), (16, 24)])
def test_a_plane_keeps_its_place_on_the_ground(side: int, to: int):
    """Every pixel says the metres of its own centre, inside the outermost centres: no shift by half a pixel."""
    metres = 1920

    def centres(count: int) -> np.ndarray:
        return (np.arange(count) + 0.5) * metres / count

    plane = centres(side)[:, None] * 3 + centres(side)
    found, truth = bilinear(plane, to), centres(to)[:, None] * 3 + centres(to)
    inside = (centres(to) >= centres(side)[0]) & (centres(to) <= centres(side)[-1])
    np.testing.assert_allclose(found[np.ix_(inside, inside)], truth[np.ix_(inside, inside)], rtol=1e-6)


@pytest.mark.parametrize(("side", "to"), [(96, 192), (16, 96), (96, 48), (12, 12), (24, 16)])
def test_mirrored_pixels_give_mirrored_results(side: int, to: int):
    pixels = np.random.default_rng(side + to).integers(0, 10000, (2, 3, side, side)).astype("uint16")
    for flip in (np.s_[..., ::-1], np.s_[..., ::-1, :]):
        np.testing.assert_allclose(bilinear(pixels[flip], to), bilinear(pixels, to)[flip], rtol=1e-6)
    np.testing.assert_array_equal(
        bilinear(pixels.swapaxes(-1, -2), 2 * side), bilinear(pixels, 2 * side).swapaxes(-1, -2)
    )
    np.testing.assert_array_equal(nearest(nearest(pixels, side * 6), side), pixels)


def test_the_input_is_left_alone():
    pixels = np.random.default_rng(3).random((2, 24, 24)).astype("float32")
    kept = pixels.copy()
    for to in (24, 48, 16, 12):
        bilinear(pixels, to)
        nearest(pixels, to)
        np.testing.assert_array_equal(pixels, kept)


@settings(max_examples=60, deadline=None)
@given(side=SIDES, to=SIDES, data=st.data())
def test_a_pixel_is_valid_where_all_that_it_is_made_of_is(side: int, to: int, data: st.DataObject):
    valid = data.draw(arrays(bool, (side, side)))
    along = [weights(pixel, side, to) for pixel in range(to)]
    truth = [[all(valid[y, x] for y in rows for x in columns) for columns in along] for rows in along]
    np.testing.assert_array_equal(all_valid(valid[None], to, "bilinear")[0], truth)
    np.testing.assert_array_equal(all_valid(valid[None], to, "nearest")[0], nearest(valid, to))


@settings(max_examples=60, deadline=None)
@given(side=SIDES, to=SIDES, data=st.data())
def test_scl_covers_pixels_as_in_the_stages(side: int, to: int, data: st.DataObject):
    valid = data.draw(arrays(bool, (2, side, side)))
    np.testing.assert_array_equal(covered(valid, to), np.stack([on_grid(each, to) for each in valid]))
