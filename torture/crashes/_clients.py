"""Clients of the service: a known stream, and a record of every answer.

Each runs in a thread of its own until the service is gone. Before each request it says what it
would change, and afterwards whether it did; see `_world.py`.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from random import Random  # noqa: TID251 - a seeded stream, no noise
from typing import Any

import httpx

from _world import Client, Event, Person, World, after, erased

__all__ = ["OPERATIONS", "Administrator", "Sender", "Traffic", "Trap", "UnexpectedAnswerError"]

_TIMEOUT_SECONDS = 60.0
_DAYS_BACK = 4
_LARGEST_BATCH = 12
# The shares of events with "+", and with an erasure in batches that have some.
_ADDS, _ERASES = 0.8, 0.3
_OK = 200
_ACCEPTED = 202
_TELLS = ("estimate", "estimate_raw", "std_error", "lower_95", "upper_95", "released_at", "epsilon")

SENDING = ("events", "erasing event", "erasure", "keyed erasure")
ADMINISTRATION = ("publish", "read", "on-demand read", "revise", "series", "cap")
OPERATIONS = (*SENDING, *ADMINISTRATION)


class UnexpectedAnswerError(Exception):
    """The service answered as it never should to such a request."""


@dataclass
class Trap:
    """What one client does on its way to the service's death.

    Attributes:
        operation: of which kind its request is.
        turn: which one of its requests it is, from 0.
        spring: called just before it is sent.
        passed: set if it was answered, or its client ended.
    """

    operation: str
    turn: int
    spring: Callable[[], None]
    passed: threading.Event


class _Requester:
    """Sends requests until the service is gone.

    Attributes:
        fault: what it was answered that it never should have been.
        requests: how many were answered.
    """

    def __init__(self, name: str, random: Random, trap: Trap | None) -> None:
        self._random, self._trap = random, trap
        self._thread = threading.Thread(target=self._run, name=name)
        self.fault: str | None = None
        self.requests = 0
        self._url = ""

    def start(self, url: str) -> None:
        self._url = url
        self._thread.start()

    def join(self) -> None:
        self._thread.join()

    def _run(self) -> None:
        try:
            with httpx.Client(base_url=self._url, timeout=_TIMEOUT_SECONDS) as http:
                while self._once(http):
                    self.requests += 1
        except httpx.TransportError:
            return
        except Exception as error:  # noqa: BLE001 - whatever it was, the run has failed
            self.fault = f"{self._thread.name}: {type(error).__name__}: {error}"
        finally:
            if self._trap is not None:
                self._trap.passed.set()

    def _once(self, http: httpx.Client) -> bool:
        """Send one request; says whether to go on."""
        trap = self._trap
        if trap is None or self.requests < trap.turn:
            self._do(http, self._random.choice(self._usual))
            return True
        trap.spring()
        self._do(http, trap.operation)
        return False

    _usual: Sequence[str] = ()

    def _do(self, http: httpx.Client, operation: str) -> None:
        raise NotImplementedError


class Sender(_Requester):
    """Sends events and erasures about people of its own."""

    _usual = ("events",) * 8 + SENDING

    def __init__(
        self,
        name: str,
        random: Random,
        trap: Trap | None,
        *,
        world: World,
        number: int,
        today: date,
    ) -> None:
        super().__init__(name, random, trap)
        self._world, self._number, self._today = world, number, today.toordinal()

    @property
    def _client(self) -> Client:
        return self._world.clients[self._number]

    def _do(self, http: httpx.Client, operation: str) -> None:
        if operation in {"events", "erasing event"}:
            self._send_events(http, erasing=operation != "events")
        else:
            self._erase(http, keyed=operation == "keyed erasure")

    def _send_events(self, http: httpx.Client, *, erasing: bool) -> None:
        draw, users = self._random, list(self._client.people)
        events = [
            Event(
                draw.choice(users),
                self._today - draw.randrange(_DAYS_BACK),
                add=draw.random() < _ADDS,
                whole_user=erasing and draw.random() < _ERASES,
            )
            for _ in range(draw.randint(1, _LARGEST_BATCH))
        ]
        body = {"events": [_as_json(event) for event in events]}
        changed = after(self._client.people, events, self._today)
        sent = " ".join(map(str, events))
        answer = self._change(changed, sent, lambda: http.post("/event", json=body))
        if answer != {"accepted": len(events), "rejected": 0, "errors": []}:
            raise UnexpectedAnswerError(f"POST /event: {answer}")

    def _erase(self, http: httpx.Client, *, keyed: bool) -> None:
        draw = self._random
        users = draw.sample(list(self._client.people), draw.randint(1, 3))
        headers = {"Idempotency-Key": f"key-{draw.getrandbits(64):x}"} if keyed else {}
        changed = erased(self._client.people, users, self._today)

        def request() -> httpx.Response:
            return http.post("/erasure", json={"user_ids": users}, headers=headers)

        answer = self._change(changed, f"erase {' '.join(users)}", request)
        self._world.erasures[answer["erasure_id"]] = answer["state"] == "done"
        if keyed:
            # Nobody came back in between, so the same record is all there is to say.
            again = _answer(request())
            if again["erasure_id"] != answer["erasure_id"]:
                raise UnexpectedAnswerError(f"the same key made another erasure: {again}")

    def _change(
        self, changed: Mapping[str, Person], what: str, send: Callable[[], httpx.Response]
    ) -> Any:
        self._client.sending(changed, what)
        answer = _answer(send())
        self._client.answered(stored=True)
        return answer


class Administrator(_Requester):
    """Publishes, revises and reads closed days, and keeps what it was told."""

    _usual = ("publish", "read", "read", "series")

    def __init__(
        self, name: str, random: Random, trap: Trap | None, *, world: World, today: date
    ) -> None:
        super().__init__(name, random, trap)
        self._world, self._today = world, today

    def _do(self, http: httpx.Client, operation: str) -> None:
        day = self._today - timedelta(days=self._random.randint(1, 2))
        match operation:
            case "publish":
                found = _answer(http.post("/publish", json={}))
                self._world.published.update(found["published"])
            case "read":
                self._note(http.get(f"/dau/{day}"))
            case "on-demand read":
                window = self._random.randint(4, 9)
                self._note(http.get("/mau", params={"end": f"{day}", "window": window}))
            case "revise":
                self._note(http.get(f"/dau/{day}"))
                self._note(http.post("/revise", json={"metric": "dau", "day": f"{day}"}))
            case "series":
                params = {"start": f"{day - timedelta(days=2)}", "end": f"{day}"}
                for value in _answer(http.get("/series/mau", params=params))["releases"]:
                    self._keep(value)
            case _:
                _answer(http.get("/budget/dau"))
                cap = 10.0 + len(self._world.told) + self._random.random()
                body = {"epsilon_cap": cap, "who": "the harness", "why": "to see it survive"}
                period = f"{self._today:%Y-%m}"
                http.post("/budget/dau/cap", json={"period": period, **body})

    def _note(self, response: httpx.Response) -> None:
        if response.status_code == 429:  # noqa: PLR2004 - the budget is exhausted, as it should be in time
            return
        self._keep(_answer(response))

    def _keep(self, told: Mapping[str, Any]) -> None:
        name = told["release_id"]
        value = {field: told[field] for field in _TELLS}
        former = self._world.told.setdefault(name, value)
        if former != value:
            raise UnexpectedAnswerError(f"{name} was {former} and is {value}")


@dataclass
class Traffic:
    """All clients of one life of the service."""

    requesters: Sequence[_Requester]

    def start(self, url: str) -> None:
        """Let them send."""
        for each in self.requesters:
            each.start(url)

    def join(self) -> list[str]:
        """Wait until the service is gone for all of them; gives what they should not have heard."""
        for each in self.requesters:
            each.join()
        return [each.fault for each in self.requesters if each.fault is not None]

    @property
    def requests(self) -> int:
        """How many requests were answered."""
        return sum(each.requests for each in self.requesters)


def _answer(response: httpx.Response) -> Any:
    if response.status_code not in {_OK, _ACCEPTED}:
        request = response.request
        raise UnexpectedAnswerError(
            f"{request.method} {request.url.path}: {response.status_code} {response.text}"
        )
    return response.json()


def _as_json(event: Event) -> dict[str, str]:
    op, day = "+" if event.add else "-", date.fromordinal(event.day).isoformat()
    given = {"user_id": event.user_id, "op": op, "day": day}
    return given | {"scope": "user"} if event.whole_user and not event.add else given
