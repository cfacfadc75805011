"""Token buckets let through what they say, over any sequence of requests."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from matih_api.guard import buckets
from matih_api.guard.buckets import Bucket, Buckets, Rate

RATES = st.builds(Rate, st.floats(0.1, 1000), st.floats(1, 1000))
STEPS = st.lists(st.tuples(st.floats(0, 10), st.floats(0.1, 50)), max_size=60)


@given(RATES, STEPS)
def test_no_more_than_the_burst_and_the_rate_gets_through(rate: Rate, steps: list[tuple[float, float]]) -> None:
    bucket, now, taken, largest = Bucket(rate.burst, 0.0), 0.0, 0.0, 0.0
    for pause, amount in steps:
        now += pause
        if bucket.take(amount, rate, now) == 0:
            taken, largest = taken + amount, max(largest, amount)
    assert taken <= rate.burst + rate.per_second * now + max(0.0, largest - rate.burst) + 1e-6 * (1 + taken)


@given(RATES, STEPS, st.floats(0.1, 5000))
def test_who_waits_as_told_gets_through_and_not_before(
    rate: Rate, steps: list[tuple[float, float]], amount: float
) -> None:
    bucket, now = Bucket(rate.burst, 0.0), 0.0
    for pause, size in steps:
        now += pause
        bucket.take(size, rate, now)
    wait = bucket.take(amount, rate, now)
    if wait > 0:
        assert Bucket(bucket.tokens, now).take(amount, rate, now + wait * 0.9 - 1e-6) > 0
        assert Bucket(bucket.tokens, now).take(amount, rate, now + wait * (1 + 1e-6) + 1e-6) == 0


def test_a_refusal_takes_nothing() -> None:
    bucket = Bucket(1.0, 0.0)
    rate = Rate(1, 5)
    assert bucket.take(3, rate, 0.0) == 2.0
    assert bucket.take(1, rate, 0.0) == 0.0


def test_more_than_the_burst_is_a_debt() -> None:
    bucket, rate = Bucket(10.0, 0.0), Rate(10, 10)
    assert bucket.take(30, rate, 0.0) == 0.0
    assert bucket.take(1, rate, 0.0) == 2.1
    assert bucket.take(1, rate, 2.2) == 0.0


def test_a_clock_that_stands_or_goes_back_gives_nothing() -> None:
    bucket, rate = Bucket(1.0, 10.0), Rate(1, 1)
    assert bucket.take(1, rate, 10.0) == 0
    assert bucket.take(1, rate, 5.0) == 1.0


def test_tenants_have_buckets_of_their_own_and_the_memory_is_bounded() -> None:
    kept, rate = Buckets(), Rate(1, 1)
    assert kept.take("acme", 1, rate, 0.0) == 0
    assert kept.take("acme", 1, rate, 0.0) == 1.0
    assert kept.take("globex", 1, rate, 0.0) == 0
    for number in range(buckets.TENANTS_MAX + 100):
        kept.take(f"t{number}", 1, rate, 0.0)
    assert len(kept) == buckets.TENANTS_MAX
    assert kept.take("acme", 1, rate, 0.0) == 0  # forgotten: as if it were new


def test_no_limit_keeps_nothing() -> None:
    kept = Buckets()
    assert all(kept.take("acme", 1000, Rate(0, 1), 0.0) == 0 for _ in range(10))
    assert len(kept) == 0
