"""One small dataset of four sensors by real `snakemake` runs, through every kind of server: the same bytes as from files on the disk."""

import copy
import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from fault_plan import FaultPlan
from pgstac_server import pgstac
from stac_server import StacServer

from harness import Project, write_aoi
from tilewright.config.simulated import Simulate, Site
from tilewright.simulate import make_world

# On the border of UTM zones 32 and 33: two tiles of the same ground.
SITE = Site(name="lazio", lon=12.0, lat=42.0, side_m=4000, tiles=["32TQM", "33TTG"])
BOX = (11.977, 41.983, 12.023, 42.017)
TILES = ["32TQM", "33TTG"]
# What there is of each scene beside Level-2A; of one scene in three two halves, of another a reprocessing.
SENSORS = Simulate(
    seed=7, sites=[SITE], years=[2021], scenes_per_year=3, sensors=["s2_l1c", "s1_grd", "s1_rtc"], halves=0.3, reprocessed=0.3
)  # fmt: skip
# What may differ from a dataset made of files on the disk: these say where each file is, and know the size only of those on the disk,
# by which a scene's patches are known again. What else they say is compared apart; what the patches hold is in the series.
OF_PLACES = ("scenes.parquet", "companions.parquet", "patches.zarr.zip", "report.html")
INDEX = "results/small/index.parquet"
# A host that does not exist: whoever asks it fails.
NOWHERE = "https://imagery.invalid/world/"
Item = dict[str, Any]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sensors") / "data"
    make_world(SENSORS, folder)
    return folder


@pytest.fixture(scope="module")
def items(files: Path) -> list[Item]:
    """With hrefs relative to the world's folder."""
    return json.loads((files / "catalog.json").read_text())["features"]


def at(items: list[Item], prefix: str) -> list[Item]:
    """The items with their assets somewhere else."""
    moved = copy.deepcopy(items)
    for item in moved:
        for asset in item["assets"].values():
            asset["href"] = prefix + asset["href"]
    return moved


@pytest.fixture(scope="module")
def config(files: Path) -> dict[str, Any]:
    """Read from the files themselves."""
    return {
        "dataset": "small", "seed": 42, "aoi": {"file": write_aoi(files.parent / "aoi.geojson", BOX)},
        "provider": {"like": "simulated", "path": str(files / "catalog.json")},
        "collections": {
            "s2_l2a": {"bands": ["B02", "B11"]}, "s2_l1c": {"bands": ["B02", "B10"]},
            "s1_grd": {"bands": ["VV"], "pair": {"nearest_days": 6}}, "s1_rtc": {"bands": ["VH"], "pair": {"nearest_days": 6}},
        },
        "cells": {"size_m": 960}, "mask": {"max_bad": 0.9},
        "periods": [{"name": "year", "start": "2021-01-01", "end": "2021-12-31", "scenes": 3}],
        "labels": {"osm": {"source": {"kind": "pbf", "path": str(files / "world.osm.pbf")}, "ontology": "opensentinelmap"}},
    }  # fmt: skip


def through(config: dict[str, Any], provider: dict[str, Any], folder: Path, **environment: str) -> Project:
    """A project of the same dataset from another provider."""
    return Project(folder / "work", {**config, "provider": {"like": "simulated", **provider}}, environment, warm=True)


def same(project: Project, reference: Project, below: str = "") -> None:
    """All files made are those of the reference, byte for byte; and the tables of scenes say the same of them."""
    made, wanted = project.digests(below), reference.digests(below)
    assert sum(name.endswith("series.zarr.zip") for name in made) == len(list(project.results.glob("tiles/*"))) > 0
    assert [name for name in made if made[name] != wanted[name] and not name.endswith(OF_PLACES)] == []
    for path in (project.results / below).rglob("*.parquet"):
        if path.name in OF_PLACES:
            one, two = (
                pd.read_parquet(each).drop(columns=["assets", "item", "digest"])
                for each in (path, reference.results / path.relative_to(project.results))
            )
            pd.testing.assert_frame_equal(one, two)


@pytest.fixture(scope="module")
def local(config: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The dataset from files on the disk."""
    project = Project(tmp_path_factory.mktemp("local") / "work", config, warm=True)
    project.run()
    return project


def test_the_dataset_is_worth_comparing(local: Project):
    """Both zones, all sensors, halves and reprocessings are in it."""
    chosen = pd.concat(pd.read_parquet(local.tile(tile) / "year/selection.parquet").assign(tile=tile) for tile in TILES)
    used = chosen[chosen["status"] == "used"]
    assert set(zip(used["tile"], used["collection"], strict=True)) == {
        (tile, key) for tile in TILES for key in local.config["collections"]
    }
    scenes = pd.concat(pd.read_parquet(local.tile(tile) / "year/scenes.parquet") for tile in TILES)
    assert scenes["refused"].str.startswith("superseded by").any()
    parts = scenes[scenes["refused"] == ""].groupby("acquisition").size()
    assert (parts > 1).any()


def test_through_an_earth_search_that_fails_one_request_in_ten(
    local: Project, config: dict[str, Any], files: Path, items: list[Item], tmp_path: Path
):
    with StacServer(items, files, plan=FaultPlan(seed=1, stall_s=0.5)) as server:
        access = {"hosts": [f"http://{server.address}"]}
        project = through(config, {"kind": "api", "url": server.url, "page_size": 2, "access": access}, tmp_path)
        project.run()
    same(project, local)
    assert sum(server.failed.values()) > 10 and len(server.failed) > 5, "too few faults to mean anything"


@pytest.fixture(scope="module")
def independent(
    config: dict[str, Any], files: Path, items: list[Item], tmp_path_factory: pytest.TempPathFactory
) -> Project:
    """The dataset through pgstac, which knows the imagery under addresses that a mirror on the disk stands for."""
    folder = tmp_path_factory.mktemp("independent")
    with pgstac(at(items, NOWHERE), folder / "log") as url:
        access = {"hosts": ["imagery.invalid"], "rewrite": {NOWHERE: f"{files}/"}}
        by_cql2 = {"s2_l1c": {"filter": {"by": "cql2"}}}  # and Level-2A by query
        provider = {"kind": "api", "url": url, "page_size": 2, "access": access, "collections": by_cql2}
        project = through(config, provider, folder)
        project.run(INDEX)
    return project


def test_through_an_independent_server_and_a_mirror(local: Project, independent: Project):
    same(independent, local)


def test_a_frozen_catalog_makes_the_same_dataset_elsewhere(independent: Project, files: Path, tmp_path: Path):
    frozen = tmp_path / "elsewhere" / "frozen.parquet"
    frozen.parent.mkdir()
    command = [sys.executable, "-m", "tilewright", "freeze", "--dataset", "results/small", "--output", str(frozen)]
    subprocess.run(command, cwd=independent.directory, check=True, timeout=120)
    access = {"hosts": ["imagery.invalid"], "rewrite": {NOWHERE: f"{files}/"}}
    project = through(independent.config, {"path": str(frozen), "access": access}, frozen.parent)
    project.run(INDEX)
    assert project.digests() == independent.digests()


@pytest.fixture
def buckets(files: Path, items: list[Item]) -> Iterator[str]:
    """The URL of an S3 service with the imagery: Level-2A for those with keys, Level-1C for those who pay, radar for everybody."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    client = boto3.client(
        "s3", endpoint_url=url, region_name="us-east-1", aws_access_key_id="key", aws_secret_access_key="secret"
    )
    try:
        for name in ("keys", "payers", "open"):
            client.create_bucket(Bucket=name)
        for item in items:
            bucket = bucket_of(item)
            rights = {"ACL": "public-read"} if bucket == "open" else {}
            for asset in item["assets"].values():
                client.put_object(Bucket=bucket, Key=asset["href"], Body=(files / asset["href"]).read_bytes(), **rights)
        yield url
    finally:
        server.stop()


def bucket_of(item: Item) -> str:
    return {"sentinel-2-l2a": "keys", "sentinel-2-l1c": "payers"}.get(item["collection"], "open")


def test_through_buckets_with_keys_for_those_who_pay_and_for_everybody(
    local: Project,
    config: dict[str, Any],
    items: list[Item],
    buckets: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
):
    catalog = tmp_path / "catalog.json"
    moved = [at([item], f"s3://{bucket_of(item)}/")[0] for item in items]
    catalog.write_text(json.dumps({"type": "FeatureCollection", "features": moved}))
    place = {"endpoint": buckets, "region": "us-east-1"}
    access = {
        "buckets": {"keys": place, "payers": {**place, "requester_pays": True}, "open": {**place, "unsigned": True}}
    }
    keys = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}
    project = through(config, {"path": str(catalog), "access": access}, tmp_path, **keys)
    with caplog.at_level(logging.INFO, "werkzeug"):
        caplog.clear()
        project.run("results/small/tiles/32TQM/series.zarr.zip")
    same(project, local, "tiles/32TQM")
    asked = {name: [line for line in caplog.messages if f"GET /{name}/" in line] for name in ("keys", "payers", "open")}
    assert all(asked.values()), "a bucket was not read at all"
    assert all("X-Amz-Signature=" in line for line in [*asked["keys"], *asked["payers"]])
    assert all("x-amz-request-payer" in line for line in asked["payers"])
    assert not any("X-Amz-Signature=" in line for line in asked["open"])
    told = [path for path in project.directory.rglob("*") if path.is_file() and b"X-Amz-" in path.read_bytes()]
    assert not told, "signatures were written down"
