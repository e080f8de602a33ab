from dataclasses import replace
from datetime import date

import pytest

from dpdau.errors import InvalidValueError
from dpdau.simulation import SyntheticActivity

ACTIVITY = SyntheticActivity(
    days=30, daily_users=200, delete_rate=0.1, end=date(2025, 6, 30), seed=1
)


def test_the_days_are_consecutive_and_end_where_they_should() -> None:
    days = [arrivals.day for arrivals in ACTIVITY.arrivals()]

    assert days == list(range(days[0], days[0] + 30))
    assert date.fromordinal(days[-1]) == date(2025, 6, 30)
    for arrivals in ACTIVITY.arrivals():
        assert set(arrivals.days.tolist()) == {arrivals.day}


def test_about_as_many_people_as_asked_for_are_active_on_a_day() -> None:
    counts = [len(arrivals) for arrivals in replace(ACTIVITY, delete_rate=0.0).arrivals()]

    assert 160 < sum(counts) / 30 < 240


def test_the_share_asked_for_is_erased_each_once_and_last_of_all() -> None:
    erased: dict[int, int] = {}
    last_seen: dict[int, int] = {}
    first_seen: dict[int, int] = {}
    position = 0
    for arrivals in ACTIVITY.arrivals():
        columns = (arrivals.users, arrivals.adds, arrivals.whole_user)
        for user, add, whole in zip(*(column.tolist() for column in columns), strict=True):
            position += 1
            assert whole is not add
            if add:
                first_seen.setdefault(user, arrivals.day)
                last_seen[user] = position
            else:
                assert user not in erased
                assert first_seen[user] < arrivals.day
                erased[user] = position

    assert len(erased) == round(
        0.1 * len({u for u, day in first_seen.items() if day < arrivals.day})
    )
    assert all(last_seen[user] < position for user, position in erased.items())


def test_erasures_change_nothing_else() -> None:
    spared = list(replace(ACTIVITY, delete_rate=0.0).arrivals())
    for arrivals, others in zip(ACTIVITY.arrivals(), spared, strict=True):
        assert set(arrivals.users[arrivals.adds].tolist()) <= set(others.users.tolist())


def test_a_single_day_leaves_no_later_day_to_be_erased_on() -> None:
    (only,) = replace(ACTIVITY, days=1, delete_rate=1.0).arrivals()

    assert only.adds.all()


@pytest.mark.parametrize("change", [{"days": 0}, {"daily_users": 0}, {"delete_rate": -0.1}])
def test_what_is_out_of_range_is_refused(change: dict[str, float]) -> None:
    with pytest.raises(InvalidValueError):
        replace(ACTIVITY, **change)  # type: ignore[arg-type]
