"""What can be wrong with a request before its body is read: path, query and headers. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote_to_bytes

from matih_api.problems import FieldError, Problem, bad_request, invalid

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matih_api.guard.asgi import Scope
    from matih_api.guard.settings import LimitSettings

_ENCODED_SLASH: Final = re.compile(rb"%(?:2f|5c)", re.IGNORECASE)
_NAMES_WITH_SLASHES: Final = re.compile(rb"/(?:metrics|artifacts)/")
"""What follows these in a path is a name that may hold slashes itself; everywhere else it is an id."""
_ARTIFACT: Final = re.compile(r"/artifacts/")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")


def check_head(scope: Scope, settings: LimitSettings) -> None:
    """Looks at everything but the body.

    Raises:
        Problem: 400, 414, 422 or 431.
    """
    raw_path: bytes = scope.get("raw_path") or scope["path"].encode()
    check_headers(scope["headers"], settings.max_headers, settings.max_header_bytes)
    check_length(len(raw_path) + len(scope["query_string"]), settings.max_url_bytes)
    check_path(raw_path)
    check_query(scope["query_string"], settings.max_query_params)


def check_headers(headers: Sequence[tuple[bytes, bytes]], most: int, most_bytes: int) -> None:
    """The number of headers, and their bytes.

    Raises:
        Problem: 431.
    """
    if len(headers) > most:
        raise headers_too_large(f"{len(headers)} headers, {most} are allowed")
    size = sum(len(name) + len(value) for name, value in headers)
    if size > most_bytes:
        raise headers_too_large(f"{size} bytes of headers, {most_bytes} are allowed")


def headers_too_large(why: str) -> Problem:
    """431."""
    return Problem(431, "headers-too-large", f"{why}: send fewer and shorter ones", headers={"Connection": "close"})


def check_length(size: int, most: int) -> None:
    """Bytes of path and query.

    Raises:
        Problem: 414.
    """
    if size > most:
        raise Problem(414, "uri-too-long", f"path and query have {size} bytes, {most} are allowed: use a body")


def check_path(raw_path: bytes) -> None:
    """A path as it was sent, percent-encoded.

    Raises:
        Problem: 400; 422 for what follows `/artifacts/`.
    """
    path = _text(unquote_to_bytes(raw_path), "path")
    if _CONTROL.search(path):
        raise _bad_path(path, "the path holds control characters: remove them")
    if any(part in (".", "..") for part in re.split(r"[/\\]", path)):
        raise _bad_path(path, "the path holds '.' or '..' as a part: name things by their full path")
    names = _NAMES_WITH_SLASHES.search(raw_path)
    if _ENCODED_SLASH.search(raw_path[: names.end()] if names else raw_path):
        raise bad_request("malformed-path", "the path holds an encoded slash: no id has one")


def check_query(query: bytes, most: int) -> None:
    """A query as it was sent.

    Raises:
        Problem: 400 for too many parameters or broken UTF-8, 422 for a NUL.
    """
    if not query:
        return
    if (count := query.count(b"&") + 1) > most:
        raise bad_request("too-many-parameters", f"the query has {count} parameters, {most} are allowed")
    if b"%" not in query and query.isascii():
        return
    for part in query.split(b"&"):
        name, _, value = part.partition(b"=")
        shown = _text(unquote_to_bytes(name), "query")
        if "\x00" in shown + _text(unquote_to_bytes(value), "query"):
            where = ("query", shown.replace("\x00", ""))
            raise invalid("the query holds a NUL character", FieldError(where, "NUL is not allowed"))


def _text(data: bytes, what: str) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise bad_request(f"malformed-{what}", f"the {what} is not UTF-8: encode it as UTF-8") from None


def _bad_path(path: str, detail: str) -> Problem:
    if _ARTIFACT.search(path):
        return invalid(detail, FieldError(("path", "path"), "not a path of an artifact"))
    return bad_request("malformed-path", detail)
