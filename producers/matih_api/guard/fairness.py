"""Who may work now: a bound on what is in flight, shared fairly by the tenants."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, OrderedDict, deque
from contextlib import asynccontextmanager, suppress
from itertools import chain
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from matih_api.problems import too_many

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from matih_api.guard.settings import QuotaSettings

T = TypeVar("T")
IN_FLIGHT: Final = "in_flight"
ALONE: Final = 4
"""A tenant that is alone has so many times the slots: nobody waits behind it, and many at once cost less each."""
ALONE_SECONDS: Final = 2.0
"""So long after another tenant's last request a tenant counts as alone."""


class Slots(Generic[T]):
    """Slots and who waits for them: pure.

    A tenant gets a slot while it holds fewer than half of them, or, while it is alone, `ALONE` times all of them; what
    it holds beyond a half when others come is not counted against these: the first newcomer finds its half free, and a
    further one waits for one release of what is counted. Of those who wait, the tenant with the fewest slots is next;
    among equals, who was served longest ago.
    """

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._asked: dict[str, float] = {}
        self._held: Counter[str] = Counter()
        self._waiting: OrderedDict[str, deque[T]] = OrderedDict()

    def held(self, tenant: str) -> int:
        """Slots that the tenant has."""
        return self._held[tenant]

    def waiting(self, tenant: str) -> int:
        """Requests of the tenant that wait."""
        return len(self._waiting.get(tenant, ()))

    def take(self, tenant: str, now: float) -> bool:
        """Takes a slot if there is one for this tenant and none of its own waits before it.

        Args:
            tenant: who asks.
            now: seconds, by a clock that never goes back.
        """
        self._asked.pop(tenant, None)
        self._asked[tenant] = now  # who asked last is last
        if tenant in self._waiting or not self._may(tenant, now):
            return False
        self._held[tenant] += 1
        return True

    def wait(self, tenant: str, ticket: T) -> None:
        """Puts the ticket into the tenant's queue."""
        self._waiting.setdefault(tenant, deque()).append(ticket)

    def give_up(self, tenant: str, ticket: T) -> None:
        """Takes a ticket out of the queue."""
        queue = self._waiting.get(tenant)
        if queue is not None and ticket in queue:
            queue.remove(ticket)
            if not queue:
                del self._waiting[tenant]

    def release(self, tenant: str) -> None:
        """Gives a slot back."""
        self._held[tenant] -= 1
        if not self._held[tenant]:
            del self._held[tenant]

    def next(self, now: float) -> T | None:
        """Whose turn it is at `now` (see `take`), with a slot taken for it; None if nobody's."""
        able = [tenant for tenant in self._waiting if self._may(tenant, now)]
        if not able:
            return None
        tenant = min(able, key=lambda name: self._held[name])
        queue = self._waiting.pop(tenant)
        ticket = queue.popleft()
        if queue:
            self._waiting[tenant] = queue
        self._held[tenant] += 1
        return ticket

    def _may(self, tenant: str, now: float) -> bool:
        if self._is_alone(tenant, now):
            return self._held[tenant] < ALONE * self._slots
        share = self._slots // 2
        return self._held[tenant] < share and sum(min(held, share) for held in self._held.values()) < self._slots

    def _is_alone(self, tenant: str, now: float) -> bool:
        while self._asked and next(iter(self._asked.values())) < now - ALONE_SECONDS:
            del self._asked[next(iter(self._asked))]
        return all(name == tenant for name in chain(self._asked, self._held, self._waiting))


class Fairness:
    """The slots of this process, in its event loop."""

    def __init__(
        self, settings: QuotaSettings, refused: Callable[[str, str], None] = lambda _quota, _tenant: None
    ) -> None:
        """`refused` is told of every refusal: the quota and the tenant."""
        self._slots: Slots[asyncio.Future[None]] = Slots(settings.slots)
        self._settings = settings
        self._refused = refused

    @asynccontextmanager
    async def slot(self, tenant: str) -> AsyncIterator[Callable[[], None]]:
        """A slot for the time of the block. Hold it for work, not for waiting that costs the process nothing.

        Gives what gives the slot back before the end; calling it again does nothing.

        Raises:
            Problem: 429, too many requests of the tenant wait already, or this one waited for too long.
        """
        if not self._slots.take(tenant, time.monotonic()):
            await self._wait(tenant)
        held = True

        def release() -> None:
            nonlocal held
            if held:
                held = False
                self._slots.release(tenant)
                self._hand_on()

        try:
            yield release
        finally:
            release()

    async def _wait(self, tenant: str) -> None:
        if self._slots.waiting(tenant) >= self._settings.waiting_per_tenant:
            raise self._refusal(tenant, f"{self._settings.waiting_per_tenant} of its requests wait already")
        ticket: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._slots.wait(tenant, ticket)
        try:
            await asyncio.wait([ticket], timeout=self._settings.waiting_timeout)
        except asyncio.CancelledError:
            self._leave(tenant, ticket)
            raise
        if not ticket.done():
            self._leave(tenant, ticket)
            raise self._refusal(tenant, f"this one waited for {self._settings.waiting_timeout:g} s")

    def _leave(self, tenant: str, ticket: asyncio.Future[None]) -> None:
        """Who goes away gives back the slot that it may have got at the same moment."""
        if ticket.done():
            self._slots.release(tenant)
        else:
            self._slots.give_up(tenant, ticket)
        self._hand_on()

    def _hand_on(self) -> None:
        while (ticket := self._slots.next(time.monotonic())) is not None:
            with suppress(asyncio.InvalidStateError):
                ticket.set_result(None)

    def _refusal(self, tenant: str, why: str) -> Exception:
        self._refused(IN_FLIGHT, tenant)
        detail = f"too many requests of tenant {tenant} are in flight (quota {IN_FLIGHT}): {why}; nothing was taken"
        return too_many(IN_FLIGHT, f"{detail}, try again in 1 s", 1)
