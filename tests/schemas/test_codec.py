"""Any event comes back as it went; any other bytes are refused by a named error, never by a crash."""

from __future__ import annotations

import math

import pytest
from fastavro.schema import fingerprint
from hypothesis import given
from hypothesis import strategies as st

from matih_schemas import codec, examples, schema
from matih_schemas.errors import InvalidEvent, NewerSchema
from matih_schemas.events import EntryGroup, Pair, RunDeleted, RunEnded, RunLogged, TrackingEvent

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
INT64 = st.integers(-(2**63), 2**63 - 1)


@st.composite
def groups(draw: st.DrawFn) -> EntryGroup:
    shapes = draw(st.lists(st.lists(TEXT, max_size=4, unique=True), min_size=1, max_size=4))
    shape = draw(st.lists(st.integers(0, len(shapes) - 1), min_size=1, max_size=12))
    entries, width = len(shape), sum(len(shapes[index]) for index in shape)
    pairs = st.lists(st.builds(Pair, st.integers(0, entries - 1), TEXT, TEXT), max_size=4)
    same = {"min_size": entries, "max_size": entries}
    return EntryGroup(
        producer_id=draw(TEXT),
        first_sequence=draw(st.integers(0, 2**40)),
        shapes=shapes,
        shape=shape,
        time=draw(st.lists(INT64, **same)),
        step=draw(st.lists(INT64, **same)),
        value=draw(st.lists(st.floats(allow_nan=False), min_size=width, max_size=width)),
        params=draw(pairs),
        tags=draw(pairs),
    )


def event_of(payload: object, tenant: str = "acme") -> TrackingEvent:
    return TrackingEvent("0" * 32, tenant, 1, payload)


@given(st.lists(groups(), max_size=3))
def test_run_logged_comes_back_as_it_went(logged: list[EntryGroup]) -> None:
    event = event_of(RunLogged("r" * 32, logged))
    assert codec.decode(codec.encode(event)) == event


def test_nan_and_infinities_come_back() -> None:
    group = EntryGroup("p", 0, [["a", "b", "c"]], [0], [1], [2], [math.nan, math.inf, -math.inf])
    back = codec.decode(codec.encode(event_of(RunLogged("r", [group]))))
    assert str(back.payload.groups[0].value) == "[nan, inf, -inf]"


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_by_name(value: bytes) -> None:
    with pytest.raises(InvalidEvent):
        codec.decode(value)


@given(st.sampled_from(examples.examples()), st.data())
def test_a_damaged_event_is_refused_by_name_or_still_an_event(event: TrackingEvent, data: st.DataObject) -> None:
    value = bytearray(codec.encode(event))
    for _ in range(data.draw(st.integers(1, 4))):
        value[data.draw(st.integers(0, len(value) - 1))] = data.draw(st.integers(0, 255))
    del value[data.draw(st.integers(1, len(value))) :]
    try:
        assert isinstance(codec.decode(bytes(value)), TrackingEvent)
    except InvalidEvent as error:
        assert error.reason in {"malformed", "newer_schema", "invalid_tenant"}


def test_unknown_fingerprint_is_a_newer_schema() -> None:
    value = codec.encode(examples.examples()[0])
    with pytest.raises(NewerSchema, match="upgrade"):
        codec.decode(value[:2] + b"\xff" * 8 + value[10:])


def test_confluent_framing_without_a_registry_says_what_to_set() -> None:
    with pytest.raises(NewerSchema, match="SCHEMA_REGISTRY_URL"):
        codec.decode(codec.encode(examples.examples()[0], schema_id=3))


@pytest.mark.parametrize(
    "group",
    [
        EntryGroup("p", 0, [["a"]], [0], [1], [2, 3], [0.5]),
        EntryGroup("p", 0, [["a"]], [1], [1], [2], [0.5]),
        EntryGroup("p", 0, [["a"]], [-1], [1], [2], [0.5]),
        EntryGroup("p", 0, [["a"]], [0], [1], [2], [0.5, 0.6]),
        EntryGroup("p", 0, [["a"]], [0], [1], [2], [0.5], tags=[Pair(1, "k", "v")]),
    ],
    ids=["steps", "shape too high", "shape negative", "values", "tag's entry"],
)
def test_columns_that_do_not_fit_together_are_malformed(group: EntryGroup) -> None:
    with pytest.raises(InvalidEvent, match="producer p") as caught:
        codec.decode(codec.encode(event_of(RunLogged("r", [group]))))
    assert caught.value.reason == "malformed"


def test_a_tenant_that_is_none_is_refused() -> None:
    with pytest.raises(InvalidEvent) as caught:
        codec.decode(codec.encode(event_of(RunDeleted("r"), tenant="a/b")))
    assert caught.value.reason == "invalid_tenant"


@pytest.mark.parametrize("status", ["finished", "", None])
def test_a_value_the_schema_has_no_place_for_is_refused_when_encoding(status: object) -> None:
    with pytest.raises(InvalidEvent, match="RunEnded"):
        codec.encode(event_of(RunEnded("r", "p", 1, status, 0, True, 5)))  # type: ignore[arg-type]


def test_trailing_bytes_are_malformed() -> None:
    with pytest.raises(InvalidEvent, match="behind the end"):
        codec.decode(codec.encode(examples.examples()[0]) + b"\0")


def test_fingerprint_is_the_avro_specifications() -> None:
    # The fingerprint of "int" in Avro's own test data, share/test/data/schema-tests.txt: 8247732601305521295.
    assert bytes.fromhex(fingerprint('"int"', "CRC-64-AVRO")) == (8247732601305521295).to_bytes(8, "little")
    assert codec.encode(examples.examples()[0])[2:10] == schema.rabin(schema.current())
