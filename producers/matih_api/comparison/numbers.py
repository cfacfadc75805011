"""Params, which are stored as text, as the numbers that they are."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    Value = int | float | str | None

EXACT: Final = 2**53 - 1
"""The greatest integer that every reader of JSON keeps exactly (RFC 8259, section 6)."""

_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")  # RFC 8259, section 6
_NOT_ZERO: Final = re.compile(r"-?[0.]*[1-9]")
_LONGEST: Final = len(str(-EXACT))
_NONE_WORDS: Final = frozenset({"", "none", "null", "nan", "inf", "-inf", "infinity", "-infinity"})


def number(text: str) -> int | float | str:
    """The number that a text is by JSON's grammar, else the text itself.

    `1e5` and `-0.5` are numbers; `007`, `+1`, `.5`, `1.`, `True`, `NaN` and ` 1` are not. Integers beyond 2**53 - 1 and
    what a float can only hold as infinity or as 0 stay text, since a number would be another one.
    """
    found = _NUMBER.fullmatch(text)
    if found is None:
        return text
    if found.lastindex is None:
        return _whole(text)
    value = float(text)
    is_another = math.isinf(value) or (value == 0 and _NOT_ZERO.match(text) is not None)
    return text if is_another else value


def _whole(text: str) -> int | str:
    if len(text) > _LONGEST:
        return text
    value = int(text)
    return value if -EXACT <= value <= EXACT else text


def numbers(texts: Iterable[str | None]) -> list[Value]:
    """A column of `number`s; each distinct text is looked at once."""
    known: dict[str | None, Value] = {None: None}
    found = []
    for text in texts:
        if text not in known and text is not None:
            known[text] = number(text)
        found.append(known[text])
    return found


def floats(values: Sequence[Value]) -> NDArray[np.float64] | None:
    """A column of `numbers` as floats for statistics, NaN where a run has none; None if the param is not numeric.

    A param is numeric if one of its values is a number by JSON's grammar, and each other one is too or says that there
    is none (`None`, `null`, `nan`, `inf`, nothing: those become NaN). Here integers of any size are numbers.
    """
    texts = {value: _float(value) for value in set(values) if isinstance(value, str)}
    if None in texts.values():
        return None
    column = np.array([_known(texts, value) for value in values] if texts else values, dtype=np.float64)
    return column if np.isfinite(column).any() else None


def _known(texts: Mapping[str, float | None], value: Value) -> float | None:
    return texts[value] if isinstance(value, str) else value


def _float(text: str) -> float | None:
    """What a text that is no `number` is to statistics; None if it makes its param one that is not numeric."""
    if _NUMBER.fullmatch(text):
        value = float(text)
        return value if math.isfinite(value) else math.nan
    return math.nan if text.strip().lower() in _NONE_WORDS else None
