"""docker-compose.yml and the images' files against what they name: settings, commands, options, files."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from matih_api.app import create
from matih_api.auth.opening import is_open, open_mode_refusal
from matih_api.auth.settings import AuthSettings, auth_settings
from matih_api.guard.settings import LimitSettings, QuotaSettings
from matih_api.settings import ApiSettings, api_settings
from matih_console import commands
from matih_console.main import main
from matih_kafka.registry.settings import RegistrySettings
from matih_kafka.settings import KafkaSettings
from matih_local.apicurio import archive
from matih_workers.audit.settings import AuditSettings
from matih_workers.settings import WorkerSettings

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = [name for name, service in SERVICES.items() if service.get("image", "").startswith("matih-tracking")]
ONCE = {"topics"}
FOREIGN = {
    "kafka": r"KAFKA_[A-Z_]+",
    "schema-registry": r"APICURIO_(STORAGE_KIND|KAFKASQL_BOOTSTRAP_SERVERS)",
    "postgres": r"POSTGRES_(USER|DB|PASSWORD_FILE)",
    "minio": r"MINIO_ROOT_(USER|PASSWORD)_FILE",
    "mlflow": r"MATIH_PUBLIC_HOST|MLFLOW_(S3_ENDPOINT_URL|DISABLE_TELEMETRY|SERVER_ENABLE_JOB_EXECUTION)",
}
OF_COMPOSE = {"MATIH_PUBLIC_HOST", "MATIH_BIND", "MATIH_EVENTS_TOPIC", "MATIH_API_PROCESSES"} | {
    "MATIH_EVENTS_FRAMING",
    "SCHEMA_REGISTRY_URL",
}
CLASSES = (
    *(KafkaSettings, RegistrySettings, WorkerSettings, AuditSettings),
    *(ApiSettings, AuthSettings, LimitSettings, QuotaSettings),
)
PORTS = {"worker": "MATIH_WORKER_PORT", "api": "MATIH_API_PORT", "audit": "MATIH_AUDIT_PORT"}
GUIDE = (ROOT / "docs/guides/team-server.md").read_text(encoding="utf-8")


def settings() -> set[str]:
    """Every variable that the worker, the archiver, the API and the Kafka room read."""
    found = set()
    for kind in CLASSES:
        for name, field in kind.model_fields.items():
            alias = field.validation_alias
            own = f"{kind.model_config['env_prefix']}{name}".upper()
            choices = getattr(alias, "choices", [alias] if alias else [own])
            found |= {choice for choice in choices if str(choice).isupper()}
    return found


def test_the_services_are_those_of_the_guide() -> None:
    ours = {"topics", "worker", "api", "audit"}
    assert set(SERVICES) == {"kafka", "postgres", "minio", "mlflow", "schema-registry"} | ours
    assert [name for name, service in SERVICES.items() if "profiles" in service] == ["schema-registry"]
    assert set(OURS) == ours


@pytest.mark.parametrize("name", OURS)
def test_every_variable_of_ours_is_a_setting(name: str) -> None:
    assert set(SERVICES[name]["environment"]) <= settings()


@pytest.mark.parametrize("name", FOREIGN)
def test_every_other_variable_is_known_to_its_image(name: str) -> None:
    assert all(re.fullmatch(FOREIGN[name], variable) for variable in SERVICES[name]["environment"])


def test_what_the_file_asks_of_the_user_stands_in_the_guide() -> None:
    text = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    assert set(re.findall(r"(?<!\$)\$\{([A-Z_]+)", text)) == OF_COMPOSE
    assert all(f"| {variable} |" in GUIDE for variable in OF_COMPOSE)
    assert all(f"secrets/{name}" in GUIDE for name in COMPOSE["secrets"])


@pytest.mark.parametrize("name", SERVICES)
def test_images_are_pinned(name: str) -> None:
    _, colon, tag = SERVICES[name]["image"].rpartition(":")
    assert colon
    assert re.search(r"\d+\.\d+|\d{4}-\d\d-\d\d", tag)


@pytest.mark.parametrize("path", ["Dockerfile", "deploy/mlflow/Dockerfile"])
def test_the_images_are_built_of_pinned_ones_as_nobody_special(path: str) -> None:
    lines = (ROOT / path).read_text(encoding="utf-8").splitlines()
    assert all(
        re.fullmatch(r"FROM python:\d+\.\d+\.\d+-slim-\w+( AS \w+)?", line) for line in lines if "FROM " in line[:5]
    )
    assert any(re.fullmatch(r"USER \d{5}:\d{5}", line) for line in lines)
    assert any("--require-hashes" in line for line in lines)
    copied = [line.split()[1] for line in lines if line.startswith("COPY ") and "--from" not in line]
    assert all((ROOT / one).exists() for one in copied)
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8")
    assert all(one == "." or any(f"!{one}".startswith(kept) for kept in ignored.splitlines()[1:]) for one in copied)


def test_no_secret_stands_in_the_file() -> None:
    for name, service in SERVICES.items():
        for variable, value in service["environment"].items():
            if re.search("PASSWORD|SECRET|_KEY|STORE_URI|TRACKING_URI|ROOT_USER", variable):
                assert variable.endswith("_FILE"), (name, variable)
                assert value.startswith("/run/secrets/")
                assert Path(value).name in service["secrets"]
    assert all(str(secret["file"]).startswith("./secrets/") for secret in COMPOSE["secrets"].values())
    assert "secrets/" in (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("name", SERVICES)
def test_every_server_is_watched_and_restarted(name: str) -> None:
    service = SERVICES[name]
    if name in ONCE:
        assert service["restart"] == "no"
        return
    assert service["restart"] == "unless-stopped"
    assert service["healthcheck"]["test"]
    assert service["mem_limit"]
    for place in service.get("ports", []):
        assert place.startswith("${MATIH_BIND:-127.0.0.1}:")


def test_health_checks_ask_the_port_that_is_served() -> None:
    for name, variable in PORTS.items():
        port = SERVICES[name]["environment"][variable]
        assert f":{port}/healthz" in SERVICES[name]["healthcheck"]["test"][-1]
        assert [place.rpartition(":")[2] for place in SERVICES[name]["ports"]] == [port]
    assert "--port 5000" in SERVICES["mlflow"]["command"][0]
    assert ":5000/health'" in SERVICES["mlflow"]["healthcheck"]["test"][-1]


def test_what_depends_on_a_server_waits_for_its_health() -> None:
    for service in SERVICES.values():
        for other, how in service.get("depends_on", {}).items():
            wanted = "service_completed_successfully" if other in ONCE else "service_healthy"
            optional = {"required": False} if "profiles" in SERVICES[other] else {}
            assert how == {"condition": wanted, **optional}


def test_the_registry_is_the_release_that_the_tests_run_with() -> None:
    assert SERVICES["schema-registry"]["image"] == f"apicurio/apicurio-registry:{archive().version}"


@pytest.mark.parametrize("name", OURS)
def test_the_commands_are_ours(name: str) -> None:
    command, *rest = SERVICES[name]["command"]
    assert command in commands.known()
    assert main([command, *rest, "--help"]) == 0


def environment_of(name: str, kept: Path) -> dict[str, str]:
    """The service's variables with its own folder in place of the container's."""
    found = {key: str(value) for key, value in SERVICES[name]["environment"].items() if not str(value).startswith("$")}
    return {key: value.replace("/var/lib/matih", str(kept)) for key, value in found.items()}


def matih(words: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "matih_console.main", *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_the_api_does_not_start_without_tokens_and_the_guides_commands_make_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "store_uri"
    store.write_text("postgresql://mlflow:secret@postgres/mlflow")
    environment = environment_of("api", tmp_path) | {"MATIH_API_TRACKING_URI_FILE": str(store)}
    refused = matih(["api"], environment)
    assert refused.returncode == 2
    assert f"{tmp_path}/tokens.json" in refused.stderr
    told = re.findall(r"docker compose run --rm --no-deps (?:-T )?api (tenants [^)\n]+)", GUIDE)
    assert len(told) == 2
    for words in told:
        done = matih(words.split(), environment)
        assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"matih_[0-9a-f]{16}_\S{43}\n", done.stdout)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    settings = api_settings()
    assert settings.tracking_uri == store.read_text()
    assert not is_open(auth_settings())
    assert open_mode_refusal(settings.host, auth_settings().api_open) is not None  # had there been no tokens
    create()


@pytest.mark.soak
def test_mlflow_has_the_options() -> None:
    text = subprocess.run(
        [sys.executable, "-m", "mlflow", "server", "--help"], capture_output=True, text=True, check=True
    )
    options = re.findall(r"--[a-z-]+", SERVICES["mlflow"]["command"][0])
    assert options
    assert all(option in text.stdout for option in options)


def test_mlflow_is_the_release_that_the_tests_run_with() -> None:
    release = re.search(r"^mlflow==(\S+)", (ROOT / "requirements/dev.txt").read_text(encoding="utf-8"), re.MULTILINE)
    assert release is not None
    assert SERVICES["mlflow"]["image"] == f"matih-mlflow:{release[1]}"
    for lock in ("mlflow", "servers"):
        assert f"mlflow=={release[1]} " in (ROOT / f"requirements/{lock}.txt").read_text(encoding="utf-8")


def test_the_image_has_what_an_archive_in_a_bucket_needs() -> None:
    release = re.search(r"^s3fs==\S+ ", (ROOT / "requirements/dev.txt").read_text(encoding="utf-8"), re.MULTILINE)
    assert release is not None
    assert release[0] in (ROOT / "requirements/servers.txt").read_text(encoding="utf-8")


def test_volumes_and_secrets_that_are_used_are_declared() -> None:
    used = {place.partition(":")[0] for service in SERVICES.values() for place in service.get("volumes", [])}
    assert used == set(COMPOSE["volumes"])
    assert {secret for service in SERVICES.values() for secret in service.get("secrets", [])} == set(COMPOSE["secrets"])


def test_compose_itself_reads_the_file(tmp_path: Path) -> None:
    docker = shutil.which("docker")
    if docker is None or subprocess.run([docker, "compose", "version"], capture_output=True, check=False).returncode:
        pytest.skip("there is no `docker compose` here")
    done = subprocess.run(
        [docker, "compose", "-f", str(ROOT / "docker-compose.yml"), "config", "--quiet"],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "MATIH_PUBLIC_HOST": "host"},
    )
    assert done.returncode == 0, done.stderr
