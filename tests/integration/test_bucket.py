"""Results in a bucket: the workflow through Snakemake's S3 plugin on moto, the same bytes as on a disk, read again by the loader."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import pytest
from moto.server import DomainDispatcherApplication, ThreadedMotoServer

import tilewright
from conftest import SOUTH_BOX, config_of
from harness import ROOT, Project, digests, write_aoi
from inprocess import build
from tilewright.config.settings import ExportSettings, parsed
from tilewright.exports import make_export, make_export_tile
from tilewright.loader import Dataset
from tilewright.report import make_report
from tilewright.rules import DatasetConfig

TILE = "35JQG"
LAYOUT = "webdataset"
BUCKET, PREFIX = "datasets", "of/mine"
KEYS = {"AWS_ACCESS_KEY_ID": "AKIDOWNER", "AWS_SECRET_ACCESS_KEY": "hush", "AWS_DEFAULT_REGION": "us-east-1"}
IN_BUCKET = ("--default-storage-provider", "s3", "--default-storage-prefix", f"s3://{BUCKET}/{PREFIX}")


@dataclass
class Bucket:
    """moto's bucket.

    Attributes:
        environment: what a user sets to reach it.
        requests: method and path of every request that moto got.
    """

    client: Any
    environment: dict[str, str]
    requests: list[tuple[str, str]]

    def fetched(self, folder: Path) -> Path:
        """Everything in it, written below `folder`; the dataset's folder."""
        for each in self.client.list_objects_v2(Bucket=BUCKET)["Contents"]:
            place = folder / each["Key"]
            place.parent.mkdir(parents=True, exist_ok=True)
            self.client.download_file(BUCKET, each["Key"], str(place))
        return folder / PREFIX / "results" / "small"


@pytest.fixture(scope="module")
def bucket() -> Iterator[Bucket]:
    requests: list[tuple[str, str]] = []
    real = DomainDispatcherApplication.__call__

    def noted(self: Any, environ: dict[str, Any], start_response: Any) -> Any:
        requests.append((environ["REQUEST_METHOD"], environ["PATH_INFO"]))
        return real(self, environ, start_response)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(DomainDispatcherApplication, "__call__", noted)
        server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
        server.start()
        url = "http://{}:{}".format(*server.get_host_and_port())
        environment = {**KEYS, "AWS_ENDPOINT_URL": url, "AWS_ALLOW_HTTP": "true", "no_proxy": "127.0.0.1"}
        for name, value in environment.items():
            patched.setenv(name, value)
        yield Bucket(boto3.client("s3", endpoint_url=url), environment, requests)
        server.stop()


@pytest.fixture(scope="module")
def config(world: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """One tile, two periods, labels, an export."""
    aoi = write_aoi(tmp_path_factory.mktemp("aoi") / "aoi.geojson", SOUTH_BOX)
    return {**config_of(world, aoi), "export": {"layout": [LAYOUT]}}


@pytest.fixture(scope="module")
def local(config: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The dataset's folder on a disk."""
    results = build(config, tmp_path_factory.mktemp("local"))
    dataset = DatasetConfig.load(config, ROOT)
    make_report(results, dataset.text, results / "report.html")
    root, tables = results / "exports" / LAYOUT, results / "exports" / f"{LAYOUT}.tiles" / TILE
    settings = parsed(ExportSettings, dataset.settings("export", layout=LAYOUT))
    make_export_tile(results, TILE, settings, root, tables / "files.parquet", tables / "records.parquet")
    make_export(results, settings, [tables], root, dataset.text)
    return results


@pytest.fixture(scope="module")
def project(bucket: Bucket, config: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A folder in which the workflow has run into the bucket."""
    made = Project(tmp_path_factory.mktemp("bucket") / "work", config, bucket.environment, warm=True)
    made.run(options=IN_BUCKET)
    return made


def test_the_bucket_holds_what_a_disk_would_and_the_disk_only_what_is_of_the_run(
    bucket: Bucket, project: Project, local: Path, tmp_path: Path
):
    expected = digests(local)
    found = digests(bucket.fetched(tmp_path))
    exports = {path for path in expected if path.startswith("exports/")}
    assert len(exports) > 5 and len(found) >= 17
    assert found == {path: digest for path, digest in expected.items() if path not in exports}
    assert project.digests() == {path: expected[path] for path in exports}
    copies = [path for path in (project.directory / ".snakemake/storage").rglob("*") if path.is_file()]
    assert not copies, "local copies are removed when nobody needs them any more"
    assert (project.directory / "logs/small/crop" / f"{TILE}-first.log").is_file()
    traffic = json.loads((project.tile(TILE) / "first/patches.traffic.json").read_text())
    assert traffic["stage"] == "crop"


def test_nothing_changed_nothing_runs_and_hardly_anything_is_asked(bucket: Bucket, project: Project):
    bucket.requests.clear()
    assert "Nothing to be done" in project.run(options=(*IN_BUCKET, "--dry-run")).output
    assert len(bucket.requests) <= 3, "one listing tells of all objects"


def test_one_more_period_reruns_only_what_is_of_it(project: Project):
    more = {"name": "third", "start": "2019-03-01", "end": "2019-08-31", "scenes": 1}
    grown = Project(
        project.directory,
        {**project.config, "periods": [*project.config["periods"], more]},
        project.environment,
        warm=True,
    )
    assert grown.run(options=(*IN_BUCKET, "--dry-run")).planned == {
        "search": 1, "mask": 1, "crop": 1, "group": 1, "zone": 1, "index": 1, "report": 1, "export_tile": 1, "export": 1,
    }  # fmt: skip


def test_a_lost_object_is_made_again_of_what_the_bucket_has(
    bucket: Bucket, project: Project, local: Path, tmp_path: Path
):
    """By a crop whose patches are still there, too: Snakemake cannot update a file in a bucket, and the rule must not ask it to."""
    lost, made_of_it = (
        f"results/small/tiles/{TILE}/{name}" for name in ("second/selection.parquet", "series.zarr.zip")
    )
    bucket.client.delete_object(Bucket=BUCKET, Key=f"{PREFIX}/{lost}")
    assert project.run(lost, made_of_it, options=IN_BUCKET).jobs == {"crop": 1, "group": 1}
    assert digests(bucket.fetched(tmp_path), "tiles") == digests(local, "tiles")


def test_the_loader_reads_it_there(project: Project, local: Path):
    there, here = tilewright.open(f"s3://{BUCKET}/{PREFIX}/results/small"), tilewright.open(local)
    assert isinstance(there, Dataset) and isinstance(here, Dataset)
    assert there.index.equals(here.index) and there.bands == here.bands
    assert len(there) > 3
    for cell in here:
        remote, on_disk = there[cell], here[cell]
        assert [node.path for node in remote.subtree] == [node.path for node in on_disk.subtree]
        for node in on_disk.subtree:
            for name, variable in node.data_vars.items():
                np.testing.assert_array_equal(remote[node.path][name].values, variable.values)
