"""No credential, nor a part of one that is secret, in any log line, error body or message."""

from __future__ import annotations

import json
import logging

import pytest
from tests.api.auth.asking import ask
from tests.api.auth.issuer import signed
from tests.api.auth.test_credentials import JWTS, MALFORMED

from matih_api.auth.bearer import fingerprint
from matih_api.problems import Problem


def parts(credential):
    """What must not be seen: the whole, and each part that is long enough to be of use."""
    found = {credential, *credential.replace(".", " ").replace("_", " ").split()}
    return {part for part in found if len(part) >= 12}


@pytest.fixture
def everything(caplog):
    """All loggers, down to the smallest line."""
    caplog.set_level(logging.DEBUG)
    logging.disable(logging.NOTSET)
    return caplog


def said_by(everything, answer):
    lines = [f"{record.getMessage()} {record.args} {record.exc_text}" for record in everything.records]
    if isinstance(answer, Problem):
        lines += [json.dumps(answer.body("/api", "r")), repr(answer), str(answer.headers)]
        lines += [repr(answer.__cause__), repr(answer.__context__ if not answer.__suppress_context__ else None)]
    return "\n".join([*lines, repr(answer)])


@pytest.mark.parametrize(
    "case", [*JWTS, *MALFORMED, "token", "expired token", "wrong secret", "good JWT", "issuer away"]
)
def test_no_credential_is_ever_told(both, new_token, issuer, everything, case):
    if case in MALFORMED:
        header = MALFORMED[case]
    elif case in JWTS:
        header = f"Bearer {JWTS[case]()}"
    elif case in ("good JWT", "issuer away"):
        issuer.answer = None if case == "good JWT" else lambda handler: handler.say(500, b"oops")
        header = f"Bearer {signed()}"
    else:
        token = new_token(expires_in=-1 if case == "expired token" else None).token
        header = f"Bearer {token[:-8]}AAAAAAAA" if case == "wrong secret" else f"Bearer {token}"
        both._tokens._looked_at = float("-inf")
    said = said_by(everything, ask(both, header))
    credential = (header or "").partition(" ")[2]
    assert not [part for part in parts(credential) if part in said]


def test_refusals_are_logged_with_a_fingerprint_that_tells_nothing(both, everything):
    ask(both, "Bearer hunter2hunter2")
    (line,) = [record.getMessage() for record in everything.records if record.name.startswith("matih_api")]
    assert line.startswith(f"anonymous (credential {fingerprint('hunter2hunter2')}) is refused: ")
    assert len(fingerprint("x")) == 8
    assert fingerprint("x") == fingerprint("x") != fingerprint("y")
