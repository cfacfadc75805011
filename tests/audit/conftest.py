"""An archive of a topic of its own, on the real broker."""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING, NamedTuple

import pytest
from tests.audit.test_recovery import KEY
from tests.audit.world import World

from matih_workers.audit.storage import LocalFolder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class S3Bucket(NamedTuple):
    """A bucket that keeps versions, and its address."""

    name: str

    @property
    def place(self) -> str:
        return f"s3://{self.name}"


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """The endpoint of an S3 server, in this process."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3_bucket(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> S3Bucket:
    """A bucket with Object Lock, and the environment that reaches it."""
    import boto3

    for name, value in {
        "AWS_ENDPOINT_URL": s3_server,
        "AWS_ACCESS_KEY_ID": "archiver",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    bucket = S3Bucket(f"archive-{secrets.token_hex(4)}")
    boto3.client("s3").create_bucket(Bucket=bucket.name, ObjectLockEnabledForBucket=True)
    return bucket


@pytest.fixture
def world(kafka: str, events_topic: str, tmp_path: Path) -> Iterator[World]:
    """The archiver is started by the test."""
    world = World(kafka, events_topic, tmp_path)
    yield world
    world.close()


@pytest.fixture
def storage(tmp_path: Path) -> LocalFolder:
    """Where no Kafka is configured."""
    (tmp_path / "key").write_text(KEY.secret())
    os.environ["MATIH_AUDIT_KEY_FILE"] = str(tmp_path / "key")
    del os.environ["KAFKA_BOOTSTRAP_SERVERS"]
    return LocalFolder(tmp_path / "archive")
