"""Hrefs are untrusted: which are opened, which never, and where corrections lead."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilewright.catalog.assets import shown
from tilewright.catalog.hrefs import refusal, rewritten, told_by_environment
from tilewright.catalog.scene import read_scene
from tilewright.config.provider import Access, CollectionAccess, ProviderCollection
from tilewright.imagery.access import opened_at

HOSTS = ["tiles.example.org", "mirror.example.org:8443", "http://localhost:8000"]
ACCESS = Access.model_validate({"hosts": HOSTS, "buckets": {"imagery": {}}})
REMOTE = CollectionAccess(access=ACCESS, format="tiff", local=False)
LOCAL = CollectionAccess(access=ACCESS, format="tiff", local=True)
JP2 = CollectionAccess(access=ACCESS, format="jp2", local=True)

ALLOWED = [
    "https://tiles.example.org/a/B04.tif",
    "https://tiles.example.org:443/a/B04.TIFF",
    "https://TILES.example.org/a b/B%2004.tif",
    "https://mirror.example.org:8443/B04.tif",
    "http://localhost:8000/B04.tif",
    "s3://imagery/a/B04.tif",
]
FILES = [
    "a/B04.tif",
    "./a/B04.tif",
    "/data/B04.tif",
    "../data/B04.tif",
    "../../B04.tif",
    "a/50%.tif",
    "a/why?.tif",
    "file:///data/B04.tif",
]

REFUSED = {
    "": "is empty",
    # schemes
    "ftp://tiles.example.org/B04.tif": "scheme 'ftp' is not opened",
    "gs://imagery/B04.tif": "scheme 'gs'",
    "data:image/tiff;base64,AAAA.tif": "scheme 'data'",
    "javascript:alert(1).tif": "scheme 'javascript'",
    "C:/data/B04.tif": "scheme 'c' is not opened",
    "ZARR:/data/B04.tif": "scheme 'zarr'",
    # hosts, exactly
    "http://tiles.example.org/B04.tif": "host 'http://tiles.example.org' is not among the provider's hosts",
    "https://localhost:8000/B04.tif": "host 'localhost:8000'",
    "http://localhost/B04.tif": "host 'http://localhost'",
    "https://mirror.example.org/B04.tif": "host 'mirror.example.org'",
    "https://tiles.example.org:8443/B04.tif": "host 'tiles.example.org:8443'",
    "https://tiles.example.org.evil.net/B04.tif": "host",
    "https://evil.net/tiles.example.org/B04.tif": "host 'evil.net'",
    "https://tiles.example.org./B04.tif": "host",
    "https://sub.tiles.example.org/B04.tif": "host",
    "https:///B04.tif": "host",
    "https://tiles.example.org:port/B04.tif": "is not a URL",
    "https://[::1/B04.tif": "is not a URL",
    "https://169.254.169.254/latest/B04.tif": "host '169.254.169.254'",
    # who asks is no part of a catalog
    "https://me:secret@tiles.example.org/B04.tif": "holds a user or password",
    "https://tiles.example.org@evil.net/B04.tif": "holds a user or password",
    "s3://me@imagery/B04.tif": "holds a user or password",
    "https://tiles.example.org/B04.tif?sig=secret": "has a query",
    "https://tiles.example.org/B04.tif?": "has a query",
    "https://tiles.example.org/B04.tif#x": "has a query or fragment",
    # buckets
    "s3://other/B04.tif": "bucket 'other' is not among the provider's buckets",
    "s3://imagery": "bucket 'imagery'",
    "s3:///B04.tif": "bucket ''",
    # paths
    "https://tiles.example.org/a/../B04.tif": "has .. in its path",
    "https://tiles.example.org/a/%2e%2E/B04.tif": "has .. in its path",
    "https://tiles.example.org/a/%252e%252e/B04.tif": "has .. in its path",
    "s3://imagery/../other/B04.tif": "has .. in its path",
    "https://tiles.example.org/a\\..\\B04.tif": "backslashes",
    "https://tiles.example.org/a%5cB04.tif": "backslashes",
    # what GDAL would interpret
    "/vsicurl/https://evil.net/B04.tif": "virtual file system",
    "/VSIZIP/a.zip/B04.tif": "virtual file system",
    "//evil.net/share/B04.tif": "network path",
    "<VRTDataset><SourceFilename>/etc/passwd</SourceFilename></VRTDataset>.tif": "is a document",
    '  {"type": "gdal_streamed_alg"}.tif': "is a document",
    "[1, 2].tif": "is a document",
    "file:///vsicurl/https://evil.net/B04.tif": "virtual file system",
    "file://evil.net/share/B04.tif": "file URL of another machine",
    # formats
    "https://tiles.example.org/B04.vrt": "does not end in .tif or .tiff",
    "https://tiles.example.org/B04.jp2": "does not end in .tif or .tiff",
    "https://tiles.example.org/B04.tif.xml": "does not end in .tif or .tiff",
    "https://tiles.example.org/a.tif/": "does not end in .tif or .tiff",
    "https://tiles.example.org/": "does not end in .tif or .tiff",
    # what cannot be seen
    "https://tiles.example.org/B04.tif\n": "has control characters",
    "https://tiles.example.org/a%0d%0aHost: evil.net/B04.tif": "has control characters",
    "https://tiles.example.org/a\x00.tif": "has control characters",
    " https://tiles.example.org/B04.tif": "has blanks around it",
    "https://tiles.example.org/" + "a" * 3000 + ".tif": "has 3030 characters",
}  # fmt: skip


@pytest.mark.parametrize("href", ALLOWED)
def test_what_the_provider_names_is_opened(href: str):
    assert refusal(href, REMOTE) == "" == refusal(href, LOCAL)


@pytest.mark.parametrize("href", FILES)
def test_files_are_opened_only_where_the_catalog_is_one(href: str):
    assert refusal(href, LOCAL) == ""
    assert refusal(href, REMOTE) == "is a local path, which only local catalogs may name"


@pytest.mark.parametrize("href", REFUSED)
def test_nothing_else_is_opened_even_for_local_catalogs(href: str):
    for access in (REMOTE, LOCAL):
        assert REFUSED[href] in refusal(href, access) != ""


@pytest.mark.parametrize("href", ["a/../B04.tif", "/data/../etc/B04.tif", "../a/../B04.tif", "a/.."])
def test_a_local_path_does_not_climb_on_its_way(href: str):
    assert refusal(href, LOCAL) == "has .. in its path"


def test_the_format_decides_the_suffix():
    assert refusal("a/B04.jp2", JP2) == "" and refusal("a/B04.tif", JP2) == "does not end in .jp2"
    assert refusal("a/calibration.xml", LOCAL, document=True) == ""
    assert refusal("a/calibration.tif", LOCAL, document=True) == "does not end in .xml"
    assert refusal("a/calibration.xml", LOCAL) != ""


@given(st.sampled_from(sorted(REFUSED)), st.text(max_size=20))
def test_a_reason_is_one_line_and_holds_no_secret(href: str, more: str):
    why = refusal(href + more, LOCAL)
    assert "\n" not in why and "secret" not in why and len(why) < 200


@given(st.text(max_size=60))
def test_any_text_is_judged(href: str):
    for access in (REMOTE, LOCAL, JP2):
        why = refusal(href, access)
        assert why or href.lower().endswith((".tif", ".tiff", ".jp2")) or "%" in href


@given(st.from_regex(r"https://[a-z0-9.:@-]{1,30}/[a-z/.%0-9]{0,20}\.tif", fullmatch=True))
def test_no_spelling_leads_to_another_host(href: str):
    from urllib3.util import parse_url  # what sends the request, not what judges

    if not refusal(href, REMOTE):
        found = parse_url(href)
        assert (found.host, found.port or 443) in {("tiles.example.org", 443), ("mirror.example.org", 8443)}
        assert found.auth is None


@pytest.mark.parametrize(
    ("href", "rewrite", "leads"),
    [
        ("https://a.org/x/B04.tif", {}, "https://a.org/x/B04.tif"),
        ("https://a.org/x/B04.tif", {"https://a.org": "https://b.org/mirror"}, "https://b.org/mirror/x/B04.tif"),
        ("https://a.org/x/B04.tif", {"https://a.org/": "/mirror"}, "/mirror/x/B04.tif"),
        ("https://a.org/x/B04.tif", {"https://a.org": "/mirror/"}, "/mirror/x/B04.tif"),
        ("https://a.org/x/B04.tif", {"https://a.org/": "/mirror/"}, "/mirror/x/B04.tif"),
        ("https://a.org.evil.net/B04.tif", {"https://a.org": "/mirror"}, "https://a.org.evil.net/B04.tif"),
        ("https://a.org/x/B04.tif", {"https://a.org": "/all", "https://a.org/x": "/x"}, "/x/B04.tif"),
        ("https://a.org/x/B04.tif", {"https://a.org/x": "/x", "https://a.org/xx": "/xx"}, "/x/B04.tif"),
        ("https://a.org/a%20b/B04.tif?sig=1", {"https://a.org": "/mirror"}, "/mirror/a b/B04.tif"),
        ("s3://bucket/a b/B04.tif", {"s3://bucket": "https://a.org"}, "https://a.org/a%20b/B04.tif"),
        ("s3://bucket/a%20b/B04.tif", {"s3://bucket": "/mirror"}, "/mirror/a%20b/B04.tif"),
        (
            "s3://sentinel-s2-l2a/tiles/20/E/PT/B04.jp2", {"s3://sentinel-s2-l2a/tiles/": "s3://sentinel-s2-l1c/tiles/"},
            "s3://sentinel-s2-l1c/tiles/20/E/PT/B04.jp2",
        ),
    ],
)  # fmt: skip
def test_a_prefix_is_replaced_where_a_part_of_the_path_ends(href: str, rewrite: dict[str, str], leads: str):
    assert rewritten(href, rewrite) == leads


COLLECTION = {"id": "x", "radiometry": "harmonised", "assets": {"B02": "blue", "SCL": "scl"}}
GRID = {"proj:epsg": 32632, "proj:shape": [10980, 10980], "proj:transform": [10, 0, 600000, 0, -10, 5300000]}


def scene_with(href: str, **changes: Any):
    item = {
        "id": "S2A_32TNT_20190101_0_L2A", "bbox": [9, 46, 10, 47], "geometry": None, "links": [{"rel": "self", "href": href}],
        "properties": {"datetime": "2019-01-01T10:00:00Z"}, "assets": {"blue": {"href": href, **GRID}},
    }  # fmt: skip
    collection = ProviderCollection.model_validate({**COLLECTION, **changes})
    return read_scene("s2_l2a", item, collection, ACCESS, local=False)


@pytest.mark.parametrize("href", sorted(REFUSED))
def test_a_scene_whose_imagery_may_not_be_opened_is_refused(href: str):
    scene = scene_with(href)
    assert scene.refused == f"href of B02: {refusal(href, REMOTE)}"
    assert scene.assets == "{}", "nothing of it may reach a reader"


def test_a_refusal_is_judged_after_the_collections_own_correction():
    wrong = "s3://elsewhere/B02.tif"
    assert scene_with(wrong).refused.startswith("href of B02: bucket 'elsewhere'")
    assert scene_with(wrong, rewrite={"s3://elsewhere": "s3://imagery"}).refused == ""


def test_passwords_and_signatures_are_not_kept():
    kept = json.dumps(vars(scene_with("https://me:secret@tiles.example.org/B02.tif?sig=secret")), default=str)
    assert "secret" not in kept and "https://tiles.example.org/B02.tif" in kept


@pytest.mark.parametrize(
    ("href", "seen"),
    [
        ("https://me:pass@a.org/B04.tif?sig=x#y", "https://a.org/B04.tif"),
        ("https://[me:pass@a.org/B04.tif?sig=x", "a.org/B04.tif"),
        ("data/why?.tif", "data/why?.tif"),
    ],
)
def test_how_messages_show_an_href(href: str, seen: str):
    assert shown(href) == seen


@pytest.mark.parametrize("name", ["../up", "a/b", ".hidden", "a..b", "", "a b", "a\nb", "ä"])
def test_an_id_that_could_lead_elsewhere_as_a_path_is_refused(name: str):
    item = {
        "id": name, "bbox": [9, 46, 10, 47], "properties": {"datetime": "2019-01-01T10:00:00Z"},
        "assets": {"blue": {"href": "s3://imagery/B02.tif", **GRID}},
    }  # fmt: skip
    scene = read_scene("s2_l2a", item, ProviderCollection.model_validate(COLLECTION), ACCESS, local=False)
    assert scene.refused == "id is not safe to use in paths"


def test_variables_of_the_environment_are_for_the_providers_own_addresses_alone(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MIRROR_PASSWORD", "a/b@c d")
    assert told_by_environment("https://me:${MIRROR_PASSWORD}@m.org/$x/{y}") == "https://me:a%2Fb%40c%20d@m.org/$x/{y}"
    with pytest.raises(LookupError, match="variable NO_SUCH of the environment is not set"):
        told_by_environment("https://${NO_SUCH}@m.org/")
    # a catalog's href that names one is left as it is
    mirror = Access(hosts=["a.org"], rewrite={"https://a.org/": "https://${MIRROR_PASSWORD}@m.org/"})
    opened = opened_at(
        "https://a.org/${MIRROR_PASSWORD}.tif", CollectionAccess(access=mirror, format="tiff", local=False)
    )
    assert opened == "https://a%2Fb%40c%20d@m.org/${MIRROR_PASSWORD}.tif"
