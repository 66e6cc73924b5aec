"""A STAC API and HTTP: the same dataset as from a local catalog, patience with what passes, and no dataset changed by an outage."""

import json
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from stac_server import Fault, StacServer

import tilewright.catalog.find as find
import tilewright.imagery.gdal as gdal
import tilewright.imagery.patience as patience
from conftest import SOUTH_BOX, config_of
from harness import ROOT
from tilewright.errors import TilewrightError
from tilewright.rules import DatasetConfig
from tilewright.stages.cells import make_cells
from tilewright.stages.crop import make_crop
from tilewright.stages.mask import make_mask
from tilewright.stages.search import make_search
from tilewright.store import read_table

TILE = "35JQG"
NEWEST, NEXT = "S2B_35JQG_20191128_0_L2A", "S2B_35JQG_20190731_0_L2A"


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits of hundredths of seconds instead of seconds, and GDAL's own tries two instead of four; ours as many as ever."""
    import urllib3.util

    monkeypatch.setattr(patience, "WAIT_S", 0.01)
    monkeypatch.setitem(gdal._ENV, "GDAL_HTTP_RETRY_DELAY", 0.01)
    monkeypatch.setitem(gdal._ENV, "GDAL_HTTP_MAX_RETRY", 1)
    monkeypatch.setattr(urllib3.util.Retry, "get_backoff_time", lambda self: 0.01)


@pytest.fixture
def server(world: Path) -> Iterator[StacServer]:
    """All items of the world; dozens more of other tiles and collections around them."""
    items = json.loads((world / "catalog.json").read_text())["features"]
    others = [{**item, "id": f"{item['id']}-l1c", "collection": "sentinel-2-l1c"} for item in items]
    with StacServer([*items, *others], world) as made:
        yield made


@pytest.fixture
def dataset(world: Path, server: StacServer) -> Callable[..., DatasetConfig]:
    """The config of one tile, read from the server or (`local`) from a catalog with the same items."""

    def made(local: Path | None = None, **provider: Any) -> DatasetConfig:
        config = config_of(world, "")
        config |= {
            "aoi": {"bbox": list(SOUTH_BOX)}, "collections": {"s2_l2a": {"bands": ["B02", "B11"]}}, "mask": {"max_bad": 0.25},
            "periods": [{"name": "year", "start": "2019-01-01", "end": "2019-12-31", "scenes": 1, "order": "latest"}],
            "provider": {"like": "earth-search", "url": server.url, "page_size": 10, **provider},
        }  # fmt: skip
        if local is not None:
            local.write_text(json.dumps({"type": "FeatureCollection", "features": server.served()}))
            config["provider"] = {"like": "earth-search", "path": str(local)}
        return DatasetConfig.load(config, ROOT)

    return made


def search(config: DatasetConfig, output: Path) -> Path:
    from tilewright.config.settings import SearchSettings, parsed

    make_search(parsed(SearchSettings, config.settings("search", tile=TILE, period="year")), output)
    return output


def test_an_api_gives_the_scenes_of_a_local_catalog_byte_for_byte(dataset, server: StacServer, tmp_path: Path):
    one = search(dataset(), tmp_path / "api.parquet")
    two = search(dataset(local=tmp_path / "items.json"), tmp_path / "local.parquet")
    assert one.read_bytes() == two.read_bytes()
    assert len(read_table(one)) == 6
    asked = server.bodies[0]
    assert asked["collections"] == ["sentinel-2-l2a"] and asked["limit"] == 10
    assert asked["query"] == {"grid:code": {"in": ["MGRS-35JQG"]}}
    assert "sortby" not in asked and "filter" not in asked


@pytest.mark.parametrize("size", [1, 2, 5, 6])
def test_pages_of_any_size_end_and_repeated_items_count_once(size: int, dataset, server: StacServer, tmp_path: Path):
    expected = search(dataset(local=tmp_path / "items.json"), tmp_path / "local.parquet").read_bytes()
    server.overlap = size // 2
    assert search(dataset(page_size=size), tmp_path / "api.parquet").read_bytes() == expected
    assert len(server.bodies) >= 6 / size + 1, "an empty page comes last"


def test_an_api_that_ignores_the_tile_gives_the_tiles_scenes_all_the_same(dataset, server: StacServer, tmp_path: Path):
    strange = json.loads(json.dumps(server.items[0]))
    own = next(item for item in server.items if item["id"][4:9] == TILE)
    strange |= {
        "id": "neighbour",
        "bbox": own["bbox"],
        "geometry": own["geometry"],
    }  # of another tile, on the same ground
    server.items.append(strange)
    server.tile_query = False
    expected = search(dataset(local=tmp_path / "items.json"), tmp_path / "local.parquet").read_bytes()
    for tile_query in (True, False):
        assert search(dataset(tile_query=tile_query), tmp_path / "api.parquet").read_bytes() == expected
    assert any("query" in body for body in server.bodies) and any("query" not in body for body in server.bodies)


@pytest.mark.parametrize("status", [403, 429, 500, 502, 503, 504])
@pytest.mark.parametrize("path", ["/", "/search"])
def test_what_passes_is_asked_again(path: str, status: int, dataset, server: StacServer, tmp_path: Path):
    server.faults[path] = Fault(status, times=3)
    assert len(read_table(search(dataset(page_size=2), tmp_path / "scenes.parquet"))) == 6
    assert server.faults[path].times == 0


@pytest.mark.parametrize(
    ("path", "fault", "why"),
    [
        ("/search", Fault(502), ""),
        ("/search", Fault(429), ""),
        ("/", Fault(503), ""),
        ("/search", Fault(400, b'{"code":"BadRequest","description":"bbox is bad"}'), "bbox is bad"),
        ("/search", Fault(200, b"<html>maintenance</html>"), ""),
        ("/search", Fault(200, b'{"message":"Forbidden"}'), "Forbidden"),
        ("/search", Fault(200, b'["no"]'), "no STAC document"),
        ("/", Fault(200, b"<html>maintenance</html>"), ""),
    ],
    ids=["502", "429", "no landing", "bad request", "a page of words", "JSON of an error", "a list", "landing of words"],
)  # fmt: skip
def test_a_server_that_keeps_failing_is_one_error_and_no_file(
    path: str, fault: Fault, why: str, dataset, server: StacServer, tmp_path: Path
):
    server.faults[path] = fault
    with pytest.raises(TilewrightError) as raised:
        search(dataset(), tmp_path / "out" / "scenes.parquet")
    message = str(raised.value)
    assert (
        f"tile {TILE}, 2019-01-01 to 2019-12-31" in message
        and server.url in message
        and "run again" in message
        and why in message
    )
    assert "\n" not in message and not (tmp_path / "out").exists()
    if fault.status in (502, 429, 503):
        assert server.asked[path] == find._RETRIES + 1


def test_a_failure_after_the_first_page_gives_no_part_of_the_answer(
    dataset, server: StacServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    answer = server.search

    def second_page_fails(asked: dict[str, Any]) -> dict[str, Any]:
        if "next" in asked:
            server.faults["/search"] = Fault(502)
        return answer(asked)

    monkeypatch.setattr(server, "search", second_page_fails)
    config = dataset(page_size=2)
    with pytest.raises(TilewrightError, match="search of sentinel-2-l2a"):
        search(config, tmp_path / "scenes.parquet")
    assert not (tmp_path / "scenes.parquet").exists()


def test_a_server_that_loses_items_between_pages_is_found_out(
    dataset, server: StacServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    answer = server.search

    def skipping(asked: dict[str, Any]) -> dict[str, Any]:
        page = answer(asked)
        if "next" in asked:
            page["features"] = page["features"][1:]
        return page

    monkeypatch.setattr(server, "search", skipping)
    with pytest.raises(TilewrightError, match="gave 4 of the 6 items"):
        search(dataset(page_size=2), tmp_path / "scenes.parquet")


def test_an_api_that_is_not_there_is_one_error(dataset, tmp_path: Path):
    with pytest.raises(TilewrightError, match=r"http://127\.0\.0\.1:9"):
        search(dataset(url="http://127.0.0.1:9"), tmp_path / "scenes.parquet")


def test_nothing_found_is_an_empty_table(dataset, server: StacServer, tmp_path: Path):
    server.items = []
    assert len(read_table(search(dataset(), tmp_path / "scenes.parquet"))) == 0


# -- pixels over HTTP -------------------------------------------------------------------------------------------------


class Pixels:
    """Cells, mask and crop of the tile in a folder."""

    def __init__(self, config: DatasetConfig, folder: Path) -> None:
        from tilewright.config.cell_settings import CellsSettings
        from tilewright.config.settings import parsed

        self.config, self.folder = config, folder
        folder.mkdir()
        make_cells(TILE, parsed(CellsSettings, config.settings("cells", tile=TILE)), folder / "cells.parquet")
        search(config, folder / "scenes.parquet")

    def paths(self, *names: str) -> list[Path]:
        return [self.folder / name for name in names]

    def mask(self) -> "Pixels":
        from tilewright.config.settings import MaskSettings, parsed

        settings = parsed(MaskSettings, self.config.settings("mask", tile=TILE))
        make_mask(
            *self.paths("cells.parquet", "scenes.parquet"), settings, *self.paths("masks.parquet", "masks.traffic.json")
        )
        return self

    def crop(self) -> "Pixels":
        from tilewright.config.settings import CropSettings, parsed

        settings = parsed(CropSettings, self.config.settings("crop", tile=TILE, period="year"))
        inputs = self.paths("cells.parquet", "scenes.parquet", "masks.parquet")
        make_crop(*inputs, settings, *self.paths("patches.zarr.zip", "selection.parquet", "patches.traffic.json"))
        return self

    def bytes(self) -> list[bytes]:
        return [
            (self.folder / name).read_bytes() for name in ("masks.parquet", "selection.parquet", "patches.zarr.zip")
        ]

    @property
    def selection(self) -> pd.DataFrame:
        return pd.read_parquet(self.folder / "selection.parquet")

    def nothing_half_written(self) -> bool:
        return not list(self.folder.rglob("*.part")) and not (self.folder / "patches.zarr.zip").exists()


def asset(scene: str, name: str) -> str:
    return f"/files/{scene}/{name}.tif"


@pytest.fixture
def truth(dataset, tmp_path: Path) -> list[bytes]:
    """What the undisturbed server gives."""
    return Pixels(dataset(), tmp_path / "truth").mask().crop().bytes()


def test_pixels_come_through_http_as_from_the_disk(
    dataset, world: Path, server: StacServer, truth: list[bytes], tmp_path: Path
):
    for item in server.items:
        for each in item["assets"].values():
            each["href"] = str(world / each["href"])
    local = tmp_path / "files.json"
    local.write_text(json.dumps({"type": "FeatureCollection", "features": server.items}))
    config = config_of(world, "")
    config |= {
        **dataset().config.model_dump(mode="json", exclude_none=True),
        "provider": {"like": "earth-search", "path": str(local)},
    }
    masks, selection, patches = Pixels(DatasetConfig.load(config, ROOT), tmp_path / "disk").mask().crop().bytes()
    assert [masks, selection] == truth[:2]
    # a scene's digest holds its hrefs; all pixels are the same
    assert len(patches) == len(truth[2])


@pytest.mark.parametrize("status", [404, 410])
@pytest.mark.parametrize("name", ["SCL", "B02"])
def test_a_file_that_is_gone_is_recorded_and_the_next_scene_serves(
    name: str, status: int, dataset, server: StacServer, tmp_path: Path
):
    server.faults[asset(NEWEST, name)] = Fault(status)
    made = Pixels(dataset(), tmp_path / "made").mask().crop()
    newest = made.selection[made.selection["scene_id"] == NEWEST]
    assert set(newest["status"]) == {"refused"}
    assert all(reason.startswith(f"broken: {name} is gone") for reason in newest["reason"])
    assert set(made.selection[made.selection["status"] == "used"]["scene_id"]) == {NEXT}


@pytest.mark.parametrize("beyond", [0, 16384], ids=["at the opening", "half way"])
@pytest.mark.parametrize("status", [403, 429, 500, 503])
def test_what_passes_is_read_again_and_changes_nothing(
    status: int, beyond: int, dataset, server: StacServer, truth: list[bytes], tmp_path: Path
):
    for name in ("SCL", "B02"):
        server.faults[asset(NEWEST, name)] = Fault(status, times=3, beyond=beyond)
    assert Pixels(dataset(), tmp_path / "made").mask().crop().bytes() == truth
    assert server.faults[asset(NEWEST, "B02")].times == 0, "the retries reached the server"


# a file of classes is so small that it comes whole with its opening
@pytest.mark.parametrize(
    ("name", "beyond"), [("SCL", 0), ("B02", 0), ("B02", 16384)], ids=["SCL", "B02", "B02 half way"]
)
@pytest.mark.parametrize("status", [403, 429, 503])
def test_an_outage_fails_the_job_and_changes_no_dataset(
    name: str, status: int, beyond: int, dataset, server: StacServer, tmp_path: Path
):
    server.faults[asset(NEWEST, name)] = Fault(status, beyond=beyond)
    made = Pixels(dataset(), tmp_path / "made")
    with pytest.raises(TilewrightError) as raised:
        made.mask().crop()
    message = str(raised.value)
    assert (
        f"scene {NEWEST}, asset {name}" in message
        and "run again when the provider answers" in message
        and "\n" not in message
    )
    assert (name == "B02") == (made.folder / "masks.parquet").exists()
    assert made.nothing_half_written()


def test_a_host_that_refuses_is_an_outage(dataset, server: StacServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    served = server.served

    def elsewhere() -> list[dict[str, Any]]:
        items = served()
        for item in items:
            item["assets"]["blue"]["href"] = f"http://127.0.0.1:9/{item['id']}/B02.tif"
        return items

    monkeypatch.setattr(server, "served", elsewhere)
    made = Pixels(dataset(), tmp_path / "made").mask()
    with pytest.raises(TilewrightError, match=r"asset B02: http://127\.0\.0\.1:9"):
        made.crop()
    assert made.nothing_half_written()


def test_bytes_that_are_corrupt_when_fetched_again_are_evidence(
    dataset, world: Path, server: StacServer, tmp_path: Path
):
    folder = tmp_path / "world"
    folder.mkdir()
    for scene in world.iterdir():
        (folder / scene.name).symlink_to(scene)
    (folder / NEWEST).unlink()
    (folder / NEWEST).mkdir()
    for file in (world / NEWEST).iterdir():
        data = file.read_bytes()
        start = len(data) // 4 if file.name == "B02.tif" else len(data)
        (folder / NEWEST / file.name).write_bytes(data[:start] + bytes(byte ^ 0xA5 for byte in data[start:]))
    server.folder = folder
    made = Pixels(dataset(), tmp_path / "made").mask()
    before = server.asked[asset(NEWEST, "B02")]
    made.crop()
    newest = made.selection[made.selection["scene_id"] == NEWEST]
    assert set(newest["reason"]) == {"broken: B02 is corrupt"}
    assert server.asked[asset(NEWEST, "B02")] >= before + 2, "fetched again before it was given up"


def test_bytes_that_are_corrupt_once_only_are_no_evidence(
    dataset, server: StacServer, truth: list[bytes], tmp_path: Path
):
    server.faults[asset(NEWEST, "B02")] = Fault(200, b"<html>one moment</html>", times=2)
    assert Pixels(dataset(), tmp_path / "made").mask().crop().bytes() == truth


def test_dates_are_asked_for_whole_days_and_checked_here(dataset, server: StacServer, tmp_path: Path):
    for item in server.items:
        if item["id"] == NEWEST:
            item["properties"]["datetime"] = "2020-01-01T00:00:00Z"  # the server's interval includes this instant
    scenes = read_table(search(dataset(), tmp_path / "scenes.parquet"))
    assert NEWEST not in set(scenes["scene_id"]) and len(scenes) == 5
    assert scenes["datetime"].dt.date.between(date(2019, 1, 1), date(2019, 12, 31)).all()
