"""A slice of what `make chaos` does: killed on the way, unlocked, run again, a dataset is what it always is."""

from pathlib import Path

import pytest
from campaign import disturb, row
from disturbances import ImpossibleHereError

from conftest import SOUTH_BOX, config_of, once
from harness import Project, write_aoi


@pytest.fixture(scope="module")
def sound(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """One tile's dataset, never disturbed. Read only."""

    def project(folder: Path) -> Project:
        return Project(folder / "work", config_of(world, write_aoi(folder / "aoi.geojson", SOUTH_BOX)), warm=True)

    return project(once(tmp_path_factory, "southern", lambda folder: project(folder).run()))


@pytest.mark.parametrize(("fault", "seed"), [("all killed", 1), ("Snakemake killed", 2)])
def test_what_befalls_a_run_does_not_show_in_the_dataset(fault: str, seed: int, tmp_path: Path, sound: Project):
    try:
        outcome = disturb(tmp_path, sound, fault, seed)
    except ImpossibleHereError as reason:
        pytest.skip(str(reason))
    print(row(outcome))
    assert outcome.wrong == ()
