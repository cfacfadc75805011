"""The scan of JSON bodies agrees with a parser, and takes what people send."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matih_api.guard.bodies import check_json
from matih_api.problems import Problem

TEXTS = st.text(alphabet=st.sampled_from(list('[]{}"\\/ab\nü€😀')), max_size=12)
VALUES = st.recursive(
    st.none() | st.integers() | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=30,
)


def depth(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max(map(depth, value.values()), default=0)
    return 1 + max(map(depth, value), default=0) if isinstance(value, list) else 0


def refused(body: bytes, most: int = 32) -> str | None:
    try:
        check_json(body, most)
    except Problem as problem:
        return problem.kind
    return None


@given(VALUES, st.integers(1, 8), st.booleans())
def test_what_is_too_deep_is_what_a_parser_says(value: Any, most: int, ascii_only: bool) -> None:
    body = json.dumps(value, ensure_ascii=ascii_only).encode()
    assert refused(body, most) == ("json-too-deep" if depth(value) > most else None)


@pytest.mark.parametrize(
    "body",
    [b"[" * 1_000_000, b"{" * 500_000, b'{"a":' * 200_000, b"[" * 5000 + b"]" * 5000, b'"' + b'"[' * 300_000],
    ids=len,
)
def test_bombs_are_refused_before_a_parser_sees_them(body: bytes) -> None:
    assert refused(body) == "json-too-deep"


@pytest.mark.parametrize("body", [b"[" + b"[]," * 300_000 + b"1]", b'"' + b"[" * 900_000 + b'"'], ids=len)
def test_wide_is_not_deep(body: bytes) -> None:
    assert refused(body) is None
    json.loads(body)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b'{"a": "\xff"}', "malformed-json"),
        (b'{"a": "\xed\xa0\x80"}', "malformed-json"),
        (b'{"a": "\xc0\x80"}', "malformed-json"),
        (b'{"a": "\x00"}', "malformed-json"),
        ('{"a": 1}'.encode("utf-16"), "malformed-json"),
        (rb'{"a": "x\u0000y"}', "invalid-request"),
        (rb'{"a\u0000": 1}', "invalid-request"),
        (rb'{"a": "\\\u0000"}', "invalid-request"),
        (rb'{"a": "\ud83d"}', "invalid-request"),
        (rb'{"a": "\ude00"}', "invalid-request"),
        (rb'{"a": "\ude00\ud83d"}', "invalid-request"),
        (rb'{"a": "\ud83d\ud83d\ude00"}', "invalid-request"),
        (rb'{"a": "\ud83d\\\ude00"}', "invalid-request"),
        (rb'{"a": "\ud83d\\ude00"}', "invalid-request"),
        (rb'{"a": "\\u0000 \\ud83d"}', None),
        (rb'{"a": "\ud83d\ude00 \uD83D\uDE00 \u00fc"}', None),
        (b"", None),
        (b"no json", None),
    ],
)
def test_text_that_can_not_be_stored_is_refused(body: bytes, kind: str | None) -> None:
    assert refused(body) == kind


@given(st.text(max_size=20))
def test_escapes_are_judged_as_a_parser_reads_them(text: str) -> None:
    assert refused(json.dumps([text]).encode()) == ("invalid-request" if "\x00" in text else None)


@given(st.lists(st.sampled_from([r"\ud83d", r"\ude00", r"\\", r"\"", "u0000", r"\u0041", "x"]), max_size=8))
def test_halves_of_surrogate_pairs_are_found_however_they_are_written(parts: list[str]) -> None:
    body = '"' + "".join(parts) + '"'
    value = json.loads(body)
    lone = any(0xD800 <= ord(character) <= 0xDFFF for character in value)
    assert refused(body.encode()) == ("invalid-request" if lone else None)
