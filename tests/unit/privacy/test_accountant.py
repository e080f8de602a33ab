import math
from collections.abc import Sequence

import numpy as np
import pytest
from dp_accounting import LaplaceDpEvent
from dp_accounting.pld import PLDAccountant
from dp_accounting.pld import privacy_loss_distribution as pld
from dp_accounting.rdp import RdpAccountant
from hypothesis import given, settings
from hypothesis import strategies as st

import exact_privacy as exact
from dpdau.errors import InvalidValueError
from dpdau.privacy.accountant import Composition, CompositionMethod, compose
from dpdau.privacy.charges import Charge, GaussianCharge, LaplaceCharge, PureCharge
from dpdau.privacy.discrete_gaussian import discrete_gaussian_epsilon, discrete_gaussian_sigma
from dpdau.privacy.gaussian_curve import gaussian_epsilon
from dpdau.privacy.loss_distribution import loss_distribution_epsilon
from support.dp_events import event_of

DELTA = 1e-6
ADVANCED_DELTA = 1e-7
ORDERS = (2, 4, 8, 16, 32)

SERIES = GaussianCharge(discrete_gaussian_sigma(10**10, 31, 2.4, DELTA), 10**10, 31)
SCALAR = GaussianCharge(discrete_gaussian_sigma(1, 1, 0.5, DELTA), 1)

charges = st.one_of(
    st.sampled_from([SERIES, SCALAR, LaplaceCharge(1 / 0.3, 1), PureCharge(0.0)]),
    st.builds(LaplaceCharge, st.floats(0.1, 100), st.sampled_from([1, 3, 64, 10_000])),
    st.builds(GaussianCharge, st.floats(0.3, 300), st.sampled_from([1, 2, 9, 100])),
    st.builds(GaussianCharge, st.floats(0.3, 300), st.just(4), st.just(3)),
    st.builds(PureCharge, st.floats(0, 2)),
)


def composed(spent: Sequence[Charge], delta: float = DELTA) -> Composition:
    return compose(spent, delta=delta, advanced_delta=ADVANCED_DELTA, rdp_orders=ORDERS)


def figures(composition: Composition) -> dict[str, float]:
    return {
        "naive": composition.naive.epsilon,
        "naive δ": composition.naive.delta,
        "advanced": composition.advanced.epsilon,
        "advanced δ": composition.advanced.delta,
        "rdp": composition.rdp.epsilon,
        "tight": composition.tight.epsilon,
    } | {f"order {order}": value for order, value in composition.rdp.curve.items()}


@pytest.mark.parametrize("spent", [[], [PureCharge(0.0)] * 3])
def test_nothing_spent_costs_nothing(spent: list[Charge]) -> None:
    composition = composed(spent)
    assert set(figures(composition).values()) == {0.0}
    assert composition.rdp.order is None
    assert composition.rdp.delta == composition.tight.delta == 0
    assert list(composition.rdp.curve) == list(ORDERS)


@given(st.lists(charges, max_size=4), charges)
@settings(max_examples=100, deadline=None)
def test_another_charge_never_lowers_a_figure(spent: list[Charge], more: Charge) -> None:
    before, after = figures(composed(spent)), figures(composed([*spent, more]))
    assert all(after[name] >= before[name] * (1 - 1e-12) for name in before)


@pytest.mark.parametrize("delta", [1e-8, 1e-6, 1e-3, 0.03])
@pytest.mark.parametrize("first", [LaplaceCharge(40.3, 3), PureCharge(0.02), SCALAR, SERIES])
def test_a_negligible_charge_after_a_single_one_never_lowers_a_figure(
    first: Charge, delta: float
) -> None:
    before, after = composed([first], delta), composed([first, PureCharge(1e-13)], delta)
    assert after.tight.epsilon >= before.tight.epsilon * (1 - 1e-12)


@given(st.lists(charges, min_size=1, max_size=5))
@settings(max_examples=50, deadline=None)
def test_tight_is_the_smallest_of_those_that_fit(spent: list[Charge]) -> None:
    composition = composed(spent)
    tight = composition.tight
    assert tight.delta <= DELTA
    assert tight.epsilon <= composition.rdp.epsilon
    assert composition.advanced.epsilon <= composition.naive.epsilon * (1 + 1e-12)
    for bound in (composition.naive, composition.advanced):
        assert bound.delta > DELTA or tight.epsilon <= bound.epsilon


@given(st.lists(charges, max_size=5), st.randoms())
@settings(max_examples=20, deadline=None)
def test_the_order_of_charges_does_not_matter(spent: list[Charge], shuffler) -> None:  # noqa: ANN001
    shuffled = list(spent)
    shuffler.shuffle(shuffled)
    assert figures(composed(shuffled)) == pytest.approx(figures(composed(spent)), rel=1e-12)


def test_naive_adds_up_epsilon_and_delta() -> None:
    composition = composed([LaplaceCharge(1 / 0.3, 1)] * 10 + [SCALAR] * 2)
    assert composition.naive.epsilon == pytest.approx(4.0, rel=1e-12)
    assert composition.naive.delta == 2e-6


def test_ten_laplace_releases_of_a_tenth_of_a_budget_fit_into_it() -> None:
    assert composed([LaplaceCharge(1 / 0.3, 1)] * 10).naive.epsilon <= 3.0


def test_advanced_composition_is_the_closed_form() -> None:
    epsilon, count = 0.1, 400
    advanced = composed([PureCharge(epsilon)] * count).advanced
    expected = count * epsilon * math.tanh(epsilon / 2) + epsilon * math.sqrt(
        2 * count * math.log(math.e + math.sqrt(count) * epsilon / ADVANCED_DELTA)
    )
    assert advanced.epsilon <= expected
    assert advanced.epsilon == pytest.approx(
        count * epsilon * math.tanh(epsilon / 2)
        + epsilon * math.sqrt(2 * count * math.log(1 / ADVANCED_DELTA)),
        rel=1e-12,
    )
    assert advanced.delta == ADVANCED_DELTA


def test_advanced_composition_is_never_above_dwork_rothblum_and_vadhan_s() -> None:
    epsilons = [0.01, 0.2, 0.05] * 100
    advanced = composed([PureCharge(epsilon) for epsilon in epsilons]).advanced.epsilon
    squares = sum(epsilon**2 for epsilon in epsilons)
    classic = math.sqrt(2 * squares * math.log(1 / ADVANCED_DELTA)) + sum(
        epsilon * math.expm1(epsilon) for epsilon in epsilons
    )
    assert advanced < classic < sum(epsilons)


def test_advanced_composition_counts_the_deltas_of_gaussian_releases() -> None:
    assert composed([SCALAR] * 3).advanced.delta == pytest.approx(3.1e-6)


def test_renyi_composition_is_the_library_s() -> None:
    spent = [SERIES, SCALAR, SCALAR, LaplaceCharge(1e7, 10**6), LaplaceCharge(1e7, 10**6)]
    accountant = RdpAccountant(ORDERS)
    for charge in spent:
        accountant.compose(
            event_of(charge) if isinstance(charge, GaussianCharge) else LaplaceDpEvent(10.0)
        )
    found = composed(spent).rdp
    assert list(found.curve.values()) == pytest.approx(list(accountant._rdp), rel=1e-6)  # noqa: SLF001
    assert found.epsilon <= accountant.get_epsilon(DELTA) * (1 + 1e-6)


@pytest.mark.parametrize("epsilon", [0.01, 0.05, 0.3, 0.7, 2.0])
@pytest.mark.parametrize("count", [2, 5, 31, 100, 400])
def test_repeated_laplace_releases_cost_hardly_more_than_the_exact_optimum(
    epsilon: float, count: int
) -> None:
    tight = composed([LaplaceCharge(1 / epsilon, 1)] * count).tight
    optimum = exact.smallest_epsilon(
        lambda total: exact.randomised_response_delta(epsilon, count, total),
        DELTA,
        count * epsilon,
    )
    assert tight.epsilon >= optimum * (1 - 1e-12)
    if optimum < 60:
        assert tight.epsilon <= optimum * 1.001


@pytest.mark.parametrize("count", [2, 3, 7])
def test_repeated_scalar_gaussian_releases_cost_hardly_more_than_the_exact_optimum(
    count: int,
) -> None:
    charge = GaussianCharge(5.0, 4)
    tight = composed([charge] * count).tight
    optimum = exact.smallest_epsilon(
        lambda epsilon: exact.lattice_delta([2] * count, 5.0, epsilon), DELTA, tight.epsilon
    )
    assert tight.method is CompositionMethod.PLD
    assert optimum < tight.epsilon <= optimum * 1.001


@pytest.mark.parametrize("count", [1, 2, 18])
def test_series_alone_cost_what_the_exact_gaussian_curve_says(count: int) -> None:
    tight = composed([SERIES] * count).tight
    mu = math.sqrt(count * SERIES.sensitivity_squared) / SERIES.sigma
    exactly = gaussian_epsilon(mu, DELTA)
    assert exactly <= tight.epsilon <= exactly * (1 + 1e-7)


def test_a_mixture_is_bounded_by_both_of_its_kinds_and_near_the_library_s_figure() -> None:
    laplace = LaplaceCharge(1 / 0.3, 1)
    tight = composed([SERIES, SCALAR, laplace]).tight
    assert tight.method is CompositionMethod.PLD
    assert tight.epsilon > composed([SERIES, SCALAR]).tight.epsilon
    assert tight.epsilon < composed([SERIES, SCALAR, laplace]).rdp.epsilon
    accountant = PLDAccountant()
    for charge in (SERIES, SCALAR, laplace):
        accountant.compose(event_of(charge))
    assert tight.epsilon == pytest.approx(accountant.get_epsilon(DELTA), rel=2e-3)


def test_a_mixture_costs_hardly_more_than_enumeration_of_all_outcomes_gives() -> None:
    noise = np.arange(-120, 121)
    laplace, gaussian = np.exp(-np.abs(noise) / 5.0), np.exp(-(noise**2) / (2 * 4.0**2))
    lie = np.exp([0.0, -0.3])
    masses, losses = np.ones(1), np.zeros(1)
    for still, moved in [
        (laplace[3:], laplace[:-3]),
        (gaussian[2:], gaussian[:-2]),
        (lie, lie[::-1]),
    ]:
        masses = np.outer(masses, still / still.sum()).ravel()
        losses = np.add.outer(losses, np.log(still / moved)).ravel()
    optimum = exact.smallest_epsilon(
        lambda epsilon: float(masses @ -np.expm1(np.minimum(epsilon - losses, 0))), DELTA, 10.0
    )
    tight = composed([LaplaceCharge(5.0, 3), GaussianCharge(4.0, 4), PureCharge(0.3)]).tight
    assert optimum <= tight.epsilon <= optimum * 1.001


def test_a_shift_too_long_to_enumerate_is_taken_for_randomised_response() -> None:
    long, bit = LaplaceCharge(1e6, 10**5), LaplaceCharge(10.0, 1)
    spent, worst = composed([long] * 100).tight, composed([bit] * 100).tight
    assert spent.epsilon <= worst.epsilon * (1 + 1e-9)


@pytest.mark.parametrize(
    ("spent", "delta"),
    [
        ([SCALAR] * 2, 1e-10),
        ([GaussianCharge(1.0, 1)] * 2, 0.2),
        ([PureCharge(10.0)] * 10, DELTA),
        ([PureCharge(0.01 + i / 1000) for i in range(70)], DELTA),
        ([GaussianCharge(0.6, 2, 2), GaussianCharge(0.6, 2, 2)], DELTA),
    ],
)
def test_out_of_reach_of_loss_distributions_other_theorems_serve(
    spent: list[Charge], delta: float
) -> None:
    tight = composed(spent, delta).tight
    assert tight.method is not CompositionMethod.PLD
    assert 0 < tight.epsilon < math.inf


@pytest.mark.parametrize("count", [5, 100, 1000])
def test_the_library_s_convolution_errs_by_less_than_what_is_taken_off_delta(count: int) -> None:
    # A loss that is a multiple of the grid is not rounded, so all that is left is the error.
    one = pld.from_discrete_laplace_mechanism(
        0.25, 1, value_discretization_interval=2**-6, use_connect_dots=True
    )
    total = one.self_compose(count)
    errors = [
        total.get_delta_for_epsilon(epsilon) - exact.randomised_response_delta(0.25, count, epsilon)
        for epsilon in np.linspace(0, min(60, count / 4), 30)
    ]
    assert max(map(abs, errors)) < count * 1e-15 + 1e-15


def test_small_and_large_budgets_have_no_overflow() -> None:
    huge = composed([LaplaceCharge(1e-6, 1)] * 3 + [GaussianCharge(1e-3, 1)])
    assert 3e6 < huge.tight.epsilon < 4e6
    tiny = composed([PureCharge(1e-12)] * 3)
    assert 0 <= tiny.tight.epsilon <= 3e-12 * (1 + 1e-12)


def test_one_scalar_release_costs_its_own_exact_epsilon() -> None:
    expected = discrete_gaussian_epsilon(1, SCALAR.sigma, 1, DELTA)
    assert composed([SCALAR]).tight.epsilon == expected <= 0.5


@pytest.mark.parametrize("delta", [0, 1, math.nan])
def test_a_delta_out_of_range_is_refused(delta: float) -> None:
    with pytest.raises(InvalidValueError, match="delta"):
        compose([], delta=delta, advanced_delta=1e-7, rdp_orders=ORDERS)
    with pytest.raises(InvalidValueError, match="advanced_delta"):
        compose([], delta=1e-6, advanced_delta=delta, rdp_orders=ORDERS)


@pytest.mark.parametrize("order", [1, 0.5, math.inf, math.nan])
def test_a_renyi_order_out_of_range_is_refused(order: float) -> None:
    with pytest.raises(InvalidValueError, match="rdp_orders"):
        compose([], delta=1e-6, advanced_delta=1e-7, rdp_orders=(2, order))


def test_the_names_of_compositions_are_those_that_are_documented() -> None:
    assert sorted(CompositionMethod) == ["advanced", "gaussian", "naive", "pld", "rdp"]


def test_noise_is_composed_itself_up_to_a_shift_that_the_library_can_take() -> None:
    def by_distributions(charge: Charge) -> float:
        return loss_distribution_epsilon({charge: 10}, DELTA, 5.0)

    pure = by_distributions(PureCharge(0.5))
    assert by_distributions(LaplaceCharge(2.0 * 4096, 4096)) < pure * (1 - 1e-4)
    assert by_distributions(LaplaceCharge(2.0 * 4097, 4097)) == pytest.approx(pure)
