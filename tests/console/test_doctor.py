"""`matih doctor`: every check on real servers, in order and out of order."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import threading
from contextlib import closing
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from tests.api.auth.issuer import AUDIENCE, ISSUER, Issuer, jwk

from matih_api.auth.editing import with_tenant
from matih_api.auth.token_file import change
from matih_api.doctor import checks as api_checks
from matih_console import checks
from matih_console.checks import Finding
from matih_local import mlflow_schema
from matih_workers.audit import notes

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

NAMES = [
    "SDK settings",
    "spool",
    "delivery",
    "MLflow",
    "Kafka settings",
    "Kafka",
    "topics",
    "API settings",
    "API credentials",
    "API reads",
    "API events",
    "worker settings",
    "store",
    "workers",
    "archive",
    "archive key",
    "archiver",
]


def doctor(code: int, **environment: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "matih_console.main", "doctor", "--json", "--timeout", "60"],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
    report = json.loads(done.stdout)
    assert list(report["checks"]) == NAMES
    assert "s3cret" not in done.stdout + done.stderr
    return report  # type: ignore[no-any-return]


def states(report: dict[str, Any], *but: str) -> set[str]:
    return {name for name, finding in report["checks"].items() if finding["state"] in but}


def test_all_is_well(kafka: str, events_topic: str, mlflow_url: str, tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    mlflow_schema.main(uri)
    report = doctor(
        0,
        KAFKA_BOOTSTRAP_SERVERS=kafka,
        MATIH_EVENTS_TOPIC=events_topic,
        MLFLOW_TRACKING_URI=mlflow_url,
        MATIH_STORE_URI=uri,
        MATIH_SPOOL_DIR=str(tmp_path / "spool"),
        MATIH_HOME=str(tmp_path),
        MATIH_API_TRACKING_URI=uri,
        MATIH_AUDIT_ARCHIVE=str(tmp_path / "archive"),
        MATIH_AUDIT_KEY_FILE=str(new_key(tmp_path)),
    )
    assert {name: finding for name, finding in report["checks"].items() if finding["state"] != "ok"} == {}
    assert report["checks"]["archiver"]["detail"] == "0 records wait"
    assert states(report, "failed", "skipped") == set()
    assert "0 events wait" in report["checks"]["workers"]["detail"]
    assert {name: finding["detail"] for name, finding in report["checks"].items() if name.startswith("API")} == {
        "API settings": "127.0.0.1:8080, 1 processes",
        "API credentials": "nobody has to log in",
        "API reads": "sqlite, by MLflow's tables",
        "API events": f"{events_topic} is followed, 0 events are not applied by group matih-ingest",
    }


def new_key(folder: Path) -> Path:
    file = folder / "audit.key"
    file.touch(mode=0o600)
    file.write_text(notes.new_key("test/audit").secret())
    return file


def test_nothing_is_there(tmp_path: Path) -> None:
    spool = tmp_path / "file"
    spool.write_text("in the folder's place")
    report = doctor(
        1,
        KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:1",
        KAFKA_SECURITY_PROTOCOL="SASL_PLAINTEXT",
        KAFKA_SASL_USERNAME="ada",
        KAFKA_SASL_PASSWORD="s3cret",
        MLFLOW_TRACKING_URI="http://127.0.0.1:1",
        MATIH_STORE_URI="postgresql://u:s3cret@127.0.0.1:1/x",
        MATIH_SPOOL_DIR=str(spool),
        MATIH_MODE="sideways",
        MATIH_API_HOST="0.0.0.0",
        MATIH_API_TRACKING_URI="postgresql://u:s3cret@127.0.0.1:1/x",
        MATIH_API_TOKENS_FILE=str(tmp_path / "no" / "tokens.json"),
        MATIH_AUDIT_ARCHIVE=str(spool),
        MATIH_AUDIT_KEY_FILE=str(tmp_path / "no" / "key"),
    )
    failed = {
        *("SDK settings", "spool", "MLflow", "Kafka", "store", "API credentials", "API reads"),
        *("archive", "archive key"),
    }
    assert states(report, "failed") == failed
    assert states(report, "warning") == {"Kafka settings"}
    assert all(report["checks"][name]["remedy"] for name in states(report, "failed", "warning"))


def test_wrong_settings_topics_and_tables(kafka: str, tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    mlflow_schema.main(uri)
    engine = sa.create_engine(uri)
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = 'ffffffffffff'"))
    engine.dispose()
    report = doctor(
        1,
        KAFKA_BOOTSTRAP_SERVERS=kafka,
        MATIH_EVENTS_TOPIC=f"missing.{secrets.token_hex(4)}",
        MATIH_STORE_URI=uri,
        MATIH_SPOOL_DIR=str(tmp_path / "spool"),
    )
    assert states(report, "failed") == {"topics", "store"}
    assert "ffffffffffff" in report["checks"]["store"]["detail"]
    wrong = doctor(
        1,
        KAFKA_SECURITY_PROTOCOL="MAGIC",
        MATIH_STORE="sql",
        MATIH_STORE_URI="mysql://x",
        MATIH_HOME=str(tmp_path),
        MATIH_API_HOST="0.0.0.0",
    )
    assert {"Kafka settings", "worker settings", "API settings"} <= states(wrong, "failed")
    assert "MATIH_API_OPEN=anywhere" in wrong["checks"]["API settings"]["remedy"]


def test_an_apis_tokens_and_issuer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MATIH_API_TOKENS_FILE", str(tmp_path / "tokens.json"))
    change(tmp_path / "tokens.json", lambda file: with_tenant(file, "churn", datetime.now(timezone.utc)))
    assert api_checks()["API credentials"]().detail == f"0 tokens for 1 tenants in {tmp_path / 'tokens.json'}"
    monkeypatch.setenv("MATIH_API_JWT_ISSUER", ISSUER)
    monkeypatch.setenv("MATIH_API_JWT_AUDIENCE", AUDIENCE)
    with closing(Issuer()) as issuer:
        monkeypatch.setenv("MATIH_API_JWKS_URL", issuer.url)
        issuer.document = {"keys": [jwk("one"), jwk("two")]}
        assert api_checks()["API credentials"]().detail.endswith(f"; 2 keys of {ISSUER}")
        issuer.document = {"keys": []}
        found = api_checks()["API credentials"]()
    assert (found.state, found.remedy) == ("failed", "is MATIH_API_JWKS_URL the issuer's `jwks_uri`?")
    monkeypatch.setenv("MATIH_API_URL", "https://tracking.example.org")
    monkeypatch.setenv("MATIH_API_TOKEN", "t0ken")
    assert api_checks()["API events"]().state == "skipped"


def test_a_check_that_hangs_or_breaks_is_a_finding() -> None:
    def breaks() -> Finding:
        raise ValueError("two\nlines")

    found = checks.run({"hangs": threading.Event().wait, "breaks": breaks, "works": lambda: Finding("ok", "")}, 0.2)  # type: ignore[dict-item]
    assert {name: finding.state for name, finding in found.items()} == {
        "hangs": "failed",
        "breaks": "failed",
        "works": "ok",
    }
    assert found["breaks"].detail == "ValueError: two lines"
