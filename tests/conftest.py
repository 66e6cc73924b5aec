"""Fixtures that every test may use."""

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def root() -> Path:
    """The project's folder."""
    return ROOT


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real scenes, STAC documents, OSM extracts; never part of the project."""
    data = ROOT.parent / "shared" / "data"
    if not data.is_dir():
        pytest.skip("real data not here: ../shared/data does not exist beside the project")
    return data
