"""What PostgreSQL and SQLite spell differently, as one function each."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import GenericFunction

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy.sql.compiler import SQLCompiler

_SQLITE_LOWER: Final = "matih_lower"
_SQLITE_HASH: Final = "matih_hash8"


class position_of(GenericFunction[int]):  # noqa: N801  # SQL functions have small letters
    """`(text, part)`: where the part begins, from 1 on; 0 if it is not in it."""

    type = sa.Integer()
    inherit_cache = True


class hash8(GenericFunction[str]):  # noqa: N801
    """`(text)`: the first 8 hex characters of the SHA-256 of its UTF-8, as in shortened experiments' names."""

    type = sa.String()
    inherit_cache = True


class small_letters(GenericFunction[str]):  # noqa: N801
    """`(text)`: small letters; on PostgreSQL those that the collation of the text knows."""

    type = sa.String()
    inherit_cache = True


class exact(GenericFunction[str]):  # noqa: N801
    """`(text)`: for sorting by code points, as Python does."""

    type = sa.String()
    inherit_cache = True


class texts_in(GenericFunction[str]):  # noqa: N801
    """`(json)`: the texts in an array of JSON's, as rows with a `value`."""

    inherit_cache = True


def texts(values: Iterable[str]) -> texts_in:
    """Any number of texts as a table: one parameter, where `IN` would need one for each."""
    return texts_in(sa.bindparam(None, json.dumps(list(values)), sa.String, unique=True))


def listed(values: Iterable[str]) -> sa.Select[Any]:
    """`texts` as a sub-query."""
    rows = texts(values).table_valued("value")
    return sa.select(rows.c.value)


def storable(text: str) -> bool:
    """Whether a database can hold the text; what it can't hold is not in it."""
    if "\x00" in text:
        return False
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)


def add_functions(connection: Any) -> None:
    """Gives a connection of SQLite's the functions that it lacks: its own `lower` knows ASCII only."""
    connection.create_function(_SQLITE_LOWER, 1, lambda text: text and text.lower(), deterministic=True)
    connection.create_function(_SQLITE_HASH, 1, _hash8, deterministic=True)


def _hash8(text: str | None) -> str | None:
    return text if text is None else hashlib.sha256(text.encode()).hexdigest()[:8]


def _arguments(element: GenericFunction[Any], compiler: SQLCompiler, **kw: Any) -> list[str]:
    return [compiler.process(clause, **kw) for clause in element.clauses]


@compiles(position_of, "postgresql")
def _position_of_postgres(element: position_of, compiler: SQLCompiler, **kw: Any) -> str:
    return f"strpos({', '.join(_arguments(element, compiler, **kw))})"


@compiles(position_of, "sqlite")
def _position_of_sqlite(element: position_of, compiler: SQLCompiler, **kw: Any) -> str:
    return f"instr({', '.join(_arguments(element, compiler, **kw))})"


@compiles(hash8, "postgresql")
def _hash8_postgres(element: hash8, compiler: SQLCompiler, **kw: Any) -> str:
    return f"substr(encode(sha256(convert_to({_arguments(element, compiler, **kw)[0]}, 'UTF8')), 'hex'), 1, 8)"


@compiles(hash8, "sqlite")
def _hash8_sqlite(element: hash8, compiler: SQLCompiler, **kw: Any) -> str:
    return f"{_SQLITE_HASH}({_arguments(element, compiler, **kw)[0]})"


@compiles(small_letters, "postgresql")
def _small_letters_postgres(element: small_letters, compiler: SQLCompiler, **kw: Any) -> str:
    return f"lower({_arguments(element, compiler, **kw)[0]})"


@compiles(small_letters, "sqlite")
def _small_letters_sqlite(element: small_letters, compiler: SQLCompiler, **kw: Any) -> str:
    return f"{_SQLITE_LOWER}({_arguments(element, compiler, **kw)[0]})"


@compiles(exact, "postgresql")
def _exact_postgres(element: exact, compiler: SQLCompiler, **kw: Any) -> str:
    return f'({_arguments(element, compiler, **kw)[0]} COLLATE "C")'


@compiles(exact, "sqlite")
def _exact_sqlite(element: exact, compiler: SQLCompiler, **kw: Any) -> str:
    return f"({_arguments(element, compiler, **kw)[0]} COLLATE BINARY)"


@compiles(texts_in, "postgresql")
def _texts_in_postgres(element: texts_in, compiler: SQLCompiler, **kw: Any) -> str:
    numbered = " WITH ORDINALITY" if getattr(element, "_with_ordinality", False) else ""
    return f"json_array_elements_text(CAST({_arguments(element, compiler, **kw)[0]} AS json)){numbered}"


@compiles(texts_in, "sqlite")
def _texts_in_sqlite(element: texts_in, compiler: SQLCompiler, **kw: Any) -> str:
    return f"json_each({_arguments(element, compiler, **kw)[0]})"
