"""Hrefs are written by others: which of them may be opened, and where they lead after corrections.

Search and the readers judge by the same function, so that nothing is opened that was not allowed when it was found.
"""

import os
import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import SplitResult, quote, unquote, urlsplit

from tilewright.config.provider import VARIABLE, CollectionAccess

# What the name of a file of each format ends in. GDAL is told its drivers, too: a name proves nothing about a file.
SUFFIXES: Final[dict[str, tuple[str, ...]]] = {"tiff": (".tif", ".tiff"), "jp2": (".jp2",), "xml": (".xml",)}
_PORTS: Final = {"https": 443, "http": 80}
_MOST: Final = 2048  # characters; real hrefs have about 300
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")


def refusal(href: str, access: CollectionAccess, document: bool = False) -> str:
    """Why `href` may not be opened; empty where it may.

    Args:
        href: as it is after the collection's own rewriting, before the user's and before signing.
        access: of the href's collection.
        document: whether a calibration XML is meant rather than a raster of the collection's format.
    """
    if not href:
        return "is empty"
    if len(href) > _MOST:
        return f"has {len(href)} characters"
    if re.search(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]", unquote(href)):
        return "has control characters"
    if href.lstrip()[:1] in ("<", "{", "["):
        return "is a document instead of an address"
    if href != href.strip() or "\\" in unquote(href):
        return "has blanks around it, or backslashes"
    why = _local(href, access) if not _SCHEME.match(href) else _remote(href, access)
    if why:
        return why
    # only of URLs are percents an encoding, and only they have queries; of a file's name all is its name
    suffixes = SUFFIXES["xml" if document else access.format]
    if not _path(href).lower().endswith(suffixes):
        return f"does not end in {' or '.join(suffixes)}"
    return ""


def _path(href: str) -> str:
    """The path of a URL, decoded; of a local path all of it."""
    return unquote(urlsplit(href).path) if _SCHEME.match(href) else href


def _local(href: str, access: CollectionAccess) -> str:
    """Why a path without scheme is not to be opened."""
    if href.lower().startswith(("/vsi", "//")):
        return "is a virtual file system or a network path"
    if not access.local:
        return "is a local path, which only local catalogs may name"
    parts = href.split("/")
    while parts and parts[0] == "..":  # a catalog may lie beside the working directory; hrefs come resolved
        parts.pop(0)
    return "has .. in its path" if ".." in parts else ""


def _remote(href: str, access: CollectionAccess) -> str:
    """Why a URL is not to be opened."""
    try:
        parts = urlsplit(href)
        port = parts.port
    except ValueError:
        return "is not a URL"
    if "@" in parts.netloc:
        return "holds a user or password"
    if parts.query or parts.fragment or "?" in href or "#" in href:
        return "has a query or fragment: signatures expire, and do not belong into a catalog; let the provider sign"
    path = unquote(parts.path)
    if ".." in path.split("/") or ".." in unquote(path).split("/"):
        return "has .. in its path"
    if parts.scheme == "file":
        if parts.netloc not in ("", "localhost") or path.startswith(("/vsi", "//")):
            return "is a file URL of another machine, or a virtual file system"
        return "" if access.local else "is a local path, which only local catalogs may name"
    if parts.scheme == "s3":
        known = parts.netloc in access.access.buckets and bool(path.strip("/"))
        return "" if known else f"bucket {parts.netloc[:80]!r} is not among the provider's buckets"
    if parts.scheme in _PORTS:
        allowed = {_origin(each) for each in access.access.hosts}
        known = (parts.scheme, (parts.hostname or ""), port or _PORTS[parts.scheme]) in allowed
        return "" if known else f"host {_shown(parts)!r} is not among the provider's hosts"
    return f"scheme {parts.scheme[:20]!r} is not opened"


def _origin(host: str) -> tuple[str, str, int]:
    """Scheme, host and port of an entry of `access.hosts`, which is a host, host:port, or a URL where it is http."""
    parts = urlsplit(host if "://" in host else f"https://{host}")
    return parts.scheme, parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 0)


def _shown(parts: SplitResult) -> str:
    """Scheme, host and port for a message: of https with no port the host alone, as the provider's file writes it."""
    return parts.netloc[:80] if parts.scheme == "https" else f"{parts.scheme}://{parts.netloc[:80]}"


def rewritten(href: str, rewrite: Mapping[str, str]) -> str:
    """`href` with the longest fitting prefix of `rewrite` replaced, as it is where none fits.

    A prefix fits only where a part of the path ends: `https://a.org` is no prefix of `https://a.org.evil.net`. Names
    are translated between kinds of addresses: in https URLs they are percent-encoded, S3's keys and local paths are raw.
    """
    fitting = [prefix for prefix in rewrite if _fits(prefix, href)]
    if not fitting:
        return href
    prefix = max(fitting, key=len)
    # one slash between, whether or not both of them, or neither, were written with it
    to, rest = rewrite[prefix].rstrip("/"), href[len(prefix.rstrip("/")) :]
    if _encoded(href) and not _encoded(to):
        rest = unquote(rest.partition("?")[0])
    elif _encoded(to) and not _encoded(href):
        rest = quote(rest)
    return to + rest


def told_by_environment(address: str) -> str:
    """A provider's own address with its variables of the environment, such as ${STAC_KEY}, filled in, percent-encoded.

    Never to be called with what a catalog says: it could ask for any variable.

    Raises:
        LookupError: where a variable is not set; its text says which.
    """

    def value(found: re.Match[str]) -> str:
        if found[1] not in os.environ:
            raise LookupError(
                f"the variable {found[1]} of the environment is not set, which the provider's address names"
            )
        return quote(os.environ[found[1]], safe="")

    return VARIABLE.sub(value, address)


def _fits(prefix: str, href: str) -> bool:
    rest = href.removeprefix(prefix)
    return href.startswith(prefix) and (prefix.endswith("/") or rest[:1] in ("", "/"))


def _encoded(address: str) -> bool:
    return urlsplit(address).scheme in ("http", "https", "file")
