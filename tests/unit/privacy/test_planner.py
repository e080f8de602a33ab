import math
from functools import lru_cache, partial
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from dpdau.errors import InvalidValueError
from dpdau.model.counting import EXACT, Counting, CountVariance
from dpdau.model.releases import Mechanism, Metric, SketchKind
from dpdau.privacy import planner
from dpdau.privacy.accountant import compose
from dpdau.privacy.continual import half_widths, standard_errors
from dpdau.privacy.forecasts import Forecast, MechanismForecast
from dpdau.privacy.gaussian import GaussianMechanism
from dpdau.privacy.gaussian_curve import gaussian_epsilon
from dpdau.privacy.intrinsic import IntrinsicMechanism
from dpdau.privacy.laplace import LaplaceMechanism
from dpdau.privacy.planner import forecast
from dpdau.privacy.questions import LARGEST_EPSILON, SMALLEST_EPSILON, Question, TargetError
from dpdau.privacy.strategy import Presence, make_plan

UNBOUNDED = Presence("unbounded")
MONTH = 31
NOISES = [Mechanism.CONTINUAL, Mechanism.GAUSSIAN, Mechanism.LAPLACE]
SAMPLE = Counting(SketchKind.THETA, exponent=4)
HYPERLOGLOG = Counting(SketchKind.HLLPP, log2_registers=12)


def question(**changes: Any) -> Question:
    fields: dict[str, Any] = {
        "metric": Metric.DAU,
        "window_days": 1,
        "users": 50_000,
        "days": MONTH,
        "presence": UNBOUNDED,
        "epsilon": 3.0,
        "delta": 1e-6,
        "series_share": 0.8,
        "release_epsilon": 0.3,
        "advanced_delta": 1e-7,
        "target": None,
    }
    return Question(**{**fields, **changes})


def answered(**changes: Any) -> dict[Mechanism, MechanismForecast]:
    return {each.mechanism: each for each in cached(question(**changes)).mechanisms}


@lru_cache(maxsize=256)
def cached(asked: Question) -> Forecast:
    return forecast(asked)


def users(number: float) -> TargetError:
    return TargetError(number, is_relative=False)


epsilons = st.sampled_from([0.1, 0.3, 1.0, 2.5, 3.0, 8.0, 20.0])
lengths = st.sampled_from([1, 2, 7, 31])


class TestErrorsOfABudget:
    @given(epsilons, lengths)
    @settings(max_examples=15)
    def test_a_series_is_as_precise_as_the_plan_that_would_be_opened(
        self, epsilon: float, days: int
    ) -> None:
        found = answered(epsilon=epsilon, days=days)[Mechanism.CONTINUAL]
        plan = make_plan(days, UNBOUNDED, round(0.8 * epsilon, 12), 1e-6)
        errors = standard_errors(plan)
        assert found.std_error == pytest.approx(math.sqrt(np.mean(errors**2)), rel=1e-12)
        assert found.spent_epsilon == plan.epsilon
        assert found.publishable_days == days
        assert found.release_epsilon is None

    @given(epsilons, lengths, st.sampled_from([Mechanism.GAUSSIAN, Mechanism.LAPLACE]))
    @settings(max_examples=15)
    def test_releases_get_the_most_of_which_all_days_are_paid(
        self, epsilon: float, days: int, mechanism: Mechanism
    ) -> None:
        found = answered(epsilon=epsilon, days=days)[mechanism]
        assert found.release_epsilon is not None
        assert found.release_epsilon == float(f"{found.release_epsilon:.4g}")
        more = found.release_epsilon * 1.0011
        assert total(mechanism, found.release_epsilon, days) <= epsilon
        assert total(mechanism, more, days) > epsilon
        assert found.std_error == calibrated(mechanism, found.release_epsilon).std_error
        assert found.half_width_95 == calibrated(mechanism, found.release_epsilon).half_width()

    @given(epsilons, epsilons, lengths)
    @settings(max_examples=12)
    def test_more_budget_never_means_more_error(self, one: float, other: float, days: int) -> None:
        less, more = sorted((one, other))
        poor, rich = answered(epsilon=less, days=days), answered(epsilon=more, days=days)
        for mechanism in NOISES:
            assert rich[mechanism].std_error <= poor[mechanism].std_error
            assert rich[mechanism].publishable_days >= poor[mechanism].publishable_days

    @given(st.integers(1, 10**12), st.integers(1, 10**12))
    @settings(max_examples=12)
    def test_the_error_is_that_of_noise_alone_so_its_share_falls_with_users(
        self, one: int, other: int
    ) -> None:
        few, many = sorted((one, other))
        small, large = answered(users=few), answered(users=many)
        for mechanism in NOISES:
            assert large[mechanism].std_error == small[mechanism].std_error
            assert large[mechanism].relative_error <= small[mechanism].relative_error
            assert small[mechanism].relative_error * few == pytest.approx(
                small[mechanism].std_error
            )

    @pytest.mark.parametrize(("epsilon", "days"), [(20.0, 31), (3.0, 10), (0.3, 1), (0.2, 0)])
    def test_days_are_counted_until_the_accountant_refuses(self, epsilon: float, days: int) -> None:
        found = answered(epsilon=epsilon)[Mechanism.LAPLACE]
        assert found.publishable_days == days
        assert total(Mechanism.LAPLACE, 0.3, days) <= epsilon * (1 + 1e-9)
        assert days == MONTH or total(Mechanism.LAPLACE, 0.3, days + 1) > epsilon

    def test_bounded_presence_costs_less_noise(self) -> None:
        bounded = answered(days=14, presence=Presence("runs", 1))[Mechanism.CONTINUAL]
        assert bounded.std_error < answered(days=14)[Mechanism.CONTINUAL].std_error

    def test_gaussian_releases_are_left_out_where_their_deltas_alone_exceed_the_budget(
        self,
    ) -> None:
        assert Mechanism.GAUSSIAN not in answered(delta=0.01, epsilon=0.01)
        assert Mechanism.GAUSSIAN in answered(delta=1e-6, epsilon=0.01)


class TestBudgetsOfAnError:
    @given(lengths, st.floats(0.5, 300), st.sampled_from(NOISES))
    @settings(max_examples=15)
    def test_the_budget_found_gives_the_error_that_was_asked_for(
        self, days: int, error: float, mechanism: Mechanism
    ) -> None:
        try:
            needed = answered(days=days, target=users(error))[mechanism].epsilon_for_target
        except InvalidValueError:
            assume(False)  # noqa: FBT003 - Hypothesis has no other way
        assume(needed is not None)
        assert needed is not None
        reproduced = answered(days=days, epsilon=needed)[mechanism].std_error
        if needed == SMALLEST_EPSILON:
            assert reproduced <= error
        else:
            assert reproduced == pytest.approx(error, rel=2e-3 if error > 5 else 0.2)
            assert reproduced <= error * (1 + 1e-9)

    @given(st.floats(1, 300), st.floats(1, 300))
    @settings(max_examples=12)
    def test_a_smaller_error_never_needs_less(self, one: float, other: float) -> None:
        small, large = sorted((one, other))
        strict, loose = answered(target=users(small)), answered(target=users(large))
        for mechanism in NOISES:
            needs = strict[mechanism].epsilon_for_target or math.inf
            assert needs >= (loose[mechanism].epsilon_for_target or math.inf)

    def test_a_share_of_the_users_is_the_same_as_their_number(self) -> None:
        assert answered(target=TargetError.parse("1%")) == answered(target=TargetError.parse("500"))

    def test_the_cheapest_mechanism_is_the_best_for_a_target(self) -> None:
        assert cached(question(target=users(100))).best.mechanism is Mechanism.CONTINUAL
        assert cached(question(days=1, target=users(1))).best.mechanism is Mechanism.LAPLACE

    def test_the_most_precise_mechanism_is_the_best_for_a_budget(self) -> None:
        assert cached(question()).best.mechanism is Mechanism.CONTINUAL
        assert cached(question(days=2)).best.mechanism is Mechanism.LAPLACE

    def test_a_forecast_says_what_was_asked(self) -> None:
        assert cached(question()).question == question()

    def test_a_loose_target_needs_no_less_than_what_can_be_planned_with(self) -> None:
        found = answered(users=10**12, target=users(1e12))
        assert {each.epsilon_for_target for each in found.values()} == {SMALLEST_EPSILON}

    def test_a_mechanism_that_does_not_reach_the_target_says_so(self) -> None:
        found = answered(target=users(0.8))
        assert found[Mechanism.CONTINUAL].epsilon_for_target is not None
        assert found[Mechanism.GAUSSIAN].epsilon_for_target is None

    def test_the_largest_budget_can_be_planned_with_and_no_larger_one(self) -> None:
        in_reach = planner._in_reach  # noqa: SLF001 - no target needs just this budget
        assert in_reach(LARGEST_EPSILON) == LARGEST_EPSILON
        assert in_reach(math.nextafter(LARGEST_EPSILON, math.inf)) is None

    @pytest.mark.parametrize("error", [0.05, 1e-6, 1e-9])
    def test_what_no_mechanism_reaches_is_refused(self, error: float) -> None:
        with pytest.raises(InvalidValueError, match=r"no mechanism reaches below ε = 50"):
            forecast(question(target=users(error)))


class TestQuestions:
    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("users", 0),
            ("users", -1),
            ("users", 10**12 + 1),
            ("users", 1.5),
            ("users", True),
            ("days", 0),
            ("days", 367),
            ("epsilon", 0.0),
            ("epsilon", -1.0),
            ("epsilon", math.nan),
            ("epsilon", math.inf),
            ("epsilon", 2 * LARGEST_EPSILON),
            ("delta", 0.0),
            ("delta", 1.0),
            ("delta", math.nan),
        ],
    )
    def test_a_value_that_cannot_be_planned_with_is_named(self, name: str, value: Any) -> None:
        with pytest.raises(InvalidValueError, match=f"^{name} is"):
            question(**{name: value})

    @pytest.mark.parametrize(
        ("metric", "window_days"), [(Metric.DAU, 7), (Metric.MAU, 0), (Metric.MAU, 367)]
    )
    def test_a_window_out_of_range_is_named(self, metric: Metric, window_days: int) -> None:
        expected = r"expected 1\.$" if metric is Metric.DAU else r"a whole number from 1 to 366\.$"
        with pytest.raises(InvalidValueError, match=rf"^window is {window_days}; .*{expected}"):
            question(metric=metric, window_days=window_days)

    @pytest.mark.parametrize(
        "text", ["", "%", "one", "0", "0%", "-1%", "101%", "nan", "inf", "1e13"]
    )
    def test_what_is_no_target_is_refused(self, text: str) -> None:
        with pytest.raises(InvalidValueError, match=r"^target_error is"):
            TargetError.parse(text)

    @pytest.mark.parametrize("error", [11, 1e-10, 5e-324])
    def test_a_target_beyond_the_users_or_next_to_nothing_is_refused(self, error: float) -> None:
        with pytest.raises(InvalidValueError, match="users and at most all 10 of them"):
            question(users=10, target=users(error))

    @pytest.mark.parametrize("text", ["1%", "0.25%", "250", "0.5"])
    def test_a_target_is_written_as_it_was_read(self, text: str) -> None:
        assert TargetError.parse(text).text == text
        assert TargetError.parse(f" {text} ") == TargetError.parse(text)


def calibrated(mechanism: Mechanism, epsilon: float) -> GaussianMechanism | LaplaceMechanism:
    if mechanism is Mechanism.LAPLACE:
        return LaplaceMechanism.calibrate(epsilon, 1)
    return GaussianMechanism.calibrate(epsilon, 1e-6, 1)


def total(mechanism: Mechanism, epsilon: float, releases: int) -> float:
    charges = [calibrated(mechanism, epsilon).charge] * releases
    composition = compose(charges, delta=1e-6, advanced_delta=1e-7, rdp_orders=(2, 4, 8, 16, 32))
    return composition.tight.epsilon


def test_gaussian_releases_cost_what_one_measurement_of_all_days_would() -> None:
    found = answered()[Mechanism.GAUSSIAN]
    continuous = gaussian_epsilon(math.sqrt(MONTH) / found.std_error, 1e-6)
    assert found.spent_epsilon == pytest.approx(continuous, rel=2e-3)
    assert found.spent_epsilon == pytest.approx(3.0, rel=1e-3)


class TestSketches:
    @given(st.integers(100, 10**7))
    @settings(max_examples=5)
    def test_a_sample_multiplies_the_noise_and_adds_its_own_error(self, users: int) -> None:
        # Larger noise is nearer to its continuous figures: at this ε, the exact noise is too.
        exact = answered(users=users, epsilon=0.3)
        sampled = answered(users=users, epsilon=0.3, counting=SAMPLE)
        for mechanism in NOISES:
            noise = 16 * exact[mechanism].std_error
            expected = math.hypot(noise, math.sqrt(15 * users))
            assert sampled[mechanism].std_error == pytest.approx(expected, rel=5e-3)
            assert sampled[mechanism].spent_epsilon <= 0.3

    @pytest.mark.parametrize("mechanism", NOISES)
    def test_a_target_leaves_the_noise_what_the_sample_does_not_take(
        self, mechanism: Mechanism
    ) -> None:
        target = 1_000.0
        needed = answered(counting=SAMPLE, target=users(target))[mechanism].epsilon_for_target
        assert needed is not None
        found = answered(counting=SAMPLE, epsilon=needed)[mechanism]
        assert found.std_error == pytest.approx(target, rel=2e-3)

    def test_intervals_are_wider_by_what_a_sample_leaves_open(self) -> None:
        found = answered(counting=SAMPLE, users=1_000_000)
        sample = NormalDist().inv_cdf(0.975) * math.sqrt(1_000_000 * (2**4 - 1))
        noise = half_widths(make_plan(MONTH, UNBOUNDED, 2.4, 1e-6, sensitivity=2**4))
        series = math.hypot(math.sqrt(np.mean(noise**2)), sample)
        assert found[Mechanism.CONTINUAL].half_width_95 == pytest.approx(series, rel=1e-6)
        for mechanism, kind in (
            (Mechanism.GAUSSIAN, partial(GaussianMechanism.calibrate, delta=1e-6)),
            (Mechanism.LAPLACE, LaplaceMechanism.calibrate),
        ):
            epsilon = found[mechanism].release_epsilon
            assert epsilon is not None
            wide = math.hypot(kind(epsilon, sensitivity=2**4).half_width(), sample)
            assert found[mechanism].half_width_95 == pytest.approx(wide, rel=1e-6)

    def test_a_target_below_the_sample_s_error_is_out_of_reach(self) -> None:
        with pytest.raises(InvalidValueError, match="which no mechanism reaches"):
            forecast(question(counting=SAMPLE, target=users(800)))

    def test_a_target_of_just_the_sample_s_error_leaves_noise_no_room(self) -> None:
        with pytest.raises(InvalidValueError, match="which no mechanism reaches"):
            forecast(question(counting=SAMPLE, users=15, target=users(15)))

    def test_hllpp_has_no_mechanism_but_its_own(self) -> None:
        (found,) = cached(question(counting=HYPERLOGLOG)).mechanisms
        assert found.mechanism is Mechanism.INTRINSIC
        assert found.release_epsilon is not None
        release = IntrinsicMechanism(found.release_epsilon, 12)
        assert found.std_error == pytest.approx(math.sqrt(release.variance.at(50_000)))
        assert found.spent_epsilon <= 3

    def test_hllpp_reaches_some_targets_and_not_others(self) -> None:
        reached = forecast(question(counting=HYPERLOGLOG, target=users(4_000))).best
        assert reached.epsilon_for_target is not None
        again = answered(counting=HYPERLOGLOG, epsilon=reached.epsilon_for_target)
        assert again[Mechanism.INTRINSIC].std_error == pytest.approx(4_000, rel=5e-3)
        with pytest.raises(InvalidValueError, match="which no mechanism reaches"):
            forecast(question(counting=HYPERLOGLOG, target=users(100)))

    def test_registers_whose_phantoms_nothing_pays_for_are_refused(self) -> None:
        large = Counting(SketchKind.HLLPP, log2_registers=21)
        with pytest.raises(InvalidValueError, match="HLL_LOG2_REGISTERS"):
            forecast(question(counting=large, epsilon=0.001))

    def test_registers_whose_phantoms_are_paid_for_are_planned_with(self) -> None:
        large = Counting(SketchKind.HLLPP, log2_registers=21)
        (found,) = cached(question(counting=large, users=10**8)).mechanisms
        assert found.release_epsilon is not None
        release = IntrinsicMechanism(found.release_epsilon, 21)
        assert found.std_error == pytest.approx(math.sqrt(release.variance.at(10**8)))

    def test_ways_to_count_are_compared_at_the_same_budget(self) -> None:
        alternatives = (SAMPLE, HYPERLOGLOG)
        exact, sample, hyperloglog = cached(question(alternatives=alternatives)).sketches
        assert [each.counting for each in (exact, sample, hyperloglog)] == [
            EXACT, *alternatives,
        ]  # fmt: skip
        assert exact.std_error < sample.std_error < hyperloglog.std_error
        assert (exact.stored_users, sample.stored_users) == (50_000, 3_125)
        assert (exact.day_bytes, sample.day_bytes) == (100_000, 6_250)
        assert (exact.release_bytes, hyperloglog.release_bytes) == (0, 4_096)

    def test_a_way_to_count_that_the_budget_does_not_pay_for_is_left_out(self) -> None:
        large = Counting(SketchKind.HLLPP, log2_registers=21)
        (alone,) = cached(question(alternatives=(large,), epsilon=0.001)).sketches
        assert alone.counting == EXACT

    def test_the_order_of_the_comparison_is_that_of_the_settings(self) -> None:
        found = cached(question(counting=SAMPLE, alternatives=(HYPERLOGLOG, EXACT))).sketches
        assert [each.counting for each in found] == [EXACT, SAMPLE, HYPERLOGLOG]


def test_of_a_sample_the_variance_is_binomial() -> None:
    assert CountVariance.of_sample(4).at(1_000) == 15_000
