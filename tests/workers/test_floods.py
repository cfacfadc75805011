"""What one poisonous event costs, and what ten thousand do: pure."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from matih_workers.bisection import Bisection
from matih_workers.floods import FORGOTTEN_AFTER, KNOWN_AFTER, Floods, kind_of


@given(st.integers(1, 300), st.sets(st.integers(0, 299)))
def test_the_first_that_fails_by_itself_is_found_and_all_before_it_have_passed(count: int, bad: set[int]) -> None:
    search, passed, tries = Bisection(count), list[int](), 0
    found = None
    while found is None and not search.is_over:
        some = range(count)[search.next]
        tries += 1
        if not bad & set(some):
            passed += some
            search.passed()
        elif len(some) > 1:
            search.failed()
        else:
            found = some[0]
    first = min((one for one in bad if one < count), default=None)
    assert found == first
    assert passed == list(range(count if first is None else first))
    assert tries <= 2 * math.ceil(math.log2(count)) + 2


@given(st.integers(2, 200), st.data())
def test_what_fails_only_together_passes_in_smaller_parts(count: int, data: st.DataObject) -> None:
    together = data.draw(st.integers(1, count - 1))
    search, passed = Bisection(count), list[int]()
    while not search.is_over:
        some = range(count)[search.next]
        if len(some) > together:
            search.failed()
        else:
            passed += some
            search.passed()
    assert passed == list(range(count))


def test_a_kind_of_failure_is_known_after_some_and_forgotten_after_a_while_or_if_another_try_helped() -> None:
    now = [100.0]
    floods = Floods(2_048, lambda: now[0])
    for number in range(KNOWN_AFTER):
        assert not floods.is_known(RuntimeError("numeric field overflow in row 7"))
        floods.poisoned(RuntimeError(f"numeric field overflow in row {number}".ljust(60) + str(number)))
    assert not floods.is_known(ValueError("numeric field overflow"))
    kind = RuntimeError("x")
    floods = Floods(2_048, lambda: now[0])
    for _ in range(KNOWN_AFTER):
        floods.poisoned(kind)
    assert floods.is_known(RuntimeError("x"))
    now[0] += FORGOTTEN_AFTER
    assert not floods.is_known(kind)
    for _ in range(KNOWN_AFTER):
        floods.poisoned(kind)
    floods.passed(1, failed_before=RuntimeError("x"))
    assert not floods.is_known(kind)


def test_a_flood_makes_batches_small_and_its_end_large_again() -> None:
    floods = Floods(2_048)
    floods.poisoned(RuntimeError("x"))
    assert floods.events == 512
    for _ in range(10):
        floods.poisoned(RuntimeError("x"))
    assert floods.events == 1
    floods.passed(0)
    assert floods.events == 1, "fewer than the bound say nothing about it"
    for _ in range(20):
        floods.passed(floods.events)
    assert floods.events == 2_048


def test_a_kind_is_the_types_and_how_it_begins() -> None:
    def failed(message: str, cause: Exception | None) -> Exception:
        error = RuntimeError(message)
        error.__cause__ = cause
        return error

    head = "the same words at the beginning of both " * 2
    assert kind_of(failed(head + "1", ValueError("a"))) == kind_of(failed(head + "2", ValueError("b")))
    assert kind_of(failed(head, ValueError("a"))) != kind_of(failed(head, KeyError("a")))
