"""Which of some records are tried next, to find the first that fails by itself. Pure."""

from __future__ import annotations


class Bisection:
    """All at once; of those that fail together the first half, and so on.

    Attributes:
        begin: all before it have passed.
    """

    def __init__(self, count: int) -> None:
        self.begin = 0
        self._count = count
        self._size = count
        self._failing_end = 0

    @property
    def is_over(self) -> bool:
        """Whether all have passed."""
        return self.begin >= self._count

    @property
    def next(self) -> slice:
        """Those to be tried."""
        return slice(self.begin, self.begin + self._size)

    def failed(self) -> None:
        """Those failed together; there were several."""
        self._failing_end = self.begin + self._size
        self._size //= 2

    def passed(self) -> None:
        """Those passed; if others failed together with them, it was for one of the others."""
        self.begin += self._size
        failing = self._failing_end - self.begin
        self._size = max(1, failing // 2) if failing > 0 else self._count - self.begin
