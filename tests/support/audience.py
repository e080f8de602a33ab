"""Everyone who asks a service something, and every byte that they are told."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from typing import Any, Self

import httpx

__all__ = ["KEYS", "OUTSIDERS", "WRONG_KEY", "Audience", "Told", "walk"]

WRONG_KEY = "a-key-that-nobody-was-given"
KEYS: Mapping[str, str | None] = {
    "reader": "key-of-the-readers-0123456789",
    "ingester": "key-of-ingestion-0123456789",
    "admin": "key-of-the-admins-0123456789",
    "stranger": WRONG_KEY,
    "nobody": None,
}
OUTSIDERS = ("reader", "ingester", "stranger", "nobody")
"""All who may not see what an administrator sees."""

_BODIES: Sequence[Any] = ({}, [], {"user_ids": []}, {"events": [{"user_id": "", "op": "?"}]})
_RAW = (b"{", b"\xff\xfe", b"user_id,op,day\n,,\n")


@dataclass(frozen=True)
class Told:
    """One answer.

    Attributes:
        who: asked.
        asked: for what; the same for the same question, whatever the ids in it.
        answer: what was told.
    """

    who: str
    asked: str
    answer: httpx.Response

    @property
    def everything(self) -> bytes:
        """Status, headers and body; a length that is the body's own tells no more than the body."""
        headers = [
            f"{name}: {value}"
            for name, value in self.answer.headers.multi_items()
            if name != "content-length" or value != str(len(self.answer.content))
        ]
        head = "\n".join([str(self.answer.status_code), *headers])
        return head.encode() + b"\n\n" + self.answer.content


@dataclass
class Audience(AbstractContextManager["Audience"]):
    """Clients with each kind of key.

    Attributes:
        url: of the service.
        told: every answer so far, in order.
    """

    url: str
    told: list[Told] = field(default_factory=list)
    _clients: dict[str, httpx.Client] = field(init=False, default_factory=dict)
    _opened: ExitStack = field(init=False, default_factory=ExitStack)

    def __enter__(self) -> Self:
        for who, key in KEYS.items():
            headers = {} if key is None else {"X-API-Key": key}
            client = httpx.Client(base_url=self.url, headers=headers, timeout=120)
            self._clients[who] = self._opened.enter_context(client)
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def ask(
        self, who: str, method: str, path: str, *, asked: str = "", **options: Any
    ) -> httpx.Response:
        """Ask, and keep the answer.

        Args:
            who: whose key.
            method: of the request.
            path: of the request.
            asked: how to call the question, if its path holds what differs between runs.
            options: as httpx takes them.
        """
        answer = self._clients[who].request(method, path, **options)
        query = "" if "params" not in options else f" {options['params']}"
        self.told.append(Told(who, f"{method} {asked or path}{query}", answer))
        return answer


def walk(
    audience: Audience, values: Mapping[str, Sequence[str]], askers: Sequence[str] = OUTSIDERS
) -> set[tuple[str, str]]:
    """Ask for every operation that the OpenAPI document names, with all these values in turn.

    Args:
        audience: asks.
        values: for each parameter of a path or query, what to put there.
        askers: who asks each.

    Returns:
        Every operation as (method, path template).

    Raises:
        KeyError: if a route has a parameter without values here.
    """
    paths = audience.ask("nobody", "GET", "/openapi.json").json()["paths"]
    operations = set()
    for template, item in sorted(paths.items()):
        for method, operation in sorted(item.items()):
            operations.add((method.upper(), template))
            for asked, path, query in _variants(template, operation, values):
                for who in askers:
                    for options in _bodies(method):
                        audience.ask(
                            who, method.upper(), path, asked=asked, params=query, **options
                        )
    for method, path in (("GET", "/no/such/page"), ("PUT", "/event"), ("HEAD", "/budget")):
        for who in askers:
            audience.ask(who, method, path)
    return operations


def _variants(
    template: str, operation: Mapping[str, Any], values: Mapping[str, Sequence[str]]
) -> Iterator[tuple[str, str, dict[str, str]]]:
    """How to call a question, its path and its query."""
    parameters = [each for each in operation.get("parameters", []) if each["in"] != "header"]
    names = [each["name"] for each in parameters]
    needed = {each["name"] for each in parameters if each["required"]}
    turns = max((len(values[name]) for name in names), default=1)
    for turn in range(turns):
        chosen = {name: values[name][turn % len(values[name])] for name in names}
        query = {each["name"]: chosen[each["name"]] for each in parameters if each["in"] == "query"}
        path = template.format(**chosen)
        yield f"{template} {turn}", path, query
        least = {name: value for name, value in query.items() if name in needed}
        if least != query:
            yield f"{template} {turn} least", path, least


def _bodies(method: str) -> Iterator[dict[str, Any]]:
    if method != "post":
        yield {}
        return
    for body in _BODIES:
        yield {"json": body}
    for content in _RAW:
        yield {"content": content, "headers": {"Content-Type": "text/csv"}}
    yield {"content": b"?", "headers": {"Content-Type": "image/png"}}
