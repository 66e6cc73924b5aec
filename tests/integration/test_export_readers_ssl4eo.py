"""TorchGeo's SSL4EOS12 reads the export ssl4eo-s12: every product of every location is what the stores hold."""

import datetime
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import tilewright
from reader_runs import Seen, needs_readers, read
from tilewright.simulate import World
from triplets import L2A, TRIPLETS, export

pytestmark = needs_readers

SIDE = 264
BANDS = {
    "s1": ("s1_grd", ["VV", "VH"]), "s2a": ("s2_l2a", ["B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B11", "B12"]),
    "s2c": ("s2_l1c", [*L2A[:10], "B10", "B11", "B12"]),
}  # fmt: skip


@pytest.fixture(scope="module")
def root(triplets_built: tuple[dict[str, Any], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    config, results = triplets_built
    return export(config, results, "ssl4eo-s12", tmp_path_factory.mktemp("ssl4eo") / "export")


@pytest.fixture(scope="module")
def seen(root: Path) -> Seen:
    return read("ssl4eo-s12", root, locations=2, seasons=[4, 2])


def stacks(tree: xr.DataTree, product: str) -> list[tuple[str, np.ndarray]]:
    """Scene and (band, 264, 264) of each season, in the reader's order of bands; coarser pixels repeated."""
    collection, bands = BANDS[product]
    node = tree[collection]
    planes: dict[str, np.ndarray] = {}
    for group in node.children.values():
        for array in group.data_vars.values():
            if array.dims == ("time", "band", "y", "x"):
                planes |= {str(band): array.values[:, place] for place, band in enumerate(group["band"].values)}
    times = SIDE // np.array([planes[band].shape[-1] for band in bands])
    whole = [planes[band].repeat(step, axis=1).repeat(step, axis=2) for band, step in zip(bands, times, strict=True)]
    return [(str(scene), np.stack([band[at] for band in whole])) for at, scene in enumerate(node["scene_id"].values)]


@pytest.mark.parametrize("product", BANDS)
def test_every_image_is_the_stores(seen: Seen, triplets_built: tuple[dict[str, Any], Path], product: str):
    dataset = tilewright.open(triplets_built[1])
    accepted = dataset.index[dataset.index["accepted"]].sort_values("accepted_rank")
    number = len(BANDS[product][1])
    assert len(seen.said[product]["bands"]) == number
    assert len(accepted) == 2
    for location, cell_id in enumerate(accepted["cell_id"]):
        held = stacks(dataset[cell_id].load(), product)
        for count in (4, 2):
            image = seen.arrays[f"{product}/{count}/{location}/image"]
            assert image.shape == (count * number, SIDE, SIDE)
            drawn: list[str] = []
            for season in range(count):
                part = image[season * number : (season + 1) * number]
                found = [
                    scene for scene, stack in held if np.array_equal(part, stack.astype(np.float32), equal_nan=True)
                ]
                assert found, f"{product} {cell_id}: what is drawn {season}. is no season of the store"
                drawn.append(found[0])
            if count == 4:
                assert Counter(drawn) == Counter(scene for scene, _ in held)  # each season once


def test_times_and_places(seen: Seen, triplets_built: tuple[dict[str, Any], Path]):
    dataset = tilewright.open(triplets_built[1])
    accepted = dataset.index[dataset.index["accepted"]].sort_values("accepted_rank")
    world = World(TRIPLETS)
    for location, (cell_id, row) in enumerate(accepted.iterrows()):
        scenes = [str(name) for name in dataset[cell_id]["s2_l2a"]["scene_id"].values]
        starts = [
            datetime.datetime.strptime(world.scene(scene).datatake.split("_")[1], "%Y%m%dT%H%M%S") for scene in scenes
        ]
        for product in ("s2a", "s2c"):
            told = sorted(seen.arrays[f"{product}/4/{location}/t"])
            # float32: to the 128 s that a time of these years has in it
            assert np.allclose(
                told, sorted(start.replace(tzinfo=datetime.UTC).timestamp() for start in starts), rtol=0, atol=130
            )
        assert np.allclose(seen.arrays[f"s1/4/{location}/x"], row["ulx"] + 1320, rtol=0, atol=0.5)
        assert np.allclose(seen.arrays[f"s1/4/{location}/y"], row["uly"] - 1320, rtol=0, atol=0.5)


def test_bytes_are_read_as_bytes(triplets_built: tuple[dict[str, Any], Path], tmp_path: Path):
    config, results = triplets_built
    changed = config | {"export": {"layout": "ssl4eo-s12", "ssl4eo": {"values": "jpeg"}}}
    made = export(changed, results, "ssl4eo-s12", tmp_path / "jpeg")
    image = read("ssl4eo-s12", made, locations=1, products=["s1", "s2c"], seasons=[4]).arrays
    for product, number in (("s1", 2), ("s2c", 13)):
        found = image[f"{product}/4/0/image"]
        assert found.shape == (4 * number, SIDE, SIDE)
        assert 0 <= found.min() < found.max() <= 255 and np.array_equal(found, np.round(found))
