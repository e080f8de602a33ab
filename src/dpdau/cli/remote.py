"""The product on a server, reached over HTTP."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import httpx
import msgspec

from dpdau.cli.backend import Answer
from dpdau.cli.problems import error_of
from dpdau.cli.upload import Batch, batches_of
from dpdau.errors import (
    BatchTooLargeError,
    DpdauError,
    InvalidValueError,
    ServerUnreachableError,
)
from dpdau.formats import RefusedLine
from dpdau.model.ledger_files import LedgerFormat
from dpdau.model.releases import Metric

__all__ = ["RemoteBackend"]

# Publishing many months, or the first plan of a kind, takes the server a while.
_ANSWER_SECONDS = 600.0
_CONNECT_SECONDS = 10.0


class _Refused(msgspec.Struct):
    index: int
    reason: str


class _Taken(msgspec.Struct):
    """What a server says of a batch."""

    accepted: int
    errors: list[_Refused]


@dataclass(frozen=True, slots=True)
class RemoteBackend:
    """Asks a server.

    Attributes:
        client: bound to the server's address and key.
    """

    client: httpx.Client

    @classmethod
    def open(
        cls, url: str, key: str | None, transport: httpx.BaseTransport | None = None
    ) -> "RemoteBackend":
        """Prepare to ask a server; nothing is sent yet.

        Args:
            url: its address, with scheme.
            key: its API key, or None if it has none.
            transport: how requests travel, by default over the network.

        Raises:
            InvalidValueError: if the address is none, or no header can carry the key.
        """
        if key is not None and not (key.isascii() and key.isprintable()):
            raise InvalidValueError("--key", "not shown", "printable ASCII characters")
        try:
            is_address = httpx.URL(url).scheme in {"http", "https"} and bool(httpx.URL(url).host)
        except (httpx.InvalidURL, UnicodeEncodeError):
            is_address = False
        if not is_address:
            raise InvalidValueError("--url", url, "an address like http://127.0.0.1:8000")
        client = httpx.Client(
            base_url=url,
            headers={} if key is None else {"X-API-Key": key},
            timeout=httpx.Timeout(_ANSWER_SECONDS, connect=_CONNECT_SECONDS),
            transport=transport,
        )
        return cls(client)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()

    def release(self, metric: Metric, day: date, window_days: int | None) -> Answer:
        """The value of a closed day."""
        if metric is Metric.DAU:
            return self._ask("GET", f"/dau/{day}")
        return self._ask("GET", "/mau", end=str(day), window=window_days)

    def explain(self, release_id: str) -> Answer:
        """What a release means, in words."""
        return self._ask("GET", f"/releases/{quote(release_id, safe='')}/explain")

    def revise(self, metric: Metric, day: date, window_days: int | None) -> Answer:
        """A corrected value of a released day."""
        body = {"metric": metric.value, "day": day.isoformat(), "window": window_days}
        return self._ask("POST", "/revise", body=_given(body))

    def series(self, metric: Metric, start: date, end: date, window_days: int | None) -> Answer:
        """The values of a range of days."""
        return self._ask(
            "GET", f"/series/{metric}", start=str(start), end=str(end), window=window_days
        )

    def publish(self, through: date | None, start: date | None) -> Answer:
        """Publish what is due, oldest first."""
        days = _given({"through": through, "from": start})
        return self._ask("POST", "/publish", body={name: str(day) for name, day in days.items()})

    def ingest(
        self, path: Path, refuse: Callable[[RefusedLine], None], reached: Callable[[int], None]
    ) -> int:
        """Send the events of a file, to be judged by the server."""
        accepted = 0
        for batch in batches_of(path):
            for line in batch.refused_lines:
                refuse(line)
            accepted += self._send(batch, 0, len(batch.events), refuse)
            reached(batch.bytes_read)
        return accepted

    def erase(self, user_ids: Sequence[str], request_key: str | None) -> Answer:
        """Erase people, or find what an earlier request under the same key did."""
        headers = {} if request_key is None else {"Idempotency-Key": _quoted(request_key)}
        body = {"user_ids": list(user_ids)}
        return self._answer(self._sent("POST", "/erasure", json=body, headers=headers))

    def erasure(self, erasure_id: str) -> Answer:
        """The state of an erasure."""
        return self._ask("GET", f"/erasure/{quote(erasure_id, safe='')}")

    def receipt(self, erasure_id: str) -> Answer:
        """What a complete erasure did."""
        return self._ask("GET", f"/erasure/{quote(erasure_id, safe='')}/receipt")

    def rotation(self) -> Answer:
        """How far people have moved to the secret in force."""
        return self._ask("GET", "/rekey")

    def budget(self, metric: Metric, day: date | None) -> Answer:
        """What a metric has cost in the period of a day."""
        return self._ask("GET", f"/budget/{metric}", day=None if day is None else str(day))

    def budgets(self) -> Answer:
        """What everything published has cost."""
        return self._ask("GET", "/budget")

    def raise_cap(
        self, metric: Metric, period: str, epsilon_cap: float, who: str, why: str
    ) -> Answer:
        """Raise the cap of a metric for a period; answers with the budget."""
        body = {"period": period, "to": epsilon_cap, "who": who, "why": why}
        return self._ask("POST", f"/budget/{metric}/cap", body=body)

    def forecast(self, **asked: Any) -> Answer:
        """The expected error of each mechanism, for the server's configuration.

        Args:
            asked: the parameters of `GET /plan`; None for those left out.
        """
        return self._ask("GET", "/plan", **asked)

    def plan(self, metric: Metric, period: str) -> Answer:
        """The plan of a period's series, with its certificate."""
        return self._ask("GET", f"/plan/{metric}/{quote(period, safe='')}")

    def acknowledge(self, who: str, why: str, *, nothing_lost: bool) -> Answer:
        """Charge what a rolled back ledger lost: `{"rows": [row, …]}`, the new ones."""
        body = {"who": who, "why": why, "nothing_lost": nothing_lost}
        return self._ask("POST", "/ledger/acknowledge", body=body)

    def verify(self) -> Answer:
        """Recompute the ledger: `{"valid": true, "rows": …}`, or a `LedgerDamagedError`."""
        return self._ask("GET", "/ledger/verify")

    def ledger(self, metric: Metric | None, period: str | None) -> Answer:
        """The rows, oldest first."""
        return self._ask("GET", "/ledger", metric=metric, period=period)

    def ledger_file(self, form: LedgerFormat, metric: Metric | None, period: str | None) -> bytes:
        """The ledger as a file for auditors."""
        query = _given({"metric": metric, "period": period, "format": form})
        response = self._sent("GET", "/ledger", params=query)
        media_type = response.headers.get("Content-Type", "")
        if response.is_success and media_type.startswith(form.media_type):
            return response.content
        raise self._failure(response)

    def _send(
        self, batch: Batch, start: int, end: int, refuse: Callable[[RefusedLine], None]
    ) -> int:
        """Send the events of these positions, in halves if they are too many for the server."""
        if start == end:
            return 0
        response = self._sent(
            "POST",
            "/event",
            params={"partial": True},
            content=batch.body(start, end),
            headers={"Content-Type": "application/x-ndjson"},
        )
        try:
            answer = self._answer(response)
        except BatchTooLargeError:
            if end - start == 1:
                raise
            middle = (start + end) // 2
            sent = self._send(batch, start, middle, refuse)
            return sent + self._send(batch, middle, end, refuse)
        try:
            taken = msgspec.convert(answer, _Taken)
            lines = [
                batch.refused_line(range(start, end)[each.index], each.reason)
                for each in taken.errors
            ]
        except (msgspec.ValidationError, IndexError):
            raise self._failure(response) from None
        for line in lines:
            refuse(line)
        return taken.accepted

    def _ask(
        self, method: str, path: str, *, body: dict[str, Any] | None = None, **query: Any
    ) -> dict[str, Any]:
        return self._answer(self._sent(method, path, json=body, params=_given(query)))

    def _sent(self, method: str, path: str, **request: Any) -> httpx.Response:
        try:
            return self.client.request(method, path, **request)
        except httpx.TransportError as error:
            reason = str(error) or type(error).__name__
            raise ServerUnreachableError(str(self.client.base_url), reason) from None

    def _answer(self, response: httpx.Response) -> dict[str, Any]:
        """The answer's object; a problem is raised as the error it describes."""
        answer = _object(response)
        if answer is None or not response.is_success:
            raise self._failure(response)
        return answer

    def _failure(self, response: httpx.Response) -> DpdauError:
        """The error that a problem describes, or that nothing of the kind came."""
        problem = _object(response)
        if problem is not None and "title" in problem and not response.is_success:
            return error_of(problem)
        status = f"it answered {response.status_code} without a body that dpdau would send"
        return ServerUnreachableError(str(self.client.base_url), status)


def _object(response: httpx.Response) -> dict[str, Any] | None:
    """The JSON object in a body, if there is one."""
    try:
        answer = response.json()
    except (ValueError, RecursionError):
        return None
    return answer if isinstance(answer, dict) else None


def _quoted(text: str) -> str:
    """Text as the string of a structured field (RFC 9651); what no header can carry is `""`.

    The server refuses an empty one with the words that it has for all unfit ones.
    """
    fits = text.isascii() and text.isprintable()
    escaped = text.replace("\\", r"\\").replace('"', r"\"")
    return f'"{escaped}"' if fits else '""'


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    """Those that are not None."""
    return {name: value for name, value in values.items() if value is not None}
