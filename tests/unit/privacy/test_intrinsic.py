"""The conditions under which a HyperLogLog is private, audited in exact arithmetic."""

import math
from decimal import Decimal, localcontext
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpdau.errors import InvalidValueError
from dpdau.privacy.accountant import compose
from dpdau.privacy.charges import PureCharge
from dpdau.privacy.intrinsic import IntrinsicMechanism
from exact_hyperloglog import largest_loss, probability

EPSILONS = [0.2, 0.5, 1.0, 2.0]
SIZES = [1, 2, 4]
RANKS = {1: 40, 2: 12, 4: 6}


def decimal_exp(value: float) -> Fraction:
    """e^value to forty digits."""
    with localcontext() as context:
        context.prec = 60
        return Fraction(Decimal(value).exp())


def conditions(epsilon: float, registers: int) -> tuple[Fraction, int]:
    """The rate and the phantoms that the mechanism has for a sketch of this size."""
    mechanism = IntrinsicMechanism(epsilon, 4)
    kept = Fraction(mechanism.threshold, 2**64)
    return kept, math.ceil(registers / kept)


@given(st.floats(1e-6, 50))
def test_users_are_kept_at_no_more_than_the_rate_that_the_theorem_allows(epsilon: float) -> None:
    kept = Fraction(IntrinsicMechanism(epsilon, 4).threshold, 2**64)
    allowed = 1 - 1 / decimal_exp(epsilon)
    assert allowed * (1 - Fraction(2) ** -45) - Fraction(2) ** -63 < kept <= allowed


@given(st.floats(1e-2, 50), st.integers(4, 14))
def test_there_are_as_many_phantoms_as_the_theorem_needs_and_hardly_more(
    epsilon: float, log2_registers: int
) -> None:
    phantoms = IntrinsicMechanism(epsilon, log2_registers).phantoms
    needed = 2**log2_registers / (1 - 1 / decimal_exp(epsilon))
    assert needed <= phantoms <= needed + 2


@pytest.mark.parametrize("registers", SIZES)
@pytest.mark.parametrize("epsilon", EPSILONS)
def test_no_state_of_the_registers_tells_more_than_epsilon_of_one_user(
    epsilon: float, registers: int
) -> None:
    kept, phantoms = conditions(epsilon, registers)
    for users in (phantoms, phantoms + 1, 2 * phantoms):
        loss = largest_loss(registers, users, kept, RANKS[registers])
        assert loss is not None
        assert loss <= decimal_exp(epsilon)


@pytest.mark.parametrize("epsilon", EPSILONS)
def test_the_audit_finds_that_nobody_is_left_out(epsilon: float) -> None:
    # Where all users have rank 1 in one register, the next one changes it but for 1 in 2m, so
    # four registers are enough for ε below ln 8.
    registers = 4
    _, phantoms = conditions(epsilon, registers)
    loss = largest_loss(registers, phantoms, Fraction(1), RANKS[registers])
    assert loss is None or loss > decimal_exp(epsilon)


@pytest.mark.parametrize("registers", SIZES)
@pytest.mark.parametrize("epsilon", EPSILONS)
def test_the_audit_finds_that_phantoms_are_missing(epsilon: float, registers: int) -> None:
    kept, phantoms = conditions(epsilon, registers)
    for users in (0, phantoms // 4):
        loss = largest_loss(registers, users, kept, RANKS[registers])
        assert loss is None or loss > decimal_exp(epsilon)


@pytest.mark.parametrize("epsilon", EPSILONS)
def test_the_bound_on_the_rate_is_reached(epsilon: float) -> None:
    # Of one register that nobody kept has touched: the next user leaves it so with 1 − p.
    kept, phantoms = conditions(epsilon, 1)
    empty = [probability((0,), users, kept) for users in (phantoms, phantoms + 1)]
    assert float(empty[0] / empty[1]) == pytest.approx(math.exp(epsilon), rel=1e-12)


@given(
    st.tuples(st.integers(0, 5), st.integers(0, 5)),
    st.integers(0, 12),
    st.fractions(Fraction(1, 10), 1),
)
def test_the_masses_of_the_audit_follow_from_one_user_after_the_other(
    state: tuple[int, int], users: int, kept: Fraction
) -> None:
    def step(before: tuple[int, int]) -> Fraction:
        """P(state after one more user | before), by what that user may do."""
        stays = 1 - kept + sum(kept / 2 * (1 - Fraction(1, 2**rank)) for rank in before)
        total = stays if before == state else Fraction(0)
        for at in (0, 1):
            others = before[1 - at] == state[1 - at]
            if others and before[at] < state[at]:
                total += kept / 2 * Fraction(1, 2 ** state[at])
        return total

    below = [(a, b) for a in range(state[0] + 1) for b in range(state[1] + 1)]
    assert probability(state, users + 1, kept) == sum(
        probability(before, users, kept) * step(before) for before in below
    )


def test_a_release_is_charged_as_pure() -> None:
    mechanism = IntrinsicMechanism(0.25, 10)
    assert mechanism.charge == PureCharge(0.25)
    assert mechanism.delta == 0
    spent = compose([mechanism.charge] * 3, delta=1e-6, advanced_delta=1e-7, rdp_orders=(2.0,))
    assert spent.naive.epsilon == 0.75
    assert 0.7 < spent.tight.epsilon <= 0.75


@pytest.mark.parametrize(
    ("epsilon", "log2_registers", "named"),
    [(0.0, 10, "epsilon"), (1.0, 3, "log2_registers"), (1.0, 22, "log2_registers"),
     (1e-3, 21, "phantoms")],
)  # fmt: skip
def test_what_cannot_be_built_is_refused(epsilon: float, log2_registers: int, named: str) -> None:
    with pytest.raises(InvalidValueError, match=named):
        IntrinsicMechanism(epsilon, log2_registers)
