"""What `matih doctor` asks of an API's environment."""

from __future__ import annotations

import asyncio
import os
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from matih_api.auth.fetching import NotFetched, fetch
from matih_api.auth.opening import is_open, open_mode_refusal
from matih_api.auth.settings import auth_settings
from matih_api.auth.signing_keys import NoKeys, read_keys
from matih_api.auth.token_file import TokensFileUnusable, read
from matih_api.guard.settings import limit_settings, quota_settings
from matih_api.settings import DEFAULT_TRACKING_URI, api_settings
from matih_console.checks import Finding
from matih_kafka.errors import InvalidSettings
from matih_kafka.following import TopicFollowing
from matih_kafka.gateway.address import gateway_url
from matih_kafka.settings import kafka_settings
from matih_kafka.tasks import end
from matih_schemas.topics import catalogue
from matih_tracking.reading.errors import NotReadable, ReadsUnavailable
from matih_tracking.reading.opening import open_reader

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matih_api.auth.settings import AuthSettings
    from matih_console.checks import Check

SECONDS: Final = 4.0
_LISTED: Final = "change that variable: docs/settings.md lists all of them"
_MAKE: Final = "`matih tenants create`, `matih tenants token`"


def checks() -> Mapping[str, Check]:
    """Settings, credentials, MLflow for reading, the events topic."""
    return {"API settings": _settings, "API credentials": _credentials, "API reads": _reads, "API events": _events}


def _settings() -> Finding:
    try:
        settings, auth = api_settings(), auth_settings()
        limit_settings()
        quota_settings()
    except InvalidSettings as error:
        return Finding("failed", str(error), _LISTED)
    where = f"{settings.host}:{settings.port}, {settings.processes} processes"
    refusal = open_mode_refusal(settings.host, auth.api_open) if is_open(auth) else None
    return Finding("ok", where) if refusal is None else Finding("failed", where, refusal)


def _credentials() -> Finding:
    """Who may get in: the tokens' file, the issuer's keys."""
    try:
        auth = auth_settings()
    except InvalidSettings as error:
        return Finding("skipped", str(error))
    if is_open(auth):
        state: Any = "ok" if auth.api_open == "loopback" else "warning"
        return Finding(state, "nobody has to log in", "" if state == "ok" else f"make tokens: {_MAKE}")
    try:
        return Finding("ok", "; ".join([*_tokens(auth), *_keys(auth)]))
    except TokensFileUnusable as error:
        return Finding("failed", str(error), f"mend it, or make a new one: {_MAKE}")
    except (NotFetched, NoKeys) as error:
        where = urlsplit(auth.api_jwks_url or "").hostname
        return Finding("failed", f"no keys from {where}: {error}", "is MATIH_API_JWKS_URL the issuer's `jwks_uri`?")


def _tokens(auth: AuthSettings) -> list[str]:
    if auth.api_tokens_file is None and not auth.tokens_path.exists():
        return []
    found = read(auth.tokens_path)[1]
    return [f"{len(found.tokens)} tokens for {len(found.tenants)} tenants in {auth.tokens_path}"]


def _keys(auth: AuthSettings) -> list[str]:
    if auth.api_jwks_url is None:
        return []
    return [f"{len(read_keys(fetch(auth.api_jwks_url)))} keys of {auth.api_jwt_issuer}"]


def _reads() -> Finding:
    try:
        settings = api_settings()
    except InvalidSettings as error:
        return Finding("skipped", str(error))
    if settings.tracking_uri == DEFAULT_TRACKING_URI:
        return Finding("skipped", "MATIH_API_TRACKING_URI is not set", "set it to MLflow's database, or its server")
    scheme = urlsplit(settings.tracking_uri).scheme.partition("+")[0]
    try:
        with closing(open_reader(settings.tracking_uri, SECONDS)) as reader:
            reader.check()
    except (ReadsUnavailable, NotReadable) as error:
        return Finding("failed", str(error), "writes are taken meanwhile; reads are answered with 503")
    by = "MLflow's server: slower than its database" if scheme.startswith("http") else "MLflow's tables"
    return Finding("ok", f"{scheme}, by {by}")


def _events() -> Finding:
    """Whether what others acknowledge can be seen: the events topic is followed to its end."""
    if gateway_url(os.environ) is not None:
        return Finding("skipped", "MATIH_API_URL names an API that does this")
    try:
        return asyncio.run(_follow())
    except InvalidSettings as error:
        return Finding("skipped", str(error))


async def _follow() -> Finding:
    kafka, group = kafka_settings(), api_settings().worker_group
    topic = catalogue(kafka.events_topic, kafka.events_partitions)[0]
    waiting = _Waiting()
    following = TopicFollowing(kafka, topic, group, waiting)
    task = asyncio.create_task(following.run())
    try:
        if not await following.connected(SECONDS):
            return Finding("skipped", following.problem or f"no answer of Kafka within {SECONDS:.0f} s")
        caught_up = await following.caught_up(SECONDS)
    finally:
        await end([task])
    found = f"{topic.name} is followed, {waiting.records} events are not applied by group {group}"
    if not caught_up:
        return Finding("warning", f"{found}, and more", "the API takes as long to start: is a worker running?")
    return Finding("ok", found)


class _Waiting:
    """Counts what the topic has beyond the workers."""

    def __init__(self) -> None:
        self.records = 0

    def take(self, partition: int, records: list[Any]) -> None:  # noqa: ARG002 - the contract's
        """See `Follower.take`."""
        self.records += len(records)

    def committed(self, partition: int, end: int) -> None:
        """See `Follower.committed`; what comes was not committed at the start."""

    def made_anew(self) -> None:
        """See `Follower.made_anew`: what was counted does not stand there any more."""
        self.records = 0
