"""`GET /`: the dashboard's page, and its scripts and styles under `/dashboard/`.

They hold no data, so they need no key, which a browser could not send on its first visit anyway:
every request for data that the page makes needs its scope.
"""

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response
from starlette.status import HTTP_304_NOT_MODIFIED

from dpdau.errors import RouteNotFoundError
from dpdau.service.dashboard import ASSETS, Asset

__all__ = ["router"]

router = APIRouter(tags=["dashboard"])

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
# The page names the assets' version in their paths, so they never change; the page itself does.
_FOREVER = "public, max-age=31536000, immutable"
_ASK_AGAIN = "no-cache"


@router.get("/", response_class=HTMLResponse, summary="The dashboard")
async def page(request: Request) -> Response:
    """A page for people, without any data: it asks the other routes with the key that they type.

    Its scripts and styles are under `/dashboard/`, and it asks nothing of any other host.
    """
    return _answer(
        request, ASSETS.page, {"Content-Security-Policy": _POLICY, "Cache-Control": _ASK_AGAIN}
    )


@router.get("/dashboard/{version}/{name:path}", include_in_schema=False)
async def asset(request: Request, version: str, name: str) -> Response:
    """A script or a style of the page."""
    found = ASSETS.files.get(name) if version == ASSETS.version else None
    if found is None:
        message = "The dashboard has no such file, or was replaced by another version: reload it."
        raise RouteNotFoundError(message)
    return _answer(request, found, {"Cache-Control": _FOREVER})


def _answer(request: Request, asset: Asset, headers: dict[str, str]) -> Response:
    headers["ETag"] = asset.etag
    if asset.etag in request.headers.get("if-none-match", ""):
        return Response(status_code=HTTP_304_NOT_MODIFIED, headers=headers)
    return Response(asset.content, headers=headers, media_type=asset.media_type)
