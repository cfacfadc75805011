"""Signed notes and checkpoints: Go's own examples, and what is refused."""

from __future__ import annotations

import pytest

from matih_workers.audit import checkpoint, notes
from matih_workers.audit.errors import InvalidKey, InvalidNote

# The examples of https://pkg.go.dev/golang.org/x/mod/sumdb/note
GO_KEY = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
GO_PUBLIC = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
GO_NOTE = (
    GO_TEXT + "\n\u2014 PeterNeumann "
    "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
KEY = notes.new_key("example.com/audit")
OTHER = notes.new_key("example.com/audit")


def test_gos_example() -> None:
    key = notes.signing_key(GO_KEY)
    assert str(key.public) == GO_PUBLIC
    assert key.sign(GO_TEXT).decode() == GO_NOTE
    assert notes.open_note(GO_NOTE.encode(), [notes.public_key(GO_PUBLIC)])[0] == GO_TEXT
    assert key.secret() == GO_KEY


def test_a_note_is_its_signers_only() -> None:
    note = KEY.sign("a text\n")
    assert notes.open_note(note, [OTHER.public, KEY.public]) == ("a text\n", KEY.public)
    with pytest.raises(InvalidNote, match="no accepted key"):
        notes.open_note(note, [OTHER.public])
    with pytest.raises(InvalidNote, match="no accepted key"):
        notes.open_note(note.replace(b"a text", b"b text"), [KEY.public])
    witnessed = note + OTHER.sign("a text\n").split(b"\n\n")[1]
    assert notes.open_note(witnessed, [KEY.public])[0] == "a text\n"


@pytest.mark.parametrize("bad", [b"", b"text\n", b"text\n\nno signature\n", b"\xff\n\n", b"text\n\n\xe2\x80\x94 a !\n"])
def test_no_note(bad: bytes) -> None:
    with pytest.raises(InvalidNote):
        notes.open_note(bad, [KEY.public])


def test_keys_round_trip_and_are_checked() -> None:
    assert notes.signing_key(KEY.secret() + "\n") == KEY
    assert notes.public_key(f"{KEY.public}\n") == KEY.public
    assert KEY.secret() not in repr(KEY)
    wrong = KEY.secret().replace(KEY.public.id.hex(), "00000000")
    with pytest.raises(InvalidKey, match="hash") as refused:
        notes.signing_key(wrong)
    assert KEY.secret()[-20:] not in str(refused.value)
    for text in ("", "name", "PRIVATE+KEY+x", str(KEY.public)):
        with pytest.raises(InvalidKey):
            notes.signing_key(text)
    with pytest.raises(InvalidKey):
        notes.new_key("two words")


def test_checkpoints() -> None:
    some = checkpoint.Checkpoint("example.com/audit", 20_852_163, bytes(range(32)))
    signed = checkpoint.sign(some, KEY)
    assert signed.startswith(b"example.com/audit\n20852163\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n\n")
    assert checkpoint.open_checkpoint(signed, [KEY.public]) == (some, KEY.public)
    assert checkpoint.parse(signed) == some
    with pytest.raises(InvalidNote, match="no accepted key"):
        checkpoint.open_checkpoint(signed, [OTHER.public])
    with pytest.raises(InvalidNote, match="is of the log"):
        checkpoint.open_checkpoint(checkpoint.sign(some._replace(origin="another"), KEY), [KEY.public])
    for text in ("a\n", "a\n01\nAAAA\n", "a\n-1\n" + "A" * 43 + "=\n"):
        with pytest.raises(InvalidNote, match="no checkpoint"):
            checkpoint.parse(KEY.sign(text))
