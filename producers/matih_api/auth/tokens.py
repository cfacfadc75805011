"""Static tokens as credentials, from a file that may change while the API runs."""

from __future__ import annotations

import logging
import time
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Final

from matih_api.auth import token_file
from matih_api.auth.principal import Principal
from matih_api.auth.refresh import Refresh
from matih_api.auth.token_file import TokensFileUnusable
from matih_api.auth.token_records import record_of
from matih_api.problems import unauthorized

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LOOK_SECONDS: Final = 0.5
"""How old what is known of the file may be when a request asks."""
PATIENCE_SECONDS: Final = 1.0
"""How long a request waits for a file system that hangs; then what is known goes on."""
_SETTLED_NS: Final = 1_000_000_000

_log = logging.getLogger(__name__)


def _now() -> datetime:
    return datetime.now(timezone.utc)


class TokenJudge:
    """Knows the tokens of one file. A file that has become unusable changes nothing: what was known goes on working."""

    def __init__(
        self, path: Path, clock: Callable[[], datetime] = _now, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        """Reads it.

        Raises:
            TokensFileUnusable: it can't be read, or is unsafe.
        """
        self._path = path
        self._clock = clock
        self._monotonic = monotonic
        self._refresh = Refresh(self._look)
        self._trouble = ""
        self._looked_at = monotonic()
        self._read()

    async def principal(self, credential: str) -> Principal:
        """Whose it is; 401 if nobody's or expired."""
        if self._monotonic() - self._looked_at >= LOOK_SECONDS:
            await self._refresh.wait(PATIENCE_SECONDS)
        record = record_of(self._tokens, credential)
        if record is None:
            raise unauthorized("the token is not known here: it is mistyped, or was revoked; ask for a new one")
        if record.expired(self._clock()):
            raise unauthorized("the token has expired: ask for a new one")
        return Principal(record.name, record.roles())

    def _look(self) -> None:
        try:
            if self._settled and token_file.look(self._path) == self._seen:
                self._trouble = ""
            else:
                self._read()
        except TokensFileUnusable as error:
            self._failed(str(error))
        self._looked_at = self._monotonic()

    def _read(self) -> None:
        self._seen, self._tokens = token_file.read(self._path)
        # The clock of a file's time is coarse: one that was written just now may be written again without a trace.
        self._settled = time.time_ns() - self._seen.changed_ns > _SETTLED_NS
        if self._trouble:
            _log.warning("%s can be read again: %d tokens", self._path, len(self._tokens.tokens))
        self._trouble = ""

    def _failed(self, why: str) -> None:
        if why != self._trouble:
            _log.error("%s. The %d tokens that were read before go on working", why, len(self._tokens.tokens))
        self._trouble = why
