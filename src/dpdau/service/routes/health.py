"""`GET /`, `/healthz` and `/readyz`: is it there, is it alive, can it work."""

import base64
import hashlib
from typing import Literal

from fastapi import APIRouter
from fastapi.responses import HTMLResponse
from pydantic import BaseModel

from dpdau.errors import StoreError
from dpdau.service.context import Context
from dpdau.service.openapi import problems

__all__ = ["router"]

router = APIRouter(tags=["health"])

_STYLE = "body{font:16px/1.5 system-ui,sans-serif;max-width:40rem;margin:3rem auto;padding:0 1rem}"
_PAGE = f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>dpdau</title>
<style>{_STYLE}</style>
<h1>dpdau</h1>
<p>Daily and monthly active users, published with differential privacy, from events that may be
taken back.</p>
<ul>
<li><code>POST /event</code> takes events.
<li><code>GET /dau/{{day}}</code>, <code>/mau</code> and <code>/series/{{metric}}</code> give
published values with their intervals and their price.
<li><code>POST /erasure</code> takes people out of everything that is kept.
<li><a href="/openapi.json">/openapi.json</a> describes every route.
</ul>
</html>
"""
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_POLICY = f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; frame-ancestors 'none'"


class Alive(BaseModel):
    """The process answers."""

    status: Literal["ok"] = "ok"


class Ready(BaseModel):
    """Events can be stored and values released."""

    status: Literal["ready"] = "ready"


@router.get("/", response_class=HTMLResponse, summary="What this is")
async def home() -> HTMLResponse:
    """A page for people who open the address in a browser."""
    return HTMLResponse(_PAGE, headers={"Content-Security-Policy": _POLICY})


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
