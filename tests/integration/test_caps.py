"""Caps of budgets: they rise, through a row with who and why, and never fall."""

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from dpdau.application import Application
from dpdau.errors import BudgetExhaustedError, InvalidValueError
from dpdau.model.ledger import LedgerKind
from dpdau.model.releases import Metric
from dpdau.pipeline.caps import signature
from dpdau.store import MemoryStore
from support import application

YESTERDAY = date(2025, 11, 19)
SETTINGS: dict[str, Any] = {
    "mechanism_dau": "laplace",
    "mechanism_mau": "laplace",
    "epsilon_dau": 0.3,
    "epsilon_mau": 0.5,
    "dau_budget_total": 0.3,
}
SIGNED = {"who": "Ada", "why": "one more day"}


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Application]:
    with application(tmp_path, store=MemoryStore(), **SETTINGS) as opened:
        yield opened


def test_a_raise_allows_what_was_refused_and_is_a_row_with_who_and_why(app: Application) -> None:
    app.release(Metric.DAU, YESTERDAY)
    with pytest.raises(BudgetExhaustedError):
        app.release(Metric.DAU, YESTERDAY - timedelta(days=1))
    view = app.raise_cap(Metric.DAU, "2025-11", 0.7, **SIGNED)
    assert (view.epsilon_cap, view.releases) == (0.7, 1)
    (row,) = [row for row in app.ledger() if row.kind is LedgerKind.CAP]
    assert row.charge is None
    assert row.body == {"epsilon_cap": 0.7, "former_cap": 0.3, **SIGNED}
    second = app.release(Metric.DAU, YESTERDAY - timedelta(days=1))
    assert second.guarantee.epsilon == second.budget.epsilon_cap == 0.7
    assert app.ledger()[-1].body["epsilon_cap"] == 0.7


def test_a_raise_holds_for_its_metric_and_period_only(app: Application) -> None:
    app.raise_cap(Metric.DAU, "2025-11", 0.7, **SIGNED)
    assert app.budget_of(Metric.DAU, date(2025, 10, 1)).epsilon_cap == 0.3
    assert app.budget_of(Metric.MAU, YESTERDAY).epsilon_cap == 3.5
    series = app.series(Metric.DAU, date(2025, 10, 30), YESTERDAY)
    assert series.releases == []
    (statement,) = app.budget_totals().periods
    assert (statement.period, statement.epsilon_cap, statement.releases) == ("2025-11", 0.7, 0)


def test_a_raise_is_measured_against_the_cap_of_its_own_metric(app: Application) -> None:
    app.raise_cap(Metric.DAU, "2025-11", 5.0, **SIGNED)
    assert app.raise_cap(Metric.MAU, "2025-11", 4.0, **SIGNED).epsilon_cap == 4.0
    assert app.ledger()[-1].body["former_cap"] == 3.5


def test_caps_rise_again_and_again_but_never_fall(app: Application) -> None:
    app.raise_cap(Metric.DAU, "2025-11", 0.7, **SIGNED)
    for lower in (0.7, 0.5, 0.3, 0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(InvalidValueError, match=r"above the cap in force, 0\.7"):
            app.raise_cap(Metric.DAU, "2025-11", lower, **SIGNED)
    assert app.raise_cap(Metric.DAU, "2025-11", 0.8, **SIGNED).epsilon_cap == 0.8
    assert [row.subject for row in app.ledger()] == ["dau-2025-11-cap-1", "dau-2025-11-cap-2"]


def test_a_raise_below_the_configured_cap_has_no_effect(tmp_path: Path) -> None:
    store = MemoryStore()
    with application(tmp_path, store=store, **SETTINGS) as app:
        app.raise_cap(Metric.DAU, "2025-11", 0.7, **SIGNED)
        app.budget.rules.caps[Metric.DAU] = 2.0  # type: ignore[index]
        assert app.budget_of(Metric.DAU, YESTERDAY).epsilon_cap == 2.0


@pytest.mark.parametrize(("who", "why"), [("", "x"), ("x", " "), ("a\nb", "x"), ("x", "y" * 501)])
def test_nobody_raises_a_cap_without_name_and_reason(app: Application, who: str, why: str) -> None:
    with pytest.raises(InvalidValueError, match="one line of text"):
        app.raise_cap(Metric.DAU, "2025-11", 1.0, who=who, why=why)
    assert app.ledger() == []


@pytest.mark.parametrize("length", [1, 500])
def test_a_name_and_a_reason_are_as_long_as_is_said(length: int) -> None:
    text = "a" * length
    assert signature(f" {text} ", text) == {"who": text, "why": text}


@pytest.mark.parametrize("period", ["2025", "2025-Q4", "soon"])
def test_only_accounting_periods_have_caps(app: Application, period: str) -> None:
    with pytest.raises(InvalidValueError, match="period"):
        app.raise_cap(Metric.DAU, period, 1.0, **SIGNED)
