"""Writes docs/api.md from the OpenAPI document: `python tools/api_page.py`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

from matih_api.app import build
from matih_api.auth.principal import ANYBODY, Principal
from matih_api.settings import ApiSettings
from matih_kafka.settings import KafkaSettings

PAGE = Path(__file__).resolve().parent.parent / "docs" / "api.md"
HEAD = """# The REST API

`matih api` serves it; `/openapi.json` is the same as a document for programs, `/docs` for browsers. This page is made
from it by `python tools/api_page.py`.

- Errors are `application/problem+json` (RFC 9457) with `type`, `title`, `status`, `detail`, `instance`, `request_id`
  and `errors` (`loc`, `msg`): what each status means is below.
- A write is durable on Kafka before it is answered. A creation is `201` if MLflow shows it within 2 s, else `202` with
  the same body. Reads show what was acknowledged, on any replica. `Idempotency-Key` makes any write happen once.
- Where people log in, each call needs `Authorization: Bearer TOKEN`; a server in open mode asks for none.
- The tenant is the credential's, else `X-Tenant-ID`, else `?tenant_id=`. All calls take these and `Idempotency-Key`.
- Times in answers are RFC 3339 in UTC, times that are sent are milliseconds since the epoch, durations are seconds.
  NaN and the infinities are the texts `"NaN"`, `"Infinity"` and `"-Infinity"`.
- What was made is at the answer's `Location`; 429 and 503 say in `Retry-After` after how many seconds to try again.
- `last_updated` is MLflow's: it moves when an experiment is renamed, deleted or restored.
"""
ERRORS = 400
COMMON = {"tenant_id", "x-tenant-id", "idempotency-key"}
Schemas = dict[str, Any]


def document() -> dict[str, Any]:
    """The OpenAPI document; nothing is connected for it."""

    class Nobody:
        async def authenticate(self, _authorization: str | None) -> Principal:
            return ANYBODY

    return build(ApiSettings(), KafkaSettings(), Nobody()).openapi()


def type_of(schema: dict[str, Any], schemas: Schemas) -> str:
    """A type in few words."""
    if "$ref" in schema:
        return type_of(schemas[schema["$ref"].rpartition("/")[2]], schemas)
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(type_of(one, schemas) for one in schema["anyOf"]))
    if "enum" in schema:
        return " or ".join(f"`{one}`" for one in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {type_of(schema['items'], schemas)}"
    if schema.get("type") == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"object of {type_of(schema['additionalProperties'], schemas)}"
    limits = [f"{word} {schema[key]}" for key, word in LIMITS.items() if key in schema]
    return ", ".join([str(schema.get("type", "any")), *limits])


LIMITS = {"minLength": "length from", "maxLength": "length to", "minimum": "from", "maximum": "to"}


def field_rows(schema: dict[str, Any], schemas: Schemas) -> list[str]:
    """The fields of a body."""
    if "$ref" in schema:
        return field_rows(schemas[schema["$ref"].rpartition("/")[2]], schemas)
    for one in schema.get("anyOf", ()):
        if "$ref" in one:
            return field_rows(one, schemas)
    required = schema.get("required", ())
    return [
        row(f"`{name}`", "body", type_of(one, schemas), "yes" if name in required else default(one), "")
        for name, one in schema.get("properties", {}).items()
    ]


def default(schema: dict[str, Any]) -> str:
    """What holds without a value."""
    return f"`{json.dumps(schema['default'])}`" if schema.get("default") is not None else "no"


def row(*cells: str) -> str:
    """A row of a table."""
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def inputs(operation: dict[str, Any], schemas: Schemas) -> list[str]:
    """The table of parameters and fields."""
    rows = [
        row(
            f"`{one['name']}`",
            one["in"],
            type_of(one["schema"], schemas),
            "yes" if one.get("required") else default(one["schema"]),
            one.get("description", ""),
        )
        for one in operation.get("parameters", ())
        if one["name"] not in COMMON
    ]
    for media, content in operation.get("requestBody", {}).get("content", {}).items():
        if media == "application/json":
            rows += field_rows(content["schema"], schemas)
        else:
            rows.append(row("the body", "body", f"`{media}`", "yes", operation["requestBody"].get("description", "")))
    return ["| name | in | type | needed, or default | meaning |", "|---|---|---|---|---|", *rows, ""] if rows else []


def curl(method: str, path: str, operation: dict[str, Any]) -> list[str]:
    """The call as a shell makes it."""
    for one in operation.get("parameters", ()):
        if one["in"] == "path":
            path = path.replace("{" + one["name"] + "}", quote(one["example"]))
    parts = [f"curl -X {method.upper()} $MATIH_API_URL{path}"]
    if operation.get("security"):
        parts.append('  -H "Authorization: Bearer $MATIH_API_TOKEN"')
    for media, content in operation.get("requestBody", {}).get("content", {}).items():
        body = f"'{json.dumps(content['example'])}'" if "example" in content else "@batch"
        parts.append(f"  -H 'Content-Type: {media}' {'-d' if 'example' in content else '--data-binary'} {body}")
    return ["```sh", " \\\n".join(parts), "```", ""]


def answers(operation: dict[str, Any]) -> list[str]:
    """The good answers with their examples, and the statuses of the others."""
    lines: list[str] = []
    good = {status: one for status, one in operation["responses"].items() if int(status) < ERRORS}
    example = next(iter(good.values())).get("content", {}).get("application/json", {}).get("example")
    lines += [f"Answers {' or '.join(sorted(good))}{':' if example else '.'}", ""]
    if example:
        lines += ["```json", json.dumps(example, indent=2), "```", ""]
    problems = sorted(status for status in operation["responses"] if int(status) >= ERRORS)
    return [*lines, f"Problems: {', '.join(problems)}.", ""] if problems else lines


def section(method: str, path: str, operation: dict[str, Any], schemas: Schemas) -> str:
    """One operation."""
    lines = [f"## {method.upper()} {path}", "", operation["description"], ""]
    lines += [*curl(method, path, operation), *inputs(operation, schemas), *answers(operation)]
    return "\n".join(lines)


def problems(found: dict[str, Any]) -> str:
    """What each status of an error means."""
    told: dict[str, str] = {}
    for item in found["paths"].values():
        for operation in item.values():
            for status, answer in operation["responses"].items():
                if int(status) >= ERRORS and "events" not in operation["tags"]:
                    told.setdefault(status, answer["description"])
    rows = [row(status, told[status]) for status in sorted(told)]
    return "\n".join(["## Problems", "", "| status | meaning |", "|---|---|", *rows, ""])


def page() -> str:
    """The whole page."""
    found = document()
    schemas = found["components"]["schemas"]
    parts = [
        section(method, path, operation, schemas)
        for path, item in found["paths"].items()
        for method, operation in item.items()
    ]
    return "\n".join([HEAD, *parts, problems(found)])


if __name__ == "__main__":
    PAGE.write_text(page())
