"""Damaged results and disks that take nothing: the file is named, nothing is left half-written, a rerun mends it."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from chain import TILE, Chain, small


def damage(path: Path, how: str) -> None:
    data = path.read_bytes()
    if how == "gone":
        path.unlink()
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "truncated":
        path.write_bytes(data[: len(data) // 2])
    elif how == "wordy":
        path.write_text("no such thing\n" * 100)
    elif how == "chunk":  # a chunk's bytes, which the zip's checksum betrays
        at = data.index(b"s2_l2a/r10m/reflectance/c/0/0/0/0") + 5000
        path.write_bytes(data[:at] + bytes(byte ^ 0xFF for byte in data[at : at + 64]) + data[at + 64 :])
    elif how == "metadata":
        at = data.rindex(b'"zarr_format"')  # of the root, which holds all metadata
        path.write_bytes(data[:at] + b"\0" * 13 + data[at + 13 :])
    elif how == "coordinates":  # the cells' names
        at = data.index(b"s2_l2a/cell_id/c/0") + 40
        path.write_bytes(data[:at] + bytes(byte ^ 0xFF for byte in data[at : at + 8]) + data[at + 8 :])


STORE_DAMAGE = ["empty", "truncated", "wordy", "chunk", "metadata", "coordinates"]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the first test keeps what its stages made, for the others."""
    return tmp_path_factory.mktemp("sound") / "work"


@pytest.fixture
def cropped(chain: Chain, sound: Path) -> Chain:
    if sound.exists():
        shutil.copytree(sound, chain.project.directory)
    else:
        chain.well("cells", "search", "mask", "crop")
        shutil.copytree(chain.project.directory, sound)
    return chain


@pytest.mark.parametrize("how", ["gone", *STORE_DAMAGE])
def test_group_names_a_damaged_patch_store(how: str, cropped: Chain):
    damage(cropped.path("year/patches.zarr.zip"), how)
    assert cropped.run("group") == 1
    assert "year/patches.zarr.zip" in cropped.error
    assert not cropped.path("series.zarr.zip").exists() and cropped.project.leftovers() == []


@pytest.mark.parametrize("how", STORE_DAMAGE)
def test_crop_reads_again_what_a_damaged_earlier_store_lost(how: str, cropped: Chain):
    path = cropped.path("year/patches.zarr.zip")
    fresh = path.read_bytes()
    damage(path, how)
    cropped.well("crop")
    assert path.read_bytes() == fresh
    assert cropped.project.leftovers() == []


@pytest.mark.parametrize("how", ["gone", "empty", "truncated", "wordy"])
@pytest.mark.parametrize(
    ("file", "stage"),
    [
        ("cells.parquet", "mask"),
        ("year/scenes.parquet", "mask"),
        ("year/scenes.parquet", "crop"),
        ("year/masks.parquet", "crop"),
    ],
)
def test_a_damaged_table_is_named(file: str, stage: str, how: str, cropped: Chain):
    for output in ("year/patches.zarr.zip", "year/selection.parquet"):
        cropped.path(output).unlink()
    damage(cropped.path(file), how)
    before = {path: path.read_bytes() for path in cropped.project.directory.rglob("*") if path.is_file()}
    assert cropped.run(stage) == 1
    assert file in cropped.error
    assert {path: path.read_bytes() for path in cropped.project.directory.rglob("*") if path.is_file()} == before


# -- disks ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of half a megabyte of its own."""
    place = tmp_path / "disk"
    place.mkdir()
    if (
        os.geteuid() != 0
        or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(place)], check=False, capture_output=True
        ).returncode
    ):
        pytest.skip("only root can mount a small disk to fill")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


OUTPUTS = {
    "cells": ["cells.parquet"], "search": ["year/scenes.parquet"], "mask": ["year/masks.parquet"],
    "crop": ["year/patches.zarr.zip", "year/selection.parquet"], "source": ["source.parquet"], "features": ["features.parquet"], "labels": ["labels.zarr.zip"],
    "group": ["series.zarr.zip"], "zone": ["zone.parquet"], "index": ["index.parquet", "statistics.json", "collection.json"],
}  # fmt: skip


@pytest.mark.parametrize("fault", ["full", "read-only"])
def test_a_disk_that_takes_nothing_leaves_nothing_half_written(fault: str, chain: Chain, disk: Path):
    chain.well(*OUTPUTS)
    (disk / "rest").write_bytes(b"\0" * (509 * 1024))
    if fault == "read-only":
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    for stage, names in OUTPUTS.items():
        chain.outputs = {name: disk / Path(name).name for name in names}
        assert chain.run(stage) == 1, stage
        expected = "No space left" if fault == "full" else "Read-only file system"
        assert expected in chain.error and str(disk) in chain.error, f"{stage}: {chain.error}"
        assert [path.name for path in disk.iterdir()] == ["rest"], stage


def test_a_whole_run_on_a_full_disk_says_so_and_ends_well_with_more_room(world: Path, tmp_path: Path, disk: Path):
    project = small(world, tmp_path / "work")
    project.directory.mkdir()
    (project.directory / "results").symlink_to(disk)
    (disk / "rest").write_bytes(b"\0" * (480 * 1024))
    target = f"results/small/tiles/{TILE}/year/patches.zarr.zip"
    run = project.run(target, good=False)
    assert run.code == 1
    assert len(run.errors) == 1 and "No space left" in run.errors[0], run.output
    assert not list(disk.rglob("*.part")) and not (project.directory / target).exists()
    (disk / "rest").unlink()
    subprocess.run(["mount", "-o", "remount,size=8m", str(disk)], check=True)
    assert project.run(target).code == 0
    assert (project.directory / target).stat().st_size > 0
