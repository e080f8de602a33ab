from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from unittest.mock import patch
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpdau.hashing import Pseudonymizer, Sampler
from dpdau.model.calendar import Calendar, PeriodKind
from dpdau.pipeline.erase import Eraser
from dpdau.pipeline.ingest import Ingestor, PseudonymousEvents
from dpdau.store import BackupFolder, MemoryJournal, MemoryStore
from support import Event, FakeClock, Oracle, columns

TODAY = date(2025, 11, 20)
USERS = ["ada", "grace", "edsger", "λ"]
DAYS = [TODAY - timedelta(days=offset) for offset in range(5)]

an_event = st.builds(
    Event, st.sampled_from(USERS), st.sampled_from(DAYS), st.booleans(), st.booleans()
)


class Pipeline:
    """An ingestor, an eraser and the store behind them."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.clock = FakeClock(datetime(2025, 11, 20, 12, tzinfo=UTC))
        calendar = Calendar(ZoneInfo("UTC"), timedelta(), 400, PeriodKind.MONTH, self.clock)
        self.pseudonymizer = Pseudonymizer("a secret of the tests")
        self.calendar = calendar
        self.ingestor = Ingestor(self.store, self.pseudonymizer, calendar)
        backups = BackupFolder(Path("of no store") / "backups", 0)
        self.eraser = Eraser(self.store, self.pseudonymizer, calendar, MemoryJournal(), backups)

    def send(self, events: list[Event]) -> None:
        self.ingestor.apply(self.ingestor.pseudonymize(columns(events)))

    def count(self, day: date, window_days: int = 1) -> int:
        last = day.toordinal()
        with self.store.read() as reader:
            return len(reader.members(last - window_days + 1, last))


def counts_agree(pipeline: Pipeline, oracle: Oracle) -> bool:
    return all(
        pipeline.count(day, window) == len(oracle.present(day, window))
        for day in DAYS
        for window in (1, 3, 30)
    )


@given(st.lists(st.lists(an_event, max_size=12), max_size=6))
def test_counts_equal_those_of_plain_sets_after_any_batches(batches: list[list[Event]]) -> None:
    pipeline, oracle = Pipeline(), Oracle()
    for batch in batches:
        pipeline.send(batch)
        for event in batch:
            oracle.apply(event)
    assert counts_agree(pipeline, oracle)


@given(st.lists(an_event, max_size=12))
def test_sending_a_batch_again_changes_nothing(batch: list[Event]) -> None:
    once, twice = Pipeline(), Pipeline()
    once.send(batch)
    twice.send(batch)
    twice.send(batch)
    assert [once.count(day) for day in DAYS] == [twice.count(day) for day in DAYS]


@given(st.lists(an_event, max_size=20), st.data())
def test_how_events_are_cut_into_batches_does_not_matter(
    events: list[Event], data: st.DataObject
) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(events)), max_size=4)))
    whole, parts = Pipeline(), Pipeline()
    whole.send(events)
    for start, end in zip([0, *cuts], [*cuts, len(events)], strict=True):
        parts.send(events[start:end])
    assert [whole.count(day) for day in DAYS] == [parts.count(day) for day in DAYS]


@given(st.lists(an_event, max_size=20))
def test_a_group_too_large_for_one_sort_is_applied_in_order(events: list[Event]) -> None:
    whole, parts = Pipeline(), Pipeline()
    whole.send(events)
    with patch("dpdau.pipeline.ingest._MOST_EVENTS", 3):
        parts.send(events)
    assert [whole.count(day) for day in DAYS] == [parts.count(day) for day in DAYS]


@given(st.lists(an_event, max_size=15), st.lists(st.sampled_from(USERS), min_size=1, max_size=3))
def test_an_erasure_on_request_takes_people_out_of_every_day(
    events: list[Event], erased: list[str]
) -> None:
    pipeline, oracle = Pipeline(), Oracle()
    pipeline.send(events)
    pipeline.eraser.erase(erased)
    for event in events:
        oracle.apply(event)
    for user_id in erased:
        oracle.erase(user_id, TODAY)
    assert counts_agree(pipeline, oracle)


def test_an_event_dated_before_the_erasure_stays_refused_and_is_counted() -> None:
    pipeline = Pipeline()
    pipeline.eraser.erase(["ada"])
    before, after = Event("ada", TODAY - timedelta(days=1)), Event("ada", TODAY)
    outcome = pipeline.ingestor.apply(pipeline.ingestor.pseudonymize(columns([before, after])))
    assert outcome.refused_after_erasure == 1
    assert outcome.events == 2
    assert pipeline.count(TODAY, 30) == pipeline.count(TODAY) == 1


def test_events_beside_many_that_are_refused_are_all_stored() -> None:
    """Whatever each person's place among those of the batch is, also among those refused."""
    users = [f"user {number}" for number in range(40)]
    erased, present = users[:32], users[32:]
    for first in DAYS:
        pipeline = Pipeline()
        pipeline.eraser.erase(erased)
        events = [Event(user, TODAY - timedelta(days=1)) for user in erased]
        events += [Event(user, first - timedelta(days=at % 5)) for at, user in enumerate(present)]
        outcome = pipeline.ingestor.apply(pipeline.ingestor.pseudonymize(columns(events)))
        assert outcome.refused_after_erasure == len(erased)
        found = [pipeline.count(first - timedelta(days=back)) for back in range(5)]
        assert found == [2, 2, 2, 1, 1]


@given(st.data())
def test_batches_of_many_of_whom_some_were_erased_equal_plain_sets(data: st.DataObject) -> None:
    users = [f"user {number}" for number in range(20)]
    a_crowd = st.lists(
        st.builds(Event, st.sampled_from(users), st.sampled_from(DAYS), st.booleans()), max_size=8
    )
    pipeline, oracle = Pipeline(), Oracle()
    for _ in range(3):
        erased = data.draw(st.sets(st.sampled_from(users), min_size=5, max_size=15))
        pipeline.eraser.erase(sorted(erased))
        for user_id in erased:
            oracle.erase(user_id, TODAY)
        yesterday = TODAY - timedelta(days=1)
        batch = [*(Event(user_id, yesterday) for user_id in erased), *data.draw(a_crowd)]
        pipeline.send(batch)
        for event in batch:
            oracle.apply(event)
    assert counts_agree(pipeline, oracle)


def test_a_returning_person_gets_the_former_index_and_nobody_else_does() -> None:
    pipeline = Pipeline()
    pipeline.send([Event("ada", TODAY), Event("grace", TODAY)])
    ada = pipeline.pseudonymizer.pseudonyms(["ada"])
    with pipeline.store.read() as reader:
        former = reader.user_indices(ada)[0]
    pipeline.eraser.erase(["ada"])
    pipeline.eraser.erase(["ada"])
    pipeline.send([Event("edsger", TODAY), Event("ada", TODAY)])
    with pipeline.store.read() as reader:
        assert reader.user_indices(ada)[0] == former
        assert reader.user_indices(pipeline.pseudonymizer.pseudonyms(["edsger"]))[0] != former


def test_who_is_in_a_sample_is_known_by_the_former_secret_too() -> None:
    pipeline, former = Pipeline(), Pseudonymizer("a former secret of the tests")
    present, sampler = Pseudonymizer("a secret of the tests", former), Sampler(bytes(16), 1)
    users = [f"user {number}" for number in range(20)]
    kept = [user for user, is_in in zip(users, sampler.sampled(users), strict=True) if is_in]
    assert 0 < len(kept) < len(users)
    ingestor = Ingestor(pipeline.store, present, pipeline.calendar, sampler)
    events = ingestor.pseudonymize(columns(Event(user, TODAY) for user in users))
    assert events.previous is not None
    assert events.previous.tolist() == former.pseudonyms(kept).tolist()
    assert events.pseudonyms.tolist() == present.pseudonyms(kept).tolist()


def test_a_back_dated_erasure_does_not_free_the_index_within_the_retention() -> None:
    pipeline = Pipeline()
    pipeline.send([Event("ada", TODAY)])
    long_ago = TODAY - timedelta(days=399)
    pipeline.send([Event("ada", long_ago, add=False, whole_user=True)])
    with pipeline.store.write() as transaction:
        transaction.drop_before((TODAY - timedelta(days=300)).toordinal())
    with pipeline.store.read() as reader:
        tombstones = reader.tombstones(pipeline.pseudonymizer.pseudonyms(["ada"]))
    assert tombstones.user_indices.tolist() == [0]


def test_a_retraction_of_an_unknown_person_leaves_no_trace() -> None:
    pipeline = Pipeline()
    pipeline.send([Event("ada", TODAY, add=False)])
    with pipeline.store.read() as reader:
        assert reader.user_indices(pipeline.pseudonymizer.pseudonyms(["ada"]))[0] == -1


def test_a_batch_joined_from_several_keeps_their_order() -> None:
    pipeline = Pipeline()
    batches = [
        pipeline.ingestor.pseudonymize(columns([Event("ada", TODAY, add)])) for add in (True, False)
    ]
    pipeline.ingestor.apply(PseudonymousEvents.concatenate(batches))
    assert pipeline.count(TODAY) == 0


@pytest.mark.parametrize("events", [[], [Event("ada", TODAY, add=False, whole_user=True)]])
def test_an_empty_batch_and_one_of_erasures_only_are_fine(events: list[Event]) -> None:
    pipeline = Pipeline()
    pipeline.send(events)
    assert pipeline.count(TODAY, 30) == 0
