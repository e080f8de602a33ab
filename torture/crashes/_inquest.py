"""What a store says after a death, beside what it must say."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from pathlib import Path

import numpy as np
from pyroaring import BitMap

from _world import Person, World
from dpdau.bootstrap import backups_of, budget_rules_of, calendar_of, database_of, head_of
from dpdau.config import Settings
from dpdau.errors import DpdauError
from dpdau.hashing import Pseudonymizer
from dpdau.maintenance.doctor import State
from dpdau.maintenance.doctor import examine as doctor
from dpdau.model.calendar import Period
from dpdau.model.ledger import LedgerKind, LedgerRow
from dpdau.model.releases import Metric, SeriesKey
from dpdau.pipeline.guard import contradiction
from dpdau.pipeline.integrity import verify
from dpdau.pipeline.ports import Reader
from dpdau.pipeline.records import find_release
from dpdau.store.sqlite.inspection import inspecting

__all__ = ["Inquest"]

_BUSY_SECONDS = 10.0
_FIRST_DAY, _LAST_DAY = 1, date.max.toordinal()
_ROUNDING = 1e-9
_MOST_NAMED = 3


@dataclass(frozen=True, slots=True)
class _Found:
    """What a store holds of someone: how often they are known, their days, their tombstone."""

    known: int
    days: frozenset[int]
    erased_on: int

    def fits(self, person: Person) -> bool:
        is_known_well = self.known <= 1 and not (person.is_gone and self.known)
        return is_known_well and (self.days, self.erased_on) == (person.days, person.erased_on)

    def __str__(self) -> str:
        return (
            f"known {self.known} times, active on {_days(self.days)}, "
            f"erased on {_days([self.erased_on])}"
        )


@dataclass
class Inquest:
    """Compares the store of one data directory with the world, again and again.

    Attributes:
        settings: those of the service.
        secrets: that in force, and before it the one that it replaces.
        clock: gives the time.
        world: what must be true; what was in doubt is decided by what the store holds.
        counts_windows: whether totals of MAU are those of the windows, as without a limiter.
        totals: what was seen of the private totals of series.
        attempts: by the day and length of a window, how many were active in it when a process died
            that may have counted them.
        former_backups: backups that people cannot be looked up in, since their secret is gone.
    """

    settings: Settings
    secrets: Sequence[str]
    clock: Callable[[], datetime]
    world: World
    counts_windows: bool
    totals: dict[SeriesKey, list[int]] = field(default_factory=dict)
    attempts: dict[tuple[date, int], set[int]] = field(default_factory=dict)
    former_backups: set[Path] = field(default_factory=set)

    def people(self) -> Iterator[str]:
        """Whether all of what was acknowledged is there, the rest wholly or not at all."""
        with inspecting(database_of(self.settings), _BUSY_SECONDS) as store:
            yield from self._decide(self._found(store.reader))
            yield from self._nobody_else(store.reader)

    def without_taken_out(self, people: Mapping[str, Person]) -> dict[str, Person]:
        """People after a restore, less the days of whoever was taken out of the copy.

        An erasure that a death left unfinished is completed in the copies with all tombstones of
        about its day. So people who were erased then and came back before the copy was made may
        be in it or not.
        """
        with inspecting(database_of(self.settings), _BUSY_SECONDS) as store:
            found = self._found(store.reader)
        return {
            user: replace(person, days=frozenset())
            if person.erased_on and not found[user].days
            else person
            for user, person in people.items()
        }

    def ledger(self) -> Iterator[str]:
        """Whether all that was told is recorded once, paid for, and as it was told."""
        first_kept, _ = calendar_of(self.settings, self.clock).accepted_days()
        with inspecting(database_of(self.settings), _BUSY_SECONDS) as store:
            reader = store.reader
            fault = contradiction(reader, head_of(self.settings))
            if fault is not None:
                yield fault.message
            try:
                verify(reader, budget_rules_of(self.settings), first_kept)
            except DpdauError as error:
                yield error.message
            rows = reader.ledger()
            subjects = [(row.kind, row.subject) for row in rows]
            if len(set(subjects)) < len(subjects):
                yield "the ledger records a release twice"
            yield from self._told(reader)
            yield from self._paid(rows)
            yield from self._series(reader)

    def erasures(self) -> Iterator[str]:
        """Whether erasures that were answered are known, and those called done are done."""
        with inspecting(database_of(self.settings), _BUSY_SECONDS) as store:
            for erasure_id, is_done in self.world.erasures.items():
                found = store.reader.erasure(erasure_id)
                if found is None:
                    yield f"the erasure {erasure_id} was answered and is not known"
                elif is_done and found.completed_at is None:
                    yield f"the erasure {erasure_id} was called done and is not"

    def traces(self) -> Iterator[str]:
        """Whether nothing is left of whoever is gone; once every erasure is done."""
        gone = sorted(user for user, person in self.world.people.items() if person.is_gone)
        with inspecting(database_of(self.settings), _BUSY_SECONDS) as store:
            if store.reader.unfinished_erasures():
                yield "an erasure is not done, though one that came later is"
        patterns = {
            (user, secret): int(pseudonym).to_bytes(8, "little")
            for secret in self.secrets
            for user, pseudonym in zip(gone, self._pseudonyms(secret, gone), strict=True)
        }
        for file in sorted(self.settings.data_dir.rglob("*")):
            if file.is_file() and not file.name.startswith("erasures.journal"):
                yield from self._traces_in(file, patterns)
        for file in backups_of(self.settings).files():
            with inspecting(file, _BUSY_SECONDS) as backup:
                backup.require_whole()
                if file not in self.former_backups:
                    found = self._indices(backup.reader, gone)
                    left = [user for user, indices in found.items() if indices]
                    if left:
                        yield f"{_some(left)} are erased and still in {file.name}"

    def doctor(self, *, is_rotating: bool) -> Iterator[str]:
        """What `dpdau doctor` finds wrong."""
        for finding in doctor(self.settings, clock=self.clock):
            # The doctor asks for these to be deleted, which is for operators to do.
            is_former = is_rotating and finding.check == "backups"
            if finding.state is State.PROBLEM and not is_former:
                yield f"the doctor: {finding.check}: {finding.found}"

    def active(self, day: date, window_days: int = 1) -> int:
        """How many people of the world are active in a window."""
        window = {day.toordinal() - back for back in range(window_days)}
        return sum(bool(person.days & window) for person in self.world.people.values())

    def may_have_counted(self, day: date) -> None:
        """A day was being published, and nobody knows whether it was before something changes."""
        for window_days in (1, self.settings.mau_window_days):
            counts = self.attempts.setdefault((day, window_days), set())
            counts.add(self.active(day, window_days))

    def _pseudonyms(self, secret: str, users: Sequence[str]) -> list[int]:
        return [int(each) for each in Pseudonymizer(secret).pseudonyms(users).tolist()]

    def _indices(self, reader: Reader, users: Sequence[str]) -> dict[str, list[int]]:
        """The indices of people, of whom each should have at most one."""
        found: dict[str, list[int]] = {user: [] for user in users}
        for secret in self.secrets:
            named = Pseudonymizer(secret).pseudonyms(users)
            for user, index in zip(users, reader.user_indices(named).tolist(), strict=True):
                if index >= 0:
                    found[user].append(index)
        return found

    def _found(self, reader: Reader) -> dict[str, _Found]:
        users = sorted(self.world.people)
        indices, erased_on = self._indices(reader, users), self._erased_on(reader, users)
        today = self.clock().date().toordinal()
        members = {day: reader.members(day, day) for day in range(today - 40, today + 3)}
        return {
            user: _Found(
                len(own),
                frozenset(
                    day for day, present in members.items() if any(i in present for i in own)
                ),
                erased_on[user],
            )
            for user, own in indices.items()
        }

    def _erased_on(self, reader: Reader, users: Sequence[str]) -> dict[str, int]:
        erased_on = dict.fromkeys(users, 0)
        for secret in self.secrets:
            named = self._pseudonyms(secret, users)
            kept = reader.tombstones(np.array(sorted(named), dtype=np.uint64))
            days = dict(zip(kept.pseudonyms.tolist(), kept.erased_on.tolist(), strict=True))
            for user, pseudonym in zip(users, named, strict=True):
                erased_on[user] = max(erased_on[user], days.get(pseudonym, 0))
        return erased_on

    def _decide(self, found: Mapping[str, _Found]) -> Iterator[str]:
        for number, client in enumerate(self.world.clients):
            wrong: list[str] = []
            for people in client.candidates:
                wrong = [user for user, person in people.items() if not found[user].fits(person)]
                if not wrong:
                    client.people, client.pending = dict(people), {}
                    break
            else:
                parts = [
                    f"{user} is {found[user]}; expected "
                    + " or ".join(_person(people[user]) for people in client.candidates)
                    for user in wrong[:_MOST_NAMED]
                ]
                state = "pending" if client.pending else "nothing pending"
                yield f"client {number} ({state}), {len(wrong)} people: {'; '.join(parts)}"
                yield f"it had sent, oldest first: {'; '.join(client.history)}"

    def _nobody_else(self, reader: Reader) -> Iterator[str]:
        people = self.world.people
        known = BitMap(i for own in self._indices(reader, sorted(people)).values() for i in own)
        others = reader.members(_FIRST_DAY, _LAST_DAY) - known
        if others:
            yield f"{len(others)} people are active whom nobody ever sent"

    def _told(self, reader: Reader) -> Iterator[str]:
        for name in sorted(self.world.published | self.world.told.keys()):
            try:
                release = find_release(reader, name)
            except DpdauError as error:
                yield f"a client was told of {name}: {error.message}"
                continue
            told = self.world.told.get(name, {})
            recorded = {field: getattr(release, field) for field in told}
            if told:
                recorded["released_at"] = release.released_at.isoformat().replace("+00:00", "Z")
            if recorded != told:
                yield f"a client was told {name} is {told}, and recorded is {recorded}"

    def _paid(self, rows: Sequence[LedgerRow]) -> Iterator[str]:
        """Whether each row of a value has its price, by itself or on its series."""
        series = {row.subject for row in rows if row.kind is LedgerKind.SERIES and row.charge}
        for row in rows:
            if row.kind is LedgerKind.RELEASE and row.charge is None:
                key = SeriesKey(row.metric, row.body["window_days"], row.period)
                if key.series_id not in series:
                    yield f"{row.subject} has no price"

    def _series(self, reader: Reader) -> Iterator[str]:
        for key in reader.series_keys():
            state = reader.series_state(key)
            totals = list(state.totals) if state is not None else []
            known = self.totals.setdefault(key, [])
            if totals[: len(known)] != known:
                yield f"{key.series_id} has the totals {totals}, which began with {known}"
            first = Period.named(key.period).first
            for at in range(len(known), len(totals)):
                day = first + timedelta(days=at)
                possible = {
                    self.active(day, key.window_days),
                    *self.attempts.get((day, key.window_days), ()),
                }
                is_comparable = key.metric is Metric.DAU or self.counts_windows
                if is_comparable and totals[at] not in possible:
                    yield f"{key.series_id} counted {totals[at]} on {day}, expected {possible}"
            self.totals[key] = totals

    def _traces_in(self, file: Path, patterns: Mapping[tuple[str, str], bytes]) -> Iterator[str]:
        held = file.read_bytes()
        # Each has one tombstone, and nothing else may name them.
        most = 1 if file.suffix == ".sqlite3" else 0
        left = [user for (user, _), pattern in patterns.items() if held.count(pattern) > most]
        if left:
            yield f"the bytes of {_some(left)}, who are erased, are in {file.name}"


def _person(person: Person) -> str:
    gone = " and gone" if person.is_gone else ""
    return f"active on {_days(person.days)}, erased on {_days([person.erased_on])}{gone}"


def _days(days: Iterable[int]) -> str:
    return (
        ", ".join(str(date.fromordinal(day)) if day else "no day" for day in sorted(days))
        or "no day"
    )


def _some(users: Sequence[str]) -> str:
    return ", ".join(users[:_MOST_NAMED]) + (" and others" if len(users) > _MOST_NAMED else "")
