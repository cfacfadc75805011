"""Asks a server over HTTP whether it works."""

from __future__ import annotations

import urllib.error
import urllib.request
from http.client import HTTPException

_NO_PROXY = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def answers(url: str, timeout: float = 0.5) -> bool:
    """Whether a GET is answered with 200 within `timeout` seconds; never by way of a proxy."""
    try:
        with _NO_PROXY.open(url, timeout=timeout) as answer:
            return bool(answer.status == 200)
    except (OSError, HTTPException):
        return False
