"""Pairs against dictionaries."""

from collections.abc import Mapping, Sequence

import numpy as np
from hypothesis import strategies as st

from dpdau.model.pairs import Change, Pairs

DAYS = st.sampled_from([0, 1, 739_000, 739_001, 2**22 - 1])
USERS = st.sampled_from([0, 1, 2, 65_535, 65_536, 2**31, 2**32 - 2])
STATES = st.dictionaries(st.tuples(DAYS, USERS), st.booleans(), max_size=12)

State = dict[tuple[int, int], bool]


def as_pairs(state: State) -> Pairs:
    """What becomes of each (day, user)."""
    values = [day << 33 | user << 1 | active for (day, user), active in state.items()]
    return np.array(sorted(values), dtype=np.uint64)


def as_state(changes: Mapping[int, Change]) -> State:
    return {
        (day, user): active
        for day, change in changes.items()
        for users, active in ((change.joins, True), (change.leaves, False))
        for user in users
    }


def merged(states: Sequence[State]) -> State:
    whole: State = {}
    for state in states:
        whole |= state
    return whole
