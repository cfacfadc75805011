"""Slots are shared by tenants: no more than there are, no more than half while others wait, nobody starves."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matih_api.guard.fairness import ALONE, ALONE_SECONDS, Fairness, Slots
from matih_api.guard.settings import QuotaSettings
from matih_api.problems import Problem

ACTIONS = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["come", "go", "give up", "pause"])), max_size=200)


class Played:
    """Slots, and beside them what has to be true of them."""

    def __init__(self, slots: int) -> None:
        self.pool: Slots[tuple[str, int]] = Slots(slots)
        self.slots, self.share, self.now = slots, slots // 2, 0.0
        self.held: Counter[str] = Counter()
        self.queues: dict[str, list[tuple[str, int]]] = {name: [] for name in "abc"}
        self.asked = dict.fromkeys("abc", -math.inf)

    def bound(self, tenant: str) -> int:
        others = [name for name in "abc" if name != tenant]
        since = self.now - ALONE_SECONDS
        there = any(self.held[name] or self.queues[name] or self.asked[name] >= since for name in others)
        return self.share if there else ALONE * self.slots

    def counted(self) -> int:
        return sum(min(self.share, count) for count in self.held.values())

    def come(self, tenant: str, number: int) -> None:
        self.asked[tenant] = self.now
        if self.pool.take(tenant, self.now):
            assert not self.queues[tenant]
            self._has_one_more(tenant)
        else:
            self.queues[tenant].append((tenant, number))
            self.pool.wait(tenant, (tenant, number))

    def act(self, tenant: str, action: str) -> None:
        if action == "go" and self.held[tenant]:
            self.pool.release(tenant)
            self.held[tenant] -= 1
        elif action == "give up" and self.queues[tenant]:
            self.pool.give_up(tenant, self.queues[tenant].pop())
        elif action == "pause":
            self.now += ALONE_SECONDS + 0.1

    def hand_on(self) -> None:
        while (ticket := self.pool.next(self.now)) is not None:
            assert ticket == self.queues[ticket[0]].pop(0)  # in their order
            self._has_one_more(ticket[0])

    def check(self) -> None:
        assert self.counted() <= self.slots
        for name in "abc":
            assert self.pool.held(name) == self.held[name]
            if self.queues[name] and self.counted() < self.slots:
                assert self.held[name] >= self.bound(name)  # who waits beside a free slot has its share

    def _has_one_more(self, tenant: str) -> None:
        assert self.held[tenant] < self.bound(tenant)
        self.held[tenant] += 1


@given(st.integers(4, 12), ACTIONS)
def test_the_bounds_hold_and_no_slot_is_idle(slots: int, actions: list[tuple[str, str]]) -> None:
    played = Played(slots)
    for number, (tenant, action) in enumerate(actions):
        played.come(tenant, number) if action == "come" else played.act(tenant, action)
        played.hand_on()
        played.check()


def test_a_newcomer_never_waits_however_much_the_others_hold_and_its_second_request_is_next() -> None:
    pool: Slots[str] = Slots(4)
    while pool.take("flood", 0.0):
        pass
    assert pool.held("flood") == 4 * ALONE
    for number in range(100):
        pool.wait("flood", f"flood {number}")
    assert pool.take("calm", 0.1)
    assert pool.take("calm", 0.1)
    assert not pool.take("calm", 0.1)
    pool.wait("calm", "calm 3")
    pool.release("flood")
    assert pool.next(0.1) is None, "the flood has more than its half, and the other one its own"
    pool.release("calm")
    assert pool.next(0.1) == "calm 3"


def test_who_was_alone_has_its_half_until_nobody_else_has_asked_for_a_while() -> None:
    pool: Slots[str] = Slots(4)
    assert pool.take("calm", 0.0)
    pool.release("calm")
    assert [pool.take("flood", 0.1) for _ in range(3)] == [True, True, False]
    pool.wait("flood", "flood 3")
    assert pool.next(ALONE_SECONDS) is None
    assert pool.next(ALONE_SECONDS + 0.1) == "flood 3"


def settings(**values: Any) -> QuotaSettings:
    return QuotaSettings(**values)


async def another_asks(fairness: Fairness) -> None:
    """Nobody is alone for the next two seconds: a tenant has its half of the slots."""
    async with fairness.slot("another"):
        pass


def test_a_flood_waits_for_itself_and_the_others_do_not_wait_for_it() -> None:
    fairness = Fairness(settings(slots=8, waiting_per_tenant=1000, waiting_timeout=30))
    running: Counter[str] = Counter()
    most: Counter[str] = Counter()
    done: list[str] = []
    calm_seen_behind: list[int] = []

    async def request(tenant: str, turns: int = 3) -> None:
        async with fairness.slot(tenant):
            running[tenant] += 1
            most[tenant] = max(most[tenant], running[tenant])
            for _ in range(turns):
                await asyncio.sleep(0)
            running[tenant] -= 1
        done.append(tenant)

    async def play() -> None:
        flood = [asyncio.create_task(request("flood")) for _ in range(400)]
        await asyncio.sleep(0)
        for _ in range(10):
            before = done.count("flood")
            await request("calm")
            calm_seen_behind.append(done.count("flood") - before)
        await asyncio.gather(*flood)

    asyncio.run(play())
    assert Counter(done) == {"flood": 400, "calm": 10}
    assert most["flood"] == 8 * ALONE
    assert max(calm_seen_behind) <= 8 * ALONE  # it waits for nobody; those that work beside it end meanwhile


def test_too_many_that_wait_are_refused_and_others_are_not() -> None:
    told: list[tuple[str, str]] = []
    fairness = Fairness(settings(slots=4, waiting_per_tenant=2, waiting_timeout=30), lambda *who: told.append(who))

    async def play() -> None:
        go = asyncio.Event()

        async def request(tenant: str) -> None:
            async with fairness.slot(tenant):
                await go.wait()

        await another_asks(fairness)
        tasks = [asyncio.create_task(request("acme")) for _ in range(4)]
        await asyncio.sleep(0)
        with pytest.raises(Problem) as caught:
            await request("acme")
        assert (caught.value.status, caught.value.members) == (429, {"quota": "in_flight"})
        assert caught.value.headers["Retry-After"] == "1"
        tasks.append(asyncio.create_task(request("globex")))
        go.set()
        await asyncio.gather(*tasks)

    asyncio.run(play())
    assert told == [("in_flight", "acme")]


@pytest.mark.parametrize("moment", ["waiting", "granted"])
def test_who_goes_away_gives_its_slot_back(moment: str) -> None:
    fairness = Fairness(settings(slots=4, waiting_per_tenant=10, waiting_timeout=30))

    async def play() -> None:
        go = asyncio.Event()

        async def request() -> None:
            async with fairness.slot("acme"):
                await go.wait()

        await another_asks(fairness)
        holders = [asyncio.create_task(request())]
        async with fairness.slot("acme"):
            waiter = asyncio.create_task(request())
            await asyncio.sleep(0)
            if moment == "waiting":
                waiter.cancel()
                await asyncio.wait([waiter])
        waiter.cancel()  # it has its slot, and has not been told yet
        await asyncio.wait([waiter])
        go.set()
        await asyncio.gather(*holders)
        async with fairness.slot("acme"), fairness.slot("acme"):
            pass

    asyncio.run(play())
    assert fairness._slots.held("acme") == 0
    assert fairness._slots.waiting("acme") == 0


def test_who_waited_for_too_long_is_refused() -> None:
    fairness = Fairness(settings(slots=4, waiting_timeout=0.01))

    async def play() -> None:
        await another_asks(fairness)
        async with fairness.slot("acme"), fairness.slot("acme"):
            with pytest.raises(Problem, match=r"waited for 0\.01 s"):
                async with fairness.slot("acme"):
                    raise AssertionError
        async with fairness.slot("acme"):
            pass

    asyncio.run(play())


def test_a_slot_can_be_given_back_before_the_end_and_once_only() -> None:
    async def scenario() -> None:
        fairness = Fairness(QuotaSettings(slots=4, waiting_timeout=0.05))
        await another_asks(fairness)
        async with fairness.slot("a") as release, fairness.slot("a"):
            with pytest.raises(Problem):
                async with fairness.slot("a"):
                    pass
            release()
            release()
            async with fairness.slot("a"):
                with pytest.raises(Problem):
                    async with fairness.slot("a"):
                        pass

    asyncio.run(scenario())
