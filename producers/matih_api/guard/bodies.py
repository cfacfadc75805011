"""A JSON body's bytes before anybody parses them: depth, UTF-8, NUL. Pure, and no loop over the bytes in Python."""

from __future__ import annotations

import re
from typing import Final

from matih_api.problems import FieldError, Problem, bad_request, invalid

_BRACKETS: Final = b'[]{}"'
_OTHERS: Final = bytes(byte for byte in range(256) if byte not in _BRACKETS)
_ONE_KIND: Final = bytes.maketrans(b"{}", b"[]")
_LONE_SURROGATE: Final = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])"
    rb"|(?<!\\u[dD][89abAB][0-9a-fA-F]{2})\\u[dD][c-fC-F][0-9a-fA-F]{2}"
)


def check_json(body: bytes, most_depth: int) -> None:
    """Refuses what must not reach a parser, or what no text may hold.

    Raises:
        Problem: 400 for broken UTF-8, a raw NUL and too much depth; 422 for an escaped NUL or half a surrogate pair.
    """
    if b"\x00" in body:
        raise malformed("it holds a NUL byte")
    try:
        body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise malformed(f"byte {error.start} is not UTF-8") from None
    plain = body.replace(rb"\\", b"__") if b"\\" in body else body
    if rb"\u" in plain:
        _check_escapes(plain)
    if too_deep(plain, most_depth):
        raise bad_request("json-too-deep", f"the body's JSON has more than {most_depth} levels, or no end")


def too_deep(plain: bytes, most: int) -> bool:
    r"""Whether arrays and objects lie deeper in one another than that.

    Each pass takes the innermost pairs away, so what is left after as many passes is too deep.

    Args:
        plain: the body without its escaped backslashes (`\\\\`).
        most: levels that are allowed.
    """
    if plain.count(b"[") + plain.count(b"{") <= most:
        return False
    if b"\\" in plain:
        plain = plain.replace(b'\\"', b"")
    brackets = plain.translate(_ONE_KIND, _OTHERS)
    # Without all else most strings are empty. Taking two quotes away keeps the others' sides as they were.
    left = b"".join(brackets.replace(b'""', b"").split(b'"')[::2])
    for _ in range(most):
        before, left = len(left), left.replace(b"[]", b"")
        if len(left) == before:
            break
    return bool(left)


def malformed(why: str) -> Problem:
    """400: this is no JSON."""
    return bad_request("malformed-json", f"the body is no JSON: {why}", FieldError(("body",), why))


def _check_escapes(plain: bytes) -> None:
    if rb"\u0000" in plain:
        raise _no_text("the character NUL (\\u0000)")
    if _LONE_SURROGATE.search(plain):
        raise _no_text("half a surrogate pair (\\ud800 to \\udfff)")


def _no_text(what: str) -> Problem:
    return invalid(f"the body holds {what}, which can't be stored: remove it", FieldError(("body",), f"holds {what}"))
