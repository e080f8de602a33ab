import math
from _statistics import share

import numpy as np
import pytest
from scipy.special import ndtr

import adversarial
from _attacks import ADVERSARIES
from _canary import Month, play, worst_presence
from _games import Arena, allowed_by_budget, allowed_by_plan, direction, projected
from dpdau.model.releases import Mechanism, Metric
from dpdau.privacy import continual
from dpdau.privacy.strategy import Presence, make_plan

RANDOM = np.random.default_rng(17)  # noqa: TID251 - trials of a test, with a fixed seed


@pytest.fixture(autouse=True)
def _data_dir(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATA_DIR", str(tmp_path_factory.mktemp("data")))


def test_an_attacker_on_known_noise_is_right_as_often_as_theory_says() -> None:
    games = [(bool(number % 2), number % 2 - 0.5 + RANDOM.normal()) for number in range(40_000)]
    hits = sum((score > 0) is present for present, score in games)
    found, low, high = share(hits, len(games))
    assert found == pytest.approx(ndtr(0.5), abs=0.0125)  # five standard errors
    assert low < ndtr(0.5) < high
    assert not low < ndtr(0.55) < high


def test_no_presence_of_the_set_is_further_away_than_is_allowed() -> None:
    plan = make_plan(28, Presence.of(28, 2), 2.8, 1e-6)
    _, far = direction(plan, worst_presence(plan))
    claimed = math.sqrt(plan.sensitivity_squared) / plan.sigma
    assert 0.999 * claimed < far <= claimed
    assert allowed_by_plan(plan) == pytest.approx(ndtr(claimed / 2))
    assert allowed_by_plan(plan, 3) > allowed_by_plan(plan)


def test_an_unbounded_plan_has_a_worst_presence_too() -> None:
    plan = make_plan(28, Presence.of(28, None), 2.4, 1e-6)
    _, far = direction(plan, worst_presence(plan))
    assert far == pytest.approx(math.sqrt(plan.sensitivity_squared) / plan.sigma, rel=1e-3)


@pytest.mark.parametrize("metric", list(Metric))
@pytest.mark.parametrize(
    "settings",
    [{"sketch_impl": "set"}, {"sketch_impl": "theta", "sketch_sampling_rate": 0.25}],
    ids=["set", "theta"],
)
def test_the_canary_is_counted_on_just_the_days_that_matter(
    metric: Metric, settings: dict[str, object]
) -> None:
    pairs = tuple(settings.items())
    seen = play(Month(metric, pairs, is_present=True, noise_scale=1e-3))
    missing = play(Month(metric, pairs, is_present=False, noise_scale=1e-3))
    assert seen.plan is not None
    weight = 4 if settings["sketch_impl"] == "theta" else 1
    expected = [weight * present for present in seen.presence]
    # With a thousandth of the noise, no estimate is off by as much as a tenth of a count.
    assert [release.estimate_raw for release in seen.releases] == pytest.approx(
        expected, abs=0.45 * weight
    )
    assert [release.estimate_raw for release in missing.releases] == pytest.approx(
        [0] * len(expected), abs=0.45 * weight
    )
    assert seen.epsilon == missing.epsilon


def test_a_canary_of_single_releases_is_there_every_day() -> None:
    settings = (("mechanism_dau", Mechanism.LAPLACE), ("dau_budget_total", 1e6))
    played = play(Month(Metric.DAU, settings, is_present=True, noise_scale=1e-3))
    assert played.plan is None
    assert [release.estimate for release in played.releases] == [1] * 28


def test_the_score_of_a_projection_is_centred_between_the_worlds() -> None:
    arena = Arena()
    days = range(arena.period.days)
    releases = []
    for index in days:
        arena.close(index)
        releases.append(arena.release(Metric.DAU, index))
    plan = arena.plan(Metric.DAU)
    ones = [1.0] * len(releases)
    _, far = direction(plan, ones)
    alone = projected(releases, plan, ones, [0.0] * len(releases))
    shifted = projected(releases, plan, ones, [-1.0] * len(releases))
    assert shifted - alone == pytest.approx(far)
    assert 0.5 < allowed_by_budget(arena.application, Metric.DAU, arena.day(0)) < 1


def test_every_adversary_stays_within_what_is_allowed() -> None:
    names = [adversary.name for adversary in ADVERSARIES]
    rows = adversarial.attack(names, 24, 3)
    assert [row["adversary"] for row in rows] == names
    # At the very bound, more hits than this are a once-in-a-million event.
    assert [row["adversary"] for row in rows if row["is_beyond"]] == []


def test_with_a_twentieth_of_the_noise_attackers_are_caught_going_too_far(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    honest = continual._measurement  # noqa: SLF001 - as an audit does it
    monkeypatch.setattr(continual, "_measurement", lambda sigma: honest(sigma / 20))
    names = ["averaging", "colluding readers", "massive deletion", "toggling"]
    rows = adversarial.attack(names, 40, 3)
    assert sum(row["is_beyond"] for row in rows) >= 2


def test_draining_leaves_every_day_its_value_here_and_none_elsewhere() -> None:
    (row,) = adversarial.attack(["budget draining"], 2, 3)
    assert row["naive_success"] == 28
    assert row["success"] == row["bound"] == 0
    assert not row["is_beyond"]
