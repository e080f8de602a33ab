"""The checker against stores that lost something, which it must notice."""

from collections import Counter
from collections.abc import Iterable
from datetime import date
from pathlib import Path

import pytest

from _comparison import DayComparison, compare, promises
from _record import Outcome, Outcomes
from _traffic import Batch, Traffic
from dpdau.hashing import Pseudonymizer
from dpdau.store import MemoryStore
from support.builders import application
from support.oracle import Event
from support.places import SECRET, send

TODAY = date(2025, 11, 20)
TRAFFIC = Traffic.until(TODAY, 7)
CLIENTS, BATCHES = 2, 4


def outcomes(*others: tuple[int, int], outcome: Outcome = Outcome.SENT) -> Outcomes:
    """All batches acknowledged but these."""
    return Outcomes(
        TRAFFIC,
        {
            client: [
                outcome if (client, batch) in others else Outcome.ACKNOWLEDGED
                for batch in range(BATCHES)
            ]
            for client in range(CLIENTS)
        },
    )


def batches(*left_out: tuple[int, int]) -> Iterable[Batch]:
    for client in range(CLIENTS):
        for batch in TRAFFIC.batches(client, BATCHES):
            if (client, batch.number) not in left_out:
                yield batch


def compared(tmp_path: Path, stored: Iterable[Batch], found: Outcomes) -> list[DayComparison]:
    with application(tmp_path, store=MemoryStore(), hash_salt_secret=SECRET) as app:
        for batch in stored:
            rows = zip(batch.user_ids, batch.days, batch.adds, strict=True)
            send(app, [Event(user_id, day, add) for user_id, day, add in rows])
        with app.store.read() as reader:
            return compare(promises(found), reader, Pseudonymizer(SECRET))


def test_a_store_that_has_everything_is_exact(tmp_path: Path) -> None:
    found = compared(tmp_path, batches(), outcomes())
    assert [day.day for day in found] == list(TRAFFIC.days)
    assert all(day.is_exact for day in found)
    assert all(day.expected == day.stored > 0 for day in found)
    assert sum(day.lost + day.doubtful for day in found) == 0


@pytest.mark.parametrize("lost", [(0, 0), (0, BATCHES - 1), (1, 2)])
def test_one_lost_batch_is_noticed(tmp_path: Path, lost: tuple[int, int]) -> None:
    found = compared(tmp_path, batches(lost), outcomes())
    assert sum(day.lost for day in found) > TRAFFIC.batch_events / 2
    assert not all(day.is_exact for day in found)


def test_one_lost_event_is_noticed(tmp_path: Path) -> None:
    stored = list(batches())
    pairs = Counter(
        pair for batch in stored for pair in zip(batch.user_ids, batch.days, strict=True)
    )
    last = stored.pop()
    at = next(
        position
        for position, pair in enumerate(zip(last.user_ids, last.days, strict=True))
        if pairs[pair] == 1 and last.adds[position]
    )
    for column in (last.user_ids, last.days, last.adds):
        del column[at]
    found = compared(tmp_path, [*stored, last], outcomes())
    assert sum(day.lost for day in found) == 1


def test_a_lost_taking_back_is_noticed(tmp_path: Path) -> None:
    kept = [Batch(b.number, b.user_ids, b.days, [True] * len(b)) for b in batches()]
    found = compared(tmp_path, kept, outcomes())
    assert sum(day.lost for day in found) > 0


def test_a_batch_without_an_answer_may_be_there_or_not(tmp_path: Path) -> None:
    doubtful = outcomes((1, 1))
    for name, stored in (("there", batches()), ("not", batches((1, 1)))):
        found = compared(tmp_path / name, stored, doubtful)
        assert all(day.is_exact for day in found)
        assert sum(day.doubtful for day in found) > 0


def test_and_it_may_be_stored_after_later_ones(tmp_path: Path) -> None:
    in_order = list(batches())
    late = in_order.pop(BATCHES)
    found = compared(tmp_path, [*in_order, late], outcomes((1, 0)))
    assert all(day.is_exact for day in found)


def test_a_batch_that_was_refused_must_not_be_there(tmp_path: Path) -> None:
    refused = outcomes((1, 1), outcome=Outcome.REFUSED)
    right = compared(tmp_path / "not", batches((1, 1)), refused)
    assert all(day.is_exact and not day.doubtful for day in right)
    assert not all(day.is_exact for day in compared(tmp_path / "there", batches(), refused))


def test_people_whom_nobody_sent_are_noticed_in_a_store_of_its_own(tmp_path: Path) -> None:
    other = Batch(0, ["someone else"], [TRAFFIC.days[0]], [True])
    first, *rest = compared(tmp_path, [*batches(), other], outcomes())
    assert (first.lost, first.stored) == (0, first.expected + 1)
    assert not first.is_exact
    assert all(day.is_exact for day in rest)
