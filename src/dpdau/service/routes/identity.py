"""`GET /whoami`: what the request's key allows."""

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from dpdau.service.auth import GivenKey, KeyRing, Scope
from dpdau.service.openapi import problems

__all__ = ["router"]

router = APIRouter(tags=["health"])


class Identity(BaseModel):
    """What a key allows."""

    keys_required: bool = Field(description="Whether the service was started with keys.")
    scopes: list[Scope] = Field(description="What this request may do.")


@router.get(
    "/whoami",
    summary="What a key allows",
    responses=problems(401, 429),
    openapi_extra={"security": [{}]},  # beside those of the key: none is an answer too
)
async def whoami(request: Request, key: GivenKey) -> Identity:
    """The scopes of the request's key, so that a page shows only what its reader may ask for.

    Without a key the answer has no scopes if keys are set, and all if none are. An unknown key
    is refused.
    """
    keys: KeyRing = request.app.state.keys
    keys_required = bool(keys.grants)
    if key is None and keys_required:
        return Identity(keys_required=True, scopes=[])
    return Identity(keys_required=keys_required, scopes=sorted(keys.scopes_of(key)))
