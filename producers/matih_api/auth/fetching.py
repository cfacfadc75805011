"""One document by HTTP, from an address that an operator has set."""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from http.client import HTTPException
from typing import Any, Final
from urllib.parse import urlsplit

from matih_schemas.errors import MatihError

BYTES_MAX: Final = 256 * 1024
SECONDS_EACH: Final = 3.0
"""Seconds that a connection or one read may take."""
SECONDS_ALL: Final = 5.0
"""Seconds that the document may take."""


class NotFetched(MatihError):
    """The document could not be had, now; the message says why."""


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """The address was checked; where it would lead was not. A redirect is an answer that is no 200."""

    def redirect_request(self, *_: Any) -> None:
        return None


def fetch(url: str) -> bytes:
    """The document at the URL. Blocks, some seconds at most; never follows a redirect.

    Raises:
        NotFetched: no answer, one that is no 200, or one of more than 256 KiB.
    """
    try:
        with _opener(url).open(url, timeout=SECONDS_EACH) as answer:
            if answer.status != 200:
                raise NotFetched(f"it answered {answer.status}")
            return _read(answer)
    except urllib.error.HTTPError as error:
        with error:
            raise NotFetched(f"it answered {error.code} {error.reason}"[:200]) from None
    except urllib.error.URLError as error:
        raise NotFetched(f"it can't be reached: {error.reason}"[:200]) from None
    except (OSError, HTTPException, ValueError) as error:
        raise NotFetched(f"it can't be read: {type(error).__name__}") from None


def _opener(url: str) -> urllib.request.OpenerDirector:
    handlers: list[urllib.request.BaseHandler] = [_NoRedirects()]
    if urlsplit(url).scheme == "http":  # on this machine: no proxy is asked for that
        handlers.append(urllib.request.ProxyHandler({}))
    return urllib.request.build_opener(*handlers)


def _read(answer: Any) -> bytes:
    deadline, parts, size = time.monotonic() + SECONDS_ALL, [], 0
    while part := answer.read1(65536):
        parts.append(part)
        size += len(part)
        if size > BYTES_MAX:
            raise NotFetched(f"its answer has more than {BYTES_MAX} bytes")
        if time.monotonic() > deadline:
            raise NotFetched(f"its answer takes more than {SECONDS_ALL:.0f} s")
    return b"".join(parts)
