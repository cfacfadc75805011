"""What each tenant may do: requests and events a second, bytes a day."""

from __future__ import annotations

import math
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from matih_api.guard.buckets import Buckets
from matih_api.guard.ledger import DAY_SECONDS, SYNC_SECONDS, Ledger, day_of
from matih_api.guard.overrides import Overrides
from matih_api.problems import too_many

if TYPE_CHECKING:
    from collections.abc import Callable

    from matih_api.guard.settings import QuotaSettings
    from matih_api.problems import Problem

REQUESTS: Final = "requests_per_second"
EVENTS: Final = "events_per_second"
BYTES: Final = "bytes_per_day"


class Quotas:
    """Asked by the event loop before anything is done for a request. Never blocks."""

    def __init__(
        self,
        settings: QuotaSettings,
        processes: int = 1,
        *,
        refused: Callable[[str, str], None] = lambda _quota, _tenant: None,
        monotonic: Callable[[], float] = time.monotonic,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Reads the files.

        Args:
            settings: what each tenant may do on this host.
            processes: how many of them there are: each lets its share through.
            refused: is told of every refusal: the quota and the tenant.
            monotonic: seconds, for rates.
            clock: seconds since the epoch, for days.

        Raises:
            InvalidSettings: the overrides' file or the folder can't be used.
        """
        self._overrides = Overrides(settings, processes)
        self._ledger = Ledger(settings.datadir)
        self._requests = Buckets()
        self._events = Buckets()
        self._refused = refused
        self._monotonic = monotonic
        self._clock = clock
        self._synced = float("-inf")
        self._writer = ThreadPoolExecutor(1, "quotas")
        self._ledger.sync(day_of(clock()))

    def request(self, tenant: str) -> None:
        """One request of the tenant.

        Raises:
            Problem: 429, too many of them.
        """
        now = self._monotonic()
        rate = self._overrides.of(tenant, now).requests
        self._check(REQUESTS, tenant, rate.per_second, self._requests.take(tenant, 1, rate, now))

    def events(self, tenant: str, events: int, size: int) -> None:
        """So many events of so many bytes in all, before they are published; nothing is counted if one is refused.

        Raises:
            Problem: 429, too many events, or bytes.
        """
        now, today = self._monotonic(), day_of(self._clock())
        limits = self._overrides.of(tenant, now)
        self._check_day(tenant, limits.bytes_per_day, size, today)
        self._check(EVENTS, tenant, limits.events.per_second, self._events.take(tenant, events, limits.events, now))
        self._ledger.add(tenant, size, today)
        if now - self._synced >= SYNC_SECONDS:
            self._synced = now
            self._writer.submit(self._ledger.sync, today)

    def close(self) -> None:
        """Writes what is not written yet; blocks for that."""
        self._writer.shutdown(wait=True)
        self._ledger.sync(day_of(self._clock()))

    def _check(self, quota: str, tenant: str, per_second: float, wait: float) -> None:
        if wait > 0:
            what = quota.partition("_")[0]
            why = f"tenant {tenant} has used up its {what} (quota {quota}: {per_second:g} in this process)"
            raise self._refusal(quota, tenant, why, wait)

    def _check_day(self, tenant: str, allowed: int, size: int, today: int) -> None:
        used = self._ledger.used(tenant, today)
        if allowed and used + size > allowed:
            left = (today + 1) * DAY_SECONDS - self._clock()
            why = f"tenant {tenant} has written {used} of its {allowed} bytes today (UTC), these {size} are too many"
            raise self._refusal(BYTES, tenant, f"{why} (quota {BYTES})", left)

    def _refusal(self, quota: str, tenant: str, why: str, wait: float) -> Problem:
        seconds = max(1, math.ceil(wait))
        self._refused(quota, tenant)
        return too_many(quota, f"{why}; nothing was taken: try again in {seconds} s", seconds)
