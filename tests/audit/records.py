"""Records as hypothesis makes them."""

from __future__ import annotations

from hypothesis import strategies as st

from matih_workers.audit.partition import PartitionId
from matih_workers.audit.record import ArchivedRecord

PARTITION = PartitionId("5L6g3nShT-eMCtK--X86sw", "a1b2c3d4-0000-4000-8000-000000000001", 3)
TOPIC = "matih.tracking.events.v1"
_BYTES = st.none() | st.binary(max_size=300)
_HEADERS = st.lists(st.tuples(st.text(max_size=20), _BYTES), max_size=8).map(tuple)
RECORDS = st.builds(
    ArchivedRecord,
    st.integers(0, 2**63 - 1),
    st.integers(-1, 2**63 - 1),
    st.integers(-1, 1),
    _BYTES,
    _BYTES,
    _HEADERS,
    st.none() | st.binary(min_size=32, max_size=32),
)


def run_of(first: int, count: int, size: int = 50) -> list[ArchivedRecord]:
    """Records one after the other, all different."""
    return [
        ArchivedRecord(
            offset, 1_700_000_000_000 + offset, 1, b"default/run", b"%d" % offset * size, (("ce_id", b"%d" % offset),)
        )
        for offset in range(first, first + count)
    ]
