"""The acknowledged prefix, whatever the order of acknowledgements."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from matih_tracking.journal.cursor import Position
from matih_tracking.journal.reader import Batch
from matih_tracking.shipper.prefix import Prefix

FIRST = 5
sizes = st.lists(st.integers(1, 5), min_size=1, max_size=8)


def batches(sizes):
    """Each batch a segment of its own; entry n ends at byte 1000 + n."""
    number = FIRST
    for segment, size in enumerate(sizes):
        ends = [1000 + n for n in range(number, number + size)]
        start = Position(segment, 128, number)
        yield Batch(start, [b""] * size, ends, Position(segment, ends[-1], number + size))
        number += size


@given(sizes, st.data())
def test_it_is_the_end_of_the_longest_run_of_done_pieces(sizes, data):
    prefix, read = Prefix(Position(0, 128, FIRST)), list(batches(sizes))
    for batch in read:
        prefix.read(batch)
    last = FIRST + sum(sizes) - 1
    cuts = sorted({*data.draw(st.lists(st.integers(FIRST, last))), last})
    pieces = [prefix.hand_over(upto) for upto in cuts]
    done = set()
    for index in data.draw(st.permutations(range(len(pieces)))):
        pieces[index].done = True
        done.add(index)
        before = prefix.acked
        moved = prefix.advance()
        contiguous = next((i for i in range(len(pieces)) if i not in done), len(pieces))
        expected = cuts[contiguous - 1] if contiguous else FIRST - 1
        assert prefix.acked.number == expected + 1
        assert moved == (prefix.acked != before)
        if prefix.acked.number > FIRST:
            assert prefix.acked.offset == 1000 + expected
            assert read[prefix.acked.segment].start.number <= expected < read[prefix.acked.segment].after.number
        assert prefix.is_complete == (len(done) == len(pieces))


def test_a_piece_without_new_entries_moves_nothing_but_must_be_done():
    prefix = Prefix(Position(0, 128, FIRST))
    assert prefix.is_complete
    piece = prefix.hand_over(FIRST - 1)
    assert not prefix.is_complete
    piece.done = True
    assert not prefix.advance()
    assert prefix.is_complete
    assert prefix.acked == Position(0, 128, FIRST)


def test_what_was_read_and_not_handed_over_is_not_complete():
    prefix = Prefix(Position(0, 128, FIRST))
    prefix.read(next(batches([3])))
    assert not prefix.is_complete
    assert not prefix.advance()
