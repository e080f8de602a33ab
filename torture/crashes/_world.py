"""The plainest model of what a store must hold: people and their days, one event at a time.

Each client sends events about people of its own, one request after the other. So of all that it
sent, at most one request has no answer when the service dies, and its people are in one of two
states: as before that request, or as after it.
"""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date

__all__ = ["NOBODY", "Client", "Event", "Person", "World", "after", "erased", "restored"]


@dataclass(frozen=True, slots=True)
class Person:
    """What a store holds of someone.

    Attributes:
        days: on which they are active, as ordinals.
        erased_on: the day of their last erasure; 0 if there was none.
        recorded_on: the day on which that was carried out; 0 if there was none.
        is_gone: whether nothing was heard of them since.
    """

    days: frozenset[int] = frozenset()
    erased_on: int = 0
    recorded_on: int = 0
    is_gone: bool = False


_REMEMBERED = 40

NOBODY = Person()


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a stream."""

    user_id: str
    day: int
    add: bool = True
    whole_user: bool = False

    def __str__(self) -> str:
        sign = "+" if self.add else "erase from" if self.whole_user else "-"
        return f"{self.user_id} {sign} {date.fromordinal(self.day)},"


def after(people: Mapping[str, Person], events: Iterable[Event], today: int) -> dict[str, Person]:
    """The people of a batch once it is stored."""
    changed: dict[str, Person] = {}
    for event in events:
        person = changed.get(event.user_id) or people.get(event.user_id, NOBODY)
        if event.whole_user and not event.add:
            person = _without(person, event.day, today)
        elif event.day >= person.erased_on:
            days = person.days | {event.day} if event.add else person.days - {event.day}
            person = replace(person, days=days, is_gone=person.is_gone and not event.add)
        changed[event.user_id] = person
    return changed


def erased(people: Mapping[str, Person], user_ids: Iterable[str], today: int) -> dict[str, Person]:
    """The people of a request for erasure once it is carried out."""
    return {user_id: _without(people.get(user_id, NOBODY), today, today) for user_id in user_ids}


def restored(
    people: Mapping[str, Person], former: Mapping[str, Person], copied_on: int
) -> dict[str, Person]:
    """Everyone after an older copy was put back.

    Whoever was erased since, or on the very day of the copy, is taken out of it again.

    Args:
        people: everyone now.
        former: everyone when the copy was made.
        copied_on: the day on which it was made.
    """
    found = {}
    for user_id, person in people.items():
        then = former.get(user_id, NOBODY)
        if person.recorded_on >= copied_on or person.erased_on > then.erased_on:
            # Someone who came back may still be known, for the sake of a limiter.
            found[user_id] = replace(person, days=frozenset())
        else:
            found[user_id] = replace(
                then,
                erased_on=person.erased_on,
                recorded_on=person.recorded_on,
                is_gone=then.is_gone and person.is_gone,
            )
    return found


def _without(person: Person, day: int, today: int) -> Person:
    return Person(frozenset(), max(person.erased_on, day), today, is_gone=True)


@dataclass
class Client:
    """What one client knows of its people.

    Attributes:
        people: as its last answered request left them.
        pending: as the request without an answer would leave those whom it concerns.
        history: its last requests and their answers.
    """

    people: dict[str, Person]
    pending: dict[str, Person] = field(default_factory=dict)
    history: deque[str] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))

    def sending(self, changed: Mapping[str, Person], what: str) -> None:
        """A request is about to be sent."""
        self.pending = dict(changed)
        self.history.append(what)

    def answered(self, *, stored: bool) -> None:
        """It was answered: carried out, or refused as a whole."""
        if stored:
            self.people |= self.pending
        self.pending = {}
        self.history.append("answered")

    @property
    def candidates(self) -> Sequence[Mapping[str, Person]]:
        """What may be true of its people."""
        return [self.people, self.people | self.pending] if self.pending else [self.people]


@dataclass
class World:
    """Everyone, by client; and what readers were told.

    Attributes:
        clients: by number.
        told: by the id of a release, what some reader was told of it.
        published: ids of releases that a publisher was told of.
        erasures: ids of erasures that were answered, and whether they were called done.
    """

    clients: list[Client]
    told: dict[str, Mapping[str, object]] = field(default_factory=dict)
    published: set[str] = field(default_factory=set)
    erasures: dict[str, bool] = field(default_factory=dict)

    @property
    def people(self) -> dict[str, Person]:
        """Everyone, as far as it is certain."""
        everyone: dict[str, Person] = {}
        for client in self.clients:
            everyone |= client.people
        return everyone

    def doubts(self) -> list[Client]:
        """What each client knows now."""
        return [replace(client, people=dict(client.people)) for client in self.clients]

    def doubt(self, clients: Sequence[Client]) -> None:
        """Let each client know what it knew then, and no more."""
        for client, former in zip(self.clients, clients, strict=True):
            client.people, client.pending = former.people, former.pending

    def become(self, people: Mapping[str, Person]) -> None:
        """Let everyone be as they are said to be."""
        for client in self.clients:
            client.people = {user_id: people[user_id] for user_id in client.people}
            client.pending = {}
