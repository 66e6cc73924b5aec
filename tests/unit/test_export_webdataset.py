"""The layout webdataset: shards read back with tarfile and numpy, against the stores and the watermarks."""

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import paired
from everything import Everything, Export
from tilewright.config.settings import ExportSettings
from tilewright.store import read_table

GROUPS = {
    "s2_l2a_r10m": "B02 B03 B04 B08", "s2_l2a_r20m": "B05 B06 B07 B8A B11 B12", "s2_l2a_r60m": "B01 B09",
    "s2_l1c_r10m": "B02 B03 B04 B08", "s2_l1c_r20m": "B05 B06 B07 B8A B11 B12", "s2_l1c_r60m": "B01 B09 B10",
}  # fmt: skip
PARCELS = ("instance", "parcel_coverage", "distance", "claims", "claims_same")


@pytest.fixture(scope="module")
def export(everything: Everything, tmp_path_factory: pytest.TempPathFactory) -> Export:
    settings = everything.settings("webdataset", webdataset={"shard_mb": 1})
    return Export(tmp_path_factory.mktemp("wds"), everything.results, settings).run()


def samples(root: Path) -> dict[str, dict[str, Any]]:
    """Members of each sample by its key; the key ends at the first dot, as readers have it."""
    found: dict[str, dict[str, Any]] = {}
    for path in sorted(root.rglob("*.tar")):
        with tarfile.open(path) as file:
            for member in file.getmembers():
                key, _, name = member.name.partition(".")
                data = file.extractfile(member)
                assert data is not None
                raw = data.read()
                value = json.loads(raw) if name == "json" else np.load(io.BytesIO(raw))
                found.setdefault(key, {"shard": path.relative_to(root).as_posix()})[name] = value
    return found


def test_samples_are_the_stores(everything: Everything, export: Export):
    found, accepted = samples(export.root), everything.accepted()
    assert set(found) == set(accepted.index)
    for cell_id, row in accepted.iterrows():
        sample, about = found[cell_id], found[cell_id]["json"]
        arrays = {*GROUPS, "scl", "labels_osm", "labels_crops", *(f"labels_crops_{name}" for name in PARCELS)}
        assert set(sample) == {"json", "shard", *(f"{name}.npy" for name in arrays)}
        for group, bands in GROUPS.items():
            collection, _, step = group.rpartition("_")
            scenes = list(everything.images(cell_id, collection))
            told = about["collections"][collection]
            assert told["groups"][step] == {"bands": bands.split(), "resolution_m": int(step[1:-1])}
            assert told["scene"] == [scene for scene, _, _ in scenes] and len(scenes) == 4
            assert [pd.Timestamp(time) for time in told["time"]] == [when.tz_localize("UTC") for _, when, _ in scenes]
            assert told["scale_factor"] == 1e-4 and told["quantity"] == "dn"
            pixels = sample[f"{group}.npy"]
            assert pixels.dtype == np.uint16 and len(pixels) == len(scenes)
            for at, (_, when, stored) in enumerate(scenes):
                for place, band in enumerate(bands.split()):
                    assert np.array_equal(pixels[at, place], stored[band])
                    everything.check_mark(row, collection, when, band, pixels[at, place])
        scl = [stored["SCL"] for _, _, stored in everything.images(cell_id, "s2_l2a")]
        assert np.array_equal(sample["scl.npy"], np.stack(scl))
        cell = everything.cell(cell_id)
        assert np.array_equal(sample["labels_osm.npy"], cell["labels/osm/labels"].values)
        assert np.array_equal(sample["labels_crops.npy"], cell["labels/crops/labels"].values)
        for name in PARCELS:
            assert np.array_equal(sample[f"labels_crops_{name}.npy"], cell[f"labels/crops/{name}"].values, equal_nan=name == "distance")  # fmt: skip
        assert (about["epsg"], about["ulx"], about["uly"], about["size_m"]) == (
            row["epsg"],
            row["ulx"],
            row["uly"],
            480,
        )
        assert about["labels"]["crops"]["classes"] == {"crop": {"wheat": 0, "maize": 1}}
        assert about["footprint"]["coordinates"][0] == [list(corner) for corner in row["geometry"].exterior.coords]
        assert (about["cell_id"], about["tile"], about["split"]) == (cell_id, row["tile"], row["split"])
        assert sample["shard"].startswith(f"{row['split']}/{row['tile']}-000")
        pairs = about["collections"]["s2_l1c"]["pair_of"]
        assert pairs == about["collections"]["s2_l2a"]["scene"]


def test_shards(everything: Everything, export: Export):
    accepted = everything.accepted()
    for path in export.root.rglob("*.tar"):
        with tarfile.open(path) as file:
            members = file.getmembers()
        assert {(each.mtime, each.uid, each.gid, each.uname, each.mode) for each in members} == {(0, 0, 0, "", 0o644)}
        # members of a sample stand together, sorted; samples in the order in which their cells were accepted
        keys = [each.name.partition(".")[0] for each in members]
        order = list(dict.fromkeys(keys))
        assert keys == sorted(keys, key=order.index)
        assert accepted.loc[order, "accepted_rank"].is_monotonic_increasing
        for key in order:
            names = [each.name for each in members if each.name.startswith(f"{key}.")]
            assert names == sorted(names)
        assert path.stat().st_size <= 1_000_000 and path.stat().st_size % 10240 == 0


def test_samples_that_do_not_fit_begin_a_shard(everything: Everything, export: Export, tmp_path: Path):
    """A sample takes about 250 kB: three fit in a megabyte."""
    one = Export(tmp_path, everything.results, everything.settings("webdataset"))
    one.tile("33TTG")
    whole = [path.stat().st_size for path in one.root.rglob("*.tar")]
    parts = sorted(path.name for path in export.root.glob("*/33TTG-*.tar"))
    assert len(parts) == sum(-(-size // 1_000_000) if size > 1_000_000 else 1 for size in whole)
    records = read_table(export.tables["33TTG"] / "records.parquet")
    for shard, rows in records.groupby("shard"):
        assert rows["place"].tolist() == list(range(len(rows)))
        with tarfile.open(export.root / str(shard)) as file:
            keys = list(dict.fromkeys(name.partition(".")[0] for name in file.getnames()))
        assert keys == rows["cell_id"].tolist()


def test_lists_of_shards(everything: Everything, export: Export):
    counted = 0
    for split in everything.accepted()["split"].unique():
        document = json.loads((export.root / f"{split}.json").read_text())
        assert document["__kind__"] == "wids-shard-index-v1" and document["wids_version"] == 1
        assert [each["url"] for each in document["shardlist"]] == sorted(path.relative_to(export.root).as_posix() for path in (export.root / split).glob("*.tar"))  # fmt: skip
        for each in document["shardlist"]:
            with tarfile.open(export.root / each["url"]) as file:
                assert each["nsamples"] == sum(name.endswith(".json") for name in file.getnames())
            counted += each["nsamples"]
    assert counted == len(everything.accepted())


def test_the_same_bytes_at_another_time(everything: Everything, export: Export, tmp_path: Path):
    again = Export(tmp_path, everything.results, export.settings).run()
    assert again.files() == export.files()


def test_radar(tmp_path: Path):
    paired.write(tmp_path / "set")
    paired.accept(tmp_path / "set")
    told = ExportSettings(dataset="paired", layout="webdataset", periods=["a", "b"], label_set=None)
    export = Export(tmp_path, tmp_path / "set", told)
    export.tile(paired.TILE)
    found = samples(export.root)
    assert set(found) == {paired.cell_id(cell) for cell in range(4)}
    for cell in range(4):
        sample = found[paired.cell_id(cell)]
        entries: dict[str, Any] = {}
        for each in paired.entries(cell, "s1_grd"):
            entries.setdefault(each["scene_id"], each)
        about = sample["json"]["collections"]["s1_grd"]
        # a scene that serves two dates is there once
        assert about["scene"] == list(entries) and about["quantity"] == "sigma0_db" and about["scale_factor"] == 1
        if not entries:
            assert "s1_grd_r10m.npy" not in sample
            continue
        pixels = sample["s1_grd_r10m.npy"]
        stored = np.stack([paired.pixels(cell, "s1_grd", "r10m", each["of"]) for each in entries.values()])
        assert pixels.dtype == np.float32 and np.array_equal(pixels, stored, equal_nan=True)
    # a cell without imagery has what there is
    assert set(found[paired.cell_id(2)]) == {"json", "shard"}
