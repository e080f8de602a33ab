import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyroaring import BitMap

from brute_force import number_of_runs
from dpdau.errors import InvalidValueError, StoreError
from dpdau.privacy.flippancy import LimiterState

USERS = 5

days_of_presence = st.lists(st.sets(st.integers(0, USERS - 1)), min_size=1, max_size=14)
some_runs = st.integers(1, 3)


def counted_days(runs: int, days: list[set[int]]) -> list[set[int]]:
    state = LimiterState.empty(runs)
    counted = []
    for present in days:
        closed = state.advance(BitMap(present))
        counted.append(set(closed.counted))
        state = closed.state
    return counted


@given(some_runs, days_of_presence)
def test_the_limiter_agrees_with_plain_sets(runs: int, days: list[set[int]]) -> None:
    current: set[int] = set()
    rises = dict.fromkeys(range(USERS), 0)
    state = LimiterState.empty(runs)
    for present in days:
        allowed = {user for user in present - current if rises[user] < runs}
        dropped = len(present - current - allowed)
        for user in allowed:
            rises[user] += 1
        current = (current & present) | allowed
        closed = state.advance(BitMap(present))
        assert set(closed.counted) == current
        assert closed.dropped == dropped
        state = closed.state
        assert [set(level) for level in state.levels] == [
            {user for user in rises if rises[user] > level} for level in range(runs)
        ]


@given(some_runs, days_of_presence)
def test_no_user_is_ever_counted_in_more_runs_than_allowed(runs: int, days: list[set[int]]) -> None:
    counted = counted_days(runs, days)
    for user in range(USERS):
        assert number_of_runs([int(user in day) for day in counted]) <= runs
    assert all(day <= present for day, present in zip(counted, days, strict=True))


@given(some_runs, days_of_presence)
def test_what_is_counted_of_others_does_not_depend_on_a_user(
    runs: int, days: list[set[int]]
) -> None:
    without = counted_days(runs, [present - {0} for present in days])
    assert without == [counted - {0} for counted in counted_days(runs, days)]


@given(st.lists(st.booleans(), min_size=1, max_size=14))
def test_who_keeps_within_the_bound_is_always_counted(presence: list[bool]) -> None:
    runs = max(1, number_of_runs([int(present) for present in presence]))
    days = [{0} if present else set() for present in presence]
    assert counted_days(runs, days) == days


@given(st.integers(3, 31), st.integers(1, 30), st.sets(st.integers(-30, 30)))
def test_only_taking_back_activity_makes_many_runs(
    days: int, window_days: int, active: set[int]
) -> None:
    presence = [
        int(any(day - window_days < activity <= day for activity in active)) for day in range(days)
    ]
    assert number_of_runs(presence) <= 2 + (days - 3) // (window_days + 1)


def test_presence_on_the_first_day_is_a_rise() -> None:
    assert counted_days(1, [{0}, set(), {0}]) == [{0}, set(), set()]


def test_bitmaps_given_and_kept_are_not_changed() -> None:
    state = LimiterState.empty(1)
    present = BitMap([1, 2])
    after = state.advance(present).state
    before = after.to_bytes()
    after.advance(BitMap([2, 3]))
    assert after.to_bytes() == before
    assert state == LimiterState.empty(1)
    assert present == BitMap([1, 2])


def test_a_limiter_allows_at_least_one_run() -> None:
    with pytest.raises(InvalidValueError, match="runs"):
        LimiterState.empty(0)


@given(some_runs, days_of_presence)
def test_bytes_give_the_state_back(runs: int, days: list[set[int]]) -> None:
    state = LimiterState.empty(runs)
    for present in days:
        state = state.advance(BitMap(present)).state
    restored = LimiterState.from_bytes(state.to_bytes())
    assert restored == state
    assert restored.runs == runs


SOUND = LimiterState(BitMap([1]), (BitMap([1, 2]), BitMap([2]))).to_bytes()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "mark"),
        (SOUND[:10], "no flippancy"),
        (SOUND[:14], "no flippancy"),
        (SOUND[:-1], "cut off"),
        (SOUND[:12] + bytes(8) * 3, "no flippancy"),
        (SOUND + b"x", "after the last"),
        (SOUND[:20] + b"\xff" * 8 + SOUND[28:], "no flippancy"),
        (LimiterState(BitMap([3]), (BitMap([1]),)).to_bytes(), "without a rise"),
        (LimiterState(BitMap(), ()).to_bytes(), "without a rise"),
        (LimiterState(BitMap(), (BitMap([1]), BitMap([2]))).to_bytes(), "below"),
    ],
)
def test_damaged_bytes_are_refused(data: bytes, reason: str) -> None:
    with pytest.raises(StoreError, match=reason):
        LimiterState.from_bytes(data)
