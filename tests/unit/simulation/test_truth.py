from datetime import date, timedelta

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dpdau.simulation import Truth
from support.oracle import Event, Oracle

FIRST = date(2025, 3, 1)

happenings = st.lists(
    st.tuples(st.integers(0, 5), st.integers(0, 4), st.sampled_from(["+", "-", "erase"])),
    min_size=1,
)


@given(happenings, st.integers(0, 20))
def test_the_truth_is_what_plain_sets_say(
    given_happenings: list[tuple[int, int, str]], cut: int
) -> None:
    truth, plain = Truth(), Oracle()
    for part in (given_happenings[:cut], given_happenings[cut:]):
        truth.apply(
            np.array([user for user, _, _ in part], dtype=np.int64),
            np.array([FIRST.toordinal() + day for _, day, _ in part], dtype=np.int32),
            np.array([kind == "+" for _, _, kind in part], dtype=np.bool_),
            np.array([kind == "erase" for _, _, kind in part], dtype=np.bool_),
        )
    for user, day, kind in given_happenings:
        told = FIRST + timedelta(days=day)
        plain.apply(Event(str(user), told, add=kind == "+", whole_user=kind == "erase"))
    for offset in range(5):
        day = FIRST + timedelta(days=offset)
        assert truth.count(day, 1) == len(plain.present(day))
        assert truth.count(day, 3) == len(plain.present(day, 3))
