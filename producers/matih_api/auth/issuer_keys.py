"""The issuer's keys, kept; asked for again when they are old and when a JWT names one that is not among them."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from matih_api.auth.fetching import NotFetched, fetch
from matih_api.auth.refresh import Refresh
from matih_api.auth.signing_keys import NoKeys, SigningKey, choose, read_keys
from matih_api.problems import unavailable

if TYPE_CHECKING:
    from collections.abc import Callable

OLD_SECONDS: Final = 300.0
"""Keys this old are asked for again, behind the requests: what an issuer takes back is refused by then."""
PAUSE_SECONDS: Final = 5.0
"""Between two questions for an unknown key: made-up names must not become a flood on the issuer."""
RETRY_SECONDS: Final = 1.0
"""The same after a question that was not answered."""
PATIENCE_SECONDS: Final = 4.0
"""How long a request waits for the issuer."""

_log = logging.getLogger(__name__)


class IssuerKeys:
    """The keys at one URL. An issuer that is away changes nothing: what was known goes on working."""

    def __init__(
        self, url: str, get: Callable[[str], bytes] = fetch, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._url = url
        self._get = get
        self._monotonic = monotonic
        self._keys: tuple[SigningKey, ...] = ()
        self._asked_at = self._read_at = float("-inf")
        self._trouble = ""
        self._refresh = Refresh(self._ask)

    async def find(self, kid: str | None, algorithm: str) -> SigningKey | None:
        """The key that a JWT's header names; None: the issuer has none such.

        Raises:
            matih_api.problems.Problem: 503, it is not known and the issuer can't be asked now.
        """
        now = self._monotonic()
        key = choose(self._keys, kid, algorithm)
        if key is not None:
            if now - self._read_at > OLD_SECONDS and self._may_ask(now):
                self._refresh.start()
            return key
        if self._refresh.running or self._may_ask(now):
            await self._refresh.wait(PATIENCE_SECONDS)
            key = choose(self._keys, kid, algorithm)
        if key is None and (self._trouble or self._refresh.running):
            raise unavailable(
                "issuer-unavailable", "the issuer of the credential can't be asked for its keys now: try again"
            )
        return key

    def _may_ask(self, now: float) -> bool:
        return now - self._asked_at >= (RETRY_SECONDS if self._trouble else PAUSE_SECONDS)

    def _ask(self) -> None:
        self._asked_at = self._monotonic()
        try:
            self._keys = read_keys(self._get(self._url))
        except (NotFetched, NoKeys) as error:
            self._failed(str(error))
            return
        self._read_at = self._monotonic()
        if self._trouble:
            _log.warning("MATIH_API_JWKS_URL: %s gives its keys again", self._host())
        self._trouble = ""

    def _failed(self, why: str) -> None:
        if why != self._trouble:
            left = f"the {len(self._keys)} keys that are known go on working" if self._keys else "no JWT can be checked"
            _log.warning("MATIH_API_JWKS_URL: no keys from %s: %s; %s", self._host(), why, left)
        self._trouble = why

    def _host(self) -> str:
        """The URL's host only: its path and query may hold a key of somebody's."""
        return urlsplit(self._url).hostname or "?"
