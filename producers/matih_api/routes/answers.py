"""What the endpoints document of their errors, and how they answer."""

from __future__ import annotations

from typing import Any, Final

from fastapi.responses import JSONResponse

from matih_api.models.v1 import ProblemOut
from matih_api.problems import MEDIA_TYPE

_TOLD: Final = {
    400: "It can't be read, or contradicts itself.",
    401: "No, or no good credential.",
    403: "The credential does not grant that.",
    404: "There is no such thing for this credential.",
    405: "This path does not know the method.",
    408: "The request came too slowly.",
    409: "Something is in the way: its id is in the answer.",
    413: "The request is too large.",
    414: "The address is too long.",
    415: "The body is no JSON.",
    422: "A field can't be as it is: `errors` names it.",
    429: "A quota is used up: `quota` names it.",
    431: "The headers are too large.",
    501: "MLflow can't be asked that in the way that is set up here.",
    503: "Kafka or MLflow is away: try again. A write may have been taken, unless `detail` says that nothing was.",
}

PROBLEMS: Final[dict[int | str, dict[str, Any]]] = {
    status: {"model": ProblemOut, "description": told, "content": {MEDIA_TYPE: {}}} for status, told in _TOLD.items()
}
"""All that any endpoint may answer besides success."""


def answer(body: Any, status: int = 200, location: str | None = None) -> JSONResponse:
    """A JSON answer: not checked again against its model, which tests do."""
    return JSONResponse(body, status, {"Location": location} if location else None)
