"""Objects of S3 and its like as URLs: signed by obstore with AWS's usual keys, or unsigned; and what a refusal means.

A signature lies in the URL, is made anew for each request, and holds for minutes.
"""

import configparser
import os
import threading
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from tilewright.config.provider import Bucket
from tilewright.imagery.access import RefusedError
from tilewright.imagery.client import AnswerError

_HOLDS: Final = timedelta(minutes=15)  # as AWS's own tools; only the start of a request must lie within
_DEFAULT_REGION: Final = "us-east-1"
_CLIENT: Final[Any] = {"connect_timeout": "3s", "timeout": "10s", "allow_http": True}  # asks for a machine's own keys
_NO_RETRIES: Final[Any] = {"max_retries": 0, "retry_timeout": timedelta(0)}
_KEYS: Final = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"

# What S3 calls refusals that waiting does not mend.
_NO_KEYS: Final = ("InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken")
_ELSEWHERE: Final = (
    "PermanentRedirect", "AuthorizationHeaderMalformed", "AuthorizationQueryParametersError",
    "IllegalLocationConstraintException",
)  # fmt: skip
EXPIRED: Final = ("ExpiredToken", "RequestExpired")


@dataclass(frozen=True)
class S3Object:
    """One object, and how its bucket is to be asked."""

    bucket: str
    key: str
    settings: Bucket
    collection: str

    @property
    def named(self) -> str:
        """The bucket in messages: with the collection that it is read for."""
        return f"bucket {self.bucket} (collection {self.collection})"

    @property
    def at(self) -> str:
        """Where the provider's file says how the bucket is read."""
        return f"access.buckets.{self.bucket} of the provider of {self.collection}"

    @property
    def unsigned(self) -> bool:
        """Whether it is read without keys; where the reader pays it cannot be."""
        said = self.settings.unsigned or _set("AWS_NO_SIGN_REQUEST") or _set("AWS_SKIP_SIGNATURE")
        return said and not self.settings.requester_pays


class Signer:
    """Makes URLs of objects; one for all threads, with a store of obstore's, which holds keys, for each bucket."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stores: dict[tuple[str, ...], Any] = {}
        self._served: set[tuple[str, ...]] = set()

    def url(self, of: S3Object) -> str:
        """A URL that serves for some minutes.

        Raises:
            RefusedError: where there are no keys.
            OSError: where there were, and they could not be renewed.
        """
        import obstore
        from obstore.exceptions import BaseError, InvalidPathError

        if of.unsigned:
            return f"{_endpoint(of) or f'https://s3.{_region(of)}.amazonaws.com'}/{of.bucket}/{quote(of.key)}"
        try:
            with self._lock:
                store = self._stores.get(_known(of))
                if store is None:
                    store = self._stores[_known(of)] = _store(of)
            found = obstore.sign(store, "GET", of.key, _HOLDS)
            self._served.add(_known(of))
            return found
        except InvalidPathError as error:
            raise RefusedError(f"{of.named} can have no object of that name") from error
        except (BaseError, OSError) as error:
            self.forget(of)
            if _known(of) in self._served:  # a role's keys, which end and are asked for anew
                raise OSError(f"{of.named}: new AWS keys could not be had") from error
            raise RefusedError(
                f"{of.named} wants signed requests, and there are no AWS keys: set {_KEYS}, or write `unsigned: true` at {of.at} if it is open"
            ) from error

    def forget(self, of: S3Object) -> None:
        """Look for keys anew, as those had have ended."""
        with self._lock:
            self._stores.pop(_known(of), None)


def _known(of: S3Object) -> tuple[str, ...]:
    return (of.bucket, of.settings.model_dump_json())


def _store(of: S3Object) -> Any:
    from obstore.store import S3Store

    options: dict[str, Any] = {"region": _region(of), "virtual_hosted_style_request": False, **_profile(of)}
    if endpoint := _endpoint(of):
        options["endpoint"] = endpoint
    if of.settings.requester_pays:
        options["request_payer"] = True
    return S3Store(of.bucket, client_options=_CLIENT, retry_config=_NO_RETRIES, **options)


def _endpoint(of: S3Object) -> str:
    """The service, where it is not AWS: as configured, else as AWS's tools are told by the environment."""
    named = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
    found = of.settings.endpoint or next((each for name in named if (each := os.environ.get(name))), "")
    return found.rstrip("/")


def _region(of: S3Object) -> str:
    said = of.settings.region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    return said or _section("AWS_CONFIG_FILE", "config", f"profile {_name(of)}", _name(of)).get(
        "region", _DEFAULT_REGION
    )


def _name(of: S3Object) -> str:
    return of.settings.profile or os.environ.get("AWS_PROFILE") or os.environ.get("AWS_DEFAULT_PROFILE") or "default"


def _profile(of: S3Object) -> dict[str, str]:
    """Keys of the credentials file, where the environment holds none (it goes before the file, as with AWS's tools) or the bucket names a profile.

    Nothing where the file has none: obstore then looks for a role of the machine or the container.

    Raises:
        RefusedError: where the profile that is named has no keys.
    """
    own = of.settings.profile
    if os.environ.get("AWS_ACCESS_KEY_ID") and not own:
        return {}
    section = _section("AWS_SHARED_CREDENTIALS_FILE", "credentials", _name(of))
    if not section:
        section = _section("AWS_CONFIG_FILE", "config", f"profile {_name(of)}", _name(of))
    names = {
        "aws_access_key_id": "access_key_id", "aws_secret_access_key": "secret_access_key",
        "aws_session_token": "session_token",
    }  # fmt: skip
    found = {ours: section[theirs] for theirs, ours in names.items() if theirs in section}
    if len(found) < 2 and (own or os.environ.get("AWS_PROFILE")):
        raise RefusedError(
            f"{of.named}: profile {_name(of)} of AWS's credentials file holds no keys (roles and single sign-on are not read from it): "
            f"write them there, or set {_KEYS.split(',')[0]}"
        )
    return found if len(found) >= 2 else {}


def _section(variable: str, name: str, *sections: str) -> dict[str, str]:
    """The first of `sections` that one of AWS's files has; empty where it has none."""
    path = Path(os.environ.get(variable) or Path.home() / ".aws" / name).expanduser()
    parser = configparser.RawConfigParser()
    try:
        parser.read_string(path.read_text())
    except (OSError, configparser.Error, UnicodeDecodeError):
        return {}
    return next((dict(parser[each]) for each in sections if each in parser), {})


def _set(name: str) -> bool:
    """Whether a variable of the environment says yes."""
    return os.environ.get(name, "").lower() in ("yes", "true", "1", "on")


def refused(error: AnswerError, of: S3Object) -> RefusedError | None:
    """What to do about an answer that repeating does not change; None where it may."""
    if error.code in _ELSEWHERE or error.status == 301:
        if error.region and error.region != _region(of):
            return RefusedError(
                f"{of.named} is in region {error.region}, not in {_region(of)}: write `region: {error.region}` at {of.at}"
            )
        return RefusedError(f"{of.named} is elsewhere ({error}): write its region or endpoint at {of.at}")
    if error.code == "NoSuchBucket":
        return RefusedError(f"{of.named} does not exist: check its name, and the endpoint at {of.at}")
    if error.code in _NO_KEYS:
        return RefusedError(f"{of.named} does not know the AWS keys that are set ({error}): check {_KEYS}")
    if error.code == "AccessDenied":
        if of.unsigned:
            return RefusedError(
                f"{of.named} is not open ({error}): remove `unsigned: true` at {of.at}, and set {_KEYS}"
            )
        if not of.settings.requester_pays:
            return RefusedError(
                f"{of.named} is not open to the AWS keys that are set ({error}): write `requester_pays: true` at {of.at} if the reader pays for it"
            )
        return RefusedError(
            f"{of.named} refuses to let the AWS keys that are set pay for the transfer ({error}): they need the right s3:GetObject"
        )
    return None
