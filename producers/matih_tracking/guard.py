"""The border between the tracker and a training run: an error of the tracker's own ends here, counted and told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matih_tracking.errors import TrackingError

if TYPE_CHECKING:
    from types import TracebackType

    from matih_tracking.tally import Tally


class Guard:
    """Lets through what strict mode asks for, and what is no error (KeyboardInterrupt). May be nested."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally

    def __enter__(self) -> None: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if not isinstance(error, Exception) or isinstance(error, TrackingError) or self._tally.strict:
            return False
        self._tally.lose("internal_error", f"the tracker failed with {type(error).__name__}: {error}; please report it")
        return True
