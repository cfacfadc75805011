"""What `matih doctor` asks of a worker's environment."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import prometheus_client  # noqa: F401 - the extra is there, or the checks are skipped

from matih_console.checks import Finding
from matih_kafka.errors import BrokerUnavailable, InvalidSettings
from matih_kafka.groups import group
from matih_kafka.settings import kafka_settings
from matih_workers.audit.doctor import checks as audit
from matih_workers.settings import make_store, uses_sql, worker_settings
from matih_workers.stores.protocol import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matih_console.checks import Check

MANY: Final = 100_000


def checks() -> Mapping[str, Check]:
    """Settings, store, consumer group; the archive."""
    return {"worker settings": _settings, "store": _store, "workers": _workers, **audit()}


def _settings() -> Finding:
    try:
        settings = worker_settings()
        kind = "MLflow's tables" if uses_sql(settings) else "MLflow's API"
    except InvalidSettings as error:
        return Finding("failed", str(error), "change that variable: docs/settings.md lists all of them")
    return Finding("ok", f"group {settings.worker_group}, store {urlsplit(settings.store_uri).scheme}, by {kind}")


def _store() -> Finding:
    """Opens the store and tries a write that concerns no run."""
    try:
        store = make_store(worker_settings())
    except InvalidSettings as error:
        return Finding("skipped", str(error))
    try:
        store.open()
        store.probe()
    except StoreUnavailable as error:
        return Finding("failed", str(error), "docs/operating.md#the-store-is-down has a line for each reason")
    finally:
        store.close()
    return Finding("ok", "it answers and takes writes")


def _workers() -> Finding:
    settings, kafka = worker_settings(), kafka_settings()
    try:
        found = asyncio.run(group(kafka, settings.worker_group, kafka.events_topic))
    except BrokerUnavailable as error:
        return Finding("skipped", str(error))
    detail = f"{found.members} in group {settings.worker_group}, {found.lag} events wait"
    if not found.members and found.lag:
        return Finding("warning", detail, "start one: `matih worker`")
    if found.lag > MANY:
        return Finding("warning", detail, "docs/operating.md#mlflow-is-behind")
    return Finding("ok", detail)
