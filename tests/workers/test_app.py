"""Faust's settings are those of the pattern that loses nothing; a change of one of them is a change of that promise."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any, cast

import pytest
from mode import CrashingSupervisor

from matih_kafka.settings import KafkaSettings
from matih_workers.app import build_app
from matih_workers.lanes import Lanes
from matih_workers.settings import WorkerSettings

if TYPE_CHECKING:
    from pathlib import Path

    from matih_workers.ingest import Ingest


def built(folder: Path, **kafka: object) -> Any:
    settings = KafkaSettings(**kafka)  # type: ignore[arg-type]
    return build_app(WorkerSettings(), settings, cast("Ingest", None), Lanes(), folder, lambda _: None)


def test_the_settings_of_the_pattern(tmp_path: Path) -> None:
    conf = built(tmp_path).conf
    assert conf.agent_supervisor is CrashingSupervisor
    assert (conf.stream_wait_empty, conf.topic_allow_declare, conf.topic_disable_leader) == (False, False, True)
    assert str(conf.processing_guarantee) == "ProcessingGuarantee.AT_LEAST_ONCE"
    assert min(conf.broker_max_poll_interval, conf.stream_processing_timeout) >= 24 * 60 * 60
    assert (conf.broker_session_timeout, conf.broker_heartbeat_interval) == (6.0, 1.2)
    assert (conf.stream_buffer_maxsize, conf.broker_max_poll_records) == (8, 64)
    assert str(conf.datadir).startswith(str(tmp_path))


def test_no_application_lives_in_the_module(tmp_path: Path) -> None:
    assert built(tmp_path) is not built(tmp_path)


def test_several_brokers(tmp_path: Path) -> None:
    app = built(tmp_path, bootstrap_servers="a:1, b:2")
    assert [str(url) for url in app.conf.broker] == ["kafka://a:1", "kafka://b:2"]


@pytest.mark.parametrize(
    ("protocol", "expected", "encrypted"),
    [
        ("PLAINTEXT", None, False),
        ("SSL", "SSL", True),
        ("SASL_PLAINTEXT", "SASL_PLAINTEXT", False),
        ("SASL_SSL", "SASL_SSL", True),
    ],
)
def test_credentials(tmp_path: Path, protocol: str, expected: str | None, encrypted: bool) -> None:
    mechanism = {"sasl_mechanism": "SCRAM-SHA-256", "sasl_username": "u", "sasl_password": "p"}
    credentials = built(tmp_path, security_protocol=protocol, **mechanism).conf.broker_credentials
    if expected is None:
        assert credentials is None
        return
    assert credentials.protocol.value == expected
    context = getattr(credentials, "context", None) or getattr(credentials, "ssl_context", None)
    assert isinstance(context, ssl.SSLContext) == encrypted
    if protocol.startswith("SASL"):
        assert (credentials.username, credentials.password, credentials.mechanism.value) == ("u", "p", "SCRAM-SHA-256")
