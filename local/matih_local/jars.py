"""Jars and other Maven artifacts: named by a lock of coordinates and sha256, fetched once, checked before use."""

from __future__ import annotations

import hashlib
import os
import ssl
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from matih_local.errors import JarsMissing

LOCK: Final = Path(__file__).with_name("jars.lock")
KAFKAS: Final = "Kafka's jars"
_AT_ONCE: Final = 8
_ATTEMPTS: Final = 3
_TIMEOUT_SECONDS: Final = 20
_CHUNK_BYTES: Final = 1 << 17

Progress = Callable[[int], None]
"""Is told how many more bytes have come."""


@dataclass(frozen=True)
class Jar:
    """One line of the lock.

    Attributes:
        sha256: of the whole file, hexadecimal.
        size: in bytes.
        packaging: the file's ending.
        classifier: tells the artifacts of one version apart; empty for the main one.
    """

    group: str
    artifact: str
    version: str
    sha256: str
    size: int
    packaging: str = "jar"
    classifier: str = ""

    @property
    def file_name(self) -> str:
        """The file's name, here and in the repository."""
        classifier = f"-{self.classifier}" if self.classifier else ""
        return f"{self.artifact}-{self.version}{classifier}.{self.packaging}"

    @property
    def repository_path(self) -> str:
        """Where a Maven repository keeps it."""
        return f"{self.group.replace('.', '/')}/{self.artifact}/{self.version}/{self.file_name}"


def read_lock(text: str) -> tuple[Jar, ...]:
    """The jars that a lock names: lines of `group:artifact:version sha256 bytes`; `#` begins a comment.

    As in Maven, `:packaging:classifier` may follow the version.
    """
    return tuple(_read_line(line) for line in text.splitlines() if line and not line.startswith("#"))


def _read_line(line: str) -> Jar:
    coordinate, sha256, size = line.split()
    group, artifact, version, *kind = coordinate.split(":")
    return Jar(group, artifact, version, sha256, int(size), *kind)


def locked_jars() -> tuple[Jar, ...]:
    """The jars that this release runs Kafka from."""
    return read_lock(LOCK.read_text())


@dataclass(frozen=True)
class JarCache:
    """Jars in a folder, each under its own sha256, so that releases and processes share it without harm."""

    folder: Path

    def path(self, jar: Jar) -> Path:
        """Where the jar is, or will be."""
        return self.folder / "jars" / jar.sha256 / jar.file_name

    def missing(self, jars: Iterable[Jar]) -> tuple[Jar, ...]:
        """Those that are not here, or are not what the lock says: every byte is checked."""
        return tuple(jar for jar in jars if not self._is_right(jar))

    def fetch(self, jars: Iterable[Jar], repository: str, progress: Progress = lambda _: None) -> None:
        """Brings jars here, several at a time; a jar shows up under its name only when it is whole and right.

        Raises:
            JarsMissing: one could not be fetched or was not what the lock says. The others may have come.
        """
        context = _tls_context()
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            running = [pool.submit(self._fetch_one, jar, repository, context, progress) for jar in jars]
            for done in as_completed(running):
                if done.exception() is not None:
                    pool.shutdown(wait=False, cancel_futures=True)
                done.result()

    def _is_right(self, jar: Jar) -> bool:
        path = self.path(jar)
        return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == jar.sha256

    def _fetch_one(self, jar: Jar, repository: str, context: ssl.SSLContext, progress: Progress) -> None:
        target = self.path(jar)
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, partial = tempfile.mkstemp(dir=target.parent, prefix=".partial-")
        os.close(handle)
        try:
            found = _download(f"{repository.rstrip('/')}/{jar.repository_path}", Path(partial), context, progress)
            if found != jar.sha256:
                raise JarsMissing(
                    f"{jar.file_name} from {repository} is not what the lock names (sha256 {found[:12]}..., wanted "
                    f"{jar.sha256[:12]}...): it was thrown away; look at the repository in MATIH_MAVEN_REPO"
                )
            Path(partial).replace(target)
        finally:
            Path(partial).unlink(missing_ok=True)


def class_path(cache: JarCache) -> str:
    """What `java -cp` takes, after a check of every jar.

    Raises:
        JarsMissing: some are not here yet.
    """
    jars = locked_jars()
    if absent := cache.missing(jars):
        raise JarsMissing(missing_message(absent, jars, cache.folder, "nothing has fetched them yet", KAFKAS))
    return os.pathsep.join(str(cache.path(jar)) for jar in jars)


def ensure_jars(
    cache: JarCache,
    repository: str | None = None,
    progress: Progress = lambda _: None,
    *,
    jars: tuple[Jar, ...] | None = None,
    what: str = KAFKAS,
) -> None:
    """Fetches what is missing.

    Args:
        cache: where jars are kept.
        repository: address of a Maven repository; MATIH_MAVEN_REPO, else Maven Central.
        progress: is told of every piece that has come.
        jars: which; None for Kafka's.
        what: they are, for people.

    Raises:
        JarsMissing: they could not be had; the message is one line with the reason and the remedy.
    """
    jars = locked_jars() if jars is None else jars
    if not (absent := cache.missing(jars)):
        return
    address = repository or maven_repository()
    try:
        cache.fetch(absent, address, progress)
    except OSError as error:
        raise JarsMissing(
            missing_message(cache.missing(absent), jars, cache.folder, _reason(error, address), what)
        ) from error


def _reason(error: OSError, address: str) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"{error.url} answered {error.code}"
    return f"{address} does not answer ({getattr(error, 'reason', None) or error})"


def maven_repository() -> str:
    """The repository's address: MATIH_MAVEN_REPO, else the one that jgo knows."""
    if address := os.environ.get("MATIH_MAVEN_REPO"):
        return address
    from jgo.constants import MAVEN_CENTRAL_URL

    return str(MAVEN_CENTRAL_URL)


def missing_message(absent: tuple[Jar, ...], jars: tuple[Jar, ...], folder: Path, reason: str, what: str) -> str:
    """One line: what is missing, why, and what to do."""
    megabytes = sum(jar.size for jar in absent) / 1e6
    return (
        f"{what} are missing: {len(absent)} of {len(jars)} ({megabytes:.0f} MB) are not in {folder}, "
        f"and {reason}: "
        "run this again once with a network, or set MATIH_MAVEN_REPO to a Maven repository that can be reached, "
        "or MATIH_CACHE_DIR to a cache that has them"
    )


def _tls_context() -> ssl.SSLContext:
    """The system's own trust, so that a private CA counts without any environment variable."""
    import truststore

    return truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _download(url: str, into: Path, context: ssl.SSLContext, progress: Progress) -> str:
    """Writes a URL's content into a file and returns its sha256; tries a few times."""
    for attempt in range(1, _ATTEMPTS + 1):
        received = 0
        try:
            digest = hashlib.sha256()
            request = urllib.request.urlopen(url, context=context, timeout=_TIMEOUT_SECONDS)  # noqa: S310 (the user's own repository)
            with request as response, into.open("wb") as file:
                while chunk := response.read(_CHUNK_BYTES):
                    digest.update(chunk)
                    received += file.write(chunk)
                    progress(len(chunk))
            return digest.hexdigest()
        except OSError as error:
            progress(-received)
            refused = isinstance(error, urllib.error.HTTPError) and error.code < 500
            if refused or attempt == _ATTEMPTS:
                raise
            time.sleep(0.3 * attempt)
    raise AssertionError("unreachable")
