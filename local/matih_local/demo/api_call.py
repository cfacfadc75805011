"""One call of the REST API, as a user would make it with curl, and what came of it."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any, Final

SECONDS: Final = 10


@dataclass(frozen=True)
class ApiCall:
    """A call that was made.

    Attributes:
        command: what to type to make it again.
        answer: the JSON that came; None if none did.
        problem: why the answer is not what it should be.
    """

    command: str
    answer: Any
    problem: str | None

    @property
    def shown(self) -> str:
        """The answer on one line."""
        return "no answer" if self.answer is None else json.dumps(self.answer, separators=(",", ":"))


def find_experiment(api: str, name: str) -> ApiCall:
    """Asks for the experiment with this name, by curl where it is installed."""
    url = f"{api}/api/v1/experiments?search={name}"
    command = f"curl -s {shlex.quote(url)}"
    answer = parsed(_by_curl(url) if shutil.which("curl") else _by_urllib(url))
    return ApiCall(command, answer, problem_of(answer, name))


def problem_of(answer: Any, name: str) -> str | None:
    """Why this is not a list with the experiment alone; None if it is. Pure."""
    found = answer.get("experiments") if isinstance(answer, dict) else None
    names = [one.get("name") for one in found] if isinstance(found, list) else None
    return None if names == [name] else f"the API's answer should have experiment {name} alone, and has {names}"


def parsed(text: bytes) -> Any:
    """The JSON in an answer, None without one. Pure."""
    try:
        return json.loads(text)
    except ValueError:
        return None


def _by_curl(url: str) -> bytes:
    # No proxy leads to this machine.
    environment = {**os.environ, "no_proxy": "127.0.0.1", "NO_PROXY": "127.0.0.1"}
    command = ["curl", "-s", "--max-time", str(SECONDS), url]
    return subprocess.run(command, env=environment, capture_output=True, check=False).stdout


def _by_urllib(url: str) -> bytes:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=SECONDS) as answer:
            body: bytes = answer.read()
    except urllib.error.HTTPError as error:
        body = error.read()
    except OSError:
        body = b""
    return body
