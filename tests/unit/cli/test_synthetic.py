from collections import Counter
from dataclasses import replace
from datetime import date, timedelta

import pytest

from dpdau.cli.synthetic import SyntheticActivity
from dpdau.errors import InvalidValueError

ACTIVITY = SyntheticActivity(
    days=30, daily_users=200, delete_rate=0.1, end=date(2025, 6, 30), seed=1
)


def test_the_days_are_consecutive_and_end_where_they_should() -> None:
    days = [event["day"] for event in ACTIVITY.events()]

    assert days == sorted(days)
    assert set(days) == {str(date(2025, 6, 30) - timedelta(days=back)) for back in range(30)}


def test_about_as_many_people_as_asked_for_are_active_on_a_day() -> None:
    activity = replace(ACTIVITY, delete_rate=0.0)
    counts = Counter(event["day"] for event in activity.events())

    assert all(event["op"] == "+" for event in activity.events())
    assert 160 < sum(counts.values()) / 30 < 240


def test_the_share_asked_for_is_erased_each_once_and_last_of_all() -> None:
    erased: dict[str, int] = {}
    last_seen: dict[str, int] = {}
    first_seen: dict[str, str] = {}
    for position, event in enumerate(ACTIVITY.events()):
        user = event["user_id"]
        if event["op"] == "-":
            assert event["scope"] == "user"
            assert user not in erased
            assert first_seen[user] < event["day"]
            erased[user] = position
        else:
            first_seen.setdefault(user, event["day"])
            last_seen[user] = position

    assert len(erased) == pytest.approx(0.1 * len(first_seen), rel=0.05)
    assert all(last_seen[user] < position for user, position in erased.items())


def test_a_single_day_leaves_no_later_day_to_be_erased_on() -> None:
    activity = replace(ACTIVITY, days=1, delete_rate=1.0)

    assert {event["op"] for event in activity.events()} == {"+"}


@pytest.mark.parametrize("change", [{"days": 0}, {"daily_users": 0}, {"delete_rate": -0.1}])
def test_what_is_out_of_range_is_refused(change: dict[str, float]) -> None:
    with pytest.raises(InvalidValueError):
        replace(ACTIVITY, **change)  # type: ignore[arg-type]
