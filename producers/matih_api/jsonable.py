"""Values as JSON can hold them: NaN and the infinities are strings there."""

from __future__ import annotations

import math
from typing import Any


def plain(value: Any) -> Any:
    """The value with `"NaN"`, `"Infinity"` and `"-Infinity"` in place of floats that JSON has no number for.

    Dicts, lists and tuples (which become lists) are gone through; everything else is left as it is.
    """
    if isinstance(value, float):
        return value if math.isfinite(value) else non_finite(value)
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


def non_finite(value: float) -> str:
    """The name of NaN or of an infinity."""
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"
