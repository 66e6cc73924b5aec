"""The loader's benchmark compares like with like: every reader gives the pixels that were written."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest


@pytest.fixture(scope="module")
def bench(root: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("benchmark_of_the_loader", root / "benchmarks" / "loader.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def data(bench: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("layouts")
    for name in bench.LAYOUTS:
        assert bench.written(name, folder, 2)["packed"] > 1
    return folder


def test_every_reader_gives_the_pixels_that_were_written(bench: ModuleType, data: Path):
    for name, opened in bench.READERS.items():
        if "torch" in name and importlib.util.find_spec("torch") is None:
            continue
        read = opened(data)
        for row in (1, 0):
            found, truth = read(row), bench.pixels(row)
            assert set(found) == set(truth), name
            for group, pixels in truth.items():
                array = np.asarray(found[group])
                if name == bench.NO_CRC and group != "scl":
                    pixels = pixels * np.float32(1e-4)
                assert array.dtype == pixels.dtype, name
                np.testing.assert_array_equal(array, pixels, err_msg=name)
