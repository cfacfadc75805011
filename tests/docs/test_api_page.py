"""The API's page is what its OpenAPI document says, and that is complete."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from matih_api.auth.principal import ANYBODY
from matih_api.gateway import checked
from matih_schemas.event_batch import CONTENT_TYPE, PATH

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

import api_page  # noqa: E402

EVERYWHERE = {"401", "403", "405", "429", "503"}
OPERATING = {"/healthz", "/readyz", "/metrics"}


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return api_page.document()


def operations(document: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [
        (f"{method} {path}", one)
        for path, item in document["paths"].items()
        if path not in OPERATING
        for method, one in item.items()
    ]


def test_the_page_is_made_from_the_document() -> None:
    assert api_page.PAGE.read_text() == api_page.page(), "run: python tools/api_page.py"


def test_every_operation_has_an_example_of_its_body_and_answers(document: dict[str, Any]) -> None:
    missing = []
    for name, operation in operations(document):
        contents = [operation.get("requestBody", {}).get("content", {})]
        contents += [answer.get("content", {}) for status, answer in operation["responses"].items() if status < "300"]
        missing += [
            name
            for content in contents
            if "application/json" in content and not content["application/json"].get("example")
        ]
        missing += [name for one in operation.get("parameters", ()) if one["in"] == "path" and not one.get("example")]
    assert len(operations(document)) > 20
    assert missing == []


def test_every_operation_has_its_problem_answers_documented(document: dict[str, Any]) -> None:
    for name, operation in operations(document):
        problems = {status: answer for status, answer in operation["responses"].items() if status >= "400"}
        assert set(problems) >= EVERYWHERE, name
        assert ("{" in name) <= ("404" in problems), name
        for status, answer in problems.items():
            assert list(answer["content"]) == ["application/problem+json"], (name, status)
            assert answer["content"]["application/problem+json"]["schema"], (name, status)
            assert answer["description"], (name, status)


def test_every_operation_says_what_it_does(document: dict[str, Any]) -> None:
    for name, operation in operations(document):
        assert len(operation["description"]) > 10, name


def test_who_may_call_is_said_of_every_operation_but_the_operating_ones(document: dict[str, Any]) -> None:
    scheme = document["components"]["securitySchemes"]["bearer"]
    assert (scheme["type"], scheme["scheme"]) == ("http", "bearer")
    for path, item in document["paths"].items():
        for method, operation in item.items():
            wanted = None if path in OPERATING else [{"bearer": []}]
            assert operation.get("security") == wanted, (method, path)
    for name, operation in operations(document):
        assert "WWW-Authenticate" in operation["responses"]["401"]["headers"], name


def test_headers_that_clients_act_on_are_documented(document: dict[str, Any]) -> None:
    made = [name for name, operation in operations(document) if "201" in operation["responses"]]
    assert len(made) == 3
    for name, operation in operations(document):
        headers = {status: answer.get("headers", {}) for status, answer in operation["responses"].items()}
        assert "Retry-After" in headers["429"], name
        assert "Retry-After" in headers["503"], name
        for status in ("201", "202") if name in made else ():
            assert "Location" in headers[status], name


def test_the_examples_of_a_batch_of_events_are_taken(document: dict[str, Any]) -> None:
    content = document["paths"][PATH]["post"]["requestBody"]["content"][CONTENT_TYPE]
    sent = {name: checked(one["value"].encode("latin-1"), ANYBODY) for name, one in content["examples"].items()}
    assert {name: [event.kind for event in events] for name, events in sent.items()} == {
        "nothing": [],
        "run": ["RunCreated"],
    }


def test_not_being_ready_is_a_problem_and_being_it_has_a_schema(document: dict[str, Any]) -> None:
    answers = document["paths"]["/readyz"]["get"]["responses"]
    assert answers["200"]["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Ready"}
    assert answers["503"]["content"] == {
        "application/problem+json": {"schema": {"$ref": "#/components/schemas/ProblemOut"}}
    }
