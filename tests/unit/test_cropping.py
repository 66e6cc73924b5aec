"""What crop decides without pixels, and what it makes of them: footprints, decibels, amplitudes."""

import hashlib
import os
import subprocess
import sys
from typing import Any

import numpy as np
import pandas as pd
import pyproj
import pytest
import shapely

from tilewright.cropping.footprints import held_by
from tilewright.cropping.places import untold_places
from tilewright.cropping.values import from_power, log10
from tilewright.grid import cells_of, tile
from tilewright.grid.grids import grids_of

# -- footprints -------------------------------------------------------------------------------------------------------


def cells_at(lon: float, lat: float, epsg: int, number: int = 1) -> pd.DataFrame:
    """Cells of 2 km from a place eastwards."""
    x, y = pyproj.Transformer.from_crs(4326, epsg, always_xy=True).transform(lon, lat)
    return pd.DataFrame({"epsg": epsg, "ulx": x + 2000 * np.arange(number), "uly": y, "size_m": 2000})


def test_a_footprint_holds_what_is_little_beyond_its_edge():
    """At 60° N a degree of longitude is 55.8 km: cells begin 0, 2, 4 … km east of the edge; the slack is 2.2 km."""
    cells = cells_at(9.0, 60.0, 32632, 4)
    edge = shapely.box(8, 59, 9.0, 61)
    assert held_by([edge], cells, 0.0)[:, 0].tolist() == [True, False, False, False]
    assert held_by([edge], cells, 0.95)[:, 0].tolist() == [True, True, False, False]
    assert held_by([None, shapely.Polygon()], cells, 0.9).sum() == 0
    assert held_by([edge], cells[:0], 0.0).shape == (0, 1)


@pytest.mark.parametrize(("lon", "epsg"), [(179.99, 32660), (-179.99, 32601), (179.99, 32601)])
def test_footprints_cut_at_the_antimeridian_hold_cells_across_it(lon: float, epsg: int):
    cut = shapely.union_all([shapely.box(179, -18, 180, -16), shapely.box(-180, -18, -179, -16)])
    assert held_by([cut], cells_at(lon, -17.0, epsg, 3), 0.0).all()
    assert not held_by([shapely.box(170, -18, 179.9, -16)], cells_at(lon, -17.0, epsg, 3), 0.0).any()


# -- values -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("quantity", ["sigma0_db", "gamma0_db"])
def test_power_becomes_decibels_and_what_has_none_no_data(quantity: Any):
    power = np.array([1, 10, 0.1, 1e-4, 2, 0, -1, np.nan, np.inf], np.float32)
    level = from_power(power, quantity)
    assert level.dtype == np.float32 and np.isnan(level[5:]).all()
    assert level[:4].tolist() == [0, 10, -10, -40]
    assert level[4] == np.float32(3.010299956639812)


def test_amplitudes_come_back_exactly():
    dn = np.arange(65536, dtype=np.float32)
    assert np.array_equal(from_power(dn * dn, "dn"), dn)


def test_logarithms_are_as_exact_as_numbers_can_be():
    random = np.random.default_rng(5)
    values = np.concatenate([2.0 ** random.uniform(-149, 128, 100_000), random.uniform(0.5, 2, 100_000)])
    assert np.allclose(log10(values), np.log10(values), rtol=5e-16, atol=5e-17)
    assert log10(2.0 ** np.array([-2, 0, 1])).tolist() == [-2 * np.log10(2), 0, np.log10(2)]


_DIGEST = """
import hashlib, numpy as np
from tilewright.cropping.values import log10
print(hashlib.sha256(log10(np.random.default_rng(6).uniform(1e-5, 10, 300_000)).tobytes()).hexdigest())
"""


@pytest.mark.parametrize("without", ["X86_V4 AVX512_ICL AVX512_SPR", "X86_V3 X86_V4 AVX512_ICL AVX512_SPR"])
def test_logarithms_have_the_same_bits_on_other_processors(without: str):
    """numpy as on a processor that lacks these features; where this one lacks them too nothing is told."""
    environment = os.environ | {"NPY_DISABLE_CPU_FEATURES": without}
    found = subprocess.run([sys.executable, "-c", _DIGEST], env=environment, capture_output=True, text=True, check=True)
    here = log10(np.random.default_rng(6).uniform(1e-5, 10, 300_000)).tobytes()
    assert found.stdout.strip() == hashlib.sha256(here).hexdigest()


# -- places -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["32TNT", "35JQG", "31NGA", "31MGV"])
def test_only_ids_of_the_plain_lattice_tell_where_cells_lie(name: str):
    whole = pd.DataFrame(cells_of(tile(name), 1920).columns())
    assert set(untold_places(name, whole).values()) == {""}
    assert list(untold_places(name, whole)) == whole["cell_id"].tolist()
    stride = pd.DataFrame(cells_of(tile(name), 1920, 960).columns())
    told = untold_places(name, stride)
    assert all(told[row.cell_id] == f"{row.ulx},{row.uly}" for row in stride.itertuples())
    offset = pd.DataFrame(grids_of(tile(name), 1200, [0, 600], True).columns())
    assert all(untold_places(name, offset).values())
    assert untold_places(name, whole[:0]) == {}
