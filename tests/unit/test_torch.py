"""`tilewright.torch.SeriesDataset`: the same samples in any worker, batches, epochs, pickles."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import handmade
import labelsets
import paired
import tilewright
from tilewright.errors import TilewrightError
from tilewright.loader import iso_times
from tilewright.loader.sample import SampleOptions, SampleReader
from tilewright.loader.times import NO_TIME

torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install torch")
from torch.utils.data import DataLoader  # noqa: E402

from tilewright.torch import SeriesDataset, collate_series  # noqa: E402


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return handmade.write(tmp_path_factory.mktemp("handmade"))


def same(found: Any, truth: Any) -> None:
    """Equal in everything, types included."""
    if isinstance(truth, dict):
        assert list(found) == list(truth)
        for name in truth:
            same(found[name], truth[name])
    elif isinstance(truth, torch.Tensor):
        assert found.dtype == truth.dtype and torch.equal(found, truth)
    else:
        assert type(found) is type(truth) and found == truth


def test_a_sample_is_the_readers_as_tensors(folder: Path):
    samples, reader = SeriesDataset(folder, dates=3), SampleReader(folder, SampleOptions(dates=3))
    assert len(samples) == len(reader) == 8 and samples.bands == reader.bands
    for at in range(len(samples)):
        found, truth = samples[at], reader.sample(at)
        assert found["image"]["r10m"].dtype == torch.float32 and found["valid"].dtype == torch.bool
        assert iso_times(found["time"]) == iso_times(truth["time"])
        assert found["cell"] == truth["cell"]
        for name in ("scl", "time", "valid"):
            np.testing.assert_array_equal(found[name].numpy(), truth[name])
        for name in ("image", "pixel_valid", "labels"):
            for key, array in truth[name].items():
                np.testing.assert_array_equal(found[name][key].numpy(), array)
    same(samples[-1], samples[7])
    for beyond in (8, -9):
        with pytest.raises(IndexError):
            samples[beyond]


@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.parametrize("workers", [1, 2])
def test_workers_give_the_same_batches_in_the_same_order(folder: Path, workers: int, method: str):
    def batches(**how: Any) -> list[Any]:
        samples = SeriesDataset(folder, dates=2, sampling="random", seed=11)
        samples.set_epoch(5)
        order = torch.Generator().manual_seed(1)
        return list(DataLoader(samples, batch_size=3, shuffle=True, generator=order, **how))

    alone = batches()
    assert len(alone) == 3
    others = batches(num_workers=workers, multiprocessing_context=method)
    for found, truth in zip(others, alone, strict=True):
        same(found, truth)


def test_torchs_own_collate_batches_samples_of_one_length(folder: Path):
    batch = next(iter(DataLoader(SeriesDataset(folder, dates=3, resolution_m=10), batch_size=8)))
    assert batch["image"].shape == (8, 3, 6, 24, 24) and batch["pixel_valid"].shape == (8, 3, 24, 24)
    assert batch["valid"].sum(dim=1).tolist() == [3, 1, 3, 2] * 2
    assert batch["labels"]["osm"].shape == (8, 3, 24, 24)
    assert batch["cell"]["cell_id"][1] == handmade.cell_id(0, 1) and batch["cell"]["epsg"].tolist() == [32632] * 8
    assert (
        next(iter(DataLoader(SeriesDataset(folder, dates=3, scale=False), batch_size=2)))["image"]["r20m"].dtype
        == torch.uint16
    )


@pytest.mark.parametrize("grid", [None, 20])
def test_series_of_different_lengths_are_padded_in_the_batch(folder: Path, grid: int | None):
    samples = SeriesDataset(folder, resolution_m=grid)
    batch = next(iter(DataLoader(samples, batch_size=4, collate_fn=collate_series)))
    padded = SeriesDataset(folder, resolution_m=grid, dates=4)
    same(batch, torch.utils.data.default_collate([padded[at] for at in range(4)]))
    assert batch["time"][1].tolist()[1:] == [NO_TIME] * 3


def test_epochs_reach_workers_that_are_running(folder: Path):
    samples = SeriesDataset(folder, dates=1, sampling="random", rows=[handmade.cell_id(0, 0)] * 4)
    loader = DataLoader(samples, batch_size=1, num_workers=2, persistent_workers=True)
    drawn = []
    for epoch in range(8):
        samples.set_epoch(epoch)
        times = {int(batch["time"]) for batch in loader}
        expected = SampleReader(
            folder, SampleOptions(dates=1, sampling="random"), rows=[handmade.cell_id(0, 0)]
        ).sample(0, epoch)
        assert times == {int(expected["time"][0])}
        drawn += times
    assert len(set(drawn)) > 1


def test_a_season_pair_batches_as_two_views(folder: Path):
    samples = SeriesDataset(folder, sampling="season_pair")
    batch = next(iter(DataLoader(samples, batch_size=4)))
    assert batch["image"]["r10m"].shape == (4, 2, 3, 24, 24)
    first, second = batch["image"]["r10m"].unbind(dim=1)
    assert not torch.equal(first, second) and batch["valid"].all()


def test_how_samples_are_shown(folder: Path):
    shown = repr(SeriesDataset(folder, bands=["B08", "B05"]))
    assert shown == f"SeriesDataset('{folder}': 8 cells; r10m B08; r20m B05)"


@pytest.fixture(scope="module")
def yearly(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return labelsets.write_dataset(tmp_path_factory.mktemp("yearly"))


ASKED: dict[str, Any] = {
    "labels": ["lpis", "dem"],
    "label_arrays": ["instance", "parcel_coverage", "distance", "claims", "targets"],
}


def test_labels_joined_by_year_are_padded_in_the_batch(yearly: Path):
    samples, padded = SeriesDataset(yearly, **ASKED), SeriesDataset(yearly, dates=4, **ASKED)
    assert samples[1]["labels"]["lpis"].shape == (1, 1, 24, 24) and samples[1]["label_valid"]["lpis"].tolist() == [True]
    batch = next(iter(DataLoader(samples, batch_size=4, collate_fn=collate_series)))
    truth = torch.utils.data.default_collate([padded[at] for at in range(4)])
    for name in ("image", "time", "valid", "label_valid"):
        same(batch[name], truth[name])
    for name in ("labels", "label_arrays"):
        assert list(batch[name]) == list(truth[name])
    same(batch["labels"]["lpis"], truth["labels"]["lpis"])
    np.testing.assert_array_equal(batch["labels"]["dem"], truth["labels"]["dem"])
    found, expected = batch["label_arrays"]["lpis"], truth["label_arrays"]["lpis"]
    for name, array in expected.items():
        assert found[name].dtype == array.dtype and found[name].shape[:2] == (4, 4)
        np.testing.assert_array_equal(found[name], array)
    assert batch["labels"]["lpis"].shape == (4, 4, 1, 24, 24) and batch["labels"]["dem"].shape == (4, 1, 24, 24)
    assert batch["label_valid"]["lpis"].sum(dim=1).tolist() == [4, 1, 3, 2]
    assert (batch["labels"]["lpis"][1, 1:] == 255).all() and batch["labels"]["dem"].dtype == torch.float32
    assert found["distance"][1, 1:].isnan().all() and not found["parcel_coverage"][1, 1:].any()
    assert found["instance"].dtype == torch.uint32


def test_sets_of_every_kind_come_through_workers(yearly: Path):
    samples = SeriesDataset(yearly, dates=2, label_arrays=["ignore", "instance"])
    one = next(iter(DataLoader(samples, batch_size=8)))
    other = next(iter(DataLoader(samples, batch_size=8, num_workers=1)))
    assert one["label_arrays"]["land"]["ignore"].shape == (8, 3, 2, 96, 96)
    same(one["label_arrays"], other["label_arrays"])
    same(one["labels"]["lpis-2020"], other["labels"]["lpis-2020"])
    assert "label_valid" not in one


class Shift:
    """A transform that can be pickled."""

    def __call__(self, sample: dict[str, Any]) -> tuple[Any, Any]:
        return sample["image"]["r10m"] + 1, sample["labels"]["osm"]


def test_a_transform_makes_the_sample(folder: Path):
    plain, moved = SeriesDataset(folder, dates=2), SeriesDataset(folder, dates=2, transform=Shift())
    image, labels = moved[0]
    assert torch.equal(image, plain[0]["image"]["r10m"] + 1) and torch.equal(labels, plain[0]["labels"]["osm"])
    loader = DataLoader(moved, batch_size=8, num_workers=1, multiprocessing_context="spawn")
    assert next(iter(loader))[0].shape == (8, 2, 3, 24, 24)


def test_a_pickled_dataset_gives_the_same_samples_and_is_small(folder: Path):
    samples = SeriesDataset(folder, dates=2, sampling="random")
    samples.set_epoch(3)
    truth = [samples[at] for at in range(len(samples))]
    pickled = pickle.dumps(samples)
    assert len(pickled) < 10_000  # rows of the index as arrays, and no open store
    again = pickle.loads(pickled)
    for at, sample in enumerate(truth):
        same(again[np.int64(at)], sample)


def test_a_dataset_that_is_open_can_be_given(folder: Path):
    dataset: Any = tilewright.open(folder)
    samples = SeriesDataset(dataset, rows=dataset.split("test"))
    assert [sample["cell"]["cell_id"] for sample in (samples[0], samples[1])] == [
        handmade.cell_id(0, 4),
        handmade.cell_id(1, 4),
    ]


def test_wrong_arguments_are_named_at_once(folder: Path):
    with pytest.raises(TilewrightError, match="transform: 3 cannot be called"):
        SeriesDataset(folder, transform=3)  # type: ignore[arg-type]
    with pytest.raises(TilewrightError, match="bands: no band 'B99'"):
        SeriesDataset(folder, bands=["B99"])
    with pytest.raises(TilewrightError, match=r"index\.parquet is missing"):
        SeriesDataset(folder / "tiles")
    with pytest.raises(TypeError):
        SeriesDataset(folder, band=["B02"])  # type: ignore[call-arg]


def test_damage_reaches_the_loop_with_the_files_name(folder: Path, tmp_path: Path):
    import shutil

    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    samples = SeriesDataset(copy)
    store = copy / "tiles" / handmade.TILES[1] / "series.zarr.zip"
    store.write_bytes(store.read_bytes()[:1000])
    with pytest.raises(TilewrightError, match=f"{handmade.TILES[1]}/series.zarr.zip is not a whole store"):
        list(DataLoader(samples, batch_size=None, num_workers=1))


def test_companions_come_as_the_readers(tmp_path: Path):
    paired.write(tmp_path)
    wanted: Any = {"s2_l2a": ["B02"], "s1_grd": ["VV", "VH"]}
    samples, reader = (
        SeriesDataset(tmp_path, collections=wanted),
        SampleReader(tmp_path, SampleOptions(collections=wanted)),
    )
    assert "s2_l2a r10m B02; s1_grd r10m VV VH" in repr(samples)
    for at in range(len(samples)):
        found, truth = samples[at], reader.sample(at)
        for name in ("image", "pixel_valid", "time", "present", "orbit"):
            for key, each in truth[name].items():
                for group, array in each.items() if isinstance(each, dict) else [(None, each)]:
                    tensor = found[name][key] if group is None else found[name][key][group]
                    np.testing.assert_array_equal(tensor.numpy(), array)


@pytest.mark.parametrize(
    "options", [{"collections": {"s2_l2a": None, "s1_grd": None}}, {"collection": "s1_grd"}], ids=str
)
@pytest.mark.parametrize("step", [None, 20])
def test_padded_batches_are_as_samples_of_that_length(tmp_path: Path, options: Any, step: int | None):
    """What `collate_series` pads is what the reader pads."""
    paired.write(tmp_path)
    free = SeriesDataset(tmp_path, resolution_m=step, **options)
    longest = max(len(free[at]["valid"]) for at in range(len(free)))
    fixed = SeriesDataset(tmp_path, resolution_m=step, dates=longest, **options)
    batch = collate_series([free[at] for at in range(len(free))])
    for at in range(len(free)):
        one = fixed[at]
        for name in ("image", "pixel_valid", "time", "present", "orbit", "valid"):
            if name in one:
                equal_with_nan(batch[name], one[name], at)


def equal_with_nan(batch: Any, one: Any, at: int) -> None:
    if isinstance(one, dict):
        assert list(batch) == list(one)
        for key in one:
            equal_with_nan(batch[key], one[key], at)
    else:
        np.testing.assert_array_equal(batch[at].numpy(), one.numpy())
