"""`GET /healthz` and `/readyz`: is it alive, can it work."""

from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel

from dpdau.errors import StoreError
from dpdau.service.context import Context
from dpdau.service.openapi import problems

__all__ = ["router"]

router = APIRouter(tags=["health"])


class Alive(BaseModel):
    """The process answers."""

    status: Literal["ok"] = "ok"


class Ready(BaseModel):
    """Events can be stored and values released."""

    status: Literal["ready"] = "ready"


@router.get("/healthz", summary="Liveness")
async def healthz() -> Alive:
    """Whether the process answers."""
    return Alive()


@router.get("/readyz", summary="Readiness", responses=problems(503))
def readyz(context: Context) -> Ready:
    """Whether the store answers, the writer runs, and the ledger is whole."""
    store = context.application.store
    store.check()
    if not context.writer.is_running:
        message = "The writing thread has ended. Restart the service."
        raise StoreError(message)
    context.application.guard.check()
    return Ready()
