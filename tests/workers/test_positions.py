"""What positions say of what a store has seen: pure."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from matih_workers.positions import GAPS_MAX, Position, Source, Span, advanced, spans_of

SOURCE = Source("cluster", "topic-1", "events")
NEW = SOURCE._replace(topic_id="topic-2")
SPANS = st.tuples(st.integers(0, 40), st.integers(0, 10)).map(lambda pair: Span(0, pair[0], pair[0] + pair[1]))


@given(st.lists(SPANS, min_size=1, max_size=20))
def test_the_gaps_are_what_no_span_has_applied(spans: list[Span]) -> None:
    position = None
    for span in spans:
        position = Position.parse(advanced(position, SOURCE, span).text())
    assert position is not None
    seen = {offset for span in spans for offset in range(span.first, span.last + 1)}
    gone = {offset for first, end in position.gaps for offset in range(first, end)}
    assert position.end == max(seen) + 1
    assert gone == set(range(position.end)) - seen
    assert position.missing == len(gone)
    assert list(position.gaps) == sorted(position.gaps)


def test_a_topic_made_anew_begins_at_its_beginning() -> None:
    old = advanced(None, SOURCE, Span(0, 0, 99))
    new = advanced(old, NEW, Span(0, 2, 5))
    assert new == Position("topic-2", 6, ((0, 2),), anew="topic-1", anew_end=100)
    assert advanced(new, NEW, Span(0, 0, -1, settles="other")) == new
    assert advanced(new, NEW, Span(0, 0, -1, settles="topic-1")) == Position("topic-2", 6, ((0, 2),))
    assert Position.parse(new.text()) == new


def test_the_text_stays_bounded() -> None:
    position = None
    for number in range(3 * GAPS_MAX):
        position = advanced(position, SOURCE, Span(0, 10**15 + 2 * number, 10**15 + 2 * number), 10**12 + number)
    assert position is not None
    assert len(position.gaps) == GAPS_MAX
    anew = advanced(position, NEW, Span(0, 10**15, 10**15), 10**12)
    for number in range(3 * GAPS_MAX):
        anew = advanced(anew, NEW, Span(0, 10**15 + 2 * number, 10**15 + 2 * number), 10**12 + number)
    assert max(len(position.text()), len(anew.text())) < 5000
    assert Position.parse(anew.text()) == anew


def test_what_somebody_else_wrote_is_no_position() -> None:
    assert [Position.parse(text) for text in (None, "", "7", "{}", '{"topic_id": "t", "end": "x"}', "[1]")] == [
        None
    ] * 6


def test_spans_of_records() -> None:
    assert spans_of([(1, 5), (0, 7), (1, 6), (1, 7)]) == (Span(1, 5, 7), Span(0, 7, 7))
