"""Request bodies: read within limits, decoded by hand, documented for OpenAPI."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError

from dpdau.errors import MalformedBodyError
from dpdau.formats import decompress
from dpdau.service.context import ServiceContext
from dpdau.service.headers import header
from dpdau.service.limits import read_body
from dpdau.service.problems import invalid_parameters

__all__ = ["decoded_body", "documented_body", "json_body"]

_Model = TypeVar("_Model", bound=BaseModel)
_Decoded = TypeVar("_Decoded")

_INLINE_BYTES = 262_144


async def decoded_body(
    request: Request,
    context: ServiceContext,
    decode: Callable[[str | None, bytes], _Decoded],
) -> _Decoded:
    """Read, decompress and decode a body, in a thread unless that takes less than the switch.

    Args:
        request: whose body.
        context: gives the limits and the threads.
        decode: takes the content type and the decompressed body.

    Raises:
        BatchTooLargeError: if the body is too long, as sent or decompressed.
        RequestTimeoutError: if it is not complete in time.
        UnsupportedMediaTypeError: if its encoding is unknown.
        MalformedBodyError: if it cannot be decompressed.
    """
    raw = await read_body(request, context.limits)
    content_type = header(request.scope, b"content-type")
    encoding = header(request.scope, b"content-encoding")
    work = partial(_decoded, raw, encoding, content_type, context.limits.body_bytes, decode)
    if len(raw) <= _INLINE_BYTES and not encoding:
        return work()
    return await context.decode(work)


async def json_body(request: Request, context: ServiceContext, model: type[_Model]) -> _Model:
    """Read a small JSON object; an absent body is an empty object.

    Raises:
        MalformedBodyError: if it is not JSON.
        InputError: if a field is missing, unknown or wrong; no value is quoted.
    """
    raw = await read_body(request, context.limits)
    return parse_json(model, raw or b"{}")


def parse_json(model: type[_Model], raw: bytes) -> _Model:
    """Read a JSON object; see `json_body`."""
    try:
        return model.model_validate_json(raw)
    except ValidationError as error:
        errors = error.errors(include_url=False, include_context=False, include_input=False)
        if errors[0]["type"] == "json_invalid":
            reason = errors[0]["msg"].removeprefix("Invalid JSON: ")
            raise MalformedBodyError("JSON", reason) from None
        raise invalid_parameters(errors) from None


def documented_body(
    contents: Mapping[str, Mapping[str, Any]], *, required: bool = True
) -> dict[str, Any]:
    """What OpenAPI says of a body that a route reads by itself.

    Args:
        contents: by media type, its schema and examples.
        required: whether the body may be left out.
    """
    return {"requestBody": {"required": required, "content": dict(contents)}}


def _decoded(
    raw: bytes,
    encoding: str | None,
    content_type: str | None,
    max_bytes: int,
    decode: Callable[[str | None, bytes], _Decoded],
) -> _Decoded:
    return decode(content_type, decompress(raw, encoding, max_bytes))
