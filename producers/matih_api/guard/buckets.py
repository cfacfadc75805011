"""Token buckets: pure values and a clock's argument."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

TENANTS_MAX: Final = 10_000
"""Tenants whose buckets are kept: past it, whoever was quiet for longest begins with a full one again."""


@dataclass(frozen=True)
class Rate:
    """What one may take: so much a second on average, so much at once after a pause. A rate of 0 is no limit."""

    per_second: float
    burst: float


@dataclass
class Bucket:
    """What is left at a time; below zero it is a debt that has to be paid off first."""

    tokens: float
    at: float

    def take(self, amount: float, rate: Rate, now: float) -> float:
        """Takes the amount and returns 0, or takes nothing and returns the seconds to wait.

        More than the burst is taken from a full bucket and leaves a debt: a large request may wait, but is possible.
        """
        self.tokens = min(rate.burst, self.tokens + max(0.0, now - self.at) * rate.per_second)
        self.at = now
        wanted = min(amount, rate.burst)
        if self.tokens >= wanted:
            self.tokens -= amount
            return 0.0
        return (wanted - self.tokens) / rate.per_second


class Buckets:
    """A bucket for each tenant, at most `TENANTS_MAX` of them."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, Bucket] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def take(self, tenant: str, amount: float, rate: Rate, now: float) -> float:
        """Seconds to wait; 0: it is taken."""
        if rate.per_second <= 0:
            return 0.0
        bucket = self._kept.pop(tenant, None) or Bucket(rate.burst, now)
        self._kept[tenant] = bucket
        if len(self._kept) > TENANTS_MAX:
            self._kept.popitem(last=False)
        return bucket.take(amount, rate, now)
