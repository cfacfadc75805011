"""Slots are shared by tenants: no more than there are, no more than half while others wait, nobody starves."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matih_api.guard.fairness import Fairness, Slots
from matih_api.guard.settings import QuotaSettings
from matih_api.problems import Problem

ACTIONS = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["come", "go", "give up"])), max_size=200)


@given(st.integers(4, 12), ACTIONS)
def test_the_bounds_hold_and_no_slot_is_idle(slots: int, actions: list[tuple[str, str]]) -> None:
    pool: Slots[tuple[str, int]] = Slots(slots)
    held: Counter[str] = Counter()
    queues: dict[str, list[tuple[str, int]]] = {name: [] for name in "abc"}
    for number, (tenant, action) in enumerate(actions):
        if action == "come":
            before = held[tenant]
            others = any(held[name] or queues[name] for name in "abc" if name != tenant)
            if pool.take(tenant):
                assert not queues[tenant]
                assert before < (slots // 2 if others else slots)
                held[tenant] += 1
            else:
                queues[tenant].append((tenant, number))
                pool.wait(tenant, (tenant, number))
        elif action == "go" and held[tenant]:
            pool.release(tenant)
            held[tenant] -= 1
        elif action == "give up" and queues[tenant]:
            pool.give_up(tenant, queues[tenant].pop())
        while (ticket := pool.next()) is not None:
            assert ticket == queues[ticket[0]].pop(0)  # in their order
            held[ticket[0]] += 1
        assert held.total() <= slots
        assert {name: pool.held(name) for name in "abc"} == {name: held[name] for name in "abc"}
        for name in "abc":
            if queues[name] and held.total() < slots:
                assert held[name] >= slots // 2  # who waits beside a free slot has its share


def test_a_newcomer_is_next_however_long_the_others_queue_is() -> None:
    pool: Slots[str] = Slots(4)
    while pool.take("flood"):
        pass
    for number in range(100):
        pool.wait("flood", f"flood {number}")
    assert pool.take("calm")  # a slot was kept free
    pool.wait("calm", "calm 2")
    assert pool.next() is None
    pool.release("flood")
    assert pool.next() == "calm 2"


def settings(**values: Any) -> QuotaSettings:
    return QuotaSettings(**values)


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
            assert running.total() <= 8
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
    assert most["flood"] == 7  # all but the one that is kept free
    assert max(calm_seen_behind) <= 16  # it waits for the slots' own time, not for the queue of 400


def test_too_many_that_wait_are_refused_and_others_are_not() -> None:
    told: list[tuple[str, str]] = []
    fairness = Fairness(settings(slots=4, waiting_per_tenant=2, waiting_timeout=30), lambda *who: told.append(who))

    async def play() -> None:
        go = asyncio.Event()

        async def request(tenant: str) -> None:
            async with fairness.slot(tenant):
                await go.wait()

        tasks = [asyncio.create_task(request("acme")) for _ in range(5)]
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

        holders = [asyncio.create_task(request()) for _ in range(2)]
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
        async with fairness.slot("acme"), fairness.slot("acme"), fairness.slot("acme"):
            pass

    asyncio.run(play())
    assert fairness._slots.held("acme") == 0
    assert fairness._slots.waiting("acme") == 0


def test_who_waited_for_too_long_is_refused() -> None:
    fairness = Fairness(settings(slots=4, waiting_timeout=0.01))

    async def play() -> None:
        async with fairness.slot("acme"), fairness.slot("acme"), fairness.slot("acme"):
            with pytest.raises(Problem, match=r"waited for 0\.01 s"):
                async with fairness.slot("acme"):
                    raise AssertionError
        async with fairness.slot("acme"):
            pass

    asyncio.run(play())


def test_a_slot_can_be_given_back_before_the_end_and_once_only() -> None:
    async def scenario() -> None:
        fairness = Fairness(QuotaSettings(slots=4, waiting_timeout=0.05))
        async with fairness.slot("a") as release, fairness.slot("a"), fairness.slot("a"):
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
