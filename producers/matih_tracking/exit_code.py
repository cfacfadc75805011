"""How is this process going to end? Python tells nobody at exit; here is what can be seen without changing anything."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, NoReturn

from matih_tracking.outcome import Outcome, outcome

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType, TracebackType


class ExitWatch:
    """Notes the uncaught exception, or the `sys.exit`, that ends the main thread.

    A bare `raise SystemExit(1)` outside of a run's `with` block can't be seen: Python handles it without a word.
    """

    def __init__(self) -> None:
        self._uncaught: BaseException | None = None
        self._asked: _Asked | None = None
        self._last_value: object = None

    def install(self) -> None:
        """Hooks into `sys.excepthook` and `sys.exit`; both go on doing what they did."""
        self._last_value = getattr(sys, "last_value", None)
        self._next_hook, self._next_exit = sys.excepthook, sys.exit
        sys.excepthook, sys.exit = self._on_uncaught, self._on_exit

    def outcome(self) -> Outcome:
        """How a run ends that nobody has ended."""
        error = self._uncaught or self._uncaught_past_us()
        if error is None and self._asked is not None:
            error = SystemExit(self._asked.code)
        return outcome(error)

    def _on_uncaught(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if not _interactive():  # there, life goes on
            self._uncaught = error
        self._next_hook(kind, error, trace)

    def _uncaught_past_us(self) -> BaseException | None:
        """The uncaught exception, where a later hook has taken our hook's place and does not call it."""
        last = getattr(sys, "last_value", None)
        if sys.excepthook == self._on_uncaught or _interactive() or last is self._last_value:
            return None
        return last if isinstance(last, BaseException) else None

    def _on_exit(self, status: object = None, /) -> NoReturn:
        try:
            self._next_exit(status)  # type: ignore[arg-type]  # sys.exit takes any object
        except SystemExit as error:
            if threading.current_thread() is threading.main_thread():
                asked = self._asked = _Asked(error.code)
                error.__dict__["_matih_witness"] = _Witness(lambda: self._forget(asked))
            raise
        raise AssertionError("sys.exit has returned")

    def _forget(self, asked: _Asked) -> None:
        if self._asked is asked:
            self._asked = None


class _Asked:
    """Somebody called `sys.exit` with this code."""

    def __init__(self, code: object) -> None:
        self.code = code


class _Witness:
    """Goes when the SystemExit goes that it is attached to, and says whether somebody has caught that.

    A caught one goes while the code runs that has caught it; one that ends the process goes when no code is left.
    """

    def __init__(self, caught: Callable[[], None]) -> None:
        self._caught = caught

    def __del__(self, frame: Callable[[int], FrameType] = sys._getframe) -> None:
        try:
            frame(1)
        except ValueError:
            return
        self._caught()


def _interactive() -> bool:
    return hasattr(sys, "ps1")
