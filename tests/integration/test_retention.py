"""Retention: what is past it goes, and people of whom nothing is left are forgotten."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from pyroaring import BitMap

from dpdau.application import Application
from dpdau.errors import ClockLeaptError, HastyRetentionError
from dpdau.model.releases import Metric, SeriesKey
from dpdau.pipeline import retention
from dpdau.pipeline.ports import OUTDATED, SeriesState, Store
from dpdau.pipeline.retention import Retention
from dpdau.pipeline.upkeep import Upkeep
from dpdau.privacy.flippancy import LimiterState
from support import EXACT, Event, FakeClock, application, columns
from support.stores import OPENERS

RETENTION_DAYS = 61
TODAY = FakeClock().now.date()
NOVEMBER = SeriesKey(Metric.MAU, 30, "2025-11")


@pytest.fixture(params=OPENERS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    store = OPENERS[request.param](tmp_path)
    yield store
    store.close()


@pytest.fixture
def app(tmp_path: Path, store: Store, clock: FakeClock) -> Application:
    return application(
        tmp_path / "data", store=store, clock=clock, retention_days=RETENTION_DAYS, **EXACT
    )


def send(app: Application, user: str, day: date = TODAY, *, add: bool = True) -> None:
    event = Event(user, day, add=add)
    app.ingestor.apply(app.ingestor.pseudonymize(columns([event])))


def drop(app: Application) -> None:
    Retention(app.store).drop(app.calendar.accepted_days()[0])


def index_of(app: Application, user: str) -> int:
    pseudonyms = app.ingestor.pseudonymize(columns([Event(user, TODAY)])).pseudonyms
    with app.store.read() as reader:
        return int(reader.user_indices(pseudonyms)[0])


def count(app: Application, *users: int) -> None:
    """Let a running series have counted these indices."""
    counted = LimiterState.empty(2).advance(BitMap(users)).state
    with app.store.write() as transaction:
        transaction.put_series_state(NOVEMBER, SeriesState((len(users),), counted.to_bytes()))


def indices_kept(app: Application) -> list[int]:
    with app.store.read() as reader:
        return [int(index) for index in reader.tombstones().user_indices]


def test_people_are_forgotten_with_their_last_activity(app: Application, clock: FakeClock) -> None:
    send(app, "ada")
    send(app, "bob", TODAY + timedelta(days=1))
    clock.advance(days=RETENTION_DAYS)
    drop(app)
    assert index_of(app, "ada") >= 0
    clock.advance(days=1)
    drop(app)
    assert index_of(app, "ada") == -1
    assert index_of(app, "bob") >= 0


def test_people_who_retracted_all_days_are_forgotten(app: Application) -> None:
    send(app, "ada")
    send(app, "bob")
    send(app, "ada", add=False)
    drop(app)
    assert index_of(app, "ada") == -1
    assert index_of(app, "bob") >= 0


def test_people_whom_a_running_series_has_counted_are_remembered_until_it_is_complete(
    app: Application, store: Store
) -> None:
    send(app, "ada")
    former = index_of(app, "ada")
    send(app, "ada", add=False)
    count(app, former)
    drop(app)
    assert index_of(app, "ada") == former
    with store.write() as transaction:
        transaction.drop_series_state(NOVEMBER)
    drop(app)
    assert index_of(app, "ada") == -1


def test_a_series_without_a_limit_holds_nobody(app: Application, store: Store) -> None:
    send(app, "ada")
    send(app, "ada", add=False)
    with store.write() as transaction:
        transaction.put_series_state(NOVEMBER, SeriesState((1,), None))
    drop(app)
    assert index_of(app, "ada") == -1


def test_a_series_that_was_never_completed_goes_with_its_period(
    app: Application, store: Store, clock: FakeClock
) -> None:
    count(app, 1)
    clock.advance(days=10 + RETENTION_DAYS)
    drop(app)
    with store.read() as reader:
        assert reader.series_keys() == [NOVEMBER]
    clock.advance(days=1)
    drop(app)
    with store.read() as reader:
        assert reader.series_keys() == []


def test_a_tombstone_gives_an_index_back_only_while_a_running_series_needs_it(
    app: Application, store: Store
) -> None:
    send(app, "ada")
    send(app, "bob")
    ada = index_of(app, "ada")
    app.erase(["ada", "bob", "eve"])
    count(app, ada)
    drop(app)
    assert sorted(indices_kept(app)) == [-1, -1, ada]
    drop(app)
    with store.write() as transaction:
        transaction.drop_series_state(NOVEMBER)
    drop(app)
    assert indices_kept(app) == [-1, -1, -1]
    send(app, "ada")
    assert index_of(app, "ada") > ada


def test_a_tombstone_keeps_its_index_until_its_erasure_is_done(app: Application) -> None:
    send(app, "ada")
    ada = index_of(app, "ada")
    app.eraser.erase(["ada"])
    drop(app)
    assert indices_kept(app) == [ada]
    app.eraser.finish()
    drop(app)
    assert indices_kept(app) == [-1]


def test_a_tombstone_without_an_index_still_refuses(app: Application) -> None:
    app.erase(["ada"])
    drop(app)
    send(app, "ada", TODAY - timedelta(days=1))
    assert index_of(app, "ada") == -1


def test_it_happens_once_a_day(app: Application, clock: FakeClock) -> None:
    app.upkeep.run()
    send(app, "ada")
    send(app, "ada", add=False)
    app.upkeep.run()
    assert index_of(app, "ada") >= 0
    clock.advance(days=1)
    app.upkeep.run()
    assert index_of(app, "ada") == -1


@pytest.mark.parametrize("what", ["returns", "is erased", "is counted"])
def test_what_changes_after_the_first_look_counts(
    app: Application, store: Store, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    send(app, "ada")
    former = index_of(app, "ada")
    send(app, "ada", add=False)
    changes: dict[str, Callable[[], Any]] = {
        "returns": lambda: send(app, "ada"),
        "is erased": lambda: app.erase(["ada"]),
        "is counted": lambda: count(app, former),
    }
    real, looks = retention._idle, iter([changes[what]])  # noqa: SLF001 - between its two looks

    def look(*arguments: Any) -> BitMap:
        found = real(*arguments)
        if change := next(looks, None):
            assert list(found) == [former]
            change()
        return found

    monkeypatch.setattr(retention, "_idle", look)
    drop(app)
    assert index_of(app, "ada") == (-1 if what == "is erased" else former)
    with store.read() as reader:
        assert len(reader.known_users()) == (what != "is erased")


def test_an_erased_person_who_is_counted_again_after_the_first_look_keeps_the_index(
    app: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(app, "ada")
    former = index_of(app, "ada")
    app.erase(["ada"])
    real, looks = retention._unneeded, iter([lambda: count(app, former)])  # noqa: SLF001

    def look(*arguments: Any) -> Any:
        found = real(*arguments)
        if change := next(looks, None):
            change()
        return found

    monkeypatch.setattr(retention, "_unneeded", look)
    drop(app)
    assert indices_kept(app) == [former]


def test_many_people_are_forgotten_in_several_transactions(
    app: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "_USERS_AT_ONCE", 2)
    users = [f"user-{number}" for number in range(7)]
    for user in users:
        send(app, user)
        send(app, user, add=user == "user-3")
    drop(app)
    assert [user for user in users if index_of(app, user) >= 0] == ["user-3"]


def test_a_reader_that_holds_the_log_stops_nothing(app: Application, store: Store) -> None:
    send(app, "ada")
    with store.read() as reader:
        send(app, "ada", add=False)
        drop(app)
        assert len(reader.known_users()) == 1
    assert index_of(app, "ada") == -1


def test_the_forgotten_are_outdated_no_more(app: Application, store: Store) -> None:
    send(app, "ada")
    send(app, "bob")
    with store.write() as transaction:
        transaction.update_members(OUTDATED, transaction.known_users(), BitMap())
    send(app, "ada", add=False)
    drop(app)
    with store.read() as reader:
        assert reader.members(OUTDATED, OUTDATED) == reader.known_users()


class Waiting:
    """Upkeep of an app, in a process that has run for as long as it is told."""

    def __init__(self, app: Application) -> None:
        self.hours = 0.0
        self._upkeep = Upkeep(
            app.calendar,
            app.eraser,
            app.publisher,
            Retention(app.store),
            elapsed=lambda: 3_600 * self.hours,
        )

    def run(self) -> None:
        """A round of upkeep in which only retention may fail, since the clock leaps."""
        with suppress(ClockLeaptError):
            self._upkeep.run()

    def waits(self) -> bool:
        try:
            self.run()
        except HastyRetentionError as error:
            assert "more than 35 days at once" in error.message  # noqa: PT017 - one of two ends
            return True
        return False


def leave_activity(app: Application) -> None:
    send(app, "ada")


def leave_a_tombstone(app: Application) -> None:
    app.erase(["ada"])


def leave_a_series(app: Application) -> None:
    count(app, 1)


@pytest.mark.parametrize("leave", [leave_activity, leave_a_tombstone, leave_a_series])
def test_a_clock_that_leaps_drops_nothing_before_it_has_stood_for_hours(
    app: Application, clock: FakeClock, leave: Callable[[Application], None]
) -> None:
    leave(app)
    upkeep = Waiting(app)
    assert not upkeep.waits()
    clock.advance(days=365)
    for upkeep.hours in (0, 1, 11.9):
        assert upkeep.waits()
    upkeep.hours = 12
    assert not upkeep.waits()
    with app.store.read() as reader:
        assert not reader.members(1, TODAY.toordinal())
        assert len(reader.tombstones()) == 0
        assert "2025-11" not in {key.period for key in reader.series_keys()}


def test_a_clock_that_is_put_right_again_drops_nothing(app: Application, clock: FakeClock) -> None:
    send(app, "ada")
    upkeep = Waiting(app)
    clock.advance(days=365)
    assert upkeep.waits()
    clock.advance(days=-365)
    upkeep.hours = 24
    assert not upkeep.waits()
    clock.advance(days=365)
    assert upkeep.waits()
    assert index_of(app, "ada") >= 0


def test_what_a_month_brings_is_dropped_at_once(app: Application, clock: FakeClock) -> None:
    send(app, "ada")
    upkeep = Waiting(app)
    clock.advance(days=RETENTION_DAYS + 31)
    assert not upkeep.waits()
    assert index_of(app, "ada") == -1
