"""Questions to a schema registry, by the REST API that Confluent's has and others speak too. I/O only; blocks.

https://docs.confluent.io/platform/current/schema-registry/develop/api.html
"""

from __future__ import annotations

import base64
import json
import ssl
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from http.client import HTTPException
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from matih_kafka.errors import InvalidSettings, RegistryUnavailable, SchemaRefused

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matih_kafka.registry.settings import RegistrySettings

MEDIA_TYPE: Final = "application/vnd.schemaregistry.v1+json"
ANSWER_MAX_BYTES: Final = 1 << 20
_CHUNK_BYTES: Final = 1 << 16
_NOT_THERE: Final = range(40400, 40500)
"""The API's own codes for what is not there: another 404 comes from a server that is no registry."""
_REFUSED: Final = frozenset({409, 422})


class Version(NamedTuple):
    """One version of a subject.

    Attributes:
        id: of its schema, in the whole registry.
        schema: as JSON text.
    """

    id: int
    schema: str


class RegistryClient:
    """Asks one registry. Every call ends within the settings' timeout, whatever the other side does.

    All methods raise `RegistryUnavailable` if there is no answer, or none of a registry's; its message says which
    registry and why, and never a password.
    """

    def __init__(self, settings: RegistrySettings) -> None:
        """Asks nothing yet."""
        self.url = settings.url
        self._settings = settings

    def schema(self, schema_id: int) -> str | None:
        """The text of an id's schema; None if there is no such id."""
        answer = self._ask("GET", f"/schemas/ids/{schema_id}")
        return None if answer is None else str(self._field(answer, "schema", str))

    def versions(self, subject: str) -> list[int]:
        """The numbers of a subject's versions, rising; none if there is no such subject."""
        answer = self._ask("GET", f"/subjects/{_quoted(subject)}/versions")
        if answer is not None and not isinstance(answer, list):
            raise self._no_registry("a list was expected")
        return sorted(number for number in answer or () if isinstance(number, int))

    def version(self, subject: str, number: int) -> Version | None:
        """One version; None if it is not there."""
        answer = self._ask("GET", f"/subjects/{_quoted(subject)}/versions/{number}")
        if answer is None:
            return None
        return Version(int(self._field(answer, "id", int)), str(self._field(answer, "schema", str)))

    def newest_first(self, subject: str) -> Iterator[Version]:
        """A subject's versions, each asked for when it is its turn."""
        for number in reversed(self.versions(subject)):
            version = self.version(subject, number)
            if version is not None:
                yield version

    def register(self, subject: str, schema: str) -> int:
        """Adds a version, or finds the one that has this schema; returns the schema's id.

        Raises:
            SchemaRefused: it is not compatible with those that are there, or no schema.
        """
        answer = self._ask("POST", f"/subjects/{_quoted(subject)}/versions", {"schema": schema})
        return int(self._field(answer, "id", int))

    def compatibility(self, subject: str) -> str | None:
        """The subject's compatibility; None if it has none of its own."""
        answer = self._ask("GET", f"/config/{_quoted(subject)}")
        return None if answer is None else str(self._field(answer, "compatibilityLevel", str))

    def set_compatibility(self, subject: str, level: str) -> bool:
        """Sets it; False if there is no such subject yet, where the registry wants it first."""
        return self._ask("PUT", f"/config/{_quoted(subject)}", {"compatibility": level}) is not None

    def works(self) -> bool:
        """Whether it answers a question that every registry can answer. Raises nothing."""
        try:
            return self._ask("GET", "/config") is not None
        except RegistryUnavailable:
            return False

    def _ask(self, method: str, path: str, body: dict[str, str] | None = None) -> Any | None:
        """The answer's JSON; None for what is not there."""
        answer: Future[Any | None] = Future()

        def work() -> None:
            try:
                answer.set_result(self._exchange(method, path, body))
            except Exception as error:  # noqa: BLE001 - it is raised again, where somebody waits for it
                answer.set_exception(error)

        # A daemon: looking up a name knows no time-out, and the end of the process must not wait for it.
        threading.Thread(target=work, name="matih-registry", daemon=True).start()
        try:
            return answer.result(self._settings.timeout)
        except FutureTimeout:
            raise self._unavailable(f"no answer within {self._settings.timeout:g} s") from None

    def _exchange(self, method: str, path: str, body: dict[str, str] | None) -> Any | None:
        try:
            status, answer = self._send(method, path, None if body is None else json.dumps(body).encode())
        except (OSError, HTTPException, ValueError) as error:
            raise self._unavailable(str(getattr(error, "reason", None) or error)) from error
        except InvalidSettings as error:  # a file with a secret may be missing only now: to be mended, and tried again
            raise RegistryUnavailable(str(error)) from error
        if status == 200:
            return self._parsed(answer)
        if status in _REFUSED and method == "POST":
            why = _one_line(_told(answer).get("message"))
            raise SchemaRefused(f"the schema registry at {self.url} refuses the schema: {why}")
        self._raise_unless_absent(status, _told(answer).get("error_code"))
        return None

    def _send(self, method: str, path: str, body: bytes | None) -> tuple[int, bytes]:
        """The answer's status and body.

        Raises:
            OSError, HTTPException, ValueError: there is none, or it is too long or too slow.
            InvalidSettings: a file that the settings name can't be read.
        """
        deadline = time.monotonic() + self._settings.timeout
        url = f"{self.url}{path}"
        request = urllib.request.Request(url, body, self._headers(), method=method)  # noqa: S310 - http or https, by the settings
        try:
            with self._opener().open(request, timeout=self._settings.timeout) as response:
                return response.status, _read(response, deadline)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, _read(error, deadline)

    def _raise_unless_absent(self, status: int, code: object) -> None:
        """Returns for what is not there; raises for all else."""
        if status == 404 and code in _NOT_THERE:
            return
        if status in (401, 403):
            remedy = "are SCHEMA_REGISTRY_USERNAME and SCHEMA_REGISTRY_PASSWORD right, and may this user do that?"
            raise self._unavailable(f"it answered {status}", remedy)
        if status == 404 or 300 <= status < 400:
            raise self._no_registry(f"it answered {status}")
        raise self._unavailable(f"it answered {status}")

    def _parsed(self, body: bytes) -> Any:
        try:
            return json.loads(body)
        except (ValueError, RecursionError) as error:
            raise self._no_registry("its answer is no JSON") from error

    def _field(self, answer: Any, name: str, kind: type) -> Any:
        value = answer.get(name) if isinstance(answer, dict) else None
        if not isinstance(value, kind):
            raise self._no_registry(f"its answer has no {name}")
        return value

    def _headers(self) -> dict[str, str]:
        headers = {"Accept": f"{MEDIA_TYPE}, application/json", "Content-Type": MEDIA_TYPE}
        if self._settings.username:
            pair = f"{self._settings.username}:{self._settings.current_password()}"
            headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        return headers

    def _opener(self) -> urllib.request.OpenerDirector:
        try:
            context = ssl.create_default_context(cafile=self._settings.ssl_cafile)
        except OSError as error:
            raise InvalidSettings(f"SCHEMA_REGISTRY_SSL_CAFILE {self._settings.ssl_cafile}: {error}") from error
        return urllib.request.build_opener(urllib.request.HTTPSHandler(context=context), _NoRedirects())

    def _no_registry(self, what: str) -> RegistryUnavailable:
        return self._unavailable(what, "is that the base URL of its Confluent API?")

    def _unavailable(
        self, what: str, remedy: str = "is it up, and is SCHEMA_REGISTRY_URL right?"
    ) -> RegistryUnavailable:
        return RegistryUnavailable(f"the schema registry at {self.url}: {_one_line(what)}: {remedy}")


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Credentials are for the registry alone, not for where it points to."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        """Follows none."""


def _read(response: Any, deadline: float) -> bytes:
    """The body, as far as it comes in time and is not too long.

    Raises:
        ValueError: it does not.
    """
    parts, size = [], 0
    while chunk := response.read1(_CHUNK_BYTES):
        parts.append(chunk)
        size += len(chunk)
        if size > ANSWER_MAX_BYTES or time.monotonic() > deadline:
            raise ValueError("its answer is too long or too slow")
    return b"".join(parts)


def _told(body: bytes) -> dict[str, Any]:
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}


def _one_line(text: object) -> str:
    return " ".join(str(text or "it does not say why").split())[:300]


def _quoted(subject: str) -> str:
    return urllib.parse.quote(subject, safe="")
