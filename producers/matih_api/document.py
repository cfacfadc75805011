"""The OpenAPI document, completed: credentials, problems, headers, and an example for each call and answer. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from matih_api.problems import MEDIA_TYPE

if TYPE_CHECKING:
    from collections.abc import Iterator

_JSON: Final = "application/json"
_METHODS: Final = ("get", "post", "patch", "delete")
_RUN: Final = "0123456789abcdef0123456789abcdef"
_PATH_EXAMPLES: Final = {"run": "baseline", "metric": "val/loss"}
_EXPERIMENT: Final = "7c1f9c8e-8f0d-5d0e-9a55-1c2b3d4e5f60"
OPERATING: Final = "operating"
"""The tag of what asks for no credential."""
_BEARER: Final = "bearer"
_SCHEME: Final[dict[str, Any]] = {
    "type": "http",
    "scheme": "bearer",
    "description": "A token of `matih tenants token`, or a JWT of the issuer that is configured. A server in open mode "
    "asks nobody for one.",
}
_LOCATION: Final = ("Location", "The path of what was made.", {"type": "string", "format": "uri-reference"})
_RETRY_AFTER: Final = ("Retry-After", "Seconds after which to try again.", {"type": "integer", "minimum": 0})
_CHALLENGE: Final = ("WWW-Authenticate", "Which credential is needed.", {"type": "string"})
_HEADERS: Final = {"401": _CHALLENGE, "429": _RETRY_AFTER, "503": _RETRY_AFTER}
_OF_TYPES: Final[dict[str, Any]] = {"string": "text", "integer": 1, "number": 0.5, "boolean": True, "object": {}}


def completed(document: dict[str, Any]) -> dict[str, Any]:
    """The document, changed in place."""
    schemas = document["components"]["schemas"]
    document["components"]["securitySchemes"] = {_BEARER: _SCHEME}
    for path, operation in operations(document):
        if OPERATING not in operation["tags"]:
            operation["security"] = [{_BEARER: []}]
        _give_headers(operation["responses"])
        for parameter in operation.get("parameters", ()):
            if parameter["in"] == "path":
                parameter.setdefault("example", _path_example(path, parameter["name"]))
        _give_examples(operation.get("requestBody", {}).get("content", {}), schemas)
        for status, answer in operation["responses"].items():
            content = answer.get("content", {})
            if int(status) >= 400:
                schema = content.pop(_JSON, {}).get("schema")
                content[MEDIA_TYPE] = {"schema": schema or content.get(MEDIA_TYPE, {}).get("schema", {})}
            else:
                _give_examples(content, schemas)
    return document


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each operation with its path."""
    for path, item in document["paths"].items():
        for method in _METHODS:
            if method in item:
                yield path, item[method]


def example_of(schema: dict[str, Any], schemas: dict[str, Any]) -> Any:
    """The schema's own example, or one that is put together from those of its parts."""
    if "$ref" in schema:
        return example_of(schemas[schema["$ref"].rpartition("/")[2]], schemas)
    if "example" in schema:
        return schema["example"]
    for key in ("examples", "enum"):
        if key in schema:
            return schema[key][0]
    if "properties" in schema:
        return {name: example_of(one, schemas) for name, one in schema["properties"].items()}
    if "items" in schema:
        return [example_of(schema["items"], schemas)]
    if "anyOf" in schema:
        return example_of(schema["anyOf"][0], schemas)
    return schema.get("default", _OF_TYPES.get(schema.get("type", "object"), {}))


def _give_headers(responses: dict[str, Any]) -> None:
    made = {"201": _LOCATION, "202": _LOCATION} if "201" in responses else {}
    for status, (name, meaning, schema) in {**_HEADERS, **made}.items():
        if status in responses:
            responses[status]["headers"] = {name: {"description": meaning, "schema": schema}}


def _path_example(path: str, name: str) -> str:
    if name == "id" and "/experiments/runs/" in path:
        return _RUN
    return _PATH_EXAMPLES.get(name, _EXPERIMENT)


def _give_examples(content: dict[str, Any], schemas: dict[str, Any]) -> None:
    given = content.get(_JSON)
    if given is not None and "example" not in given:
        given["example"] = example_of(given.get("schema", {}), schemas)
