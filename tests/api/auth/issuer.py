"""An OIDC issuer: signs JWTs, and serves its keys by real HTTP on this machine."""

from __future__ import annotations

import json
import threading
import time
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

ISSUER = "https://login.example.org/realms/ml"
AUDIENCE = "matih-api"


@cache
def _made(kind: str, nth: int) -> Any:
    if kind == "EdDSA":
        return ed25519.Ed25519PrivateKey.generate()
    if kind == "RSA":
        return rsa.generate_private_key(65537, 2048)
    return ec.generate_private_key({"ES256": ec.SECP256R1, "ES384": ec.SECP384R1, "ES512": ec.SECP521R1}[kind]())


def private_key(algorithm: str, nth: int = 0) -> Any:
    """The same key for the same arguments, one for all of RSA; a greater `nth` is another one."""
    return _made("RSA" if algorithm[:2] in ("RS", "PS") else algorithm, nth)


def public_pem(algorithm: str, nth: int = 0) -> bytes:
    return (
        private_key(algorithm, nth)
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )


def jwk(kid: str | None, algorithm: str = "RS256", nth: int = 0, **more: Any) -> dict[str, Any]:
    made = json.loads(jwt.get_algorithm_by_name(algorithm).to_jwk(private_key(algorithm, nth).public_key()))
    made.pop("key_ops", None)
    return made | ({} if kid is None else {"kid": kid}) | more


def claims(**changes: Any) -> dict[str, Any]:
    """What a good JWT says; None takes a claim out."""
    now = int(time.time())
    said = {"iss": ISSUER, "aud": AUDIENCE, "sub": "ada", "iat": now, "exp": now + 300, "tenant_id": "team-a"}
    return {name: value for name, value in (said | changes).items() if value is not None}


def signed(kid: str | None = "one", algorithm: str = "RS256", nth: int = 0, **changes: Any) -> str:
    headers = {} if kid is None else {"kid": kid}
    return jwt.encode(claims(**changes), private_key(algorithm, nth), algorithm, headers)


class Issuer(ThreadingHTTPServer):
    """Serves `document` at `url`; `answer` makes it do otherwise. Counts the questions."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.document: Any = {"keys": [jwk("one")]}
        self.answer: Any = None
        self.asked = 0
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/keys"

    def close(self) -> None:
        self.shutdown()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: Issuer

    def do_GET(self) -> None:
        self.server.asked += 1
        if self.server.answer is not None:
            self.server.answer(self)
            return
        self.say(200, json.dumps(self.server.document).encode())

    def say(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Says nothing."""
