"""Earth Search v1's published behaviours, one by one, through the project's own file of that provider.

Numbers are of https://github.com/Element84/earth-search/issues, unless a name says otherwise.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from searching import QUICK, Item, box, boxes, ids, item_of, search, year_of
from stac_server import Fault, StacServer

import tilewright.catalog.api as api
from harness import ROOT
from tilewright.catalog.acquisitions import acquisitions, grouped
from tilewright.catalog.hrefs import rewritten
from tilewright.catalog.scene import Scene, read_scene, scene_asset, to_look_at
from tilewright.config.bands import COLLECTION_BANDS
from tilewright.config.load import load_providers
from tilewright.config.model import Config
from tilewright.config.provider import Provider
from tilewright.errors import TilewrightError
from tilewright.grid import tile

TILE = "32TNT"
DAY = date(2022, 10, 23)
COGS = "https://sentinel-cogs.s3.us-west-2.amazonaws.com/sentinel-s2-l2a-cogs"
C1 = "https://e84-earth-search-sentinel-data.s3.us-west-2.amazonaws.com/sentinel-2-c1-l2a"


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(api, "PATIENCE", QUICK)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[StacServer]:
    with StacServer([], tmp_path) as made:
        yield made


@pytest.fixture
def earth_search(server: StacServer) -> Callable[..., Provider]:
    """The project's own provider, at the stand-in's address, with one collection."""

    def made(key: str = "s2_l2a", like: str = "earth-search", **changes: Any) -> Provider:
        asked = {"s2_l2a": {"bands": ["B02"]}, key: {"bands": ["VV"] if key.startswith("s1") else ["B02"]}}
        mapping = {
            "dataset": "x", "aoi": {"tiles": [TILE]}, "collections": asked, "provider": {"like": like, "url": server.url, **changes},
            "periods": [{"name": "a", "start": "2021-01-01", "end": "2021-12-31"}],
        }  # fmt: skip
        provider = load_providers(Config.model_validate(mapping), ROOT)[key]
        return provider.model_copy(update={"collections": {key: provider.collections[key]}})

    return made


def product(
    of: Provider, name: str = TILE, day: date = DAY, number: int = 0, root: str = COGS, **properties: Any
) -> Item:
    """An item as Earth Search has it: all assets of the collection on their grids."""
    ((key, collection),) = of.collections.items()
    item = item_of(
        name, day, number, collection.id, **{"s2:processing_baseline": "05.11", "platform": "sentinel-2b", **properties}
    )
    ulx, uly = tile(name).ulx, tile(name).uly
    item["properties"] |= {
        "proj:epsg": tile(name).epsg,
        "s2:datatake_id": f"GS2B_{day:%Y%m%d}T095029_029415_N05.11",
        **properties,
    }
    item["assets"] = {}
    for band, asset in collection.assets.items():
        step = 20 if band == "SCL" else COLLECTION_BANDS[key][band]
        suffix = "jp2" if collection.format == "jp2" else "tif"
        item["assets"][asset] = {
            "href": f"{root}/{item['id']}/{band}.{suffix}", "proj:shape": [109800 // step] * 2,
            "proj:transform": [step, 0, ulx, 0, -step, uly], "raster:bands": [{"nodata": 0, "offset": -0.1, "scale": 1e-4}],
        }  # fmt: skip
    return item


def read(of: Provider, item: Item) -> Scene:
    ((key, collection),) = of.collections.items()
    return read_scene(key, item, collection, of.access, local=False)


# -- searching --------------------------------------------------------------------------------------------------------


def test_issue_62_cql2_filter_is_ignored(server: StacServer, earth_search: Callable[..., Provider]):
    """Nothing comes of it but more items, which are told apart here; the provider's file uses `query`."""
    server.items = [*year_of(TILE, 6), *year_of("32TNS", 6)]
    usual = earth_search()
    by_cql2 = earth_search(collections={"s2_l2a": {"filter": {"by": "cql2"}}})
    assert ids(search(usual)) == ids(search(by_cql2)) == ids(server.items[:6])
    asked = [body for body in server.bodies if "next" not in body]
    assert ["query" in body for body in asked] == [True, False] and ["filter" in body for body in asked] == [
        False,
        True,
    ]


def test_issue_30_a_query_on_a_property_that_it_has_not_finds_nothing(
    server: StacServer, earth_search: Callable[..., Provider]
):
    """s2:mgrs_tile is Planetary Computer's; an empty answer must not pass for an empty archive."""
    server.items = year_of(TILE, 6)
    with pytest.raises(TilewrightError, match="its filter of tiles finds nothing, although it has S2A_32TNT_2021"):
        search(earth_search(collections={"s2_l2a": {"filter": {"property": "s2:mgrs_tile", "values": ["{tile}"]}}}))


def test_issue_17_answers_beyond_6_mb_are_errors_and_asked_for_in_parts(
    server: StacServer, earth_search: Callable[..., Provider]
):
    """99 items of the issue's search came, 100 were a 502; here an item is 100 kB, and 60 a page are too many."""
    server.items = year_of(TILE, 70, big="x" * 100_000)
    assert ids(search(earth_search())) == ids(server.items)
    spans = [body["datetime"] for body in server.bodies if body["limit"] == 100 and "next" not in body]
    assert spans[0] == spans[1] == spans[2] and len(set(spans)) > 2, "three tries, then halves"


def test_issue_60_pages_are_small_enough_for_items_of_28_kb(
    server: StacServer, earth_search: Callable[..., Provider], caplog: pytest.LogCaptureFixture
):
    """Above 267 items a page was an error."""
    usual = earth_search()
    assert usual.page_size * 28_335 < 6_000_000 < 267 * 28_335
    server.items = year_of(TILE, 110, big="x" * 27_000)
    assert ids(search(usual)) == ids(server.items) and not caplog.records
    with_267 = earth_search(page_size=267)
    server.items = year_of(TILE, 267, big="x" * 27_000)
    assert ids(search(with_267)) == ids(server.items) and "too much" in caplog.text


def test_issue_19_forbidden_under_concurrency_is_waited_out(server: StacServer, earth_search: Callable[..., Provider]):
    """{"message": "Forbidden"}: 403 is how it throttles."""
    server.items = year_of(TILE, 6)
    server.faults["/search"] = Fault(403, b'{"message":"Forbidden"}', times=4)
    assert len(search(earth_search())) == 6
    server.latency_s = 0.02
    with ThreadPoolExecutor(12) as pool:
        assert all(len(found) == 6 for found in pool.map(lambda _: search(earth_search()), range(24)))
    assert server.peak <= earth_search().parallel


def test_issue_27_sorting_loses_the_next_token_so_nothing_is_sorted(
    server: StacServer, earth_search: Callable[..., Provider], monkeypatch: pytest.MonkeyPatch
):
    """And should the token be missing all the same, the search ends: whole, or with an error."""
    server.items = year_of(TILE, 6)
    answer = server.search

    def tokenless(asked: dict[str, Any]) -> dict[str, Any]:
        page = answer(asked)
        for link in page["links"]:
            link["body"].pop("next")
        return page

    monkeypatch.setattr(server, "search", tokenless)
    assert ids(search(earth_search())) == ids(server.items)
    assert not any("sortby" in body for body in server.bodies)
    assert ids(search(earth_search(page_size=4))) == ids(server.items), "by halves, each of one page"
    server.items = [item_of(TILE, date(2021, 7, 1), number) for number in range(6)]
    with pytest.raises(TilewrightError, match="gave 4 of the 6 items"):
        search(earth_search(page_size=4))


def test_stac_server_608_custom_sorting_loses_items_and_the_default_order_does_not(
    server: StacServer, earth_search: Callable[..., Provider]
):
    server.items = year_of(TILE, 40)
    sorted_, usual = set(), set()
    for found, asked in ((sorted_, {"sortby": [{"field": "eo:cloud_cover"}]}), (usual, {})):
        body: dict[str, Any] | None = {"limit": 10, **asked}
        for _ in range(4):
            page = server.search(body or {})
            found |= set(ids(page["features"]))
            body = page["links"][0]["body"]
    assert len(sorted_) < 40 == len(usual), "the stand-in behaves so"
    assert ids(search(earth_search(page_size=10))) == ids(server.items)


def test_numbers_asked_for_as_texts_are_compared_as_texts_so_no_number_is_asked_for(
    server: StacServer, earth_search: Callable[..., Provider]
):
    """pystac-client's shorthand "eo:cloud_cover<40" sends "40"; 9.5 is not below that."""
    server.items = year_of(TILE, 6)
    assert server.search({"query": {"eo:cloud_cover": {"lt": 40}}})["numberMatched"] == 6
    assert server.search({"query": {"eo:cloud_cover": {"lt": "40"}}})["numberMatched"] == 0
    server.bodies.clear()
    assert len(search(earth_search())) == 6
    asked = {operator for body in server.bodies for wanted in body["query"].values() for operator in wanted}
    assert asked <= {"eq", "in"}


def test_the_default_limit_of_10_is_never_relied_on(server: StacServer, earth_search: Callable[..., Provider]):
    server.items = year_of(TILE, 25)
    assert len(server.search({})["features"]) == 10
    server.bodies.clear()
    assert len(search(earth_search())) == 25
    assert {body["limit"] for body in server.bodies} == {100}


@pytest.mark.parametrize("ring", [(-180.0, -90.0, 180.0, -40.0), (-179.99, -41.5, 179.99, -40.0)], ids=["#28", "#39"])
def test_issues_28_and_39_footprints_round_the_globe_are_of_their_own_tile_only(
    ring: tuple[float, float, float, float], server: StacServer, earth_search: Callable[..., Provider]
):
    """T60CWS and T01GBQ were found in searches of New Zealand."""
    own = item_of("59GQP", date(2021, 1, 2))
    strange = item_of("01GBQ", date(2021, 1, 1)) | {"bbox": list(ring), "geometry": box(*ring)}
    server.items = [own, strange]
    assert ids(search(earth_search(collections={"s2_l2a": {"filter": None}}), "59GQP")) == [own["id"]]
    assert ids(search(earth_search(), "01GBQ")) == [strange["id"]]


def test_issue_29_of_cirrus_products_that_cross_the_antimeridian_are_found_once(
    server: StacServer, earth_search: Callable[..., Provider]
):
    west, east = boxes("01KAB")
    assert west[2] == 180 and east[0] == -180
    item = item_of("01KAB", date(2021, 1, 1))
    for bbox in (west, east, (-180, east[1], 180, east[3])):
        server.items = [item | {"bbox": list(bbox)}]
        assert ids(search(earth_search(), "01KAB")) == [item["id"]]


# -- what the items say -----------------------------------------------------------------------------------------------


def test_issue_25_duplicates_by_reprocessing_are_one_scene(server: StacServer, earth_search: Callable[..., Provider]):
    """2021: the same datatake twice, as _0_ and _1_; the newest baseline serves."""
    of = earth_search()
    takes = {"s2:datatake_id": "GS2B_20211023T095029_029415_N03.01"}
    old = product(of, day=date(2021, 10, 23), number=0, **takes, **{"s2:processing_baseline": "03.01"})
    new = product(
        of,
        day=date(2021, 10, 23),
        number=1,
        **takes,
        **{"s2:processing_baseline": "05.00", "earthsearch:boa_offset_applied": True},
    )
    server.items = [new, old]
    scenes = grouped([read(of, item) for item in search(of)])
    assert {scene.scene_id: scene.refused for scene in scenes} == {
        old["id"]: f"superseded by {new['id']}",
        new["id"]: "",
    }
    assert [one.scene_id for one in acquisitions(scenes)] == [new["id"]]


def test_issue_68_other_content_under_the_same_id_is_another_digest(
    server: StacServer, earth_search: Callable[..., Provider]
):
    of = earth_search(like="earth-search-c1")
    old, new = (product(of, root=C1, updated=f"2024-0{month}-01T00:00:00Z") for month in (1, 6))
    assert old["id"] == new["id"] and read(of, old).refused == ""
    assert read(of, old).digest != read(of, new).digest


def test_issue_36_missing_assets_leave_the_others(earth_search: Callable[..., Provider]):
    of = earth_search(like="earth-search-c1")
    item = product(of, root=C1)
    for name in ("blue", "green", "red", "nir"):
        del item["assets"][name]
    scene = read(of, item)
    assert scene.refused == "" and scene_asset(scene, "B02") is None and scene_asset(scene, "B11") is not None


@pytest.mark.parametrize("issue", [2, 3, 72, 73])
def test_issues_2_3_72_and_73_hrefs_of_level_1c_in_the_bucket_of_level_2a_are_corrected(
    issue: int, earth_search: Callable[..., Provider]
):
    path = {
        2: "33/U/WP/2023/5/25/0", 3: "39/G/WH/2023/6/7/0", 72: "21/H/UB/2023/7/7/0", 73: "21/H/UB/2023/7/10/0"
    }[issue]  # fmt: skip
    of = earth_search("s2_l1c")
    item = product(of, root="s3://sentinel-s2-l2a/tiles")
    item["assets"]["blue"]["href"] = f"s3://sentinel-s2-l2a/tiles/{path}/B02.jp2"
    scene = read(of, item)
    asset = scene_asset(scene, "B02")
    assert scene.refused == "" and asset is not None
    assert rewritten(asset.href, of.collections["s2_l1c"].rewrite) == f"s3://sentinel-s2-l1c/tiles/{path}/B02.jp2"
    right = f"s3://sentinel-s2-l1c/tiles/{path}/B02.jp2"
    assert rewritten(right, of.collections["s2_l1c"].rewrite) == right


def test_issues_33_and_57_the_jp2_twins_whose_hrefs_do_not_exist_are_not_read(earth_search: Callable[..., Provider]):
    for key in ("s2_l2a", "s2_l1c"):
        assert not [name for name in earth_search(key).collections[key].assets.values() if name.endswith("-jp2")]
    of = earth_search()
    item = product(of)
    for name in list(item["assets"]):
        item["assets"][f"{name}-jp2"] = {"href": f"s3://sentinel-s2-l2a/tiles/21/J/XN/2024/9/19/0/{name}.jp2"}
    assert read(of, item).assets == read(of, product(of)).assets


def test_issue_9_the_flag_is_the_truth_where_it_is_true_and_the_raster_offset_never_is(
    earth_search: Callable[..., Provider],
):
    of = earth_search()
    scene = read(of, product(of, **{"earthsearch:boa_offset_applied": True}))
    assert (scene.refused, scene.dn_offset) == ("", 0) and "boa_offset_applied is true" in scene.radiometry


@pytest.mark.parametrize("told", [{"earthsearch:boa_offset_applied": False}, {}], ids=["#66 #71 cirrus#33", "no flag"])
@pytest.mark.parametrize("baseline", ["04.00", "05.11"])
def test_issues_66_and_71_a_flag_that_is_false_is_no_evidence(
    told: dict[str, Any], baseline: str, earth_search: Callable[..., Provider]
):
    """False on harmonised pixels (S2B_33UXP_20250302_0_L2A) and on raw ones (S2B_52SFA_20220126_0_L2A): pixels are looked at."""
    of = earth_search()
    scene = read(of, product(of, **told, **{"s2:processing_baseline": baseline}))
    assert to_look_at(scene) and scene.refused.startswith("offset unresolved")


def test_issues_41_and_45_collection_1_has_raw_pixels_and_says_so(earth_search: Callable[..., Provider]):
    of = earth_search(like="earth-search-c1")
    scene = read(of, product(of, root=C1, **{"s2:processing_baseline": "05.00"}))
    assert (scene.refused, scene.dn_offset) == ("", -1000)
