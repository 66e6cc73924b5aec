"""Searching a STAC API: whole answers whatever passes, one clear error for what stays, nothing taken on trust."""

import json
import threading
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from fault_plan import ON_API, FaultPlan
from searching import QUICK, boxes, ids, item_of, provider, search, year_of
from stac_server import Fault, StacServer

import tilewright.catalog.api as api
from tilewright.catalog.api import Patience
from tilewright.errors import TilewrightError

TILE = "32TNT"
SCENES = year_of(TILE, 12)
AROUND = [*year_of("32TNS", 6), *(item | {"id": f"{item['id']}-c", "collection": "other"} for item in SCENES)]


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Waits of hundredths of seconds; slots in a folder of the test."""
    monkeypatch.setattr(api, "PATIENCE", QUICK)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[StacServer]:
    with StacServer([*SCENES, *AROUND], tmp_path) as made:
        yield made


def test_an_api_gives_what_a_local_catalog_gives(server: StacServer, tmp_path: Path):
    path = tmp_path / "items.json"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": server.served()}))
    of = provider(server.url)
    local = of.model_copy(update={"kind": "local", "path": str(path)})
    assert search(of) == search(local)
    assert ids(search(of)) == ids(SCENES)


def test_one_search_asks_for_collection_box_days_and_tile_and_for_no_order(server: StacServer):
    search(provider(server.url))
    first, last = server.bodies
    assert {key: first[key] for key in ("collections", "limit", "query")} == {
        "collections": ["sentinel-2-l2a"], "limit": 100, "query": {"grid:code": {"eq": f"MGRS-{TILE}"}},
    }  # fmt: skip
    assert first["datetime"] == "2021-01-01T00:00:00Z/2022-01-01T00:00:00Z" and first["bbox"] == list(boxes(TILE)[0])
    assert not {"sortby", "filter", "fields"} & set(first)
    assert last == {**first, "next": last["next"]}, "the empty page that Earth Search has at the end"


@pytest.mark.parametrize(("operators", "asked"), [(("eq", "in"), 1), (("eq",), 2)])
def test_both_spellings_of_a_tile_are_found(operators: tuple[str, ...], asked: int, server: StacServer):
    """pgstac knows no `in` in queries, and answers 400."""
    server.operators = operators
    padded = item_of("01KAB", date(2021, 7, 1), 1, **{"grid:code": "MGRS-01KAB"})
    server.items = [item_of("01KAB", date(2021, 7, 1)), padded]
    assert len(search(provider(server.url), "01KAB")) == 2
    first_box = [body for body in server.bodies if body["bbox"] == list(boxes("01KAB")[0]) and "next" not in body]
    assert len(first_box) == asked


def test_a_cql2_filter_is_asked_for_as_such(server: StacServer):
    search(provider(server.url, filter={"by": "cql2", "property": "s2:mgrs_tile", "values": ["{tile}"]}))
    assert server.bodies[0]["filter"] == {"op": "in", "args": [{"property": "s2:mgrs_tile"}, [TILE]]}
    assert server.bodies[0]["filter-lang"] == "cql2-json" and "query" not in server.bodies[0]


@pytest.mark.parametrize(
    ("size", "counts"), [(1, True), (2, True), (5, True), (12, True), (13, True), (4, False), (12, False)]
)
def test_pages_of_any_size_end_and_repeated_items_count_once(size: int, counts: bool, server: StacServer):
    server.overlap, server.counts = size // 2, counts
    assert search(provider(server.url, page_size=size)) == search(provider(server.url))


@pytest.mark.parametrize("counts", [True, False])
def test_an_order_that_changes_between_pages_loses_nothing(
    counts: bool, server: StacServer, caplog: pytest.LogCaptureFixture
):
    server.unstable, server.counts = True, counts
    assert ids(search(provider(server.url, page_size=5))) == ids(SCENES)
    assert "pages are not whole" in caplog.text


def test_a_link_to_the_next_page_may_be_merged_or_a_get(server: StacServer, monkeypatch: pytest.MonkeyPatch):
    answer = server.search
    for link in (
        lambda link: {**link, "merge": True, "body": {"next": link["body"]["next"]}},
        lambda link: {"rel": "next", "href": f"{server.url}/search?{_as_get(link['body'])}"},
        lambda link: {"rel": "next", "method": "GET", "href": f"/search?{_as_get(link['body'])}"},
    ):

        def linked(asked: dict[str, Any], link: Any = link) -> dict[str, Any]:
            page = answer(asked)
            if "method" in asked:  # asked for by GET: the stand-in makes such a link itself
                return page
            return page | {
                "links": [link(one) if isinstance(asked.get("limit"), int) else one for one in page["links"]]
            }

        monkeypatch.setattr(server, "search", linked)
        assert ids(search(provider(server.url, page_size=10))) == ids(SCENES)


def _as_get(body: dict[str, Any]) -> str:
    from urllib.parse import urlencode

    told = {key: json.dumps(value) if isinstance(value, dict) else value for key, value in body.items()}
    return urlencode(told | {key: ",".join(map(str, told[key])) for key in ("collections", "bbox")})


@pytest.mark.parametrize("size", [5, 100])
def test_an_api_that_offers_get_alone_is_asked_so(size: int, server: StacServer, monkeypatch: pytest.MonkeyPatch):
    landing = server.landing()
    landing["links"] = [link for link in landing["links"] if link.get("method") != "POST"]
    monkeypatch.setattr(server, "landing", lambda: landing)
    assert ids(search(provider(server.url, page_size=size))) == ids(SCENES)
    assert {body["limit"] for body in server.bodies} == {str(size)}


# -- what passes ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [403, 429, 500, 502, 503, 504])
@pytest.mark.parametrize("path", ["/", "/search"])
def test_what_passes_is_asked_again(path: str, status: int, server: StacServer):
    server.faults[path] = Fault(status, times=5)
    assert ids(search(provider(server.url))) == ids(SCENES)
    assert server.faults[path].times == 0


@pytest.mark.parametrize("kind", ON_API)
def test_each_kind_of_fault_three_times_for_every_request(kind: str, server: StacServer):
    server.plan = FaultPlan(seed=1, share=1.0, on_api=(kind,), stall_s=0.4, after_s=0)
    assert ids(search(provider(server.url, page_size=20))) == ids(SCENES)
    assert server.failed[kind] >= 3 * 3, "the root, a page and the empty page"


@pytest.mark.parametrize("seed", range(6))
def test_any_mix_of_faults_loses_nothing(seed: int, server: StacServer):
    server.plan = FaultPlan(seed, share=0.4, stall_s=0.4, after_s=0)
    assert ids(search(provider(server.url, page_size=1))) == ids(SCENES)
    assert len(server.failed) > 2


def test_a_plan_of_faults_is_the_same_at_every_run():
    def dealt(seed: int) -> list[str | None]:
        plan = FaultPlan(seed, share=0.3, longest=2)
        return [plan.fault(f"GET /{number % 50}", api=True) for number in range(1000)]

    assert dealt(1) == dealt(1) != dealt(2)
    assert 0.2 < sum(map(bool, dealt(1))) / 1000 < 0.3, "a few less than the share, because of `longest`"
    assert set(dealt(1)) == {None, *ON_API}
    runs = [[bool(fault) for fault in dealt(1)[number::50]] for number in range(50)]
    assert not any(run[at : at + 3] == [True] * 3 for run in runs for at in range(20))


def test_patience_is_for_more_than_a_minute_and_not_for_ever():
    patience = Patience()
    waits = [patience.wait(attempt) for attempt in range(1, patience.tries)]
    assert waits == [1, 2, 4, 8, 16, 30, 30, 30]
    assert 60 < patience.least_s < sum(waits) < 180
    assert max(patience.asked_s, patience.answer_s) * patience.tries < 3600


@pytest.mark.parametrize(
    ("told", "least", "most"),
    [
        ("7", 7, 7),
        ("100000", 4000, 4000),
        (timedelta(hours=1), 3000, 3600),
        (timedelta(days=9), 4000, 4000),
        (timedelta(days=-9), 0, 1.25),
        ("soon", 0, 1.25),
        ("-3", 0, 1.25),
    ],
)
def test_retry_after_is_heeded_but_not_for_ever(
    told: str | timedelta, least: float, most: float, server: StacServer, monkeypatch: pytest.MonkeyPatch
):
    if isinstance(told, timedelta):  # from now on, not from when the tests were collected
        told = format_datetime(datetime.now(UTC) + told)
    waited: list[float] = []
    monkeypatch.setattr(api, "PATIENCE", Patience(asked_s=4000, sleep=waited.append))
    server.faults["/search"] = Fault(429, times=1, headers={"Retry-After": told})
    assert len(search(provider(server.url))) == 12
    (wait,) = waited
    assert least <= wait <= most


def test_an_answer_that_drips_does_not_last_for_ever(monkeypatch: pytest.MonkeyPatch):
    over = threading.Event()

    class Drips(BaseHTTPRequestHandler):
        def log_message(self, *args: Any) -> None:
            pass

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "1000000")
            self.end_headers()
            while not over.wait(0.02):  # never silent for long
                self.wfile.write(b" ")

    monkeypatch.setattr(api, "PATIENCE", Patience(tries=2, wait_s=0.01, silence_s=0.2, answer_s=0.3))
    dripping = ThreadingHTTPServer(("127.0.0.1", 0), Drips)
    threading.Thread(target=dripping.serve_forever, daemon=True).start()
    began = datetime.now()
    with pytest.raises(TilewrightError, match="no whole answer in"):
        search(provider(f"http://127.0.0.1:{dripping.server_address[1]}"))
    assert (datetime.now() - began).total_seconds() < 3
    over.set()
    dripping.shutdown()
    dripping.server_close()


# -- what does not pass -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "fault", "why"),
    [
        ("/search", Fault(502), "HTTP 502"),
        ("/search", Fault(429), "HTTP 429"),
        ("/", Fault(503), "HTTP 503"),
        ("/search", Fault(200, b"<html>maintenance</html>"), "maintenance"),
        ("/search", Fault(200, b'{"message":"Forbidden"}'), "Forbidden"),
        ("/search", Fault(200, b'["no"]'), "no STAC document"),
        ("/", Fault(200, b"<html>maintenance</html>"), "maintenance"),
    ],
    ids=["502", "429", "no landing", "a page of words", "JSON of an error", "a list", "landing of words"],
)  # fmt: skip
def test_a_server_that_keeps_failing_is_one_error(path: str, fault: Fault, why: str, server: StacServer):
    server.faults[path] = fault
    with pytest.raises(TilewrightError) as raised:
        search(provider(server.url))
    message = str(raised.value)
    for words in (f"tile {TILE}, 2021-01-01 to 2021-12-31", server.url, "nothing was written: run again", why):
        assert words in message
    assert "\n" not in message
    assert QUICK.tries <= server.asked[path] <= QUICK.tries + 2, "and two looks whether the server is up at all"


@pytest.mark.parametrize(
    ("path", "fault", "why"),
    [
        ("/search", Fault(400, b'{"code":"BadRequest","description":"bbox is bad"}'), "bbox is bad"),
        ("/search", Fault(401), "HTTP 401"),
        ("/", Fault(404), "HTTP 404"),
        (
            "/",
            Fault(200, b'{"type":"Catalog","stac_version":"1.0.0","id":"static","description":"x","links":[]}'),
            "SEARCH",
        ),
        ("/search", Fault(200, b'{"features":[{"id":"x"}]}'), "cannot be read"),
        ("/search", Fault(200, b'{"features":3}'), "cannot be read"),
        ("/search", Fault(302, b"", headers={"Location": "/elsewhere"}), "redirects POST"),
        ("/search", Fault(307, b"", headers={"Location": "http://evil.example/search"}), "another host, evil.example"),
        ("/", Fault(301, b"", headers={"Location": "https://evil.example/"}), "another host, evil.example"),
    ],
)
def test_what_does_not_pass_is_not_asked_again(path: str, fault: Fault, why: str, server: StacServer):
    server.faults[path] = fault
    with pytest.raises(TilewrightError, match="nothing was written") as raised:
        search(provider(server.url))
    assert why in str(raised.value) and server.asked[path] == 1


def test_a_redirect_on_the_same_host_is_followed(server: StacServer):
    server.faults["/search"] = Fault(307, b"", times=1, headers={"Location": "/search?moved=1"})
    assert ids(search(provider(server.url))) == ids(SCENES)


@pytest.mark.parametrize("rel", ["search", "root"])
def test_a_link_to_another_host_is_not_followed(rel: str, server: StacServer, monkeypatch: pytest.MonkeyPatch):
    landing = server.landing()
    for link in (one for one in landing["links"] if one["rel"] == rel):
        link["href"] = link["href"].replace(server.address, "evil.example")
    monkeypatch.setattr(server, "landing", lambda: landing)
    with pytest.raises(TilewrightError, match=r"links lead to another host, evil\.example"):
        search(provider(server.url))


def test_links_behind_a_proxy_are_asked_for_at_the_front(server: StacServer, monkeypatch: pytest.MonkeyPatch):
    inner = json.loads(json.dumps(server.landing()).replace(server.address, "127.0.0.1:9"))
    monkeypatch.setattr(server, "landing", lambda: inner)
    assert ids(search(provider(server.url))) == ids(SCENES)


def test_an_api_that_is_not_there_is_one_error():
    with pytest.raises(TilewrightError, match=r"at http://127\.0\.0\.1:9 failed: .*Connection refused"):
        search(provider("http://127.0.0.1:9"))


@pytest.mark.parametrize("url", ["file:///etc/passwd", "earth-search.aws.element84.com/v1"])
def test_a_url_that_is_none_is_told(url: str):
    with pytest.raises(ValueError, match=r"url: is no address: write https://<host>/<path>"):
        provider(url)


def test_a_url_without_a_host_is_told():
    with pytest.raises(TilewrightError, match=r"is no address; nothing was written: write the provider's url as https"):
        search(provider("https://"))


def test_a_failure_after_the_first_page_gives_no_part_of_the_answer(
    server: StacServer, monkeypatch: pytest.MonkeyPatch
):
    answer = server.search

    def second_page_fails(asked: dict[str, Any]) -> dict[str, Any]:
        if "next" in asked:
            server.faults["/search"] = Fault(502)
        return answer(asked)

    monkeypatch.setattr(server, "search", second_page_fails)
    with pytest.raises(TilewrightError, match="search of sentinel-2-l2a"):
        search(provider(server.url, page_size=10))


def test_a_server_that_loses_items_is_found_out(server: StacServer, monkeypatch: pytest.MonkeyPatch):
    answer = server.search

    def without_the_last(asked: dict[str, Any]) -> dict[str, Any]:
        page = answer(asked)
        return page | {"features": [one for one in page["features"] if one["id"] != SCENES[-1]["id"]]}

    monkeypatch.setattr(server, "search", without_the_last)
    with pytest.raises(TilewrightError, match="gave 0 of the 1 items that it says match"):
        search(provider(server.url))


# -- too much ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [502, 413, 504])
def test_what_is_too_much_for_the_server_is_asked_for_in_parts(
    status: int, server: StacServer, monkeypatch: pytest.MonkeyPatch
):
    """Spans of more than two months fail: 413 says so, of others a small request shows that the server is up."""
    answer = server.search

    def heavy(asked: dict[str, Any]) -> dict[str, Any]:
        first, last = (datetime.fromisoformat(end) for end in asked["datetime"].split("/"))
        if last - first > timedelta(days=60):
            server.faults["/search"] = Fault(status, times=0 if status == 413 else 2)
            raise RuntimeError("too heavy")  # the first failure: 500
        return answer(asked)

    monkeypatch.setattr(server, "search", heavy)
    assert ids(search(provider(server.url))) == ids(SCENES)


def test_items_of_one_day_come_one_by_one_where_they_must(server: StacServer):
    server.items = [item_of(TILE, date(2021, 7, 1), number, big="x" * 20_000) for number in range(7)]
    server.largest = 30_000
    found = search(provider(server.url, page_size=7), start=date(2021, 7, 1), end=date(2021, 7, 2))
    assert ids(found) == ids(server.items)
    server.largest = 10_000
    with pytest.raises(TilewrightError, match="HTTP 502"):
        search(provider(server.url, page_size=7), start=date(2021, 7, 1), end=date(2021, 7, 2))
