"""The same faults through mask and crop of a small dataset: the same bytes, one clear error, or the dataset without that scene."""

import copy
import json
import random
import re
import shutil
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from range_server import Fault, RangeServer

import tilewright.imagery.client as client
import tilewright.imagery.patience as patience
from conftest import SOUTH_BOX, config_of
from harness import ROOT
from tilewright.config.cell_settings import CellsSettings
from tilewright.config.settings import CropSettings, MaskSettings, SearchSettings, parsed, parsed_access
from tilewright.errors import TilewrightError
from tilewright.imagery import ImageryReader
from tilewright.rules import DatasetConfig
from tilewright.stages.cells import make_cells
from tilewright.stages.crop import make_crop
from tilewright.stages.mask import make_mask
from tilewright.stages.search import make_search

TILE = "35JQG"
NEWEST, NEXT = "S2B_35JQG_20191128_0_L2A", "S2B_35JQG_20190731_0_L2A"  # the one between is all cloud
HALF_WAY = 33_000  # beyond what is read of a header
OUTPUTS = ("masks.parquet", "selection.parquet", "patches.zarr.zip")


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "WAIT_S", 0.001)
    monkeypatch.setattr(client, "SILENCE_S", 1.0)


@pytest.fixture(scope="module")
def serving(world: Path) -> Iterator[RangeServer]:
    with RangeServer(world) as made:
        yield made


@pytest.fixture
def server(serving: RangeServer) -> Iterator[RangeServer]:
    """Honest, until a test puts faults in."""
    serving.faults.clear()
    serving.ranges.clear()
    yield serving


class Tile:
    """Cells, search, mask and crop of the tile in a folder, its scenes' files on the server; `without` some of them."""

    def __init__(self, world: Path, server: RangeServer, folder: Path, without: frozenset[str]) -> None:
        items = copy.deepcopy(json.loads((world / "catalog.json").read_text())["features"])
        for item in items:
            for asset in item["assets"].values():
                asset["href"] = f"{server.url}/{asset['href']}"
        folder.mkdir(exist_ok=True)
        kept = [item for item in items if item["id"] not in without]
        (folder / "items.json").write_text(json.dumps({"type": "FeatureCollection", "features": kept}))
        config = config_of(world, "") | {
            "aoi": {"bbox": list(SOUTH_BOX)}, "collections": {"s2_l2a": {"bands": ["B02", "B11"]}}, "mask": {"max_bad": 0.25},
            "periods": [{"name": "year", "start": "2019-01-01", "end": "2019-12-31", "scenes": 1, "order": "latest"}],
            "provider": {
                "like": "simulated", "path": str(folder / "items.json"), "access": {"hosts": [server.url]},
            },
        }  # fmt: skip
        self.config = DatasetConfig.load(config, ROOT)
        self.folder = folder
        make_cells(TILE, parsed(CellsSettings, self.config.settings("cells", tile=TILE)), folder / "cells.parquet")
        search = self.config.settings("search", tile=TILE, period="year")
        self.access = parsed_access(self.config.access)
        make_search(parsed(SearchSettings, search), folder / "scenes.parquet", self.access)

    def copied(self, folder: Path) -> "Tile":
        """The same in another folder."""
        found = copy.copy(self)
        found.folder = folder
        shutil.copytree(self.folder, folder, dirs_exist_ok=True)
        return found

    def mask(self) -> "Tile":
        settings = parsed(MaskSettings, self.config.settings("mask", tile=TILE, period="year"))
        at = self.folder
        make_mask(
            at / "cells.parquet", at / "scenes.parquet", settings, at / "masks.parquet", at / "masks.traffic.json",
            ImageryReader(2, self.access),
        )  # fmt: skip
        return self

    def crop(self) -> "Tile":
        settings = parsed(CropSettings, self.config.settings("crop", tile=TILE, period="year"))
        at = self.folder
        make_crop(
            at / "cells.parquet", at / "scenes.parquet", None, at / "masks.parquet", settings, at / "patches.zarr.zip",
            at / "selection.parquet", at / "patches.traffic.json", ImageryReader(2, self.access),
        )  # fmt: skip
        return self

    def bytes(self) -> list[bytes]:
        return [(self.folder / name).read_bytes() for name in OUTPUTS]

    def retries(self) -> int:
        return sum(
            json.loads((self.folder / f"{name}.traffic.json").read_text())["retries"] for name in ("masks", "patches")
        )

    def selection(self) -> pd.DataFrame:
        return pd.read_parquet(self.folder / "selection.parquet")

    def broken(self) -> frozenset[str]:
        table = self.selection()
        return frozenset(table[table["reason"].str.startswith("broken: ")]["scene_id"])


Made = Callable[..., Tile]


@pytest.fixture(scope="module")
def honest(world: Path, serving: RangeServer, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """The finished tile without some scenes, from an honest server, made once. Read only."""

    @cache
    def made(without: frozenset[str] = frozenset()) -> Tile:
        return Tile(world, serving, tmp_path_factory.mktemp("honest"), without).mask().crop()

    return made


@pytest.fixture
def truth(honest: Made) -> list[bytes]:
    """What an honest server gives."""
    return honest().bytes()


@pytest.fixture
def made(honest: Made, truth: list[bytes], tmp_path: Path) -> Tile:
    """Cells and scenes of the tile; nothing read yet."""
    found = honest().copied(tmp_path / "made")
    for name in OUTPUTS:
        (found.folder / name).unlink()
    return found


def path(scene: str, band: str) -> str:
    return f"/{scene}/{band}.tif"


PASSING = {
    "503": Fault("status", 503), "403": Fault("status", 403), "429": Fault("status", 429), "416": Fault("status", 416),
    "page": Fault("page"), "whole": Fault("whole"), "short": Fault("short"), "long": Fault("long"), "cut": Fault("cut"),
    "elsewhere": Fault("elsewhere"), "reset": Fault("reset"), "amid": Fault("amid"),
}  # fmt: skip


def spoilt(kind: str, **changes: Any) -> Fault:
    return Fault(**{**vars(PASSING[kind]), **changes})


@pytest.mark.parametrize("kind", PASSING)
def test_what_passes_gives_the_same_bytes(kind: str, made: Tile, server: RangeServer, truth: list[bytes]):
    for band, beyond in (("SCL", 0), ("B02", 0), ("B11", HALF_WAY)):
        server.put(path(NEWEST, band), spoilt(kind, times=2, beyond=beyond))
    made.mask().crop()
    assert made.bytes() == truth
    assert made.retries() == 6, "two for each of three files"


@pytest.mark.parametrize("kind", ["503", "403", "page", "short", "amid"])
def test_what_does_not_pass_is_one_error_and_harms_nothing(kind: str, made: Tile, honest: Made, server: RangeServer):
    made.mask()
    masks = (made.folder / "masks.parquet").read_bytes()
    before = honest(frozenset([NEWEST])).bytes()
    for name, data in zip(OUTPUTS[1:], before[1:], strict=True):
        (made.folder / name).write_bytes(data)
    server.ranges.clear()
    server.put(path(NEWEST, "B11"), spoilt(kind, beyond=HALF_WAY))
    with pytest.raises(TilewrightError) as raised:
        made.crop()
    message = str(raised.value)
    assert message.startswith(
        f"tile {TILE}, period year: scene {NEWEST}, asset B11: {server.url}/{NEWEST}/B11.tif could"
    )
    at = re.findall(r"at byte (\d+) in 5 tries", message)
    assert len(at) == 1 and int(at[0]) in [first for asked, first, _ in server.ranges if asked == path(NEWEST, "B11")]
    assert "run again" in message and "\n" not in message
    assert made.bytes() == [masks, *before[1:]], "the earlier output is as it was"
    assert not list(made.folder.rglob("*.part")) and not list(made.folder.glob("*spool*"))
    server.put(path(NEWEST, "SCL"), spoilt(kind))
    with pytest.raises(TilewrightError, match=f"^tile {TILE}: scene {NEWEST}, asset SCL: "):
        made.mask()
    assert made.bytes() == [masks, *before[1:]]


@pytest.mark.parametrize(
    "fault", [Fault("status", 404), Fault("status", 410), Fault("corrupt")], ids=["404", "410", "bytes"]
)
@pytest.mark.parametrize(  # SCL is so small that nothing is asked for beyond its header
    ("band", "beyond"), [("SCL", 0), ("B02", 0), ("B02", HALF_WAY), ("B11", 0), ("B11", HALF_WAY)]
)
def test_a_broken_scene_is_recorded_and_leaves_the_dataset_without_it(
    band: str, fault: Fault, beyond: int, made: Tile, honest: Made, server: RangeServer, world: Path
):
    size = (world / NEWEST / f"{band}.tif").stat().st_size
    assert size > beyond
    flip = range(size * 2 // 3, size - 9, 97) if fault.kind == "corrupt" else range(0)
    if flip and not beyond:
        flip = range(8, 400)  # the header itself
    server.put(path(NEWEST, band), Fault(**{**vars(fault), "beyond": beyond, "flip": flip}))
    made.mask().crop()
    assert made.broken() == {NEWEST}
    reasons = set(made.selection().query("scene_id == @NEWEST")["reason"])
    assert reasons == {f"broken: {band} is gone ({fault.code})" if fault.code else f"broken: {band} is corrupt"}
    assert set(made.selection().query("status == 'used'")["scene_id"]) == {NEXT}
    server.faults.clear()
    assert made.bytes()[2] == honest(frozenset([NEWEST])).bytes()[2]


def test_bytes_that_are_corrupt_once_only_are_no_evidence(
    made: Tile, server: RangeServer, world: Path, truth: list[bytes]
):
    for band in ("SCL", "B02"):
        size = (world / NEWEST / f"{band}.tif").stat().st_size
        server.put(path(NEWEST, band), Fault("corrupt", flip=range(size * 2 // 3, size - 9, 97), times=1))
    made.mask().crop()
    assert made.bytes() == truth and made.retries() >= 1
    assert not any(fault.times for faults in server.faults.values() for fault in faults)


KINDS = [
    "status",
    "page",
    "whole",
    "short",
    "long",
    "cut",
    "elsewhere",
    "reset",
    "amid",
    "corrupt",
    "corrupt",
    "redirect",
]


@pytest.mark.parametrize("seed", range(20))
def test_any_mix_of_faults_gives_a_right_dataset_or_an_error(
    seed: int, made: Tile, honest: Made, server: RangeServer, world: Path, truth: list[bytes]
):
    """Never a wrong pixel, never a silent zero, never another dataset because of an outage."""
    draw = random.Random(seed)
    scenes = sorted(each.name for each in world.iterdir() if TILE in each.name)
    permanent: set[str] = set()
    for _ in range(draw.randint(1, 9)):
        scene, band = draw.choice([NEWEST, NEXT, *scenes]), draw.choice(["SCL", "B02", "B11"])
        size = (world / scene / f"{band}.tif").stat().st_size
        kind = draw.choice(KINDS)
        code = draw.choice([401, 403, 404, 410, 416, 429, 500, 503, 503]) if kind == "status" else 0
        start = draw.randrange(200, size - 1)
        flip = range(start, min(start + draw.choice([1, 40, 9000]), size)) if kind == "corrupt" else range(0)
        times = draw.choice([1, 2, 4, 10**9, 10**9])
        beyond = draw.choice([0, 0, HALF_WAY])
        fault = Fault(kind, code, times, 0 if kind == "corrupt" else beyond, flip)
        server.faults.setdefault(path(scene, band), []).append(fault)
        if code in (404, 410) or kind == "corrupt":
            permanent.add(scene)
    try:
        made.mask().crop()
    except TilewrightError as error:
        assert re.match(
            rf"tile {TILE}(, period year)?: (scene \S+, asset \S+: .* could not be read|.* broken|none)", str(error)
        )
        assert "\n" not in str(error)
        assert not (made.folder / "patches.zarr.zip").exists() and not list(made.folder.rglob("*.part"))
        return
    server.faults.clear()
    broken = made.broken()
    assert broken <= permanent, "an outage breaks no scene"
    if not broken:
        assert made.bytes() == truth
    else:
        assert made.bytes()[2] == honest(broken).bytes()[2]
