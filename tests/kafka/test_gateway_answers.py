"""What each answer of a gateway means: what is unknown keeps everything, and says what to do."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matih_kafka.errors import InvalidSettings
from matih_kafka.gateway.address import gateway_url
from matih_kafka.gateway.answers import Answer, Later, Refused, Taken, TooMuch, Trouble, judge, retry_after
from matih_kafka.gateway.settings import GatewaySettings, gateway_settings


def answer(status: int, body: object = None, **headers: str) -> Answer:
    return Answer(status, "Reason", headers, json.dumps(body).encode() if body is not None else b"<html>")


def judged(found: Answer, events: int = 3) -> object:
    return judge(found, events, with_token=True, now=1_700_000_000.0)


def named(index: object) -> dict[str, object]:
    return {"detail": "no", "errors": [{"loc": ["body", "events", index], "msg": "no"}]}


def test_only_all_of_it_is_taken() -> None:
    assert judged(answer(200, {"accepted": 3})) == Taken()
    for other in ({"accepted": 2}, {"status": "ok"}, [], None):
        assert isinstance(judged(answer(200, other)), Trouble)
    assert isinstance(judged(answer(202, {"accepted": 3})), Trouble)


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_later_is_when_the_answer_says(status: int) -> None:
    found = judged(answer(status, {"detail": "no Kafka"}, **{"retry-after": "7"}))
    assert found == Later(7.0, f"{status} Reason: no Kafka")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0),
        ("30", 30.0),
        ("-5", 0.0),
        ("99999999", 3600.0),
        ("Tue, 14 Nov 2023 22:13:50 GMT", 30.0),
        ("Tue, 14 Nov 2000 22:13:50 GMT", 0.0),
        ("", 1.0),
        ("soon", 1.0),
    ],
)
def test_retry_after_is_a_number_or_a_date_and_bounded(text: str, seconds: float) -> None:
    assert retry_after(text, 1_700_000_000.0) == seconds


def test_the_culprit_is_the_event_that_is_named() -> None:
    assert judged(answer(422, named(2))) == Refused(2, "422 Reason: no")
    assert judged(answer(413, named(0))) == Refused(0, "413 Reason: no")
    assert judged(answer(422, {"detail": "no"}), events=1) == Refused(0, "422 Reason: no")


@pytest.mark.parametrize("index", [3, -1, "0", None, True, 1.0])
def test_a_place_that_can_not_be_names_nobody(index: object) -> None:
    assert isinstance(judged(answer(422, named(index))), Trouble)
    assert isinstance(judged(answer(413, named(index))), TooMuch)


def test_too_large_as_a_whole_can_be_parted_until_it_is_one() -> None:
    assert judged(answer(413)) == TooMuch("413 Reason")
    assert judged(answer(413), events=1) == Refused(0, "413 Reason")


@pytest.mark.parametrize(
    ("status", "said"),
    [(401, "MATIH_API_TOKEN"), (403, "set MATIH_TENANT=acme"), (404, "MATIH_API_URL"), (500, "MATIH_API_URL")],
)
def test_what_somebody_has_to_mend_says_what(status: int, said: str) -> None:
    found = judged(answer(status, {"detail": "event 0: set MATIH_TENANT=acme"}))
    assert isinstance(found, Trouble)
    assert said in found.why


def test_a_redirect_is_not_followed_but_told() -> None:
    found = judged(answer(308, location="https://elsewhere/"))
    assert isinstance(found, Trouble)
    assert "https://elsewhere/" in found.why


@given(st.integers(100, 599), st.binary(max_size=200), st.integers(0, 3))
def test_no_answer_but_a_gateways_yes_is_taken(status: int, body: bytes, events: int) -> None:
    assert not isinstance(judge(Answer(status, "", {}, body), events, with_token=False), Taken) or status == 200


@pytest.mark.parametrize(
    ("environment", "url"),
    [
        ({}, None),
        ({"MATIH_API_URL": "https://api/ "}, "https://api"),
        ({"MATIH_API_URL": "https://api", "KAFKA_BOOTSTRAP_SERVERS": "k:9092"}, None),
        ({"MATIH_API_URL": "https://api", "KAFKA_BOOTSTRAP_SERVERS": "k:9092", "MATIH_API_TOKEN": "t"}, "https://api"),
        ({"MATIH_API_URL": "https://a", "KAFKA_BOOTSTRAP_SERVERS": "k:9", "MATIH_API_TOKEN_FILE": "/t"}, "https://a"),
        ({"MATIH_API_TOKEN": "t"}, None),
    ],
)
def test_a_token_chooses_the_gateway_where_kafka_is_named_too(environment: dict[str, str], url: str | None) -> None:
    assert gateway_url(environment) == url


@pytest.mark.parametrize(
    "url",
    [
        "ftp://x",
        "https://x:0",
        "https://x:99999",
        "api.example.com",
        "https://",
        "https://u:s3cret@x",
        "https://x?a=s3cret",
    ],
)
def test_a_url_that_can_not_be_is_named_and_not_shown(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MATIH_API_URL", url)
    with pytest.raises(InvalidSettings, match=r"^MATIH_API_URL: ") as raised:
        gateway_settings()
    assert "s3cret" not in str(raised.value)


@pytest.mark.parametrize("token", ["two s3cret", "s3cret\nX-Evil: 1", "s3crét"])
def test_a_token_that_can_be_none_is_not_shown(token: str) -> None:
    with pytest.raises(InvalidSettings) as raised:
        GatewaySettings(url="https://x", token=token).current_token()
    assert "s3cr" not in str(raised.value)
    assert "s3cr" not in repr(GatewaySettings(url="https://x", token=token))
