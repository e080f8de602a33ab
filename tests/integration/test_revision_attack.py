"""The attack on erasure: publish, erase, revise, subtract.

Whoever subtracts a corrected value from the first one hopes to learn whether the person who was
erased in between had been counted. The real pipeline runs with and without that person; from what
it measured and what the ledger charged follows, exactly, how well any test can tell the two apart.
"""

import math
import re
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from scipy.stats import binom

from dpdau.application import Application
from dpdau.model.releases import Metric
from dpdau.pipeline import series
from dpdau.pipeline.budget import BudgetStatement
from dpdau.privacy.charges import GaussianCharge, LaplaceCharge, charge_from_dict
from dpdau.privacy.gaussian import GaussianMechanism
from dpdau.privacy.laplace import LaplaceMechanism
from dpdau.privacy.strategy import Plan
from dpdau.store import MemoryStore
from exact_privacy import gaussian_delta, laplace_delta
from support import Event, FakeClock, application, columns

DAY = date(2025, 11, 12)
FIRST = date(2025, 11, 1)
DELTA = 1e-6
LAPLACE: dict[str, Any] = {"mechanism_dau": "laplace", "epsilon_dau": 0.5, "dau_budget_total": 3.0}
CONTINUAL: dict[str, Any] = {"mechanism_dau": "continual", "epsilon_dau": 0.3}
OTHERS = ("bob", "eve", "joe")

Act = Callable[[Application], object]


def count(app: Application, *users: str, days: Sequence[date] = (DAY,)) -> None:
    events = [Event(user, day) for user in users for day in days]
    app.ingestor.apply(app.ingestor.pseudonymize(columns(events)))


def publish(app: Application) -> None:
    app.release(Metric.DAU, DAY)


def revise(app: Application) -> None:
    app.revise(Metric.DAU, DAY)


def erase(app: Application) -> None:
    app.erase(["ada"])


def erase_by_an_older_event(app: Application) -> None:
    """An erasure dated before the day, behind which that day's events still count."""
    event = Event("ada", DAY - timedelta(days=1), add=False, whole_user=True)
    app.ingestor.apply(app.ingestor.pseudonymize(columns([event])))


def return_on_that_day(app: Application) -> None:
    count(app, "ada")


def statement(app: Application) -> BudgetStatement:
    with app.store.read() as reader:
        return app.budget.statement(reader, Metric.DAU, app.calendar.period_of(DAY))


def opened(directory: Path, **settings: Any) -> Application:
    clock = FakeClock(datetime(2025, 11, 14, 12, tzinfo=UTC))
    return application(
        directory, store=MemoryStore(), clock=clock, lateness_hours=0, delta=DELTA, **settings
    )


def differences(
    directory: Path, acts: Sequence[Act], measured: list[int]
) -> tuple[list[int], BudgetStatement, list[Any]]:
    """What the person changes in each measurement; what the ledger says it cost."""
    worlds = []
    for present in (["ada"], []):
        measured.clear()
        with opened(directory, **LAPLACE) as app:
            count(app, *OTHERS, *present)
            for act in acts:
                if present or act is not return_on_that_day:
                    act(app)
            stated = statement(app)
            charges = [charge_from_dict(row.charge) for row in app.ledger() if row.charge]
        worlds.append(list(measured))
    return [a - b for a, b in zip(*worlds, strict=True)], stated, charges


@pytest.mark.parametrize(
    ("acts", "shifts"),
    [
        ([publish, erase, revise], [1, 0]),
        ([erase, publish, revise], [0, 0]),
        ([publish, revise, erase, revise], [1, 1, 0]),
        ([publish, erase_by_an_older_event, revise, return_on_that_day, revise], [1, 0, 1]),
        ([publish, erase, return_on_that_day, revise], [1, 0]),
    ],
)
def test_the_difference_of_revisions_tells_no_more_than_the_ledger_charges(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, acts: list[Act], shifts: list[int]
) -> None:
    measured: list[int] = []
    monkeypatch.setattr(
        LaplaceMechanism, "measure", lambda _, value: measured.append(value) or value
    )
    found, stated, charges = differences(tmp_path, acts, measured)

    assert found == shifts
    assert len(charges) == len(shifts)
    assert set(charges) == {LaplaceCharge(2.0, 1)}
    assert laplace_delta(shifts, 2.0, stated.epsilon_spent) <= DELTA
    # What a test gains over guessing, by the best there is and by what the ledger allows.
    allowed = math.tanh(sum(charge.epsilon(0.0) for charge in charges) / 2)
    assert laplace_delta(shifts, 2.0, 0.0) <= allowed
    # All measurements of the person together reach what was charged, and less noise exceeds it.
    everywhere = [1] * len(shifts)
    assert laplace_delta(everywhere, 0.9 * 2.0, stated.epsilon_spent) > DELTA


def play(directory: Path, *, present: bool) -> bool:
    """Attack once; returns whether the attacker guessed right."""
    with opened(directory, **LAPLACE) as app:
        count(app, *OTHERS, *(["ada"] if present else []))
        first = app.release(Metric.DAU, DAY)
        erase(app)
        second = app.revise(Metric.DAU, DAY)
    return (first.estimate_raw - second.estimate_raw >= 1) is present


def wins(directory: Path, games: int) -> int:
    return sum(play(directory, present=game % 2 == 0) for game in range(games))


def most_wins_allowed(games: int, epsilon: float) -> int:
    """What an (ε, 0)-private pair exceeds with a chance of 1e-7."""
    return int(binom.isf(1e-7, games, math.exp(epsilon) / (1 + math.exp(epsilon))))


def test_whoever_subtracts_two_revisions_guesses_hardly_better_than_by_chance(
    tmp_path: Path,
) -> None:
    assert wins(tmp_path, 200) <= most_wins_allowed(200, 2 * LAPLACE["epsilon_dau"])


@pytest.mark.parametrize("noise", [0, 3], ids=["none", "the same for every revision"])
def test_a_correction_without_noise_of_its_own_gives_the_person_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, noise: int
) -> None:
    monkeypatch.setattr(LaplaceMechanism, "measure", lambda _, value: value + noise)
    assert wins(tmp_path, 200) == 200 > most_wins_allowed(200, 2 * LAPLACE["epsilon_dau"])


@pytest.mark.parametrize("active_days", [1, 6, 12])
def test_a_revision_beside_a_series_adds_to_what_the_series_was_charged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, active_days: int
) -> None:
    rows: list[int] = []
    revisions: list[int] = []

    def record(plan: Plan, totals: Sequence[int]) -> int:
        row = plan.strategy[len(totals) - 1]
        rows.append(sum(c * x for c, x in zip(row, totals, strict=False)))
        return rows[-1]

    monkeypatch.setattr(series, "measure_row", record)
    monkeypatch.setattr(
        GaussianMechanism, "measure", lambda _, value: revisions.append(value) or value
    )
    worlds = []
    for present in (["ada"], []):
        rows.clear()
        revisions.clear()
        with opened(tmp_path, **CONTINUAL) as app:
            days = [FIRST + timedelta(days=offset) for offset in range(active_days)]
            count(app, *OTHERS, days=days)
            count(app, *present, days=days)
            publish(app)
            revise(app)
            erase(app)
            revise(app)
            app.release(Metric.DAU, DAY + timedelta(days=1))
            stated = statement(app)
            charges = [charge_from_dict(row.charge) for row in app.ledger() if row.charge]
        worlds.append((list(rows), list(revisions)))

    (rows_with, with_ada), (rows_without, without) = worlds
    plan, *singles = charges
    assert isinstance(plan, GaussianCharge)
    assert all(isinstance(single, GaussianCharge) for single in singles)
    moved = sum((a - b) ** 2 for a, b in zip(rows_with, rows_without, strict=True))
    assert 0 < moved <= plan.sensitivity_squared
    corrected = [a - b for a, b in zip(with_ada, without, strict=True)]
    assert corrected == [int(DAY in days), 0]
    loss = moved / plan.sigma**2 + sum(
        shift**2 / single.sigma**2 for shift, single in zip(corrected, singles, strict=True)
    )
    assert gaussian_delta(math.sqrt(loss), stated.epsilon_spent) <= DELTA


def test_the_documented_chances_are_those_of_the_attack() -> None:
    epsilon = LAPLACE["epsilon_dau"]
    best = (1 + laplace_delta([1], 1 / epsilon, 0.0)) / 2
    allowed = math.exp(2 * epsilon) / (1 + math.exp(2 * epsilon))
    # Of two independent noises the difference is 0 with this chance: what moving it by 1 shows.
    decay = math.exp(-epsilon)
    masses = [(1 - decay) / (1 + decay) * decay ** abs(n) for n in range(-100, 101)]
    subtracting = (1 + math.fsum(mass**2 for mass in masses)) / 2
    documented = (Path(__file__).parents[2] / "docs" / "erasure.md").read_text(encoding="utf-8")
    chances = re.findall(r"\| (\d+) % \|", documented)
    assert chances == [f"{100 * each:.0f}" for each in (0.5, subtracting, best, allowed, 1)]
