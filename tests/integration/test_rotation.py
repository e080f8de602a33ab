"""Rotating the secret: no count changes, nobody is lost, and wrong secrets change nothing."""

import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dpdau.application import Application
from dpdau.bootstrap import build
from dpdau.config import load_settings
from dpdau.errors import RequestKeyReusedError, SettingsError, WrongSecretError
from dpdau.hashing import Pseudonymizer
from dpdau.model.releases import Metric
from dpdau.pipeline.ports import OUTDATED, Store
from dpdau.pipeline.rotation import Rotation
from support import EXACT, Event, FakeClock, Oracle, application, columns
from support.stores import OPENERS

FIRST, SECOND, THIRD = "the first secret of all", "the second secret then", "the third one of them"
BEFORE = {"hash_salt_secret": FIRST}
DURING = {"hash_salt_secret": SECOND, "hash_salt_secret_previous": FIRST}
AFTER = {"hash_salt_secret": SECOND}
AGAIN = {"hash_salt_secret": THIRD, "hash_salt_secret_previous": SECOND}
TODAY = FakeClock().now.date()
USERS = ["ada", "bob", "eve", "joe"]


class Shared:
    """A store that stays open when one of the products that use it is closed."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def close(self) -> None:
        pass


@dataclass
class Counter:
    """A store that several products use one after the other, or at once."""

    data_dir: Path
    store: Store
    clock: FakeClock = field(default_factory=FakeClock)

    def start(self, secrets: dict[str, str], store: Shared | None = None) -> Application:
        return application(
            self.data_dir,
            store=Shared(self.store) if store is None else store,
            clock=self.clock,
            lateness_hours=0,
            retention_days=61,
            **EXACT,
            **secrets,
        )

    def content(self) -> tuple[Any, ...]:
        with self.store.read() as reader:
            users = reader.known_users()
            return (
                reader.meta("key_check_value"),
                reader.meta("rotation"),
                users,
                reader.members(OUTDATED, OUTDATED),
                reader.members(1, date.max.toordinal()),
                reader.tombstones().pseudonyms.tolist(),
            )


@pytest.fixture(params=OPENERS)
def counter(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Counter]:
    store = OPENERS[request.param](tmp_path)
    yield Counter(tmp_path, store)
    store.close()


def send(app: Application, *events: Event) -> int:
    return app.ingestor.apply(app.ingestor.pseudonymize(columns(events))).refused_after_erasure


def active(*users: str, day: date = TODAY) -> list[Event]:
    return [Event(user, day) for user in users]


def mau(app: Application) -> int:
    with app.store.read() as reader:
        return len(reader.members(TODAY.toordinal() - 29, TODAY.toordinal() + 1))


def figures(app: Application) -> tuple[str, int, int, int]:
    view = app.rotation()
    return view.state, view.users_done, view.users_remaining, view.tombstones_remaining


# --- counting across a rotation --------------------------------------------------------------

a_step = st.tuples(
    st.sampled_from(
        ["add", "add", "add", "retract", "erase_event", "erase", "tomorrow", "restart"]
    ),
    st.sampled_from(USERS),
    st.integers(0, 5),
)


@settings(max_examples=80, deadline=None)
@given(steps=st.lists(a_step, max_size=25), rotated_after=st.integers(0, 25))
@example(steps=[("add", "ada", 0), ("erase", "ada", 0), ("add", "ada", 1)], rotated_after=2)
@example(steps=[("add", "ada", 1), ("tomorrow", "", 0), ("add", "ada", 0)], rotated_after=1)
@pytest.mark.parametrize("kind", OPENERS)
def test_a_rotation_at_any_moment_changes_no_count(
    kind: str, steps: list[tuple[str, str, int]], rotated_after: int
) -> None:
    with tempfile.TemporaryDirectory() as directory:
        live_through(Counter(Path(directory), OPENERS[kind](Path(directory))), steps, rotated_after)


def live_through(counter: Counter, steps: list[tuple[str, str, int]], rotated_after: int) -> None:
    app, oracle = counter.start(BEFORE), Oracle()
    known: set[str] = set()
    outdated: set[str] = set()
    outdated_erasures: set[str] = set()
    for done, (kind, user, days_back) in enumerate([*steps, ("restart", "", 0)]):
        today = counter.clock.now.date()
        if done == rotated_after:
            app = counter.start(DURING)
            outdated, outdated_erasures = known.copy(), set(oracle.erased_on)
        if kind == "tomorrow":
            counter.clock.advance(days=1)
        elif kind == "restart":
            app = counter.start(BEFORE if done < rotated_after else DURING)
        else:
            outdated.discard(user)
            outdated_erasures.discard(user)
            if kind == "erase":
                app.erase([user])
                oracle.erase(user, today)
                known.discard(user)
            else:
                day = today - timedelta(days=days_back)
                event = Event(user, day, kind == "add", kind == "erase_event")
                refused = send(app, event)
                assert refused == (
                    not event.whole_user and day < oracle.erased_on.get(user, date.min)
                )
                oracle.apply(event)
                if kind == "erase_event":
                    known.discard(user)
                elif kind == "add" and not refused:
                    known.add(user)
        check(app, oracle, known)
        if done >= rotated_after:
            assert figures(app)[2:] == (len(outdated), len(outdated_erasures))
    counter.store.close()


def check(app: Application, oracle: Oracle, known: set[str]) -> None:
    today = app.calendar.today()
    with app.store.read() as reader:
        for window in (1, 3, 30):
            members = reader.members(today.toordinal() - window + 1, today.toordinal())
            assert len(members) == len(oracle.present(today, window))
        assert len(reader.known_users()) == len(known)


def test_releases_on_both_sides_of_a_rotation_count_everyone_once(counter: Counter) -> None:
    yesterday = TODAY - timedelta(days=1)
    send(counter.start(BEFORE), *active("ada", "bob", "eve", day=yesterday))
    app = counter.start(DURING)
    send(app, *active("ada", "bob", "joe"))
    counter.clock.advance(days=1)
    assert app.release(Metric.MAU, yesterday).estimate == 3
    assert app.release(Metric.MAU, TODAY).estimate == 4
    assert app.release(Metric.DAU, TODAY).estimate == 3


def test_who_was_erased_before_a_rotation_stays_refused_and_returns_as_the_same(
    counter: Counter,
) -> None:
    app = counter.start(BEFORE)
    send(app, *active("ada"))
    with counter.store.read() as reader:
        before = reader.members(TODAY.toordinal(), TODAY.toordinal())
    app.erase(["ada"])
    app = counter.start(DURING)
    assert send(app, *active("ada", day=TODAY - timedelta(days=1))) == 1
    assert mau(app) == 0
    assert send(app, *active("ada")) == 0
    with counter.store.read() as reader:
        assert reader.members(TODAY.toordinal(), TODAY.toordinal()) == before


def test_an_erasure_by_id_finds_people_known_under_the_previous_secret(counter: Counter) -> None:
    send(counter.start(BEFORE), *active("ada", "bob"))
    app = counter.start(DURING)
    app.erase(["ada"])
    assert mau(app) == 1
    assert figures(app) == ("running", 1, 1, 0)
    assert send(app, *active("ada", day=TODAY - timedelta(days=1))) == 1


def test_an_erasure_by_event_finds_people_known_under_the_previous_secret(
    counter: Counter,
) -> None:
    send(counter.start(BEFORE), *active("ada", "bob"))
    app = counter.start(DURING)
    send(app, Event("ada", TODAY, add=False, whole_user=True))
    assert mau(app) == 1
    assert figures(app) == ("running", 1, 1, 0)


def test_former_pseudonyms_are_in_no_file_once_people_have_moved(tmp_path: Path) -> None:
    counter = Counter(tmp_path, OPENERS["sqlite"](tmp_path))
    app = counter.start(BEFORE)
    send(app, *active("ada", "bob"))
    app.erase(["eve"])
    former = Pseudonymizer(FIRST).pseudonyms(["ada", "eve", "bob"]).tolist()
    app = counter.start(DURING)
    send(app, *active("ada", "eve"))
    app.upkeep.run()
    held = b"".join(file.read_bytes() for file in sorted(tmp_path.iterdir()))
    assert [pseudonym.to_bytes(8, "little") in held for pseudonym in former] == [False, False, True]
    counter.store.close()


def test_a_request_to_erase_that_comes_again_after_a_rotation_is_carried_out_once(
    counter: Counter,
) -> None:
    app = counter.start(BEFORE)
    send(app, *active("ada", "bob"))
    first = app.erase(["ada", "ada"], "ticket 1")
    send(app, *active("ada"))
    app = counter.start(DURING)
    assert app.erase(["ada"], "ticket 1") == first
    assert mau(app) == 2
    with pytest.raises(RequestKeyReusedError):
        app.erase(["bob"], "ticket 1")
    assert app.erase(["bob"], "ticket 2") == app.erase(["bob"], "ticket 2")
    assert mau(app) == 1


# --- how far it is ---------------------------------------------------------------------------


def test_the_status_tells_how_many_have_moved_and_what_to_do(counter: Counter) -> None:
    app = counter.start(BEFORE)
    assert figures(app) == ("none", 0, 0, 0)
    assert "HASH_SALT_SECRET_PREVIOUS" in app.rotation().next_step
    send(app, *active("ada", "bob", "eve"))
    app.erase(["eve"])
    app = counter.start(DURING)
    assert figures(app) == ("running", 0, 2, 1)
    assert app.rotation().started_on == TODAY
    assert app.rotation().ends_by == TODAY + timedelta(days=63)
    send(app, *active("ada", "joe"))
    assert figures(app) == ("running", 1, 1, 1)
    send(app, *active("eve"))
    assert figures(app) == ("running", 1, 1, 0)
    app.erase(["bob"])
    assert figures(app) == ("complete", 2, 0, 0)
    assert app.rotation().ends_by is None
    assert "Unset HASH_SALT_SECRET_PREVIOUS" in app.rotation().next_step


@pytest.mark.usefixtures("leaps_are_believed")
def test_people_who_never_return_are_forgotten_by_the_day_it_names(counter: Counter) -> None:
    app = counter.start(BEFORE)
    send(app, *active("ada", day=TODAY + timedelta(days=1)))
    send(app, *active("bob"))
    app.erase(["eve"])
    app = counter.start(DURING)
    ends_by = app.rotation().ends_by
    assert ends_by is not None
    counter.clock.advance(days=(ends_by - TODAY).days - 1)
    app.upkeep.run()
    assert figures(app) == ("running", 1, 1, 0)
    counter.clock.advance(days=1)
    app.upkeep.run()
    assert figures(app) == ("complete", 2, 0, 0)
    with counter.store.read() as reader:
        assert not reader.known_users()


def test_a_complete_rotation_needs_the_previous_secret_no_more(counter: Counter) -> None:
    send(counter.start(BEFORE), *active("ada"))
    send(counter.start(DURING), *active("ada"))
    for secrets in (AFTER, DURING, AFTER):
        app = counter.start(secrets)
        send(app, *active("ada", "bob"))
        assert mau(app) == 2


def test_another_rotation_may_follow_a_complete_one(counter: Counter) -> None:
    send(counter.start(BEFORE), *active("ada", "bob"))
    send(counter.start(DURING), *active("ada", "bob"))
    app = counter.start(AGAIN)
    assert figures(app) == ("running", 0, 2, 0)
    send(app, *active("ada"))
    assert mau(app) == 2
    assert figures(app) == ("running", 1, 1, 0)


def test_an_empty_store_is_rotated_at_once(counter: Counter) -> None:
    counter.start(BEFORE)
    assert figures(counter.start(DURING)) == ("complete", 0, 0, 0)
    counter.start(AFTER)


# --- what is refused -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("secrets", "message"),
    [
        ({"hash_salt_secret": THIRD}, "set HASH_SALT_SECRET_PREVIOUS to the former one too"),
        ({"hash_salt_secret": SECOND, "hash_salt_secret_previous": THIRD}, "Neither"),
        ({"hash_salt_secret": FIRST, "hash_salt_secret_previous": SECOND}, "is not the one"),
    ],
    ids=["without the previous one", "with another previous one", "the wrong way round"],
)
def test_a_rotation_with_wrong_secrets_does_not_start(
    counter: Counter, secrets: dict[str, str], message: str
) -> None:
    send(counter.start(BEFORE), *active("ada"))
    before = counter.content()
    with pytest.raises(WrongSecretError, match=message):
        counter.start(secrets)
    assert counter.content() == before
    send(counter.start(BEFORE), *active("ada"))


@pytest.mark.parametrize(
    ("secrets", "message"),
    [
        (BEFORE, "set HASH_SALT_SECRET_PREVIOUS to the former one too"),
        (AFTER, "Set HASH_SALT_SECRET_PREVIOUS to that one again"),
        (AGAIN, "another one cannot start"),
        ({"hash_salt_secret": FIRST, "hash_salt_secret_previous": SECOND}, "cannot start"),
        ({"hash_salt_secret": THIRD, "hash_salt_secret_previous": FIRST}, "Neither"),
        ({"hash_salt_secret": SECOND, "hash_salt_secret_previous": THIRD}, "is not the one"),
    ],
    ids=["back", "too early", "a third one", "in reverse", "a third and the first", "another one"],
)
@pytest.mark.parametrize("left", ["a user", "a tombstone"])
def test_an_incomplete_rotation_goes_on_with_its_two_secrets_only(
    counter: Counter, secrets: dict[str, str], message: str, left: str
) -> None:
    app = counter.start(BEFORE)
    send(app, *active("ada"))
    if left == "a tombstone":
        app.erase(["ada"])
    counter.start(DURING)
    before = counter.content()
    with pytest.raises(WrongSecretError, match=message):
        counter.start(secrets)
    assert counter.content() == before
    assert figures(counter.start(DURING))[0] == "running"


def test_a_new_store_has_no_previous_secret(counter: Counter) -> None:
    before = counter.content()
    with pytest.raises(WrongSecretError, match="is new"):
        counter.start(DURING)
    assert counter.content() == before


def test_one_secret_for_both_is_refused(counter: Counter) -> None:
    with pytest.raises(SettingsError, match="HASH_SALT_SECRET_PREVIOUS equals HASH_SALT_SECRET"):
        counter.start({"hash_salt_secret": FIRST, "hash_salt_secret_previous": FIRST})


# --- several processes -----------------------------------------------------------------------


def test_a_process_that_runs_on_with_the_former_secret_can_write_no_more(
    counter: Counter,
) -> None:
    former = counter.start(BEFORE)
    send(former, *active("ada", "bob", day=TODAY - timedelta(days=1)))
    on_its_way = former.ingestor.pseudonymize(columns(active("ada", "joe")))
    app = counter.start(DURING)
    send(app, *active("ada"))
    before = counter.content()
    with pytest.raises(WrongSecretError, match="replaced by another process"):
        former.ingestor.apply(on_its_way)
    with pytest.raises(WrongSecretError, match="replaced by another process"):
        former.erase(["bob"])
    assert counter.content() == before
    # What needs no pseudonym goes on.
    assert former.release(Metric.DAU, TODAY - timedelta(days=1)).estimate == 2


def test_a_process_of_the_first_rotation_can_write_no_more_in_the_second(
    counter: Counter,
) -> None:
    send(counter.start(BEFORE), *active("ada"))
    former = counter.start(DURING)
    send(former, *active("ada"))
    counter.start(AGAIN)
    with pytest.raises(WrongSecretError, match="replaced by another process"):
        send(former, *active("ada"))


def test_a_process_that_joins_a_rotation_finds_who_has_moved(counter: Counter) -> None:
    send(counter.start(BEFORE), *active("ada", "bob"))
    one, other = counter.start(DURING), counter.start(DURING)
    on_its_way = other.ingestor.pseudonymize(columns(active("ada", "bob")))
    send(one, *active("ada"))
    other.ingestor.apply(on_its_way)
    assert mau(one) == 2
    assert figures(one) == ("complete", 2, 0, 0)


def test_processes_that_start_at_once_start_one_rotation(tmp_path: Path) -> None:
    def start(secrets: dict[str, str]) -> Application:
        return build(load_settings(data_dir=tmp_path, **secrets), clock=FakeClock())

    with start(BEFORE) as app:
        send(app, *active("ada", "bob"))

    def join(number: int) -> None:
        with start(DURING) as app:
            send(app, *active(f"user-{number}", "ada"))

    with ThreadPoolExecutor(6) as threads:
        list(threads.map(join, range(6)))
    with start(DURING) as app:
        assert mau(app) == 8
        assert figures(app) == ("running", 1, 1, 0)


def test_a_process_that_is_overtaken_at_the_start_of_a_rotation_joins_it(counter: Counter) -> None:
    send(counter.start(BEFORE), *active("ada", "bob"))
    others: list[Application] = []

    class Overtaken(Shared):
        """Between what a process reads and what it writes, another one starts the rotation."""

        def write(self, *, shared: bool = False) -> Any:
            if not others:
                others.append(counter.start(DURING))
                send(others[0], *active("ada"))
            return counter.store.write(shared=shared)

    app = counter.start(DURING, Overtaken(counter.store))
    assert len(others) == 1
    assert figures(app) == ("running", 1, 1, 0)
    send(app, *active("bob"))
    assert (mau(app), figures(app)) == (2, ("complete", 2, 0, 0))


# --- crashes and the first secret ------------------------------------------------------------


def test_a_rotation_that_fails_half_way_has_not_started(
    counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(counter.start(BEFORE), *active("ada"))
    before = counter.content()

    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Rotation, "keep", fail)
        with pytest.raises(KeyboardInterrupt):
            counter.start(DURING)
    assert counter.content() == before
    app = counter.start(DURING)
    send(app, *active("ada"))
    assert mau(app) == 1


def test_the_secret_that_was_made_at_the_first_start_can_be_replaced(tmp_path: Path) -> None:
    def start(**secrets: str) -> Application:
        return build(load_settings(data_dir=tmp_path, **secrets), clock=FakeClock())

    with start() as app:
        send(app, *active("ada"))
    made = (tmp_path / "secret").read_text()
    with start(hash_salt_secret=SECOND, hash_salt_secret_previous=made) as app:
        send(app, *active("ada"))
        assert mau(app) == 1
        assert figures(app) == ("complete", 1, 0, 0)
    with pytest.raises(WrongSecretError):
        start()
    with start(hash_salt_secret=SECOND) as app:
        assert mau(app) == 1


def test_the_secret_in_the_data_directory_is_no_previous_one_of_itself(tmp_path: Path) -> None:
    build(load_settings(data_dir=tmp_path)).close()
    made = (tmp_path / "secret").read_text()
    with pytest.raises(WrongSecretError, match="is the secret in force"):
        build(load_settings(data_dir=tmp_path, hash_salt_secret_previous=made))
