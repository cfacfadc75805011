"""Bodies by their `Content-Encoding`, never more of them than is allowed: a bomb costs its bound and no more."""

from __future__ import annotations

import zlib
from typing import Final

import cramjam

from matih_api.problems import Problem, bad_request

_GZIP: Final = 16 + zlib.MAX_WBITS
ENCODINGS: Final = ("gzip", "zstd")


def decompressed(body: bytes, encoding: str, max_bytes: int) -> bytes:
    """The body as it was before it was compressed.

    Args:
        body: as it came.
        encoding: the header's value; empty or `identity` for none.
        max_bytes: how large it may be.

    Raises:
        Problem: 415, another encoding; 400, it is not of that encoding; 413, it is larger.
    """
    name = encoding.strip().lower()
    if name in {"", "identity"}:
        plain = body
    elif name == "gzip":
        plain = _gunzip(body, max_bytes)
    elif name == "zstd":
        plain = _unzstd(body, max_bytes)
    else:
        known = f"this takes {', '.join(ENCODINGS)} or none"
        raise Problem(415, "unsupported-encoding", f"Content-Encoding {encoding[:40]!r}: {known}")
    if len(plain) > max_bytes:
        raise too_large(max_bytes)
    return plain


def too_large(max_bytes: int) -> Problem:
    """413: more than a body may have."""
    return Problem(
        413,
        "body-too-large",
        f"the body has more than {max_bytes} bytes: send less at once",
        members={"max": max_bytes},
    )


def _gunzip(body: bytes, max_bytes: int) -> bytes:
    unpacking = zlib.decompressobj(_GZIP)
    try:
        plain = unpacking.decompress(body, max_bytes + 1)
    except zlib.error as error:
        raise _broken("gzip", error) from error
    if len(plain) <= max_bytes and (not unpacking.eof or unpacking.unused_data):
        raise _broken("gzip", "it is not one whole member")
    return plain


def _unzstd(body: bytes, max_bytes: int) -> bytes:
    # Into a buffer of a given size: the length that a frame claims is never believed.
    room = bytearray(max_bytes + 1)
    try:
        length = cramjam.zstd.decompress_into(body, room)
    except cramjam.DecompressionError as error:
        if "whole buffer" in str(error):
            raise too_large(max_bytes) from error
        raise _broken("zstd", error) from error
    return bytes(room[:length])


def _broken(name: str, why: object) -> Problem:
    return bad_request("malformed-encoding", f"the body is not {name}, as its Content-Encoding says: {why}")
