"""Why no adaptive sketch is offered: one user can move its estimate by far more than one."""

from itertools import pairwise

import datasketches
from hypothesis import given, settings
from hypothesis import strategies as st
from pyroaring import BitMap

from dpdau.sketches import SetSketch, ThetaSketch

LOG2_ENTRIES = 5
USERS = 5_000


@settings(max_examples=20)
@given(st.integers(0, 2**40))
def test_one_user_moves_an_adaptive_theta_estimate_by_far_more_than_one(first: int) -> None:
    sketch = datasketches.update_theta_sketch(lg_k=LOG2_ENTRIES)
    estimates = [0.0]
    for user in range(first, first + USERS):
        sketch.update(user)
        estimates.append(sketch.get_estimate())
    moves = [abs(after - before) for before, after in pairwise(estimates)]
    # Everyone who enters a sample of at most 64 counts for more than 5,000/64 users.
    assert max(moves) > 50


@given(st.frozensets(st.floats(0.001, 1), min_size=64, max_size=200), st.floats(1e-9, 1e-4))
def test_one_user_moves_the_estimate_of_k_minimum_values_by_far_more_than_one(
    hashes: frozenset[float], smaller: float
) -> None:
    def estimate(values: frozenset[float], entries: int = 16) -> float:
        return (entries - 1) / sorted(values)[entries - 1]

    gap = sorted(hashes)[15] - sorted(hashes)[14]
    moved = estimate(hashes | {smaller}) - estimate(hashes)
    # The 16th smallest hash was the 15th: no bound in users exists, only one in the gap.
    assert moved >= 15 * gap


@given(st.frozensets(st.integers(0, 2**32 - 1), max_size=200), st.integers(0, 2**32 - 1))
def test_one_user_moves_a_sample_of_fixed_rate_by_its_inverse_or_not_at_all(
    members: frozenset[int], one: int
) -> None:
    def estimate(users: frozenset[int]) -> int:
        return ThetaSketch(4, SetSketch(BitMap(users))).estimate()

    assert estimate(members | {one}) - estimate(members - {one}) == 16
