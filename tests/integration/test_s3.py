"""Buckets: moto serves imagery signed, open and for who pays; a server that checks signatures refuses as AWS does, in AWS's words."""

import itertools
import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import boto3
import numpy as np
import pytest
from botocore.auth import S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from moto.server import ThreadedMotoServer
from range_server import Fault, Handler, RangeServer

import tilewright.imagery.patience as patience
from rasters import Grid, by_reader, cut, write_gdal
from tilewright.config.provider import Access, Bucket, CollectionAccess
from tilewright.errors import TilewrightError
from tilewright.imagery import Ask, BrokenAssetError, ImageryReader, Traffic

GRID = Grid(320, 320)
ROWS, COLS = zip(*itertools.product((0, 130), (10, 200)), strict=True)
KEYS = {"AWS_ACCESS_KEY_ID": "AKIDREADER", "AWS_SECRET_ACCESS_KEY": "hush-of-reader"}
ODD = "tiles/32/a b+c&d=é.tif"  # a key is what it is: nothing in it is an encoding


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bucket called `imagery` as a folder: a raster as TIFF and as JPEG 2000."""
    made = tmp_path_factory.mktemp("buckets")
    pixels = np.random.default_rng(1).integers(1, 65535, (GRID.rows, GRID.cols), np.uint16)
    np.save(made / "truth.npy", cut(pixels, ROWS, COLS, 96))
    (made / "imagery/tiles/32").mkdir(parents=True)
    for name in ("tiles/B02.tif", ODD):
        write_gdal(made / "imagery" / name, pixels, GRID, tiled=True, blockxsize=64, blockysize=64, compress="deflate")
    write_gdal(made / "imagery/tiles/B02.jp2", pixels, GRID, driver="JP2OpenJPEG", QUALITY="100", REVERSIBLE="YES")
    return made


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The keys of a reader, and nothing else that this machine may know of AWS."""
    monkeypatch.setattr(patience, "WAIT_S", 0.001)
    for name in (
        "PROFILE",
        "DEFAULT_PROFILE",
        "SESSION_TOKEN",
        "REGION",
        "DEFAULT_REGION",
        "ENDPOINT_URL",
        "ENDPOINT",
        "NO_SIGN_REQUEST",
    ):
        monkeypatch.delenv(f"AWS_{name}", raising=False)
    for name, file in {"AWS_SHARED_CREDENTIALS_FILE": "credentials", "AWS_CONFIG_FILE": "config"}.items():
        monkeypatch.setenv(name, str(tmp_path / file))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)


def reader(bucket: Bucket, name: str = "imagery", **of: Any) -> ImageryReader:
    opened = Access(buckets={name: bucket}, **{key: of.pop(key) for key in ("rewrite", "hosts") if key in of})
    return ImageryReader(2, {"s2_l1c": CollectionAccess(access=opened, local=False, **{"format": "tiff", **of})})


def ask(key: str = "tiles/B02.tif", bucket: str = "imagery") -> Ask:
    href = key if "://" in key else f"s3://{bucket}/{key}"
    return Ask(GRID.asset(href, scene="S2A_X", collection="s2_l1c"), GRID.boxes(ROWS, COLS, 96), np.dtype("uint16"))


def right(folder: Path, of: ImageryReader, key: str = "tiles/B02.tif") -> Traffic:
    found, traffic = by_reader(ask(key), of)
    np.testing.assert_array_equal(found, np.load(folder / "truth.npy"))
    return traffic


def refused(of: ImageryReader, key: str = "tiles/B02.tif", bucket: str = "imagery") -> str:
    with pytest.raises(TilewrightError) as raised:
        by_reader(ask(key, bucket), of)
    message = str(raised.value)
    assert message.startswith(f"scene S2A_X, asset B02: s3://{bucket}/{key} ") and "\n" not in message
    assert "hush" not in message and "AKID" not in message and "Signature=" not in message
    return message


# -- moto ----------------------------------------------------------------------------------------------------------------


@dataclass
class Moto:
    """moto's server, and the query of every request that it got."""

    url: str
    queries: list[dict[str, list[str]]] = field(default_factory=list)


@pytest.fixture(scope="module")
def serving(folder: Path) -> Iterator[Moto]:
    """`imagery` is for who signs, `open` for all."""
    from moto.server import DomainDispatcherApplication

    made = Moto("")
    real = DomainDispatcherApplication.__call__

    def noted(self: Any, environ: dict[str, Any], start_response: Any) -> Any:
        made.queries.append(parse_qs(environ["QUERY_STRING"]))
        return real(self, environ, start_response)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(DomainDispatcherApplication, "__call__", noted)
        server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
        server.start()
        host, port = server.get_host_and_port()
        made.url = f"http://{host}:{port}"
        client = boto3.client(
            "s3",
            endpoint_url=made.url,
            region_name="us-east-1",
            aws_access_key_id="owner",
            aws_secret_access_key="owner",
        )
        for bucket, acl in (("imagery", "private"), ("open", "public-read")):
            client.create_bucket(Bucket=bucket)
            for file in sorted((folder / "imagery").rglob("*.*")):
                key = str(file.relative_to(folder / "imagery"))
                client.put_object(Bucket=bucket, Key=key, Body=file.read_bytes(), ACL=acl)
        yield made
        server.stop()


@pytest.fixture
def moto(serving: Moto) -> Moto:
    serving.queries.clear()
    return serving


@pytest.mark.parametrize("key", ["tiles/B02.tif", "tiles/B02.jp2", ODD])
def test_signed(key: str, moto: Moto, folder: Path):
    of = reader(Bucket(endpoint=moto.url, region="eu-central-1"), format=key[-3:].replace("tif", "tiff"))
    traffic = right(folder, of, key)
    assert (traffic.assets, traffic.other_assets) == ((0, 1) if key.endswith("jp2") else (1, 0)) and not traffic.retries
    for query in moto.queries:
        assert (
            query["X-Amz-Credential"][0].startswith("AKIDREADER/")
            and "/eu-central-1/s3/" in query["X-Amz-Credential"][0]
        )
        assert "x-amz-request-payer" not in query


@pytest.mark.parametrize("key", ["tiles/B02.tif", "tiles/B02.jp2", ODD])
@pytest.mark.parametrize("by", ["provider", "environment"])
def test_open_without_keys(key: str, by: str, moto: Moto, folder: Path, monkeypatch: pytest.MonkeyPatch):
    for name in KEYS:
        monkeypatch.delenv(name)
    if by == "environment":
        monkeypatch.setenv("AWS_NO_SIGN_REQUEST", "YES")
    bucket = Bucket(endpoint=moto.url, unsigned=by == "provider")
    right(folder, reader(bucket, "open", format=key[-3:].replace("tif", "tiff")), f"s3://open/{key}")
    assert moto.queries and not any(moto.queries)


def test_who_pays_says_so_and_signs_it(moto: Moto, folder: Path):
    right(folder, reader(Bucket(endpoint=moto.url, requester_pays=True)))
    assert moto.queries and all(query["x-amz-request-payer"] == ["requester"] for query in moto.queries)
    assert all("X-Amz-Signature" in query for query in moto.queries)


def test_what_is_gone_and_what_never_was(moto: Moto):
    with pytest.raises(BrokenAssetError, match=r"B02 is gone \(404 NoSuchKey\)"):
        by_reader(ask("tiles/none.tif"), reader(Bucket(endpoint=moto.url)))
    message = refused(reader(Bucket(endpoint=moto.url), "none"), bucket="none")
    assert "bucket none (collection s2_l1c) does not exist" in message


def test_a_mirror_in_a_bucket(moto: Moto, folder: Path):
    """Names are encoded in URLs, and raw in keys."""
    of = {"rewrite": {"https://a.org/": "s3://imagery/"}, "hosts": ["a.org"]}
    right(folder, reader(Bucket(endpoint=moto.url), **of), "https://a.org/tiles/B02.tif")
    right(folder, reader(Bucket(endpoint=moto.url), **of), "https://a.org/tiles/32/a%20b+c&d=%C3%A9.tif")


# -- a server that checks ------------------------------------------------------------------------------------------------


@dataclass
class Checking(RangeServer):
    """Serves who has signed with a key that it knows, for its region, as botocore signs.

    Attributes:
        known: access keys and their secrets.
        region: of its bucket; payer: whether the reader pays; session: the token that must come along.
        odd: an answer in the place of the bytes (status, code), so many times.
    """

    known: dict[str, str] = field(default_factory=lambda: {"AKIDREADER": "hush-of-reader"})
    region: str = "eu-central-1"
    payer: bool = False
    session: str = ""
    odd: list[tuple[int, str]] = field(default_factory=list)

    def handler(self) -> type[BaseHTTPRequestHandler]:
        return _Checking


class _Checking(Handler):
    stand_in: Checking

    def do_GET(self) -> None:
        verdict = self.stand_in.odd.pop() if self.stand_in.odd else self._checked()
        if verdict is None:
            super().do_GET()
        else:
            status, code = verdict
            told = f"<Error><Code>{code}</Code><Message>no</Message><Region>{self.stand_in.region}</Region></Error>"
            self._send(status, told.encode(), x_amz_bucket_region=self.stand_in.region)

    def _checked(self) -> tuple[int, str] | None:
        url = f"http://{self.headers['Host']}{self.path}"
        query = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        if "X-Amz-Signature" not in query:
            return 403, "AccessDenied"
        key, _, region, *_ = query["X-Amz-Credential"].split("/")
        if key not in self.stand_in.known:
            return 403, "InvalidAccessKeyId"
        if region != self.stand_in.region:
            return 400, "AuthorizationQueryParametersError"
        if query.get("X-Amz-Security-Token", "") != self.stand_in.session:
            return 403, "InvalidToken"
        signer = S3SigV4QueryAuth(Credentials(key, self.stand_in.known[key]), "s3", region, expires=900)
        unsigned, _, _ = url.partition("&X-Amz-Signature=")
        request = AWSRequest("GET", unsigned, headers={"Host": self.headers["Host"]})
        request.context["timestamp"] = query["X-Amz-Date"]
        canonical = signer.canonical_request(request)
        if signer.signature(signer.string_to_sign(request, canonical), request) != query["X-Amz-Signature"]:
            return 403, "SignatureDoesNotMatch"
        if self.stand_in.payer and query.get("x-amz-request-payer") != "requester":
            return 403, "AccessDenied"
        return None


@pytest.fixture
def checking(folder: Path) -> Iterator[Checking]:
    with Checking(folder) as made:
        yield made


def test_signatures_are_botocores(checking: Checking, folder: Path, monkeypatch: pytest.MonkeyPatch):
    bucket = Bucket(endpoint=checking.url, region="eu-central-1")
    for key in ("tiles/B02.tif", ODD):
        right(folder, reader(bucket), key)
    checking.payer = True
    right(folder, reader(bucket.model_copy(update={"requester_pays": True})))
    checking.session = "TOKEN/+="
    monkeypatch.setenv("AWS_SESSION_TOKEN", "TOKEN/+=")
    right(folder, reader(bucket.model_copy(update={"requester_pays": True})))


def test_region_and_endpoint_of_the_environment(checking: Checking, folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", checking.url)
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    right(folder, reader(Bucket()))
    right(folder, ImageryReader(1))  # whoever vouches for the assets has the same variables


def test_keys_of_a_credentials_file(checking: Checking, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    checking.known = {"AKIDONE": "hush-one", "AKIDTWO": "hush-two"}
    (tmp_path / "credentials").write_text(
        "[default]\naws_access_key_id = AKIDONE\naws_secret_access_key = hush-one\n"
        "[cdse]\naws_access_key_id = AKIDTWO\naws_secret_access_key = hush-two\n[empty]\n"
    )
    (tmp_path / "config").write_text("[profile cdse]\nregion = eu-central-1\n[default]\nregion = eu-central-1\n")
    bucket = Bucket(endpoint=checking.url)
    right(folder, reader(bucket.model_copy(update={"profile": "cdse"})))  # before the environment's
    assert "does not know the AWS keys" in refused(reader(bucket.model_copy(update={"region": "eu-central-1"})))
    for name in KEYS:
        monkeypatch.delenv(name)
    checking.known.pop("AKIDTWO")
    right(folder, reader(bucket))
    monkeypatch.setenv("AWS_PROFILE", "cdse")
    assert "does not know the AWS keys" in refused(reader(bucket))
    assert "profile empty of AWS's credentials file holds no keys" in refused(
        reader(bucket.model_copy(update={"profile": "empty"}))
    )


@pytest.mark.parametrize(
    ("keys", "bucket", "words"),
    [
        ({"AWS_ACCESS_KEY_ID": "AKIDOTHER"}, {}, r"does not know the AWS keys that are set \(403 InvalidAccessKeyId\): check AWS_ACCESS"),
        ({"AWS_SECRET_ACCESS_KEY": "hush-2"}, {}, r"does not know the AWS keys that are set \(403 SignatureDoesNotMatch\)"),
        ({"AWS_ACCESS_KEY_ID": ""}, {}, "wants signed requests, and there are no AWS keys: set AWS_ACCESS_KEY_ID and"),
        ({}, {"region": "us-west-2"}, "is in region eu-central-1, not in us-west-2: write `region: eu-central-1` at access.buckets.imagery of"),
        ({}, {"region": None}, "is in region eu-central-1, not in us-east-1: write `region: eu-central-1`"),
        ({}, {"unsigned": True}, "is not open .*: remove `unsigned: true` at access.buckets.imagery of the provider of s2_l1c, and set AWS_"),
        ({}, {"payer": True}, "is not open to the AWS keys that are set .*: write `requester_pays: true` at access.buckets.imagery"),
    ],
)  # fmt: skip
def test_refusals_name_bucket_collection_and_mend_at_once(
    keys: dict[str, str], bucket: dict[str, Any], words: str, checking: Checking, monkeypatch: pytest.MonkeyPatch
):
    for name, value in keys.items():
        monkeypatch.setenv(name, value) if value else monkeypatch.delenv(name)
    checking.payer = bucket.pop("payer", False)
    message = refused(reader(Bucket(**{"endpoint": checking.url, "region": "eu-central-1", **bucket})))
    assert re.search(rf"is not read: bucket imagery \(collection s2_l1c\) {words}", message)
    assert not checking.ranges, "nothing was served"


def test_no_keys_anywhere(checking: Checking, monkeypatch: pytest.MonkeyPatch):
    """A machine's own role is asked for, and where there is none that is said."""
    for name in KEYS:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", "http://127.0.0.1:1")
    message = refused(reader(Bucket(endpoint=checking.url, region="eu-central-1")))
    assert "there are no AWS keys: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE" in message


@pytest.mark.parametrize(
    "code", [(503, "SlowDown"), (429, "TooManyRequests"), (500, "InternalError"), (400, "ExpiredToken")]
)
def test_throttling_and_keys_that_end_are_tried_again(code: tuple[int, str], checking: Checking, folder: Path):
    of = reader(Bucket(endpoint=checking.url, region="eu-central-1"))
    checking.odd = [code] * 3
    assert right(folder, of).retries == 3
    checking.odd = [code] * 99
    mend = ": renew AWS_SESSION_TOKEN, or the keys of AWS_PROFILE" if code[1] == "ExpiredToken" else ""
    assert f"in 5 tries ({code[0]} {code[1]}{mend})" in refused(of)


def test_a_roles_keys_that_cannot_be_renewed_for_a_while(
    checking: Checking, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    """Where there were keys a moment ago, the service that hands them out is in trouble: that passes."""
    import obstore

    of, real, failing = reader(Bucket(endpoint=checking.url, region="eu-central-1")), obstore.sign, [3]
    right(folder, of)

    def sign(*asked: Any) -> Any:
        failing[0] -= 1
        if failing[0] >= 0:
            raise obstore.exceptions.GenericError("the metadata service is busy")
        return real(*asked)

    monkeypatch.setattr(obstore, "sign", sign)
    assert right(folder, of).retries == 3
    failing[0] = 99
    assert "bucket imagery (collection s2_l1c): new AWS keys could not be had" in refused(of)


def test_a_redirect_to_another_region_is_not_followed(checking: Checking):
    checking.odd = [(301, "PermanentRedirect")]
    message = refused(reader(Bucket(endpoint=checking.url, region="us-east-2")))
    assert "is in region eu-central-1, not in us-east-2" in message


def test_neither_keys_nor_signatures_are_told(
    checking: Checking, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setenv("AWS_SESSION_TOKEN", "TOKENword")
    checking.session = "TOKENword"
    checking.put("/imagery/tiles/B02.tif", Fault("cut"))
    with caplog.at_level(logging.DEBUG), pytest.raises(TilewrightError) as raised:
        by_reader(ask(), reader(Bucket(endpoint=checking.url, region="eu-central-1")))
    told, error = caplog.text, raised.value.__cause__
    told += str(raised.value)
    while error is not None:
        told, error = told + str(error), error.__cause__ or error.__context__
    assert "s3://imagery/tiles/B02.tif could not be read" in told
    assert not any(word in told for word in ("hush", "TOKENword", "Signature=", "AKIDREADER"))
