"""The guide's commands, in its order, on the real API, answered as the guide says; and the README's curl line."""

from __future__ import annotations

import json
import re
import secrets
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from tests.waiting import until

if TYPE_CHECKING:
    from matih_local.system import LocalSystem

ROOT = Path(__file__).resolve().parents[2]
GUIDE = (ROOT / "docs" / "guides" / "rest-api.md").read_text()
README = (ROOT / "README.md").read_text()
STEP = re.compile(r"```sh\n(.*?)```\n(?:\nAnswered with (\d{3})[^\n]*:\n\n```json\n(.*?)```\n)?", re.DOTALL)
ID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}|[0-9a-f]{32}")
OF_THE_MOMENT = {
    "duration_seconds": (int, float),
    "created_at": str,
    "last_updated": str,
    "start_time": str,
    "end_time": str,
    "timestamp": str,
    "artifact_location": str,
    "url": (str, type(None)),  # null until MLflow shows the run
}
LATER = {201: {201, 202}, 200: {200, 202}}
"""A slow machine may make a creation, or what is waited for, a 202."""


class Step(NamedTuple):
    command: str
    status: int
    answer: Any


def steps() -> tuple[str, list[Step]]:
    """What all commands begin with, and the commands."""
    (first, _, _), *rest = STEP.findall(GUIDE)
    return first, [Step(command, int(status), json.loads(answer)) for command, status, answer in rest]


class Ids:
    """The guide's ids, and those that the API has given in their place."""

    def __init__(self) -> None:
        self._ours: dict[str, str] = {}

    def put_into(self, text: str) -> str:
        return ID.sub(lambda found: self._ours.get(found[0], found[0]), text)

    def learn(self, told: Any, got: Any) -> None:
        """Ids stand at the same places in both."""
        if isinstance(told, dict) and isinstance(got, dict):
            for key in told.keys() & got.keys():
                self.learn(told[key], got[key])
        elif isinstance(told, str) and isinstance(got, str) and ID.fullmatch(told) and ID.fullmatch(got):
            self._ours.setdefault(told, got)


def shape(value: Any, key: str = "") -> Any:
    """The value without what is of the moment."""
    if isinstance(value, dict):
        return {name: shape(one, name) for name, one in value.items()}
    if isinstance(value, list):
        return [shape(one) for one in value]
    if key in OF_THE_MOMENT and (value is not None or key == "url"):
        assert isinstance(value, OF_THE_MOMENT[key]), (key, value)
        return key
    return value


def run(line: str, environment: dict[str, str]) -> tuple[int, Any]:
    """The status and the body of the one answer."""
    done = subprocess.run(["sh", "-euc", line], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    body, _, status = done.stdout.rpartition("\n")
    return int(status), json.loads(body)


@pytest.fixture(scope="module")
def environment(local_system: LocalSystem) -> dict[str, str]:
    local_system.start("mlflow", "worker", "api")
    return {
        "MATIH_API_URL": local_system.api.url,
        "MATIH_API_TOKEN": "none-is-needed-here",
        "MATIH_TENANT": f"guide-{secrets.token_hex(4)}",
        "PATH": "/usr/bin:/bin",
    }


def test_every_command_is_answered_as_the_guide_says(environment: dict[str, str]) -> None:
    first, told = steps()
    first = first.replace("curl -sS ", r"curl -sS -w '\n%{http_code}' ")
    assert len(told) == GUIDE.count("```sh") - 1 == GUIDE.count("```json") > 10
    ids = Ids()
    for step in told:
        line = ids.put_into(step.command)

        def answered(step: Step = step, line: str = line) -> tuple[Any, Any] | None:
            status, got = run(f"{first}\n{line}", environment)
            assert status in LATER.get(step.status, {step.status}), (line, got)
            ids.learn(step.answer, {**got, "request_id": step.answer.get("request_id")})
            wanted = json.loads(ids.put_into(json.dumps(step.answer)))
            got |= {"request_id": wanted["request_id"]} if "request_id" in wanted else {}
            return (shape(wanted), shape(got)) if shape(wanted) == shape(got) or writes(line) else None

        # What is read may still be on its way to MLflow where the answer is made of its tables (compare, histories).
        wanted, got = until(answered, f"the guide's answer to {line}")
        assert wanted == got


def writes(line: str) -> bool:
    return ("-d '" in line or "-X POST" in line) and "/compare" not in line


def test_the_same_key_answers_the_same(environment: dict[str, str]) -> None:
    first, told = steps()
    first = first.replace("curl -sS ", r"curl -sS -w '\n%{http_code}' ")
    again = [run(f"{first}\n{told[0].command}", environment) for _ in range(2)]
    assert again[0] == again[1]
    assert again[0][0] in (201, 202)


def test_the_readmes_curl_line(environment: dict[str, str]) -> None:
    (line,) = re.findall(r"```sh\n(curl .*?)```", README, re.DOTALL)
    status, got = run(line.replace("curl ", r"curl -w '\n%{http_code}' ", 1), environment)
    assert status in (201, 202)
    assert got["name"] == re.findall(r'"name": "(.*?)"', line)[0]
