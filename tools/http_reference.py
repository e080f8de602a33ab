"""Write `docs/http.md` from the service's routes, or check that it is fresh.

python tools/http_reference.py            # writes the file
python tools/http_reference.py --check    # fails, with the difference, if it is stale
"""

import json
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from fastapi import FastAPI
from fastapi.routing import APIRoute

from dpdau import errors
from dpdau.bootstrap import build
from dpdau.config import load_settings
from dpdau.errors import DpdauError
from dpdau.service import create_app
from dpdau.service.auth import Needs
from dpdau.service.routes import ROUTERS
from dpdau.store import MemoryStore
from generated import write_or_check

REFERENCE = Path(__file__).parents[1] / "docs" / "http.md"

_PREFACE = """\
<!-- Written by `make references` from the service; edit the routes there. -->

# HTTP

`dpdau serve` answers on `{{SERVICE_HOST}}`:`{{SERVICE_PORT}}`. The same in a form for programs, with
the schema of every object, is at `/openapi.json`.

## Keys

Send a key as `X-API-Key: KEY` or `Authorization: Bearer KEY`. `{{SERVICE_API_KEY}}` has every scope;
`{{INGEST_API_KEY}}`, `{{READ_API_KEY}}` and `{{ADMIN_API_KEY}}` have one each. With none of them set,
every route is open and the service binds to loopback only, answers only requests to the names of
this machine and `{{ALLOWED_HOSTS}}`, and refuses those that pages of other sites send.

## Events

| field | |
|---|---|
| `user_id` | a stable name of the person, 1 to 256 bytes of UTF-8; never stored, only its keyed hash is |
| `op` | `"+"`: active on the day; `"-"`: not active on it after all |
| `day` | `YYYY-MM-DD` in `{{TIMEZONE}}`, from `{{RETENTION_DAYS}}` days ago to tomorrow |
| `ts` | in place of `day`: RFC 3339 with an offset, or seconds since 1970 |
| `scope` | with op `"-"`: `"day"`, or `"user"` to erase the whole person; by default `{{DELETE_SCOPE}}` |
| `metadata` | anything; ignored and never kept |

The last operation wins per user and day, in the order of arrival, so sending a batch again changes
nothing. A batch is accepted whole or refused whole, with the index and the reason of every bad
event; `?partial=true` keeps the good ones. The answer comes after the events are safe on disk.

| Content-Type | body |
|---|---|
| `application/json` | `{"events": [EVENT, …]}` |
| `application/x-ndjson` | an event a line |
| `text/csv` | a header with `user_id`, `op` and `day` or `ts`; optionally `scope`, `metadata.*` |
| `application/vnd.apache.arrow.stream` | the same columns |

Parquet is not taken over the network, because a file with a damaged footer can end the process that
reads it. `dpdau ingest --url URL --from FILE.parquet` reads the file where it lies and sends its
events.

`Content-Encoding` may be `gzip` or `zstd`. Limits: `{{MAX_BODY_BYTES}}` after decompression,
`{{MAX_BATCH_EVENTS}}` events, `{{RATE_LIMIT_PER_MINUTE}}` requests a minute and client, which is a key
where one is sent and an address otherwise. A request must arrive within `{{HEAD_SECONDS}}` and
`{{BODY_SECONDS}}`, its address and headers in `{{MAX_HEAD_BYTES}}`, and there is room for
`{{MAX_CONNECTIONS}}` connections and `{{MAX_CONCURRENT_REQUESTS}}` requests at once. Any route may
answer 400, 403, 408, 421, 431 or 503 for such reasons ([security.md](security.md)).

## Errors

Errors are `application/problem+json` (RFC 9457): `type` (stable, one of the table below), `title`,
`status`, `detail` in words, `request_id`, and values of the instance. `503` and `429` say in
`Retry-After` when to try again, if that helps.

What `GET /metrics` answers with stands in [metrics.md](metrics.md).
"""


def main(arguments: Sequence[str], path: Path = REFERENCE) -> int:
    """Run the command; returns its exit code."""
    with tempfile.TemporaryDirectory() as folder:
        settings = load_settings(data_dir=Path(folder))
        with build(settings, store=MemoryStore()) as application:
            app = create_app(application, settings)
    fresh = "\n".join([_PREFACE, *_problems(), "", "## Routes", "", *_routes(app)])
    return write_or_check(arguments, "Write or check docs/http.md", path, fresh)


def _problems() -> Iterator[str]:
    yield "| type | status | meaning |"
    yield "|---|---|---|"
    kinds = {getattr(errors, name) for name in errors.__all__} - {DpdauError}
    for kind in sorted(kinds, key=lambda kind: (kind.http_status, kind.slug)):
        if kind.slug != DpdauError.slug:
            meaning = (kind.__doc__ or "").splitlines()[0]
            yield f"| `{kind.slug}` | {kind.http_status} | {meaning} |"


def _routes(app: FastAPI) -> Iterator[str]:
    """One section a route, in the order of the OpenAPI document."""
    scopes = dict(_scopes())
    for path, methods in app.openapi()["paths"].items():
        for method, operation in methods.items():
            yield f"### `{method.upper()} {path}`"
            yield ""
            scope = scopes[path, method]
            yield f"{operation['summary']}. Scope: {scope or 'none'}."
            yield ""
            yield operation["description"]
            yield ""
            yield from _parameters(operation)
            yield from _example(operation)
            statuses = ", ".join(sorted(operation["responses"]))
            yield f"Answers: {statuses}."
            yield ""
            yield from _links(operation)


def _scopes() -> Iterator[tuple[tuple[str, str], str | None]]:
    for router in ROUTERS:
        for route in router.routes:
            if isinstance(route, APIRoute):
                needs = [each.dependency for each in route.dependencies]
                scope = next((str(need.scope) for need in needs if isinstance(need, Needs)), None)
                for method in route.methods or ():
                    yield (route.path, method.lower()), scope


def _parameters(operation: Mapping[str, Any]) -> Iterator[str]:
    parameters = operation.get("parameters", [])
    if parameters:
        yield "| parameter | in | needed | |"
        yield "|---|---|---|---|"
        for each in parameters:
            needed = "yes" if each["required"] else "no"
            yield f"| `{each['name']}` | {each['in']} | {needed} | {each.get('description', '')} |"
        yield ""


def _example(operation: Mapping[str, Any]) -> Iterator[str]:
    """The first example of a request's body."""
    content = operation.get("requestBody", {}).get("content", {})
    for media_type, body in content.items():
        if media_type == "application/json" and "example" in body:
            yield "```json"
            yield json.dumps(body["example"], indent=2, ensure_ascii=False)
            yield "```"
            yield ""


def _links(operation: Mapping[str, Any]) -> Iterator[str]:
    """What the document says can be asked next."""
    links = operation["responses"].get("200", {}).get("links", {})
    if links:
        yield "Next, with what is in the answer:"
        yield ""
        for link in links.values():
            *_, path, method = map(_unescaped, link["operationRef"].split("/"))
            yield f"- `{method.upper()} {path}`: {link['description']}"
        yield ""


def _unescaped(part: str) -> str:
    """A part of a reference as it was before it became a JSON pointer in a URI."""
    return unquote(part).replace("~1", "/").replace("~0", "~")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
