"""What a STAC API says is not taken on trust: filters that it ignores, empty answers, what it echoes of our keys."""

import logging
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from searching import QUICK, ids, item_of, provider, search, year_of
from stac_server import Fault, StacServer

import tilewright.catalog.api as api
from tilewright.errors import TilewrightError

TILE = "32TNT"
SCENES = year_of(TILE, 12)
AROUND = [*year_of("32TNS", 6), *(item | {"id": f"{item['id']}-c", "collection": "other"} for item in SCENES)]


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(api, "PATIENCE", QUICK)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[StacServer]:
    with StacServer([*SCENES, *AROUND], tmp_path) as made:
        yield made


def test_nothing_found_is_nothing(server: StacServer):
    assert search(provider(server.url), "35JQG") == []


@pytest.mark.parametrize("told", [{"property": "s2:tile"}, {"values": ["{tile}"]}])
def test_a_filter_that_never_finds_anything_is_found_out(told: dict[str, Any], server: StacServer):
    with pytest.raises(
        TilewrightError, match=r"filter of tiles finds nothing, although it has S2A_32TNT_.*mend or leave out"
    ):
        search(provider(server.url, filter={"by": "query", **told}))


def test_an_api_that_ignores_the_tile_costs_more_and_says_so_once(server: StacServer, caplog: pytest.LogCaptureFixture):
    expected = search(provider(server.url))
    server.tile_query = False
    assert not caplog.records
    assert search(provider(server.url, page_size=5)) == expected
    assert [record.getMessage() for record in caplog.records] == [
        f"{server.url} ignores the filter of tiles: 6 items of other tiles came, too"
    ]
    assert search(provider(server.url, filter=None)) == expected and len(caplog.records) == 1


@pytest.mark.parametrize("ignored", ["collections", "bbox", "datetime"])
def test_an_api_that_ignores_a_filter_is_noticed_at_the_first_page(ignored: str, server: StacServer):
    far = [item_of("35JQG", date(2023, 1, 1) + timedelta(days=day), collection="naip") for day in range(120)]
    own = {"collections": "sentinel-2-l2a", "bbox": "35JQG", "datetime": 2021}
    for item in far:  # all else is as asked for
        if ignored != "collections":
            item["collection"] = own["collections"]
        if ignored != "bbox":
            item["bbox"], item["geometry"] = SCENES[0]["bbox"], SCENES[0]["geometry"]
        if ignored != "datetime":
            item["properties"]["datetime"] = item["properties"]["datetime"].replace("2023", "2021")
    server.items, server.ignored = far, (ignored,)
    server.tile_query = False
    with pytest.raises(TilewrightError, match=f"ignores the filter {ignored}: none of 100 items on a page meets"):
        search(provider(server.url))
    assert len(server.bodies) == 1


def test_what_is_right_is_kept_where_a_filter_is_ignored(server: StacServer):
    server.ignored = ("collections", "datetime")
    assert ids(search(provider(server.url))) == ids(SCENES)


def test_days_are_whole_and_checked_here(server: StacServer):
    last, beyond = (item_of(TILE, date(2021, 12, 31), number) for number in (1, 2))
    last["properties"]["datetime"] = "2021-12-31T23:59:59.9999Z"
    beyond["properties"]["datetime"] = "2022-01-01T00:00:00Z"  # the interval that was asked for includes this instant
    server.items = [last, beyond]
    assert ids(search(provider(server.url))) == [last["id"]]


def test_of_two_editions_of_an_item_the_later_is_kept(server: StacServer):
    old, new = (item_of(TILE, date(2021, 7, 1), updated=f"2021-08-0{day}T00:00:00Z") for day in (1, 2))
    server.counts = False
    for order in ([old, new], [new, old]):
        server.items = order
        (found,) = search(provider(server.url, page_size=2), start=date(2021, 7, 1), end=date(2021, 7, 1))
        assert found["properties"]["updated"] == "2021-08-02T00:00:00Z"


# -- secrets ----------------------------------------------------------------------------------------------------------


def test_keys_of_a_url_go_with_every_request_and_into_no_message_or_log(
    server: StacServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    seen: list[tuple[str, str]] = []
    told = server._answer

    async def watching(scope: Any, receive: Any, send: Any) -> None:
        headers = dict(scope["headers"])
        seen.append((headers.get(b"authorization", b"").decode(), scope["query_string"].decode()))
        await told(scope, receive, send)

    monkeypatch.setattr(server._server.config, "loaded_app", watching)
    for name, value in {"USER_OF_API": "jo@n", "PASSWORD": "s3cr/t", "KEY": "t0psecret"}.items():
        monkeypatch.setenv(name, value)
    url = f"http://${{USER_OF_API}}:${{PASSWORD}}@{server.address}?key=${{KEY}}"
    server.faults["/search"] = Fault(503, b"no: http://x/?key=t0psecret s3cr/t s3cr%2Ft", times=3)
    with caplog.at_level(logging.DEBUG):
        logging.getLogger("urllib3").setLevel(logging.INFO)  # as the command line has it
        assert ids(search(provider(url, page_size=10))) == ids(SCENES)
        server.faults["/search"] = Fault(503, b"no: http://x/?key=t0psecret s3cr/t", times=100)
        with pytest.raises(TilewrightError) as raised:
            search(provider(url))
    assert {query for _, query in seen} == {"key=t0psecret"}
    assert {auth for auth, _ in seen} == {"Basic am9AbjpzM2NyL3Q="}
    for text in (str(raised.value), caplog.text):
        assert not [part for part in ("t0psecret", "s3cr", "jo@n", "jo%40n") if part in text]


def test_the_same_id_in_another_collection_is_another_item(server: StacServer):
    server.items = [SCENES[0] | {"collection": "other"}, SCENES[0], SCENES[0] | {"collection": "another"}]
    server.ignored, server.tile_query = ("collections",), False
    assert [(item["id"], item["collection"]) for item in search(provider(server.url))] == [
        (SCENES[0]["id"], "sentinel-2-l2a")
    ]


def test_pages_that_never_end_do_end(server: StacServer, monkeypatch: pytest.MonkeyPatch):
    """A fresh token on every page, and nothing new on it."""
    answer = server.search

    def endless(asked: dict[str, Any]) -> dict[str, Any]:
        page = answer({key: value for key, value in asked.items() if key != "next"})
        link = {"rel": "next", "href": f"{server.url}/search", "method": "POST"}
        return page | {"links": [link | {"body": {**asked, "next": str(len(server.bodies))}}]}

    monkeypatch.setattr(server, "search", endless)
    assert ids(search(provider(server.url))) == ids(SCENES) and len(server.bodies) < 6
    server.counts = False
    with pytest.raises(TilewrightError, match="bring nothing new, and do not end"):
        search(provider(server.url), start=date(2021, 1, 1), end=date(2021, 1, 3))


def test_an_empty_page_amid_others_is_not_the_end(server: StacServer, monkeypatch: pytest.MonkeyPatch):
    answer = server.search

    def with_a_gap(asked: dict[str, Any]) -> dict[str, Any]:
        if asked.get("next") == "gap":
            return answer({key: value for key, value in asked.items() if key != "next"})
        if "next" in asked:
            return answer(asked)
        page = answer(asked)
        link = {"rel": "next", "href": f"{server.url}/search", "method": "POST", "body": {**asked, "next": "gap"}}
        return page | {"features": [], "links": [link]}

    monkeypatch.setattr(server, "search", with_a_gap)
    assert ids(search(provider(server.url, page_size=5))) == ids(SCENES)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    days=st.lists(st.integers(0, 12), max_size=14), size=st.integers(1, 15), overlap=st.integers(0, 3),
    unstable=st.booleans(), counts=st.booleans(), largest=st.sampled_from([900, 2500, 6000, 10**6]),
)  # fmt: skip
def test_whatever_the_pages_are_like_nothing_is_lost(
    days: list[int], size: int, overlap: int, unstable: bool, counts: bool, largest: int, server: StacServer
):
    items = [item_of(TILE, date(2021, 7, 1) + timedelta(days=day), number) for number, day in enumerate(days)]
    server.items, server.overlap, server.unstable, server.counts, server.largest = (
        items,
        overlap,
        unstable,
        counts,
        largest,
    )
    # A day and the instant after it, all of which one page holds: then no order is needed.
    one_page = max((days.count(day) + days.count(day + 1) for day in days), default=0) <= min(size, largest // 1000)
    try:
        found = search(provider(server.url, page_size=size), start=date(2021, 7, 1), end=date(2021, 7, 13))
    except TilewrightError as error:
        assert largest == 900 or (not one_page and (unstable or overlap)), error
        return
    assert ids(found) == ids(sorted(items, key=lambda item: (item["properties"]["datetime"], item["id"])))
