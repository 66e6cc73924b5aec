"""A frozen catalog: every scene found, read back as it was, in one file that travels."""

import hashlib
import json
import os
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

import geopandas as gpd
import pandas as pd
import pyarrow.parquet as pq
import pytest
import shapely
from stac_geoparquet.arrow import stac_table_to_items

from tilewright.catalog import find_items, read_scene, scene_table
from tilewright.catalog.local import FROZEN_ITEM, local_items
from tilewright.config.provider import Access, Provider
from tilewright.errors import TilewrightError
from tilewright.freeze import CHOSEN, make_freeze
from tilewright.grid import tile
from tilewright.store import table_metadata, write_table

TILE = "32TNT"
DAYS = (date(2015, 1, 1), date(2030, 12, 31))
Item = dict[str, Any]


def item(name: str, day: int, collection: str = "sentinel-2-l2a", **changes: Any) -> Item:
    grid = {"proj:transform": [10, 0, 499980, 0, -10, 5200020], "proj:shape": [10980, 10980]}
    properties = {
        "datetime": f"2020-03-{day:02}T10:10:31.024000Z", "grid:code": f"MGRS-{TILE}", "proj:epsg": 32632,
        "s2:processing_baseline": "02.14", "created": f"2020-04-{day:02}T00:00:00.000Z", "earthsearch:boa_offset_applied": False,
    }  # fmt: skip
    assets = {
        key: {"href": f"images/{name}/{key}.tif", "file:size": 5_000_000_000 + day, **grid} for key in ("blue", "scl")
    }
    made = {
        "type": "Feature", "stac_version": "1.0.0", "id": name, "collection": collection, "stac_extensions": [], "links": [],
        "geometry": shapely.geometry.mapping(shapely.box(9, 46, 10, 47)), "bbox": [9.0, 46.0, 10.0, 47.0],
        "properties": properties, "assets": assets,
    }  # fmt: skip
    return json.loads(json.dumps({**made, **changes}))


def provider(path: Path | str) -> Provider:
    held = {"id": "sentinel-2-l2a", "assets": {"B02": "blue", "SCL": "scl"}, "radiometry": "earth-search-l2a"}
    radar = {"id": "sentinel-1-grd", "assets": {"VV": "blue"}, "radiometry": "amplitude", "mask": "pixels"}
    return Provider.model_validate(
        {"kind": "local", "path": str(path), "licence": "", "attribution": "", "collections": {"s2_l2a": held, "s1_grd": radar}}
    )  # fmt: skip


def scenes(items: list[Item], **changes: Any) -> pd.DataFrame:
    """As the search writes them; items of Sentinel-1 are told by their collection."""
    held = provider("catalog.json").collections
    keys = {"sentinel-2-l2a": "s2_l2a", "sentinel-1-grd": "s1_grd"}
    read = [
        read_scene(keys[each["collection"]], each, held[keys[each["collection"]]], Access(), True) for each in items
    ]
    table = scene_table(read).to_pandas()
    for name, values in changes.items():
        table[name] = values
    return table


def dataset(
    folder: Path, found: dict[str, pd.DataFrame], used: list[str], companions: pd.DataFrame | None = None,
    searched: dict[str, Any] | None = None,
) -> Path:  # fmt: skip
    """What of a dataset freeze reads: a table of scenes for each period, of one tile."""
    rows = gpd.GeoDataFrame({"cell_id": ["a"]}, geometry=[shapely.box(9, 46, 10, 47)], crs=4326)
    collections = {"s2_l2a": {}} | ({} if companions is None else {"s1_grd": {}})
    write_table(rows, folder / "index.parquet", {"tiles": [TILE], "periods": list(found), "collections": collections})
    for period, table in found.items():
        at = folder / "tiles" / TILE / period
        write_table(table, at / "scenes.parquet", {})
        whose = [*(("s2_l2a", each) for each in table["scene_id"])]
        if companions is not None:
            write_table(companions, at / "companions.parquet", searched or {})
            whose += [("s1_grd", each) for each in companions["scene_id"]]
        chosen = pd.DataFrame(whose, columns=["collection", "scene_id"])
        chosen["status"] = ["used" if each in used else "refused" for each in chosen["scene_id"]]
        write_table(chosen, at / "selection.parquet", {"rule": {}})
    return folder


def touch(items: list[Item]) -> None:
    for each in items:
        for asset in each["assets"].values():
            Path(asset["href"]).parent.mkdir(parents=True, exist_ok=True)
            Path(asset["href"]).write_bytes(each["id"].encode())


def by_id(path: Path) -> dict[str, Item]:
    """As any reader of stac-geoparquet sees them."""
    return {each["id"]: each for each in stac_table_to_items(pq.read_table(path))}


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which the workflow ran."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


def test_every_scene_found_is_there_once_and_the_chosen_are_marked(work: Path):
    items = [item("one", 3), item("two", 9), item("half", 9), item("bad", 12)]
    radar = [item("radar", 5, "sentinel-1-grd"), item("far", 6, "sentinel-1-grd")]
    touch([*items, *radar])
    early = scenes(items[:3], acquisition=["one", "two", "two"])  # "half" is a part of the acquisition "two"
    late = scenes(items[2:], acquisition=["two", ""], refused=["", "offset unresolved: who knows"])
    results = dataset(work / "results/d", {"early": early, "late": late}, ["two", "radar"], scenes(radar))
    make_freeze(results, work / "out/frozen.parquet")
    found = by_id(work / "out/frozen.parquet")
    assert list(found) == ["radar", "far", "one", "half", "two", "bad"]
    assert {name for name, each in found.items() if each["properties"][CHOSEN]} == {"two", "half", "radar"}
    assert found["one"]["assets"]["blue"]["href"] == "../images/one/blue.tif"


def test_the_file_read_back_gives_the_same_scenes(work: Path):
    items = [item("one", 3), item("two", 9)]
    touch(items)
    Path("catalog.json").write_text(json.dumps({"type": "FeatureCollection", "features": items}))
    first = find_items(provider("catalog.json"), "s2_l2a", tile(TILE), *DAYS)
    table = scenes(first)
    assert (table["refused"] == "").all()
    make_freeze(dataset(work / "results/d", {"p": table}, ["one"]), Path("frozen.parquet"))
    again = find_items(provider("frozen.parquet"), "s2_l2a", tile(TILE), *DAYS)
    pd.testing.assert_frame_equal(scenes(again), table)  # digests, hrefs and the items' own text
    assert again == first


def test_real_documents_and_strange_ones_come_back_exactly(shared_data: Path, work: Path):
    """One file for all catalogs at hand, whose fields are of different kinds under the same names."""
    documents = [json.loads(path.read_text()) for path in sorted((shared_data / "stac").glob("*.json"))]
    items = [{"collection": "none", **each} for each in documents if each.get("type") == "Feature"]
    assert len(items) >= 10
    collections = sorted({each["collection"] for each in items})
    plain = item("plain", 1, "odd")
    odd = [
        plain,
        item("no-geometry", 2, "odd", geometry=None, bbox=None),
        item("solid", 3, "odd", bbox=[9.0, 46.0, 0.0, 10.0, 47.0, 3000.0]),
        item("kinds", 4, "odd", properties={**plain["properties"], "proj:epsg": "EPSG:32632", "statistics": {}, "list": [1, "a", None, {"b": []}]}),
        item("times", 5, "odd", properties={**plain["properties"], "created": "yesterday", "updated": "2020-01-01T00:00:00.123456789Z"}),
        item("numbers", 6, "odd", properties={**plain["properties"], "proj:epsg": 32632.0, "big": 2**53 + 1, "exact": 0.1 + 0.2}),
        item("assets", 7, "odd", assets={"x/y": {"href": "a b.tif", "proj:geometry": plain["geometry"]}, "blue": {"href": "b.tif", "proj:transform": [10.5, 0]}}),
    ]  # fmt: skip
    held = {"id": "odd", "assets": {"B02": "blue"}, "radiometry": "harmonised", "mask": "pixels"}
    collection = Provider.model_validate({**provider("x").model_dump(), "collections": {"s2_l2a": held}}).collections[
        "s2_l2a"
    ]
    tables = [
        scene_table([read_scene("s2_l2a", each, collection, Access(), True)]).to_pandas() for each in [*items, *odd]
    ]
    table = pd.concat(tables, ignore_index=True)
    table["collection"] = [
        json.loads(each)["collection"] for each in table["item"]
    ]  # two catalogs have a scene of one id
    touch(odd)
    make_freeze(dataset(work / "results/d", {"p": table}, []), Path("frozen.parquet"))
    found = [each for name in [*collections, "odd"] for each in local_items(Path("frozen.parquet"), name, *DAYS)]
    told = {each["id"] + each["collection"]: each for each in map(json.loads, table["item"])}
    assert len(told) == len(found) == len(items) + len(odd)
    for each in found:
        wanted = told[each["id"] + each["collection"]]
        for asset in wanted["assets"].values():  # the reader leads "./a" and "a" to one place
            if "://" not in asset["href"]:
                asset["href"] = os.path.normpath(asset["href"])
        assert json.dumps(each, sort_keys=True) == json.dumps(wanted, sort_keys=True)
    columns = by_id(Path("frozen.parquet"))
    assert columns["plain"]["assets"]["blue"]["proj:shape"] == [10980, 10980]
    assert columns["plain"]["properties"]["datetime"].startswith("2020-03-01T10:10:31.024")
    assert columns["kinds"]["properties"]["list"] == ["1", '"a"', None, '{"b": []}']


def test_the_same_bytes_whatever_the_hash_seed(work: Path):
    items = [item(f"scene{at}", 1 + at % 28, extra={"b": at, "a": None}) for at in range(40)]
    touch(items)
    results = dataset(work / "results/d", {"p": scenes(items)}, ["scene1"])
    program = "import sys; from pathlib import Path; from tilewright.freeze import make_freeze; make_freeze(*map(Path, sys.argv[1:]))"  # fmt: skip
    digests = set()
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        subprocess.run([sys.executable, "-c", program, str(results), f"{seed}.parquet"], check=True, env=environment)
        digests.add(hashlib.sha256(Path(f"{seed}.parquet").read_bytes()).hexdigest())
    assert len(digests) == 1


def test_no_signature_gets_in(work: Path):
    signed = item("one", 3)
    signed["assets"]["blue"]["href"] = "https://user:secret@a.org/one.tif?sig=secret"
    signed["links"] = [{"rel": "self", "href": "https://a.org/one?token=secret"}]
    del signed["assets"]["scl"]
    make_freeze(dataset(work / "results/d", {"p": scenes([signed])}, []), Path("frozen.parquet"))
    assert b"secret" not in Path("frozen.parquet").read_bytes()
    found = by_id(Path("frozen.parquet"))["one"]
    assert "secret" not in json.dumps(found, default=str)
    assert json.loads(found["properties"][FROZEN_ITEM])["assets"]["blue"]["href"] == "https://a.org/one.tif"


def test_a_collection_that_was_searched_in_vain_is_not_one_that_nobody_asked_for(work: Path):
    items = [item("one", 3)]
    touch(items)
    told = {"collections": {"s1_grd": "sentinel-1-grd"}, "spans": {"s1_grd": ["2020-01-01", "2020-12-31"]}}
    make_freeze(dataset(work / "results/d", {"p": scenes(items)}, [], scenes([]), told), Path("frozen.parquet"))
    year = (date(2020, 1, 1), date(2020, 12, 31))
    assert find_items(provider("frozen.parquet"), "s1_grd", tile(TILE), *year) == []
    assert [each["id"] for each in find_items(provider("frozen.parquet"), "s2_l2a", tile(TILE), *year)] == ["one"]
    missing = r"holds no item of collection sentinel-1-rtc \(it has: sentinel-1-grd, sentinel-2-l2a\)"
    with pytest.raises(TilewrightError, match=missing):
        local_items(Path("frozen.parquet"), "sentinel-1-rtc", *DAYS)


def test_what_a_frozen_catalog_was_not_asked_for_is_an_error_and_not_nothing(work: Path):
    items = [item("one", 3)]
    touch(items)
    results = dataset(work / "results/d", {"p": scenes(items), "q": scenes(items), "r": scenes(items)}, [])
    spans = {"p": ["2020-01-01", "2020-06-30"], "q": ["2020-07-01", "2020-12-31"], "r": ["2022-01-01", "2022-12-31"]}
    for period, span in spans.items():
        told = {"collections": {"s2_l2a": "sentinel-2-l2a"}, "spans": {"s2_l2a": span}}
        write_table(scenes(items), results / "tiles" / TILE / period / "scenes.parquet", told)
    make_freeze(results, Path("frozen.parquet"))
    frozen = provider("frozen.parquet")
    assert len(find_items(frozen, "s2_l2a", tile(TILE), date(2020, 2, 1), date(2020, 12, 31))) == 1
    assert find_items(frozen, "s2_l2a", tile(TILE), date(2022, 2, 1), date(2022, 2, 1)) == []
    for start, end, lacking in (
        (date(2019, 12, 31), date(2020, 6, 30), "2019-12-31"), (date(2020, 6, 1), date(2021, 6, 1), "2021-01-01"),
        (date(2022, 1, 1), date(2023, 1, 1), "2023-01-01"),
    ):  # fmt: skip
        with pytest.raises(
            TilewrightError, match=f"searches of other days of sentinel-2-l2a than .* without {lacking}: "
        ):
            find_items(frozen, "s2_l2a", tile(TILE), start, end)
    with pytest.raises(TilewrightError, match="searches of other tiles than 32TPT: "):
        find_items(frozen, "s2_l2a", tile("32TPT"), date(2020, 2, 1), date(2020, 3, 1))


def test_tiles_that_were_searched_at_days_of_their_own_are_told_apart(work: Path):
    """Where cells have dates of their own each tile has its own spans, several of them."""
    items = [item("one", 3)]
    touch(items)
    results = dataset(work / "results/d", {"p": scenes(items)}, [])
    months = {TILE: [["2020-03-01", "2020-03-31"], ["2021-03-01", "2021-03-31"]], "32TPT": ["2019-06-01", "2019-06-30"]}
    about = table_metadata(results / "index.parquet")
    write_table(pd.read_parquet(results / "index.parquet"), results / "index.parquet", {**about, "tiles": list(months)})
    for name, spans in months.items():
        found = scenes(items if name == TILE else [])
        told = {"collections": {"s2_l2a": "sentinel-2-l2a"}, "spans": {"s2_l2a": spans}}
        write_table(found, results / "tiles" / name / "p" / "scenes.parquet", told)
        write_table(
            pd.read_parquet(results / "tiles" / TILE / "p" / "selection.parquet"),
            results / "tiles" / name / "p" / "selection.parquet",
            {},
        )
    make_freeze(results, Path("frozen.parquet"))
    frozen = provider("frozen.parquet")
    march = date(2020, 3, 1), date(2020, 3, 31)
    june = date(2019, 6, 1), date(2019, 6, 30)
    assert len(find_items(frozen, "s2_l2a", tile(TILE), *march)) == 1
    assert find_items(frozen, "s2_l2a", tile(TILE), date(2021, 3, 2), date(2021, 3, 31)) == []
    assert find_items(frozen, "s2_l2a", tile("32TPT"), *june) == []
    for name, days in ((TILE, june), ("32TPT", march), (TILE, (date(2020, 3, 1), date(2021, 3, 31)))):
        with pytest.raises(TilewrightError, match="searches of other days of sentinel-2-l2a"):
            find_items(frozen, "s2_l2a", tile(name), *days)


def test_a_file_url_with_percents_is_the_path_that_it_means(work: Path):
    made = item("one", 3)
    folder = work / "with blanks"
    for name, asset in made["assets"].items():
        folder.mkdir(exist_ok=True)
        (folder / f"{name}.tif").write_bytes(b"x")
        asset["href"] = f"file://{str(folder).replace(' ', '%20')}/{name}.tif"
    (work / "elsewhere").mkdir()
    make_freeze(dataset(work / "results/d", {"p": scenes([made])}, []), Path("elsewhere/frozen.parquet"))
    (found,) = local_items(Path("elsewhere/frozen.parquet"), "sentinel-2-l2a", *DAYS)
    assert found["assets"]["blue"]["href"] == "with blanks/blue.tif"


def test_what_cannot_be_frozen_is_told(work: Path):
    items = [item("one", 3)]
    results = dataset(work / "results/d", {"p": scenes(items)}, [])
    with pytest.raises(
        TilewrightError, match=r"none of the 2 local files .*images/one/blue.tif: run freeze in the folder"
    ):
        make_freeze(results, Path("frozen.parquet"))
    with pytest.raises(TilewrightError, match=r"--output frozen.json: .*end in .parquet"):
        make_freeze(results, Path("frozen.json"))
    touch(items)
    changed = [item("one", 3, properties={**items[0]["properties"], "created": "2021-01-01T00:00:00Z"})]
    twice = dataset(work / "results/e", {"p": scenes(items), "q": scenes(changed)}, [])
    with pytest.raises(
        TilewrightError, match=r"scene one of s2_l2a is not the same in .*p/scenes.parquet and .*q/scenes.parquet"
    ):
        make_freeze(twice, Path("frozen.parquet"))
    with pytest.raises(TilewrightError, match="found no scene: there is nothing to freeze"):
        make_freeze(dataset(work / "results/f", {"p": scenes([])}, []), Path("frozen.parquet"))
    with pytest.raises(TilewrightError, match=r"index.parquet is missing: run the rule"):
        make_freeze(work / "nowhere", Path("frozen.parquet"))
    assert not Path("frozen.parquet").exists()
