"""The issuer's keys: rotated, gone, slow, and not what they should be."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
import time

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from tests.api.auth.asking import answer, ask_with
from tests.api.auth.issuer import AUDIENCE, ISSUER, jwk, private_key, signed
from tests.waiting import until

from matih_api.auth import fetching, issuer_keys
from matih_api.auth.claims import ClaimNames
from matih_api.auth.fetching import NotFetched, fetch
from matih_api.auth.issuer_keys import OLD_SECONDS, PAUSE_SECONDS, RETRY_SECONDS, IssuerKeys
from matih_api.auth.jwt import JwtJudge
from matih_api.auth.opening import BearerAuthenticator
from matih_api.auth.principal import Principal
from matih_api.auth.signing_keys import NoKeys, choose, read_keys


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def door(issuer, clock):
    keys = IssuerKeys(issuer.url, monotonic=clock)
    return BearerAuthenticator(None, JwtJudge(keys, ISSUER, [AUDIENCE], ClaimNames()))


def status(answer):
    return 200 if isinstance(answer, Principal) else answer.status


def test_keys_are_asked_for_once(door, issuer):
    assert [status(ask_with(door, signed())) for _ in range(5)] == [200] * 5
    assert issuer.asked == 1


def test_a_new_key_is_found_and_an_old_one_forgotten(door, issuer, clock):
    assert status(ask_with(door, signed())) == 200
    issuer.document = {"keys": [jwk("two", nth=1)]}
    clock.now += PAUSE_SECONDS
    assert status(ask_with(door, signed("two", nth=1))) == 200
    assert status(ask_with(door, signed())) == 401
    assert issuer.asked == 2


def test_made_up_key_names_do_not_flood_the_issuer(door, issuer, clock):
    assert status(ask_with(door, signed())) == 200
    assert {status(ask_with(door, signed(f"made-up-{n}"))) for n in range(20)} == {401}
    assert issuer.asked == 1
    clock.now += PAUSE_SECONDS
    assert {status(ask_with(door, signed(f"made-up-{n}"))) for n in range(20)} == {401}
    assert issuer.asked == 2


def test_keys_that_are_old_are_asked_for_behind_the_requests(door, issuer, clock):
    """A key that the issuer has taken back is refused after that, without anybody naming a new one."""
    assert status(ask_with(door, signed())) == 200
    issuer.document = {"keys": [jwk("two", nth=1)]}
    clock.now += OLD_SECONDS + 1

    async def twice():
        first = await answer(door, f"Bearer {signed()}")
        await door._jwts._keys._refresh.wait(5)
        return first, await answer(door, f"Bearer {signed()}")

    assert [status(one) for one in asyncio.run(twice())] == [200, 401]
    assert issuer.asked == 2


def broken(how):
    return {
        "error": lambda handler: handler.say(500, b"oops"),
        "redirect": lambda handler: handler.say(302, b"", Location="/elsewhere"),
        "page": lambda handler: handler.say(200, b"<html>"),
        "no keys": lambda handler: handler.say(200, b'{"keys": []}'),
        "empty": lambda handler: handler.say(200, b""),
        "list": lambda handler: handler.say(200, b"[1]"),
        "deep": lambda handler: handler.say(200, b"[" * 100_000),
        "long": lambda handler: handler.say(200, b" " * (fetching.BYTES_MAX + 1)),
        "hung up": lambda handler: handler.connection.close(),
        "no content": lambda handler: handler.say(204, b""),
    }[how]


TROUBLES = ["error", "redirect", "page", "no keys", "empty", "list", "deep", "long", "hung up", "no content"]


@pytest.mark.parametrize("how", TROUBLES)
def test_an_outage_keeps_what_is_known_and_is_told_once(door, issuer, clock, caplog, how):
    assert status(ask_with(door, signed())) == 200
    issuer.answer = broken(how)
    for _ in range(3):
        clock.now += OLD_SECONDS + 1
        assert status(ask_with(door, signed("new", nth=1))) == 503
        assert status(ask_with(door, signed())) == 200
    told = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(told) == 1, told
    assert "the 1 keys that are known go on working" in told[0]
    issuer.answer, issuer.document = None, {"keys": [jwk("new", nth=1)]}
    clock.now += RETRY_SECONDS
    assert status(ask_with(door, signed("new", nth=1))) == 200
    assert caplog.records[-1].getMessage().endswith("gives its keys again")


def test_an_issuer_that_is_away_from_the_start_is_a_503_and_a_later_answer_mends_it(door, issuer, clock):
    issuer.answer = broken("error")
    said = ask_with(door, signed())
    assert (said.status, said.headers) == (503, {"Retry-After": "5"})
    assert status(ask_with(door, signed())) == 503
    assert issuer.asked == 1
    issuer.answer = None
    clock.now += RETRY_SECONDS
    assert status(ask_with(door, signed())) == 200


def test_nobody_listens(clock):
    keys = IssuerKeys("http://127.0.0.1:1/keys", monotonic=clock)
    assert (
        status(ask_with(BearerAuthenticator(None, JwtJudge(keys, ISSUER, [AUDIENCE], ClaimNames())), signed())) == 503
    )


def test_a_slow_issuer_blocks_nobody_and_is_asked_once_for_all(door, issuer):
    """The loop goes on meanwhile, and twenty requests wait for one answer."""
    go = threading.Event()

    def slow(handler):
        go.wait(30)
        handler.say(200, b'{"keys": [%s]}' % json.dumps(jwk("one")).encode())

    issuer.answer = slow

    async def many():
        asking = [asyncio.ensure_future(answer(door, f"Bearer {signed()}")) for _ in range(20)]
        await asyncio.to_thread(until, lambda: issuer.asked, "the question", 5, 0.01)
        for _ in range(100):
            await asyncio.sleep(0)
        assert not any(one.done() for one in asking)
        go.set()
        return await asyncio.gather(*asking)

    assert {status(one) for one in asyncio.run(many())} == {200}
    assert issuer.asked == 1


def test_a_hanging_issuer_is_a_503_in_bounded_time(door, issuer, monkeypatch):
    monkeypatch.setattr(issuer_keys, "PATIENCE_SECONDS", 0.05)
    monkeypatch.setattr(fetching, "SECONDS_EACH", 0.3)
    go = threading.Event()
    issuer.answer = lambda _: go.wait(30)
    try:
        assert status(ask_with(door, signed())) == 503
    finally:
        go.set()


def test_an_issuer_that_drips_is_given_up(issuer, monkeypatch):
    monkeypatch.setattr(fetching, "SECONDS_ALL", 0.1)
    stop = threading.Event()

    def drip(handler):
        handler.send_response(200)
        handler.end_headers()
        while not stop.is_set():
            try:
                handler.wfile.write(b" ")
            except OSError:
                return
            time.sleep(0.01)

    issuer.answer = drip
    with pytest.raises(NotFetched, match="takes more than"):
        fetch(issuer.url)
    stop.set()


def test_a_redirect_is_not_followed(issuer):
    issuer.answer = broken("redirect")
    with pytest.raises(NotFetched, match="302"):
        fetch(issuer.url)
    assert issuer.asked == 1


def test_no_proxy_is_asked_for_what_is_on_this_machine(issuer, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert b"keys" in fetch(issuer.url)


def document(*keys):
    return json.dumps({"keys": keys}).encode()


def test_only_public_keys_that_sign_are_read():
    small = rsa.generate_private_key(65537, 1024)
    numbers = jwt.get_algorithm_by_name("RS256").to_jwk(small.public_key(), as_dict=True)
    private = jwt.get_algorithm_by_name("RS256").to_jwk(private_key("RS256"), as_dict=True)
    keys = read_keys(
        document(
            jwk("good", use="sig"),
            jwk("encryption", use="enc"),
            jwk("oaep", alg="RSA-OAEP"),
            jwk("hs", alg="HS256"),
            {"kty": "oct", "k": "aHVzaA", "kid": "shared", "alg": "HS256"},
            numbers | {"kid": "small"},
            {"kty": "RSA", "n": "!!", "e": "AQAB", "kid": "broken"},
            {"kty": "EC", "crv": "secp256k1", "x": "AA", "y": "AA", "kid": "curve"},
            {"kty": ["RSA"]},
            private | {"kid": "private"},
            jwk(None, "EdDSA"),
            "text",
        )
    )
    assert [(key.kid, min(key.algorithms)) for key in keys] == [
        ("good", "PS256"),
        ("private", "PS256"),
        (None, "EdDSA"),
    ]
    assert not any(hasattr(key.public, "private_numbers") or hasattr(key.public, "sign") for key in keys)


@pytest.mark.parametrize(
    "content", [b"", b"\xff", b"{}", b'{"keys": 1}', document(), document({"kty": "oct", "k": "aHVzaA"})]
)
def test_a_document_without_keys_says_so(content):
    with pytest.raises(NoKeys):
        read_keys(content)


def test_without_a_kid_the_only_key_for_the_algorithm_is_meant():
    one = read_keys(document(jwk("a"), jwk("b", "ES256")))
    assert choose(one, None, "RS256").kid == "a"
    assert choose(one, None, "ES256").kid == "b"
    assert choose(one, None, "EdDSA") is None
    assert choose(read_keys(document(jwk("a"), jwk("b", nth=1))), None, "RS256") is None
    assert choose(one, "b", "RS256") is None
