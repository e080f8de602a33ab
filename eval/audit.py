"""How much privacy is lost, measured: a lower bound by an auditor who trusts nobody.

python eval/audit.py [--months N] [--quick]

The auditor lets the real product publish many months with and without one person, the canary, whose
presence costs most, and sees what any reader sees. How well the two can be told apart proves how
much is lost at least, at 95 % confidence. That must stay below what is claimed, and with half of
the noise it must not.
"""

import argparse
import math
import sys
from _statistics import at_least, at_most
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from scipy.special import ndtri

import _options
from _canary import Month, Played, play
from _experiment import open_experiment, run_trials, show
from dpdau.config import load_settings
from dpdau.errors import DpdauError
from dpdau.model.releases import Mechanism, Metric, SketchKind
from dpdau.privacy.gaussian_curve import gaussian_epsilon

__all__ = ["lower_epsilon", "lower_mu", "main"]

_MONTHS = 1_600
_QUICK_MONTHS = 160
_CONFIDENCE = 0.95
# At 95 % one in some hundred audits of an honest product goes beyond the claim; at this, none does.
_BEYOND_DOUBT = 1 - 1e-6
# A month's ε that a few hundred months tell well; the noise is the same but for its size.
_SERIES_EPSILON = 8.0
_RELEASE_EPSILON = 1.0
_RELEASES_TOTAL = 1e3
_LOG2_REGISTERS = 4
_HALVED = 0.5
_QUANTILES = np.linspace(0.02, 0.98, 49)
# Half of the noise shows soon, and where every day is a game of its own a month has many. With fewer
# than 160 months, half of the noise is missed more often than once in a million times.
_FEWER, _FEWEST = 5, 160

Array = NDArray[np.float64]


# --- bounds --------------------------------------------------------------------------------


def lower_mu(absent: Array, present: Array, threshold: float, confidence: float) -> float:
    """A lower bound of µ for a µ-Gaussian-DP mechanism (Dong, Roth & Su 2022, Definition 2.6).

    Formal guarantees:
        With probability at least `confidence` the bound is at most µ. Whoever says "present" above
        the threshold errs with some probabilities α and β, and µ-GDP says that
        Φ⁻¹(1 − α) − Φ⁻¹(β) ≤ µ (Nasr et al. 2023, arXiv 2302.07956, Section 4). Each is below its
        Clopper-Pearson limit but for half of the rest. The threshold must not depend on the data.

    Args:
        absent: n statistics of independent trials without the canary.
        present: n statistics with.
        threshold: where the auditor changes their mind.
        confidence: between 0 and 1.
    """
    one_sided = (1 + confidence) / 2
    false_alarms = at_most(int((absent > threshold).sum()), len(absent), one_sided)
    misses = at_most(int((present <= threshold).sum()), len(present), one_sided)
    return max(0.0, float(-ndtri(false_alarms) - ndtri(misses)))


def lower_epsilon(
    absent: Array, present: Array, threshold: float, delta: float, confidence: float
) -> float:
    """A lower bound of ε for an (ε, δ)-DP mechanism (Jagielski et al. 2020, arXiv 2006.07709).

    Formal guarantees:
        With probability at least `confidence` the bound is at most ε: P(present says "present") ≤
        e^ε·P(absent says it) + δ, and the same for "absent" with both exchanged. Each of the four
        limits fails with a quarter of the rest at most. The threshold must not depend on the data.

    Args:
        absent: n statistics of independent trials without the canary.
        present: n statistics with.
        threshold: where the auditor changes their mind.
        delta: of the claim.
        confidence: between 0 and 1.
    """
    one_sided = 1 - (1 - confidence) / 4
    best = 0.0
    for likely, unlikely in (
        (present > threshold, absent > threshold),
        (absent <= threshold, present <= threshold),
    ):
        low = at_least(int(likely.sum()), len(likely), one_sided) - delta
        high = at_most(int(unlikely.sum()), len(unlikely), one_sided)
        if low > 0:
            best = max(best, math.log(low / high))
    return best


# --- games ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Game:
    """What is audited.

    Attributes:
        metric: what is published.
        sketch: how people are counted.
        mechanism: how it is made private.
        noise_scale: 1, or less to see whether that is noticed.
        delta: of the claim.
    """

    metric: Metric
    sketch: SketchKind
    mechanism: Mechanism
    noise_scale: float
    delta: float

    def month(self, *, is_present: bool) -> Month:
        """One month of it."""
        is_series = self.mechanism is Mechanism.CONTINUAL
        settings: dict[str, Any] = {
            "sketch_impl": self.sketch,
            "delta": self.delta,
            "hll_log2_registers": _LOG2_REGISTERS,
            "series_share": 1.0,
        }
        for metric in Metric:
            settings[f"mechanism_{metric}"] = self.mechanism
            settings[f"epsilon_{metric}"] = _RELEASE_EPSILON
            settings[f"{metric}_budget_total"] = _SERIES_EPSILON if is_series else _RELEASES_TOTAL
        return Month(self.metric, tuple(settings.items()), is_present, self.noise_scale)

    def months(self, asked: int) -> int:
        """How many it needs in each of the two worlds, if a whole month is one game elsewhere."""
        needs_fewer = self._is_pure or self.noise_scale != 1
        return max(min(asked, _FEWEST), asked // _FEWER) if needs_fewer else asked

    def audited(self, absent: Sequence[Played], present: Sequence[Played]) -> dict[str, Any]:
        """A row of the table `audit`."""
        judged = _by_epsilon if self._is_pure else _by_mu
        loss = "epsilon" if self._is_pure else "mu"
        figures = judged(absent, present, self.delta, _CONFIDENCE)
        claimed, lower = figures[f"claimed_{loss}"], figures[f"lower_{loss}"]
        honest = self.noise_scale == 1
        sure = judged(absent, present, self.delta, _BEYOND_DOUBT) if honest else figures
        within = sure[f"lower_{loss}"] <= claimed
        return {
            "metric": self.metric.value,
            "sketch": self.sketch.value,
            "mechanism": self.mechanism.value,
            "days": len(present[0].releases),
            "trials": len(absent) + len(present),
            "noise_scale": self.noise_scale,
            **figures,
            "delta": self.delta,
            "power": lower / claimed,
            "within_claim": within,
            "verdict": _VERDICTS[honest, within],
        }

    @property
    def _is_pure(self) -> bool:
        return self.mechanism in {Mechanism.LAPLACE, Mechanism.INTRINSIC}


_VERDICTS = {
    (True, True): "holds",
    (True, False): "VIOLATED",
    (False, False): "caught",
    (False, True): "NOT CAUGHT",
}


def _by_mu(
    absent: Sequence[Played], present: Sequence[Played], delta: float, confidence: float
) -> dict[str, Any]:
    """The whole month as one Gaussian measurement in the direction in which the canary moves it."""
    direction, shift, sigma = _direction(present[0])
    claimed = shift / sigma
    scores = [
        np.array([_score(played, direction, sigma) for played in world])
        for world in (absent, present)
    ]
    # Half-way, which is best and known beforehand.
    lower = lower_mu(scores[0], scores[1], claimed / 2, confidence)
    return {
        "claimed_mu": claimed,
        "lower_mu": lower,
        "claimed_epsilon": present[0].epsilon,
        "lower_epsilon": gaussian_epsilon(lower, delta) if lower else 0.0,
    }


def _direction(played: Played) -> tuple[Array, float, float]:
    """The unit vector in which the canary moves the measurements, how far, and the noise's σ.

    A series' claim is its certified sensitivity, which no canary exceeds.
    """
    if played.plan is not None:
        plan = played.plan
        moved = np.array(plan.strategy, dtype=float) @ np.array(played.presence, dtype=float)
        return moved / np.linalg.norm(moved), math.sqrt(plan.sensitivity_squared), plan.sigma
    release = played.releases[0]
    days = len(played.releases)
    if release.charge is None or release.sensitivity is None:
        message = f"{release.release_id} has no noise of its own"
        raise TypeError(message)
    shift = release.sensitivity * math.sqrt(days)
    return np.full(days, 1 / math.sqrt(days)), shift, float(release.charge["sigma"])


def _score(played: Played, direction: Array, sigma: float) -> float:
    measured = np.array([release.measurement for release in played.releases], dtype=float)
    return float(direction @ measured) / sigma


def _by_epsilon(
    absent: Sequence[Played], present: Sequence[Played], _delta: float, confidence: float
) -> dict[str, Any]:
    """Every release as a game of its own: its noise is independent of all others, and pure."""
    values = [
        np.array([release.estimate_raw for played in world for release in played.releases])
        for world in (absent, present)
    ]
    # The first half finds the threshold, so that the second half does not know it.
    chosen_on, judged_on = (
        [world[: len(world) // 2] for world in values],
        [world[len(world) // 2 :] for world in values],
    )

    def proven(worlds: Sequence[Array], threshold: float) -> float:
        return lower_epsilon(worlds[0], worlds[1], threshold, 0.0, confidence)

    candidates = np.unique(np.quantile(np.concatenate(chosen_on), _QUANTILES)).tolist()
    threshold = max(candidates, key=lambda each: proven(chosen_on, each))
    return {
        "claimed_mu": None,
        "lower_mu": None,
        "claimed_epsilon": present[0].releases[0].epsilon,
        "lower_epsilon": proven(judged_on, threshold),
    }


# --- command -------------------------------------------------------------------------------


def main(arguments: Sequence[str] | None = None) -> int:
    """Audit; returns the exit code."""
    options = _parser().parse_args(arguments)
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    try:
        experiment = open_experiment(options.experiment)
        months = options.months or (_QUICK_MONTHS if options.quick else _MONTHS)
        rows = audit(list(games(options)), months)
        experiment.write("audit", rows, months=months)
    except DpdauError as error:
        console.print(f"Error: {error.message}", markup=False)
        return error.exit_code
    _show(rows)
    console.print(f"Results are in {experiment.results}.", markup=False)
    return 0 if all(row["verdict"] in {"holds", "caught"} for row in rows) else 1


def audit(asked: Sequence[Game], months: int) -> list[dict[str, Any]]:
    """Rows of the table `audit`.

    Args:
        asked: what to audit.
        months: how many in each of the two worlds.
    """
    worlds = [
        [game.month(is_present=is_present)] * game.months(months)
        for game in asked
        for is_present in (False, True)
    ]
    played = iter(run_trials(play, [month for world in worlds for month in world], label="Months"))
    seen = iter([[next(played) for _ in world] for world in worlds])
    return [game.audited(next(seen), next(seen)) for game in asked]


def games(options: argparse.Namespace) -> Iterator[Game]:
    """Every metric, sketch and mechanism that go together, honest and with half of the noise.

    `hllpp` adds no noise that could be halved.
    """
    delta = load_settings().delta
    for metric in options.metrics:
        for sketch in options.sketches:
            is_pure = sketch is SketchKind.HLLPP
            own = [Mechanism.INTRINSIC] if is_pure else options.mechanisms
            for mechanism in own:
                for scale in (1.0,) if is_pure else (1.0, _HALVED):
                    yield Game(metric, sketch, mechanism, scale, delta)


def _show(rows: Sequence[dict[str, Any]]) -> None:
    show(
        "What can be proven of the loss, at 95 % confidence",
        [
            "metric, sketch, mechanism",
            "noise",
            "µ claimed",
            "µ at least",
            "ε claimed",
            "ε at least",
            "of the claim",
            "verdict",
        ],
        [
            (
                f"{row['metric']}, {row['sketch']}, {row['mechanism']}",
                "full" if row["noise_scale"] == 1 else f"× {row['noise_scale']:g}",
                "–" if row["claimed_mu"] is None else f"{row['claimed_mu']:.3f}",
                "–" if row["lower_mu"] is None else f"{row['lower_mu']:.3f}",
                f"{row['claimed_epsilon']:.3f}",
                f"{row['lower_epsilon']:.3f}",
                f"{row['power']:.0%}",
                row["verdict"],
            )
            for row in rows
        ],
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Measure how much privacy is lost at least.")
    add = parser.add_argument
    add("--metrics", nargs="+", type=Metric, default=list(Metric), metavar="METRIC")
    add("--sketches", nargs="+", type=SketchKind, default=list(SketchKind), metavar="SKETCH")
    add(
        "--mechanisms",
        nargs="+",
        type=Mechanism,
        metavar="MECHANISM",
        default=[Mechanism.CONTINUAL, Mechanism.GAUSSIAN, Mechanism.LAPLACE],
        choices=[Mechanism.CONTINUAL, Mechanism.GAUSSIAN, Mechanism.LAPLACE],
    )
    add(
        "--months",
        type=_options.count,
        help=f"with the canary, and as many without (default: {_MONTHS})",
    )
    add("--quick", action="store_true", help=f"{_QUICK_MONTHS} months")
    add("--experiment", metavar="NAME", help="where results go (default: EXPERIMENT_ID)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
