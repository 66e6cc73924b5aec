"""Sentinel-1's calibration document: A at any pixel as computed by hand, and documents that are refused."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swaths import VECTOR, document
from tilewright.imagery.calibration import MOST_BYTES, Calibration, CalibrationError


def slow(lines: Sequence[int], pixels: Sequence[int], values: np.ndarray, row: int, column: int) -> float:
    """A of one pixel by the formula of the product's specification; the nearest vector's or point's beyond the last."""

    def along(places: Sequence[int], at: int) -> tuple[int, int, float]:
        at = min(max(at, places[0]), places[-1])
        after = next(number for number, place in enumerate(places) if place >= at)
        before = max(after - 1, 0)
        apart = places[after] - places[before]
        return before, after, (at - places[before]) / apart if apart else 0.0

    up, down, lower = along(lines, row)
    left, right, further = along(pixels, column)
    above = values[up, left] * (1 - further) + values[up, right] * further
    below = values[down, left] * (1 - further) + values[down, right] * further
    return float(above * (1 - lower) + below * lower)


ascending = st.lists(st.integers(-300, 900), min_size=1, max_size=6, unique=True).map(sorted)


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(ascending, ascending, st.integers(-400, 950), st.integers(-400, 950), st.integers(0, 99))
def test_between_the_points_by_bilinear_interpolation(
    lines: list[int], pixels: list[int], row: int, column: int, seed: int
):
    values = np.random.default_rng(seed).integers(100, 900, (len(lines), len(pixels))).astype(np.float64)
    found = Calibration.read(document(lines, pixels, values).encode(), "VV").at(row, column, 5, 7)
    truth = [[slow(lines, pixels, values, row + down, column + right) for right in range(7)] for down in range(5)]
    np.testing.assert_allclose(found, truth, rtol=1e-12)


def test_vectors_may_have_points_of_their_own():
    text = document([0], [0, 40, 80], np.array([[100.0, 200, 300]])).replace(
        "</calibrationVectorList>",
        VECTOR.format(line=10, count=2, pixels="0 80", values="500 700") + "</calibrationVectorList>",
    )
    found = Calibration.read(text.encode(), "VV").at(0, 20, 11, 1)[:, 0]
    np.testing.assert_allclose(found, np.linspace(150, 550, 11))


def test_windows_join():
    """Any part is that part of the whole, bit for bit: a box does not depend on the window that it is read by."""
    rng = np.random.default_rng(0)
    calibration = Calibration.read(
        document([-9, 70, 131], [0, 33, 90, 200], rng.uniform(200, 900, (3, 4))).encode(), "VV"
    )
    whole = calibration.at(-20, -10, 200, 250)
    for row, column, rows, columns in rng.integers((0, 0, 1, 1), (150, 200, 50, 50), (50, 4)).tolist():
        part = calibration.at(row - 20, column - 10, rows, columns)
        np.testing.assert_array_equal(part, whole[row : row + rows, column : column + columns])


GOOD = document([0, 50, 99], [0, 40, 79], np.full((3, 3), 300.0))


@pytest.mark.parametrize(
    ("shape", "words"), [((100, 80), ""), ((150, 80), ""), ((160, 80), "lines"), ((100, 130), "columns")]
)
def test_it_must_be_of_the_image(shape: tuple[int, int], words: str):
    calibration = Calibration.read(GOOD.encode(), "VV")
    if not words:
        return calibration.check(shape)
    with pytest.raises(CalibrationError, match=f"is of {words} 0 to .*the image has {max(shape)}"):
        calibration.check(shape)


BOMB = '<?xml version="1.0"?><!DOCTYPE b [<!ENTITY a "aaaaaaaaaa">' + "".join(
    f'<!ENTITY {chr(98 + at)} "{f"&{chr(97 + at)};" * 10}">' for at in range(9)
)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (BOMB + "]><calibration>&j;</calibration>", "refused"),
        ('<!DOCTYPE c [<!ENTITY x SYSTEM "file:///etc/passwd">]><calibration>&x;</calibration>', "refused"),
        ('<!DOCTYPE c SYSTEM "http://127.0.0.1:9/c.dtd"><calibration/>', "refused"),
        ('<!DOCTYPE c [<!ENTITY % p SYSTEM "http://127.0.0.1:9/p">%p;]><calibration/>', "refused"),
        ("<!DOCTYPE calibration>" + GOOD.partition("?>")[2], "refused"),
        (GOOD[: len(GOOD) // 2], "not XML"),
        ("", "not XML"),
        ("<html><body>Not found</body></html>", "no calibrationVector"),
        (GOOD.replace("UTF-8", "no-such-encoding"), "refused|not XML"),
        (GOOD.replace(">VV<", ">VH<"), "of 'VH', not of VV"),
        (GOOD.replace("<line>50<", "<line>0<"), "lines out of order"),
        (GOOD.replace("<line>50<", "<line>fifty<"), "words for numbers"),
        (GOOD.replace("<line>50</line>", ""), "vector of 0 lines"),
        (GOOD.replace("0 40 79", "0 40 40"), "pixels out of order"),
        (GOOD.replace('<pixel count="3">0 40 79', '<pixel count="3">0 40'), "2 of 3 numbers in a pixel"),
        (GOOD.replace("3.000000e+02", "nan", 1), "beyond all"),
        (GOOD.replace("3.000000e+02", "0", 1), "not above 0"),
        (GOOD.replace("3.000000e+02", "-3", 1), "not above 0"),
        (GOOD.replace("sigmaNought", "sigma"), "0 values"),
        (" " * (MOST_BYTES + 1), "more than any calibration"),
    ],
    ids=range(20),
)
def test_what_is_no_calibration_is_refused_in_words(text: str, words: str):
    with pytest.raises(CalibrationError, match=words) as raised:
        Calibration.read(text.encode(), "VV")
    assert "passwd" not in str(raised.value) and len(str(raised.value)) < 200


def test_a_document_that_does_not_name_its_polarisation_serves():
    text = GOOD.replace("<polarisation>VV</polarisation>", "")
    assert Calibration.read(text.encode(), "VH").at(0, 0, 1, 1) == 300


@pytest.mark.parametrize("cut", range(0, len(GOOD), 37))
def test_any_cut_is_refused_and_nothing_else_is_raised(cut: int):
    with pytest.raises(CalibrationError):
        Calibration.read(GOOD.encode()[:cut], "VV")
