from collections.abc import Iterator
from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from dpdau.errors import InvalidValueError
from dpdau.simulation import Population

# The seed is fixed, so these tests always see the same people.
POPULATION = Population(
    users=20_000, p_active=0.2, delete_rate=0.1, days=60, end=date(2025, 6, 30), seed=1
)
LAST = date(2025, 6, 30).toordinal()


def events(population: Population) -> Iterator[tuple[int, int, int, bool, bool]]:
    """(arrival, user, day, add, whole user), in order of arrival."""
    for arrivals in population.arrivals():
        columns = (arrivals.users, arrivals.days, arrivals.adds, arrivals.whole_user)
        for user, day, add, whole in zip(*(each.tolist() for each in columns), strict=True):
            yield arrivals.day, user, day, add, whole


def test_days_arrive_in_order_and_tell_of_none_after_them() -> None:
    days = [arrivals.day for arrivals in POPULATION.arrivals()]

    assert days == list(range(LAST - 59, LAST + 1))
    assert all((arrivals.days <= arrivals.day).all() for arrivals in POPULATION.arrivals())


def test_the_same_seed_gives_the_same_events_and_another_one_others() -> None:
    small = replace(POPULATION, users=50)

    assert list(events(small)) == list(events(small))
    assert list(events(small)) != list(events(replace(small, seed=2)))


def test_people_who_are_around_come_as_often_as_asked_for() -> None:
    steady = replace(POPULATION, delete_rate=0.0)
    told = np.concatenate([arrivals.days[arrivals.adds] for arrivals in steady.arrivals()])
    per_day = np.bincount(told - (LAST - 59), minlength=60)[28:56].mean()
    # Three quarters have joined by the middle of these weeks, and two in three are engaged.
    around = (0.7 + 0.3 * 42 / 60) * 2 / 3 * steady.users

    assert per_day / around == pytest.approx(0.2, rel=0.03)


def test_weekends_are_quieter_and_the_population_grows() -> None:
    told = np.concatenate([arrivals.days for arrivals in POPULATION.arrivals()])
    counts = np.bincount(told - (LAST - 59), minlength=60)[:56].reshape(8, 7)
    weekday = [date.fromordinal(LAST - 59 + offset).weekday() for offset in range(7)]
    by_weekday = dict(zip(weekday, counts.mean(axis=0), strict=True))

    assert max(by_weekday[5], by_weekday[6]) < min(by_weekday[each] for each in range(5))
    assert counts[-2:].mean() > 1.05 * counts[:2].mean()


def test_some_events_are_late_and_some_are_taken_back() -> None:
    found = [each for each in events(POPULATION) if not each[4]]
    adds = [(arrival - day, user, day) for arrival, user, day, add, _ in found if add]
    late = np.bincount([delay for delay, _, _ in adds], minlength=3) / len(adds)
    known = {(user, day) for _, user, day in adds}
    retractions = [(user, day) for _, user, day, add, _ in found if not add]

    assert late == pytest.approx([0.95, 0.04, 0.01], abs=0.003)
    assert len(retractions) / len(adds) == pytest.approx(0.01, abs=0.002)
    assert set(retractions) <= known


def test_the_share_asked_for_is_erased_and_some_of_them_return() -> None:
    erased: dict[int, int] = {}
    returned = set()
    for arrival, user, day, add, whole in events(POPULATION):
        if whole:
            assert not add
            assert user not in erased
            erased[user] = arrival
        elif add and user in erased and day > erased[user]:
            returned.add(user)

    assert len(erased) == 2_000
    assert 0.02 < len(returned) / len(erased) < 0.2


def test_erasures_change_nothing_about_the_others() -> None:
    spared = list(events(replace(POPULATION, users=500, delete_rate=0.0)))
    found = list(events(replace(POPULATION, users=500)))
    erased = {user for _, user, _, _, whole in found if whole}

    assert len(erased) == 50
    assert [each for each in found if each[1] not in erased] == [
        each for each in spared if each[1] not in erased
    ]


@pytest.mark.parametrize(
    "change",
    [
        {"users": 0},
        {"p_active": 0.0},
        {"p_active": 1.0},
        {"delete_rate": 1.5},
        {"days": 0},
        {"seed": -1},
    ],
)
def test_what_is_out_of_range_is_refused_by_its_option(change: dict[str, float]) -> None:
    (name,) = change
    with pytest.raises(InvalidValueError, match=f"--{name.replace('_', '-')}"):
        replace(POPULATION, **change)  # type: ignore[arg-type]
