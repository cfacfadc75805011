"""Signed notes: a text and who signed it, with Ed25519 keys in Go's format. Pure, but for making a key.

https://c2sp.org/signed-note, and https://pkg.go.dev/golang.org/x/mod/sumdb/note for the keys: `name+hash+base64` and
`PRIVATE+KEY+name+hash+base64`, where hash is the first 4 bytes of SHA-256(name, newline, 01, public key).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from matih_workers.audit.errors import InvalidKey, InvalidNote

if TYPE_CHECKING:
    from collections.abc import Iterable

ED25519: Final = b"\x01"
_KEY_BYTES: Final = 33
_PRIVATE: Final = "PRIVATE+KEY+"
_NAME: Final = re.compile(r"[^\s+]+")
_SIGNATURE: Final = re.compile(r"\u2014 ([^\s+]+) ([A-Za-z0-9+/]+=*)")
NOTE_MAX: Final = 1_000_000
"""Bytes of a note, at most."""


@dataclass(frozen=True)
class PublicKey:
    """A key that verifies.

    Attributes:
        name: whose it is; the origin of a log's checkpoints.
        raw: 32 bytes.
    """

    name: str
    raw: bytes

    @property
    def id(self) -> bytes:
        """4 bytes that tell keys of one name apart."""
        return hashlib.sha256(self.name.encode() + b"\n" + ED25519 + self.raw).digest()[:4]

    def __str__(self) -> str:
        return f"{self.name}+{self.id.hex()}+{_base64(ED25519 + self.raw)}"

    def verifies(self, text: str, signature: bytes) -> bool:
        """Whether this key made the signature of this text."""
        try:
            Ed25519PublicKey.from_public_bytes(self.raw).verify(signature, text.encode())
        except (InvalidSignature, ValueError):
            return False
        return True


@dataclass(frozen=True)
class SigningKey:
    """A key that signs."""

    name: str
    seed: bytes

    def __repr__(self) -> str:
        return f"SigningKey({self.public})"

    @property
    def public(self) -> PublicKey:
        """Its other half."""
        key = Ed25519PrivateKey.from_private_bytes(self.seed).public_key()
        return PublicKey(self.name, key.public_bytes_raw())

    def secret(self) -> str:
        """The form in which it is kept. Whoever has it can sign."""
        return f"{_PRIVATE}{self.name}+{self.public.id.hex()}+{_base64(ED25519 + self.seed)}"

    def sign(self, text: str) -> bytes:
        """The note of a text that ends with a newline."""
        if not text.endswith("\n"):
            raise ValueError("a note's text ends with a newline")
        signature = Ed25519PrivateKey.from_private_bytes(self.seed).sign(text.encode())
        return f"{text}\n\u2014 {self.name} {_base64(self.public.id + signature)}\n".encode()


def new_key(name: str) -> SigningKey:
    """A new key.

    Raises:
        InvalidKey: that can't be its name.
    """
    _check_name(name)
    return SigningKey(name, Ed25519PrivateKey.generate().private_bytes_raw())


def public_key(text: str) -> PublicKey:
    """The key in a text `name+hash+base64`.

    Raises:
        InvalidKey: it is none.
    """
    name, raw, told = _parts(text.strip(), "a public key is name+hash+base64")
    found = PublicKey(name, raw)
    if found.id != told:
        raise InvalidKey(f"public key {name}: its hash is not that of its bytes: copy it again, whole")
    return found


def signing_key(text: str) -> SigningKey:
    """The key in a text `PRIVATE+KEY+name+hash+base64`.

    Raises:
        InvalidKey: it is none; the message never holds it.
    """
    kept = text.strip()
    if not kept.startswith(_PRIVATE):
        raise InvalidKey("a signing key begins with PRIVATE+KEY+: `matih audit keygen` makes one")
    name, raw, told = _parts(kept.removeprefix(_PRIVATE), "a signing key is PRIVATE+KEY+name+hash+base64")
    found = SigningKey(name, raw)
    if found.public.id != told:
        raise InvalidKey(f"signing key {name}: its hash is not that of its bytes: copy it again, whole")
    return found


def open_note(data: bytes, keys: Iterable[PublicKey]) -> tuple[str, PublicKey]:
    """The text of a note, and the key that signed it. Signatures by others, as of witnesses, are let be.

    Raises:
        InvalidNote: it is none, or none of the keys signed it.
    """
    text, signatures = parse_note(data)
    for name, blob in signatures:
        for key in keys:
            if (name, blob[:4]) == (key.name, key.id) and key.verifies(text, blob[4:]):
                return text, key
    signers = ", ".join(f"{name} (key {blob[:4].hex()})" for name, blob in signatures)
    raise InvalidNote(f"no accepted key signed it; it says it is signed by {signers}")


def parse_note(data: bytes) -> tuple[str, list[tuple[str, bytes]]]:
    """The text, and each signature's name and bytes (4 of the key's id, then the signature), not verified.

    Raises:
        InvalidNote: it is no note.
    """
    try:
        whole = data[: NOTE_MAX + 1].decode()
    except UnicodeDecodeError as error:
        raise InvalidNote("it is no text") from error
    text, found, tail = whole.rpartition("\n\n")
    if not found or not tail.endswith("\n") or len(data) > NOTE_MAX:
        raise InvalidNote("it is no signed note: text, an empty line, signatures")
    signatures = []
    for line in tail[:-1].split("\n"):
        match = _SIGNATURE.fullmatch(line)
        if match is None:
            raise InvalidNote("a signature's line is malformed")
        signatures.append((match[1], _decoded(match[2])))
    return text + "\n", signatures


def merged(one: bytes, other: bytes) -> bytes:
    """The note with the signatures of both, those of `one` first.

    Raises:
        InvalidNote: one is no note, or their texts differ.
    """
    (text, kept), (another, more) = parse_note(one), parse_note(other)
    if text != another:
        raise InvalidNote("these are notes of different texts")
    lines = [f"\u2014 {name} {_base64(blob)}\n" for name, blob in dict.fromkeys([*kept, *more])]
    return f"{text}\n{''.join(lines)}".encode()


def _parts(text: str, form: str) -> tuple[str, bytes, bytes]:
    name, _, rest = text.partition("+")
    told, _, encoded = rest.partition("+")
    try:
        raw, key_id = base64.b64decode(encoded, validate=True), bytes.fromhex(told)
    except (binascii.Error, ValueError) as error:
        raise InvalidKey(form) from error
    _check_name(name)
    if len(raw) != _KEY_BYTES or raw[:1] != ED25519 or len(key_id) != 4:
        raise InvalidKey(f"{form}, of an Ed25519 key")
    return name, raw[1:], key_id


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise InvalidKey(f"key name {name!r}: give one without spaces and +, such as example.com/audit")


def _decoded(text: str) -> bytes:
    try:
        found = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise InvalidNote("a signature is no base64") from error
    if len(found) < 5:
        raise InvalidNote("a signature is too short")
    return found


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
