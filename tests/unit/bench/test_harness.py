from collections.abc import Mapping
from datetime import date

import pytest

from _harness import Events, made_up_events

END = date(2026, 1, 31)


def last_operations(events: Events) -> Mapping[tuple[int, int], bool]:
    rows = zip(events.users.tolist(), events.days.tolist(), events.adds.tolist(), strict=True)
    return {(user, day): add for user, day, add in rows}


@pytest.fixture(scope="module")
def events() -> Events:
    return made_up_events(20_000, users=5_000, days=3, end=END, first_user=100)


def test_counts_are_those_of_a_plain_dictionary(events: Events) -> None:
    counts: dict[str, int] = {}
    for (_, day), add in last_operations(events).items():
        name = date.fromordinal(day).isoformat()
        counts[name] = counts.get(name, 0) + add
    assert events.counts() == counts
    assert len(counts) == 3


def test_users_and_days_stay_within_what_was_asked_for(events: Events) -> None:
    assert events.users.min() >= 100
    assert events.users.max() < 5_100
    assert {date.fromordinal(day) for day in events.days.tolist()} == {
        date(2026, 1, day) for day in (29, 30, 31)
    }


def test_the_shares_of_repeats_and_retractions_are_as_asked_for(events: Events) -> None:
    # Each within six standard deviations of a binomial count; the seed is fixed besides.
    assert len(last_operations(events)) / len(events) == pytest.approx(0.3, abs=0.02)
    assert events.adds.mean() == pytest.approx(0.98, abs=0.006)


def test_more_distinct_pairs_than_there_are_cannot_be_drawn() -> None:
    events = made_up_events(1_000, users=10, days=2, end=END)
    assert len(last_operations(events)) == 20
