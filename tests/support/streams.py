"""Events as messages, who is active in a store, and a broker that is a list."""

import json
from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import Path

import numpy as np

from dpdau.bootstrap import build
from dpdau.config import load_settings
from dpdau.errors import BrokerUnreachableError
from dpdau.hashing import Pseudonymizer
from dpdau.pipeline.ports import Reader, Store
from dpdau.streams.messages import Batch, Message, StoredPosition
from support.oracle import Event, Oracle

__all__ = ["ListFeed", "active", "active_in", "as_json", "expected", "messages"]

SECRET = "a secret of the streams"


def as_json(event: Event) -> bytes:
    """One event as a message's body."""
    fields: dict[str, str] = {"user_id": event.user_id, "op": "+" if event.add else "-"}
    fields["day"] = event.day.isoformat()
    if event.whole_user and not event.add:
        fields["scope"] = "user"
    return json.dumps(fields).encode()


def messages(bodies: Iterable[bytes]) -> list[Message]:
    """Messages with positions from 1."""
    return [Message(position, body) for position, body in enumerate(bodies, 1)]


def expected(events: Iterable[Event], days: Iterable[date]) -> dict[date, set[str]]:
    """Who is active on each day after these events, in order."""
    oracle = Oracle()
    for event in events:
        oracle.apply(event)
    return {day: oracle.present(day) for day in days}


def active(
    store: Store, users: Sequence[str], days: Iterable[date], secret: str = SECRET
) -> dict[date, set[str]]:
    """Who of these users is active on each day, and nobody else may be."""
    with store.read() as reader:
        return {day: _active(reader, users, day, Pseudonymizer(secret)) for day in days}


def active_in(data_dir: Path, users: Sequence[str], days: Iterable[date]) -> dict[date, set[str]]:
    """The same of a store that is not open here."""
    with build(load_settings(data_dir=data_dir)) as application:
        return active(application.store, users, days, (data_dir / "secret").read_text().strip())


def _active(reader: Reader, users: Sequence[str], day: date, pseudonyms: Pseudonymizer) -> set[str]:
    members = np.array(reader.members(day.toordinal(), day.toordinal()), dtype=np.int64)
    indices = reader.user_indices(pseudonyms.pseudonyms(users))
    found = {user for user, index in zip(users, indices, strict=True) if index in members}
    assert len(found) == len(members), "someone is active who never was named"
    return found


class ListFeed:
    """A feed over a list of messages that fails when told to."""

    name = "list"

    def __init__(self, messages: Sequence[Message], size: int, source: str = "list") -> None:
        self.messages = messages
        self.size = size
        self.source = source
        self.behind: int | None = None
        self.acknowledged = 0
        self.buried: list[tuple[Message, str]] = []
        self.failures: list[str] = []
        """What fails next, each once: open, batch, acknowledge or bury."""
        self.opened = self.closed = 0

    async def open(self, stored_position: StoredPosition) -> None:
        self.opened += 1
        self._fail("open")
        self.behind = await stored_position(self.source)

    async def batch(self) -> Batch | None:
        self._fail("batch")
        start = self.behind or 0
        stretch = tuple(self.messages[start : start + self.size])
        if not stretch:
            return None
        batch = Batch(self.source, self.behind, stretch)
        self.behind = batch.last
        return batch

    async def acknowledge(self, batch: Batch) -> None:
        self._fail("acknowledge")
        self.acknowledged = batch.last

    async def bury(self, _: Batch, message: Message, reason: str) -> None:
        self._fail("bury")
        self.buried.append((message, reason))

    async def is_drained(self) -> bool:
        return (self.behind or 0) == len(self.messages)

    async def close(self) -> None:
        self.closed += 1

    def _fail(self, step: str) -> None:
        if self.failures and self.failures[0] == step:
            self.failures.pop(0)
            raise BrokerUnreachableError("list", "it is told to fail")
