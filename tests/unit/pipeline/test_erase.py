"""Erasures on request: who is refused, what is repeated, and when an erasure is done."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest

from dpdau.errors import (
    BatchTooLargeError,
    ErasureNotFoundError,
    InputError,
    InvalidValueError,
    RequestKeyReusedError,
    StoreBusyError,
    StoreError,
    StoreFullError,
)
from dpdau.hashing import Pseudonymizer
from dpdau.model.calendar import Calendar, PeriodKind
from dpdau.model.ledger import GENESIS_HASH
from dpdau.pipeline.erase import Eraser
from dpdau.pipeline.ingest import Ingestor
from dpdau.pipeline.ports import Tombstones
from dpdau.pipeline.rotation import KEY_CHECK
from dpdau.store import MemoryJournal, MemoryStore
from support import Event, FakeClock, columns
from support.stores import ledger_row


@dataclass
class NotedBackups:
    """Notes who has to be taken out of backups, and fails as long as it is told to."""

    erased: list[int] = field(default_factory=list)
    key_checks: list[str | None] = field(default_factory=list)
    fails: bool = False

    def erase(self, tombstones: Tombstones, key_check: str | None) -> int:
        self.key_checks.append(key_check)
        if self.fails:
            raise StoreError("a backup is broken")
        self.erased += tombstones.pseudonyms.tolist()
        return 1


@dataclass
class Place:
    """A store, a journal, and erasers on both, as several processes would have."""

    store: MemoryStore = field(default_factory=MemoryStore)
    journal: MemoryJournal = field(default_factory=MemoryJournal)
    backups: NotedBackups = field(default_factory=NotedBackups)
    clock: FakeClock = field(default_factory=FakeClock)
    pseudonymizer: Pseudonymizer = field(default_factory=lambda: Pseudonymizer("a secret of tests"))

    def __post_init__(self) -> None:
        self.calendar = Calendar(ZoneInfo("UTC"), timedelta(), 400, PeriodKind.MONTH, self.clock)
        self.ingestor = Ingestor(self.store, self.pseudonymizer, self.calendar)
        self.eraser = self.new_eraser()

    def new_eraser(self) -> Eraser:
        eraser = Eraser(self.store, self.pseudonymizer, self.calendar, self.journal, self.backups)
        eraser.start()
        return eraser

    def send(self, user_id: str, *, add: bool = True, whole_user: bool = False) -> None:
        event = Event(user_id, self.calendar.today(), add, whole_user)
        self.ingestor.apply(self.ingestor.pseudonymize(columns([event])))

    def active(self) -> int:
        today = self.calendar.today().toordinal()
        with self.store.read() as reader:
            return len(reader.members(today, today))

    def in_journal(self, *user_ids: str) -> list[bool]:
        known = set(self.journal.read().pseudonyms.tolist())
        return [each in known for each in self.pseudonymizer.pseudonyms(user_ids).tolist()]


@pytest.fixture
def place() -> Place:
    return Place()


# --- requests that are refused ---------------------------------------------------------------


@pytest.mark.parametrize("bad", ["", "x" * 257, "é" * 129, "\ud800"])
def test_an_id_that_no_event_can_have_is_refused_without_being_repeated(
    place: Place, bad: str
) -> None:
    with pytest.raises(InvalidValueError, match=r"user_ids\[1\] is .*1 to 256 bytes") as refusal:
        place.eraser.erase(["ada", bad])
    assert bad == "" or bad not in str(refusal.value)


def test_nobody_cannot_be_erased(place: Place) -> None:
    with pytest.raises(InvalidValueError, match="at least one user id"):
        place.eraser.erase([])


def test_more_people_than_one_request_may_name_are_refused(place: Place) -> None:
    with pytest.raises(BatchTooLargeError, match="100,001 user ids"):
        place.eraser.erase(["ada"] * 100_001)


@pytest.mark.parametrize("bad", [["ada", ""], [], ["ada", "bob"] * 50_001])
def test_a_refused_request_leaves_a_record_that_says_why_and_erases_nobody(
    place: Place, bad: list[str]
) -> None:
    place.send("ada")
    with pytest.raises(InputError) as refusal:
        place.eraser.erase(bad, "a key")
    record = place.eraser.find(refusal.value.details["erasure_id"])
    assert record.refusal == refusal.value.message
    assert (record.users, record.completed_at) == (len(set(bad)), None)
    assert place.active() == 1
    assert place.eraser.finish() == 0
    assert place.eraser.find(record.erasure_id) == record
    # The key was not used up.
    assert place.eraser.erase(["ada"], "a key").erasure.users == 1


def test_a_bad_request_is_told_as_such_where_no_record_can_be_written(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise StoreFullError

    monkeypatch.setattr(place.store, "write", fail)
    with pytest.raises(InvalidValueError) as refusal:
        place.eraser.erase([])
    assert "erasure_id" not in refusal.value.details


@pytest.mark.parametrize("bad", ["", "k" * 256, "ada@exämple", "a\nb"])
def test_a_key_that_no_header_can_carry_is_refused_without_being_repeated(
    place: Place, bad: str
) -> None:
    with pytest.raises(InvalidValueError, match="1 to 255 printable ASCII") as refusal:
        place.eraser.erase(["ada"], bad)
    assert bad == "" or bad not in str(refusal.value)


# --- requests that are repeated --------------------------------------------------------------


def test_a_repeated_request_gets_its_record_and_erases_nobody_who_came_back(place: Place) -> None:
    place.send("ada")
    first = place.eraser.erase(["ada", "bob"], "one")
    place.eraser.finish()
    place.send("ada")
    again = place.eraser.erase(["bob", "ada", "bob"], "one")
    assert (first.is_repeated, again.is_repeated) == (False, True)
    assert again.erasure == place.eraser.find(first.erasure.erasure_id)
    assert place.active() == 1


@pytest.mark.parametrize("others", [["bob"], ["ada", "bob"], ["Ada"]])
def test_a_key_cannot_be_used_for_other_people(place: Place, others: list[str]) -> None:
    place.send("bob")
    place.eraser.erase(["ada"], "ada's request")
    with pytest.raises(RequestKeyReusedError) as refusal:
        place.eraser.erase(others, "ada's request")
    assert "ada" not in str(refusal.value)
    assert place.active() == 1


def test_without_a_key_or_under_another_one_a_request_is_a_new_one(place: Place) -> None:
    ids = {place.eraser.erase(["ada"], key).erasure.erasure_id for key in (None, None, "1", "2")}
    assert len(ids) == 4


def test_two_requests_under_one_key_at_once_give_one_erasure(place: Place) -> None:
    place.send("ada")
    started = threading.Barrier(4)
    found: list[tuple[str, bool]] = []

    def ask() -> None:
        started.wait()
        requested = place.eraser.erase(["ada"], "the same")
        found.append((requested.erasure.erasure_id, requested.is_repeated))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({erasure_id for erasure_id, _ in found}) == 1
    assert sorted(is_repeated for _, is_repeated in found) == [False, True, True, True]


def test_neither_the_key_nor_who_was_named_is_kept_in_the_clear(place: Place) -> None:
    record = place.eraser.erase(["ada"], "ada@example.com").erasure
    (pseudonym,) = place.pseudonymizer.pseudonyms(["ada"]).tolist()
    assert record.request_key is not None
    assert record.request_digest is not None
    for secret in ("ada", f"{pseudonym:x}", str(pseudonym)):
        assert secret not in record.request_key
        assert secret not in record.request_digest
    elsewhere = Place(pseudonymizer=Pseudonymizer("another secret of tests"))
    other = elsewhere.eraser.erase(["ada"], "ada@example.com").erasure
    assert other.request_key != record.request_key
    assert other.request_digest != record.request_digest


def test_a_key_lives_as_long_as_the_tombstones(place: Place) -> None:
    first = place.eraser.erase(["ada"], "one").erasure
    today = place.calendar.today().toordinal()
    for day, is_repeated in ((today, True), (today + 1, False)):
        with place.store.write() as transaction:
            transaction.drop_before(day)
        assert place.eraser.erase(["ada"], "one").is_repeated is is_repeated
    assert place.eraser.find(first.erasure_id).request_digest is None


# --- when an erasure is done -----------------------------------------------------------------


def test_the_name_of_an_erasure_is_sixteen_bytes_that_nobody_guesses(place: Place) -> None:
    names = {place.eraser.erase(["ada"]).erasure.erasure_id for _ in range(9)}
    assert len(names) == 9
    assert {len(bytes.fromhex(name)) for name in names} == {16}


def test_an_erasure_waits_for_its_purge(place: Place) -> None:
    erasure = place.eraser.erase(["ada", "ada", "grace"]).erasure
    assert erasure.completed_at is None
    assert erasure.users == 2
    assert place.in_journal("ada") == [False]
    assert place.eraser.finish() == 0
    assert place.eraser.find(erasure.erasure_id).completed_at is not None
    assert place.in_journal("ada", "grace", "bob") == [True, True, False]
    assert place.eraser.finish() == 0


def test_a_completed_erasure_names_the_newest_row_of_the_ledger(place: Place) -> None:
    first = place.eraser.erase(["ada"]).erasure
    place.eraser.finish()
    row = ledger_row(1)
    with place.store.write() as transaction:
        transaction.append_ledger(row)
    second = place.eraser.erase(["bob"]).erasure
    place.eraser.finish()
    positions = [
        (record.ledger_sequence, record.ledger_hash)
        for record in map(place.eraser.find, (first.erasure_id, second.erasure_id))
    ]
    assert positions == [(0, GENESIS_HASH), (1, row.hash)]


def test_an_erasure_is_not_done_before_the_journal_has_it(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: Tombstones) -> None:
        raise StoreFullError

    erasure = place.eraser.erase(["ada"]).erasure
    with monkeypatch.context() as patch:
        patch.setattr(place.journal, "append", fail)
        with pytest.raises(StoreFullError):
            place.eraser.finish()
    assert place.eraser.find(erasure.erasure_id).completed_at is None
    assert place.eraser.finish() == 0
    assert place.in_journal("ada") == [True]


def test_an_erasure_whose_pages_are_held_reaches_the_journal_later(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    def held() -> None:
        raise StoreBusyError(0)

    place.eraser.erase(["ada"])
    with monkeypatch.context() as patch:
        patch.setattr(place.store, "purge", held)
        assert place.eraser.finish() == 1
    place.eraser.erase(["bob"])
    assert place.eraser.finish() == 0
    assert place.in_journal("ada", "bob") == [True, True]


def test_what_another_process_left_unfinished_is_completed_from_the_store(place: Place) -> None:
    died = place.eraser.erase(["ada"]).erasure
    survivor = place.new_eraser()
    assert survivor.finish() == 0
    done = survivor.find(died.erasure_id)
    assert done.completed_at is not None
    assert place.in_journal("ada") == [True]
    place.clock.advance(minutes=1)
    assert place.eraser.finish() == 0
    assert place.eraser.find(died.erasure_id) == done


def test_one_that_another_process_completes_meanwhile_keeps_its_time(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    erasure = place.eraser.erase(["ada"]).erasure
    other = place.new_eraser()

    def let_the_other_be_faster() -> None:
        monkeypatch.undo()
        other.finish()
        place.clock.advance(minutes=1)

    requested_at = place.calendar.now()
    monkeypatch.setattr(place.store, "purge", let_the_other_be_faster)
    place.eraser.finish()
    assert place.eraser.find(erasure.erasure_id).completed_at == requested_at


def test_people_erased_by_events_reach_the_journal_too(place: Place) -> None:
    place.send("ada", add=False, whole_user=True)
    with place.store.read() as reader:
        (record,) = reader.unfinished_erasures()
    assert (record.users, record.request_key) == (1, None)
    place.eraser.erase(["bob"])
    assert place.eraser.finish() == 0
    assert place.in_journal("ada", "bob") == [True, True]


def test_the_tombstones_of_a_process_are_appended_without_reading_all(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    appended: list[Tombstones] = []
    monkeypatch.setattr(place.journal, "append", appended.append)
    for users in (["ada", "bob"], ["eve"]):
        place.eraser.erase(users)
        place.eraser.finish()
    assert [len(each) for each in appended] == [2, 1]


def test_a_store_without_a_journal_gets_one_at_the_start(place: Place) -> None:
    place.eraser.erase(["ada"])
    place.eraser.finish()
    place.journal = MemoryJournal()
    place.new_eraser()
    assert place.in_journal("ada") == [True]


def test_a_journal_that_is_lost_is_written_anew(place: Place) -> None:
    place.eraser.erase(["ada"])
    place.eraser.finish()
    lost = place.journal
    lost._kept = None  # noqa: SLF001 - as if its file were gone
    place.eraser.erase(["bob"])
    place.eraser.finish()
    assert place.in_journal("ada", "bob") == [True, True]


def test_what_only_the_journal_has_stays_when_an_older_store_is_put_back(place: Place) -> None:
    older = Place(journal=place.journal)
    older.eraser.erase(["early"])
    place.eraser.erase(["ada"])
    place.eraser.finish()
    older.new_eraser().finish()
    assert place.in_journal("ada", "early") == [True, True]


def test_a_journal_that_fails_stops_no_start(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        message = "The journal is on a disk that is not there."
        raise StoreError(message)

    monkeypatch.setattr(place.journal, "exists", fail)
    place.send("ada")
    eraser = place.new_eraser()
    eraser.erase(["ada"])
    assert place.active() == 0
    with pytest.raises(StoreError):
        eraser.finish()


def test_the_journal_forgets_with_the_store(place: Place) -> None:
    place.eraser.erase(["ada"])
    place.clock.advance(days=1)
    place.eraser.erase(["bob"])
    place.eraser.finish()
    place.eraser.forget_before(place.calendar.today())
    assert place.in_journal("ada", "bob") == [False, True]


def test_an_unknown_record_is_named(place: Place) -> None:
    with pytest.raises(ErasureNotFoundError, match="'nothing'"):
        place.eraser.find("nothing")


def test_tombstones_that_erasing_again_leaves_protect_no_less(place: Place) -> None:
    def kept() -> Sequence[Sequence[int]]:
        with place.store.read() as reader:
            found = reader.tombstones()
        return [found.erased_on.tolist(), found.recorded_on.tolist(), found.user_indices.tolist()]

    place.send("ada")
    place.eraser.erase(["ada"])
    today = place.calendar.today().toordinal()
    assert kept() == [[today], [today], [0]]
    place.clock.advance(days=1)
    place.eraser.erase(["ada"])
    assert kept() == [[today + 1], [today + 1], [0]]


# --- backups ---------------------------------------------------------------------------------


def test_an_erasure_is_done_only_after_backups_were_reached(place: Place) -> None:
    place.backups.fails = True
    (erased,) = place.pseudonymizer.pseudonyms(["ada"]).tolist()
    asked = place.eraser.erase(["ada"]).erasure.erasure_id
    with pytest.raises(StoreError, match="a backup is broken"):
        place.eraser.finish()
    assert not place.eraser.find(asked).is_finished
    place.backups.fails = False
    assert place.eraser.finish() == 0
    assert place.eraser.find(asked).is_finished
    assert place.backups.erased == [erased]


def test_backups_are_told_by_which_secret_the_pseudonyms_were_made(place: Place) -> None:
    with place.store.write() as transaction:
        transaction.put_meta(KEY_CHECK, place.pseudonymizer.key_check_value)
    place.eraser.erase(["ada"])
    place.eraser.finish()
    assert place.backups.key_checks == [place.pseudonymizer.key_check_value]


def test_whom_a_process_erased_before_it_died_is_taken_out_of_backups_by_the_next(
    place: Place,
) -> None:
    place.eraser.erase(["long ago"])
    place.eraser.finish()
    place.clock.advance(days=9)
    place.eraser.erase(["ada"])
    place.backups.erased.clear()
    assert place.new_eraser().finish() == 0
    assert place.backups.erased == place.pseudonymizer.pseudonyms(["ada"]).tolist()
