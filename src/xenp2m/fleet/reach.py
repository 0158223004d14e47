"""Places named by a URL that fsspec reaches (s3://bucket/..., https://..., memory://...).

A URL may hold what nobody else is to see: a user's name and password, the signature of a request.  What is
stored or printed of one is ``shown(url)``, and errors about it are those of ``telling(url)``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any
from urllib.parse import parse_qsl, urlencode

from xenp2m.errors import InputError, UsageError, Xenp2mError

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*(?:::[^:/]+)*://")
_HERE = re.compile(r"(?:file|local)://")
_USER = re.compile(r"(?<=://)[^/\s'\"]*@")
_HTTP_QUERY = re.compile(r"(?<=\?)[^\s'\"]+")
_SIGNATURE = re.compile(
    r"(?i)x-(?:amz|goog)-|sig|sig.*|s[evprtk]|srt?|spr|.*token.*|.*key.*|expires|.*password.*"
)
"""Names in the query of a URL that change with every signature, or are secret."""
_LONGEST = 200


class UnreachableError(InputError):
    """What a URL names cannot be had now; it may be later."""


def is_url(place: str) -> bool:
    """Whether a place is named by a URL that is not a file of this machine."""
    return _URL.match(place) is not None and _HERE.match(place) is None


def is_private(url: str) -> bool:
    """Whether only this process reaches what a URL names."""
    return url.startswith("memory://")


def plain(place: str) -> str:
    """Return the path of a ``file://`` URL; anything else as it is."""
    return _HERE.sub("", place, count=1)


def shown(place: str) -> str:
    """Return a place without a user, a password and the query of a web address; a path as it is."""
    if not is_url(place):
        return place
    return _USER.sub("", place.partition("?")[0] if _is_http(place) else place)


def identity(url: str) -> str:
    """Return what of a URL says which object it is: without what changes from one signature to the next."""
    if not _is_http(url):
        return shown(url)
    query = [each for each in parse_qsl(url.partition("?")[2]) if not _SIGNATURE.match(each[0])]
    return f"{shown(url)}?{urlencode(query)}" if query else shown(url)


def filesystem(url: str) -> tuple[Any, str]:
    """Return fsspec's filesystem for a URL, and the URL's path in it.

    Raises UsageError for a protocol that is not known, or whose package is not installed.
    """
    protocol = url.partition(":")[0]
    try:
        fsspec = import_module("fsspec")
    except ModuleNotFoundError:
        raise UsageError(
            f"{protocol}:// needs the extra \"remote\": pip install 'xenp2m[remote]'", where=shown(url)
        ) from None
    if "::" in url:
        raise UsageError("one URL in another is not supported", where=shown(url))
    try:
        # What another process writes is seen at once: no listing is kept.
        fs, path = fsspec.core.url_to_fs(url, use_listings_cache=False)
    except ImportError as error:
        found = scrubbed(str(error), url)
        raise UsageError(f"{protocol}:// needs a package more", where=shown(url), found=found) from None
    except ValueError as error:
        raise UsageError("not a known place", where=shown(url), found=scrubbed(str(error), url)) from None
    return fs, path


@contextmanager
def telling(url: str) -> Iterator[None]:
    """Turn what goes wrong at a place into one line without secrets; a file that is not there stays that."""
    try:
        yield
    except (Xenp2mError, FileNotFoundError, MemoryError):
        raise
    except Exception as error:
        # Its cause would be printed by no one, and may hold what the message does not.
        raise UnreachableError("cannot be reached", where=shown(url), found=reason_of(error, url)) from None


def reason_of(error: BaseException, url: str) -> str:
    """Return what an error says, in one line without secrets."""
    return scrubbed(str(error), url) or type(error).__name__


def scrubbed(text: str, url: str) -> str:
    """Return a message, in one line, without the secrets of ``url`` and of any other URL in it."""
    user = _USER.search(url)
    if user is not None:
        for secret in (user[0], *re.split("[:@]", user[0])):
            text = text.replace(secret, "") if len(secret) > 2 else text
    text = _HTTP_QUERY.sub("...", _USER.sub("", text))
    return " ".join(text.split())[:_LONGEST]


def _is_http(url: str) -> bool:
    return url.startswith(("http://", "https://"))
