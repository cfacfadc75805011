"""Errors as answers: `application/problem+json` (RFC 9457)."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from matih_schemas.errors import MatihError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MEDIA_TYPE: Final = "application/problem+json"
URN: Final = "urn:matih:problem:"


@dataclass(frozen=True)
class FieldError:
    """What is wrong with one part of a request.

    Attributes:
        loc: where: `("body", "metrics", 3, "value")`, `("query", "limit")`, `("header", "X-Tenant-ID")`.
    """

    loc: tuple[str | int, ...]
    msg: str


class Problem(MatihError):
    """An answer that is an error. Raise it anywhere below a route.

    Attributes:
        status: of HTTP.
        kind: the last part of the problem's type, a stable URN; people's programs look at it.
        detail: for people: what happened, to which thing, what to do next. Without secrets.
        errors: the parts of the request that are wrong.
        headers: more headers of the answer.
        members: more members of the JSON object, such as the id of what is in the way.
    """

    def __init__(
        self,
        status: int,
        kind: str,
        detail: str,
        *,
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
        members: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.kind = kind
        self.detail = detail
        self.errors = tuple(errors)
        self.headers = dict(headers or {})
        self.members = dict(members or {})

    def body(self, instance: str, request_id: str) -> dict[str, Any]:
        """The JSON object.

        Args:
            instance: the request's path.
            request_id: the one that stands in the logs too.
        """
        return {
            "type": URN + self.kind,
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            "instance": instance,
            "request_id": request_id,
            "errors": [{"loc": list(error.loc), "msg": error.msg} for error in self.errors],
            **self.members,
        }


def not_found(what: str, which: str) -> Problem:
    """404, the same for what does not exist and for what is another tenant's."""
    return Problem(404, f"{what}-not-found", f"there is no {what} {which!r} here")


def invalid(detail: str, *errors: FieldError) -> Problem:
    """422: it can be read, but not be taken; `errors` name the fields."""
    return Problem(422, "invalid-request", detail, errors=errors)


def bad_request(kind: str, detail: str, *errors: FieldError) -> Problem:
    """400: it can't be read, or contradicts itself."""
    return Problem(400, kind, detail, errors=errors)


def unauthorized(detail: str) -> Problem:
    """401, with the challenge that HTTP wants."""
    return Problem(401, "unauthorized", detail, headers={"WWW-Authenticate": 'Bearer realm="matih"'})


def forbidden(detail: str) -> Problem:
    """403: it is known who asks, and it may not."""
    return Problem(403, "forbidden", detail)


def unavailable(kind: str, detail: str, retry_after: int = 5) -> Problem:
    """503: an outage of something behind this; try again after so many seconds."""
    return Problem(503, kind, detail, headers={"Retry-After": str(retry_after)})


def too_many(quota: str, detail: str, retry_after: int) -> Problem:
    """429: a quota is used up; its name stands in the answer."""
    return Problem(
        429, "too-many-requests", detail, headers={"Retry-After": str(retry_after)}, members={"quota": quota}
    )
