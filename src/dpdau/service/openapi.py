"""What every operation's description has in common."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from dpdau.service.problems import Problem

__all__ = ["describe", "problems"]

_REASONS = {
    400: "The body is not in the format it claims.",
    401: "The key is missing or unknown.",
    403: "The key does not have the scope that this route needs.",
    404: "There is no such thing.",
    409: "The day is still open, or the erasure is not complete.",
    413: "The request is larger than the limit.",
    415: "The content type or encoding is not understood.",
    422: "A parameter or an event is invalid.",
    429: "The privacy budget is exhausted, or too many requests were sent.",
    500: "The request failed for a reason inside the service.",
    503: "The service cannot answer now; see Retry-After.",
    507: "The disk is full.",
}
_SCHEMA = {"$ref": "#/components/schemas/Problem"}
_REFERENCE = "#/components/schemas/{model}"


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The descriptions of a route's errors."""
    return {
        status: {
            "description": _REASONS[status],
            "content": {"application/problem+json": {"schema": _SCHEMA}},
        }
        for status in sorted(statuses)
    }


def describe(app: FastAPI) -> None:
    """Let an app's OpenAPI document contain the problem object that its routes refer to."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = get_openapi(
                title=app.title,
                version=app.version,
                summary=app.summary,
                description=app.description,
                routes=app.routes,
            )
            schemas = document.setdefault("components", {}).setdefault("schemas", {})
            schemas["Problem"] = Problem.model_json_schema(ref_template=_REFERENCE)
            _replace_what_fastapi_answers(document)
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _replace_what_fastapi_answers(document: dict[str, Any]) -> None:
    """Describe unfit parameters of every operation as the problem that they are answered with.

    FastAPI adds an object of its own wherever a route says nothing.
    """
    for operations in document["paths"].values():
        for operation in operations.values():
            responses = operation["responses"]
            if "HTTPValidationError" in str(responses.get("422")):
                responses["422"] = problems(422)[422]
    for name in ("HTTPValidationError", "ValidationError"):
        document["components"]["schemas"].pop(name, None)
