"""An installation whose clock and disk tests decide, and what its clients ask."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Self

import httpx

from _launch import set_clock
from _process import Installation, Running

__all__ = ["NOW", "TODAY", "YESTERDAY", "Visitor", "installed", "told", "visited"]

NOW = datetime(2031, 5, 17, 12, tzinfo=UTC)
TODAY = NOW.date()
YESTERDAY = TODAY - timedelta(days=1)

_SETTINGS = {
    "LATENESS_HOURS": "0",
    "MECHANISM_DAU": "laplace",
    "EPSILON_DAU": "1e6",
    "DAU_BUDGET_TOTAL": "1e8",
    "W_BOUND_MAU": "unbounded",
    "RATE_LIMIT_PER_MINUTE": "0",
    "LOG_FORMAT": "json",
}
"""DAU is released for each day, with a noise of zero but for a chance of e^-1000000."""


def installed(
    folder: Path, *, moment: datetime = NOW, data_dir: Path | None = None, **settings: str
) -> Installation:
    """An installation in a folder, under a clock that stands still."""
    place = folder / "data" if data_dir is None else data_dir
    place.mkdir(exist_ok=True)
    set_clock(folder / "clock", moment)
    return Installation(place, {**_SETTINGS, **settings}, folder / "clock")


class Visitor:
    """Who sends to a service and asks it, and remembers what was acknowledged."""

    def __init__(self, url: str) -> None:
        self.client = httpx.Client(base_url=url, timeout=60)
        self.acknowledged: dict[date, set[str]] = {}
        self.refused: dict[date, set[str]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()

    def send(self, *users: str, day: date = YESTERDAY) -> httpx.Response:
        """Say that these people were active on a day."""
        events = [{"user_id": user, "op": "+", "day": str(day)} for user in users]
        answer = self.client.post("/event", json={"events": events})
        became = self.acknowledged if answer.status_code == 200 else self.refused
        became.setdefault(day, set()).update(users)
        return answer

    def get(self, path: str) -> httpx.Response:
        return self.client.get(path)

    def dau(self, day: date = YESTERDAY) -> httpx.Response:
        return self.client.get(f"/dau/{day}")

    def erase(self, user: str) -> httpx.Response:
        return self.client.post("/erasure", json={"user_id": user})

    def rows(self) -> list[Any]:
        """The ledger's rows."""
        found: list[Any] = self.client.get("/ledger").json()["rows"]
        return found

    def metric(self, name: str) -> float:
        """The sum of a metric over its labels."""
        lines = self.client.get("/metrics").text.splitlines()
        return sum(
            float(line.split()[-1]) for line in lines if line.startswith((f"{name} ", f"{name}{{"))
        )


def told(answer: httpx.Response, status: int, kind: str) -> str:
    """What a problem says, if it is the one that was expected."""
    assert (answer.status_code, answer.json().get("type")) == (status, kind), answer.text
    detail: str = answer.json()["detail"]
    return detail


@contextmanager
def visited(installation: Installation, **settings: str) -> Iterator[tuple[Running, Visitor]]:
    """A service that runs, and a visitor."""
    with installation.serve(**settings) as running, Visitor(running.url) as visitor:
        yield running, visitor
