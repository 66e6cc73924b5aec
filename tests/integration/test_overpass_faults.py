"""An Overpass API that fails, in all the ways that one does: tried again, or one clear error, and never a part of the map."""

import json
import time

import pytest
import requests
from overpass_server import BASE, FREE, Fault, OverpassServer
from overpass_town import BOX, error, reader, rows, serving, small_town, waits

from tilewright.config.label_sets import Overpass
from tilewright.errors import TilewrightError
from tilewright.vector.overpass import OverpassReader

town, serve, slept = pytest.fixture(small_town), pytest.fixture(serving), pytest.fixture(waits)

# -- faults ----------------------------------------------------------------------------------------------------------

PASSING = [
    Fault("status", 429), Fault("status", 504), Fault("status", 500), Fault("status", 502), Fault("status", 408),
    Fault("empty"), Fault("truncated"), Fault("html"), Fault("json", text='{"error": "no"}'), Fault("json", text="[]"),
    Fault("json", text='{"elements": {}}'), Fault("reset"), Fault("amid"),
    Fault("remark", text="runtime error: open64: 0 Success /osm3s_osm_base Dispatcher_Client::request_read_and_idx::"
          "timeout. The server is probably too busy to handle your request."),
]  # fmt: skip


def name_of(fault: Fault) -> str:
    return f"{fault.kind}{fault.code or ''}{fault.text[:12]}"


@pytest.mark.parametrize("fault", PASSING, ids=name_of)
def test_what_may_pass_is_tried_again(town, serve, tmp_path, slept, fault):
    server = serve(town.elements, faults=[Fault(**{**vars(fault), "times": 2})])
    made = reader(server, tmp_path, slept.patience())
    assert len(rows(made)) == 5 and made.facts().rejects == {}
    assert server.asked["interpreter"] == 4
    assert len(slept) == 2 and 5 <= slept[0] <= 15 and 10 <= slept[1] <= 30


@pytest.mark.parametrize("fault", PASSING, ids=name_of)
def test_what_does_not_pass_is_an_error(town, serve, tmp_path, slept, fault):
    """Although the first answer was good: a part of the map is none."""
    server = serve(town.elements, faults=[Fault(**{**vars(fault), "spared": 1})])
    message = error(reader(server, tmp_path, slept.patience()))
    assert message.startswith(f"labels: Overpass at {server.address}: no answer in 3 tries (")
    assert "nothing was written" in message and "labels.<set>.source.url" in message
    assert server.asked["interpreter"] == 4
    assert len(slept) == 2


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (Fault("status", 429), "HTTP 429: We will be back soon."),
        (Fault("status", 504, text="<p>Gateway</p>"), "HTTP 504: Gateway"),
        (Fault("empty"), "no JSON: nothing at all"),
        (Fault("html"), "no JSON: We will be back soon."),
        (Fault("json", text='{"error": "no"}'), "JSON, but no Overpass answer"),
        (Fault("reset"), "Connection reset by peer"),
        (Fault("amid"), "Connection reset by peer"),
    ],
)
def test_the_error_says_what_happened(town, serve, tmp_path, fault, words):
    assert f"({words})" in error(reader(serve(town.elements, faults=[fault]), tmp_path))


REMARK = 'runtime error: Query timed out in "query" at line 1 after 181 seconds.'


@pytest.mark.parametrize("spared", [0, 1])
@pytest.mark.parametrize("text", [REMARK, "runtime error: Query run out of memory using about 2048 MB of RAM."])
def test_a_partial_answer_is_never_used(town, serve, tmp_path, slept, text, spared):
    server = serve(town.elements, faults=[Fault("remark", text=text, spared=spared)])
    message = error(reader(server, tmp_path, slept.patience()))
    assert f"a partial answer: {text}" in message and "timeout_s" in message and "kind: pbf" in message
    assert server.asked["interpreter"] == 1 + spared and not slept  # asking the same again would end the same


def test_a_server_that_is_not_there(town, tmp_path, slept):
    with OverpassServer(town.elements) as server:
        gone = reader(server, tmp_path, slept.patience())
    message = error(gone)
    assert "no answer in 3 tries (Connection refused)" in message and len(slept) == 2


def test_silence(town, serve, tmp_path, slept):
    server = serve(town.elements, faults=[Fault("stall", seconds=30)])
    began = time.monotonic()
    message = error(reader(server, tmp_path, slept.patience(tries=2, grace_s=0.2), timeout_s=1))
    assert "no answer in 2 tries (time is out)" in message
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("code", [400, 401, 403, 404, 414])
def test_a_refusal_is_final(town, serve, tmp_path, slept, code):
    server = serve(town.elements, faults=[Fault("status", code, text="<p>Error: <b>no</b> such thing</p>")])
    message = error(reader(server, tmp_path, slept.patience()))
    assert f"HTTP {code}: Error: no such thing" in message and "labels.<set>.source" in message
    assert server.asked["interpreter"] == 1 and not slept


def test_a_query_that_the_server_does_not_understand(town, serve):
    """The stand-in answers what it knows only."""
    server = serve(town.elements)
    answer = requests.post(f"{server.url}/interpreter", data={"data": "[out:json][timeout:1];wr[~x];out;"}, timeout=5)
    assert (answer.status_code, "parse error" in answer.text) == (400, True)


def test_a_server_that_has_moved(town, serve, tmp_path):
    """Following would turn the query into one without a body."""
    server = serve(town.elements, faults=[Fault("moved", text="https://elsewhere.example/key-123456789/api")])
    message = error(reader(server, tmp_path))
    assert "HTTP 301, pointing to elsewhere.example" in message and "key-123456789" not in message


@pytest.mark.parametrize(
    "element",
    [
        {"type": "node", "id": 1}, {"type": "node", "id": 1, "lat": 91, "lon": 0}, {"type": "way", "id": 1},
        {"type": "count", "id": 0, "tags": {}}, {"type": "relation", "id": 1, "members": [{"ref": 1}]}, 7, None,
        {"type": "node", "id": "x", "lat": 1, "lon": 1}, {"type": "node", "id": 1, "lat": 1, "lon": 1, "tags": 5},
    ],
    ids=json.dumps,
)  # fmt: skip
def test_elements_that_are_none(town, serve, tmp_path, element):
    text = json.dumps({"osm3s": {"timestamp_osm_base": BASE}, "elements": [element]})
    message = error(reader(serve(town.elements, faults=[Fault("json", text=text)]), tmp_path))
    assert "gave an element that is none" in message


def test_a_server_too_old_for_areas(town, serve, tmp_path):
    message = error(reader(serve(town.elements, version="Overpass API 0.7.56.9 76e5016d"), tmp_path))
    assert "version 0.7.56 cannot tell which closed ways" in message and "0.7.57" in message


# -- slots -----------------------------------------------------------------------------------------------------------


def busy(*seconds: int) -> str:
    """A /status without free slots, as the real one words it."""
    lines = "".join(f"Slot available after: 2024-05-01T12:00:{each:02d}Z, in {each} seconds.\n" for each in seconds)
    return FREE.replace("2 slots available now.\n", lines)


def test_slots_are_waited_for(town, serve, tmp_path, slept):
    truth = rows(reader(serve(town.elements), tmp_path))
    server = serve(town.elements, statuses=[busy(12, 7), busy(0), busy(), FREE])
    assert rows(reader(server, tmp_path, slept.patience())) == truth
    assert slept == [7.0, 1.0, 5.0]
    assert server.asked == {"status": 5, "interpreter": 2}


@pytest.mark.parametrize(
    "status", [None, "", "maintenance", FREE.replace("limit: 2\n2 slots available now.", "limit: 0")]
)
def test_a_status_that_tells_nothing(town, serve, tmp_path, slept, status):
    assert rows(reader(serve(town.elements, statuses=[status]), tmp_path, slept.patience())) and not slept


@pytest.mark.parametrize(("statuses", "waits"), [([busy(500)], 0), ([busy(30)], 3), ([busy()], 20)])
def test_slots_are_not_waited_for_for_ever(town, serve, tmp_path, slept, statuses, waits):
    server = serve(town.elements, statuses=statuses)
    message = error(reader(server, tmp_path, slept.patience(slot_s=100)))
    assert "no slot" in message and "fewer jobs" in message
    assert len(slept) == waits and sum(slept) <= 100 and server.asked["interpreter"] == 0


@pytest.mark.parametrize(("after", "waits"), [(70, [70.0]), (1000, [])])
def test_the_server_says_when_to_come_again(town, serve, tmp_path, slept, after, waits):
    server = serve(town.elements, faults=[Fault("status", 429, after=after, times=1)])
    made = reader(server, tmp_path, slept.patience())
    if waits:
        assert len(rows(made)) == 5
    else:
        assert "no answer in 1 try (HTTP 429" in error(made)
    assert slept == waits


# -- secrets ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault", [Fault("status", 404), Fault("status", 403, text="key t0ps3cret-key of user s3nd3r is spent"), Fault("reset")],
    ids=name_of,
)  # fmt: skip
def test_keys_in_the_url_are_not_shown(town, serve, tmp_path, caplog, fault):
    server = serve(town.elements, faults=[fault])
    url = f"http://s3nd3r:p4ssw0rd@{server.address}/api?key=t0ps3cret-key"
    message = error(reader(server, tmp_path, url=url))
    for secret in ("s3nd3r", "p4ssw0rd", "t0ps3cret"):
        assert secret not in message and secret not in caplog.text
    assert server.address in message


def test_the_url_may_end_as_the_api_does(town, serve, tmp_path):
    server = serve(town.elements)
    assert len(rows(reader(server, tmp_path, url=server.url + "/interpreter"))) == 5
    assert len(rows(reader(server, tmp_path, url=server.url + "/"))) == 5


@pytest.mark.parametrize("url", ["overpass.example/api", "ftp://overpass.example/api", "file:///api", ""])
def test_a_url_that_is_none(tmp_path, url):
    with pytest.raises(TilewrightError, match=r"labels\.<set>\.source\.url is no address"):
        OverpassReader(Overpass(kind="overpass", url=url), [BOX], tmp_path)


def test_a_date_that_is_none(town, serve, tmp_path):
    with pytest.raises(ValueError, match=r"'last summer' is no time; write it as 2019-07-01T00:00:00Z"):
        reader(serve(town.elements), tmp_path, date="last summer")


def test_ways_without_their_nodes(town, serve, tmp_path):
    way = {"type": "way", "id": 7, "nodes": [1, 2, 3, 1], "tags": {"building": "yes"}}
    text = json.dumps({"osm3s": {"timestamp_osm_base": BASE}, "elements": [way]})
    message = error(reader(serve(town.elements, faults=[Fault("json", text=text)]), tmp_path))
    assert "gave way 7 without its nodes" in message and "source.url" in message
