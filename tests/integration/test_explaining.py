from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dpdau.application import Application
from dpdau.errors import ReleaseNotFoundError
from dpdau.model.ledger import LedgerKind
from dpdau.model.releases import Metric
from dpdau.store import MemoryStore
from support import Event, FakeClock, application, columns

DAY = date(2025, 10, 7)


@pytest.fixture
def open_app(tmp_path: Path, store: MemoryStore) -> Iterator[Any]:
    opened: list[Application] = []

    def make(**settings: Any) -> Application:
        clock = FakeClock(datetime(2025, 11, 20, 12, tzinfo=UTC))
        opened.append(application(tmp_path, store=store, clock=clock, **settings))
        return opened[-1]

    yield make
    for app in opened:
        app.close()


def test_a_value_of_a_series_is_explained(open_app: Any) -> None:
    app = open_app(w_bound_mau=2)
    value = app.release(Metric.MAU, DAY)
    view = app.explain(value.release_id)
    said = view.sentences

    assert view.release == value
    assert (view.first_day, view.last_day) == (date(2025, 9, 8), DAY)
    assert (view.paid_by, view.runs, view.noise.drawn_for) == ("series", 1, "series")
    assert (view.revises, view.newest) == (None, value.release_id)
    assert "at least once in the 30 days from 2025-09-08 to 2025-10-07" in said.meaning
    assert "all of them lie within their bands at once" in said.certainty
    assert said.cost.startswith("It cost nothing by itself: one price, ε = 2.8, δ = 1e-06")
    assert "ε = 0.7 of 3.5 for 2025-10" in said.cost
    assert "Continual release" in said.mechanism
    assert f"scale {view.noise.scale:,.4g} users" in said.mechanism
    assert said.revision is None
    assert "at most 1 run of days in 2025-10" in said.limits[0]


def test_a_series_without_a_limit_undercounts_nobody(open_app: Any) -> None:
    app = open_app()
    view = app.explain(app.release(Metric.DAU, DAY).release_id)

    assert view.runs is None
    assert view.sentences.meaning.endswith("on 2025-10-07.")
    assert not any("too low" in limit for limit in view.sentences.limits)


@pytest.mark.parametrize(
    ("mechanism", "distribution", "price"),
    [
        ("laplace", "Discrete Laplace", "It cost ε = 0.3, once"),
        ("gaussian", "Discrete Gaussian", "It cost ε = 0.3, δ = 1e-06, once"),
    ],
)
def test_a_value_that_was_paid_by_itself_is_explained(
    open_app: Any, mechanism: str, distribution: str, price: str
) -> None:
    app = open_app(mechanism_dau=mechanism)
    view = app.explain(app.release(Metric.DAU, DAY).release_id)

    assert (view.paid_by, view.runs, view.noise.drawn_for) == ("release", None, "value")
    assert view.sentences.mechanism.startswith(f"{distribution} noise of scale")
    assert view.sentences.mechanism.endswith("was added to the count, once.")
    assert view.sentences.cost.startswith(price)
    assert "band" not in view.sentences.certainty


def test_revisions_and_what_they_correct_name_each_other(open_app: Any) -> None:
    app = open_app()
    first = app.release(Metric.DAU, DAY).release_id
    app.revise(Metric.DAU, DAY)
    app.revise(Metric.DAU, DAY)
    original, middle, last = (app.explain(f"{first}{suffix}") for suffix in ("", "-r1", "-r2"))

    assert original.newest == middle.newest == last.newest == f"{first}-r2"
    assert (original.revises, middle.revises, last.revises) == (None, first, f"{first}-r1")
    assert original.sentences.revision == f"A newer revision exists: {first}-r2."
    assert middle.sentences.revision is not None
    assert middle.sentences.revision.startswith("This is revision 1: the day was measured again")
    assert middle.sentences.revision.endswith(f"A newer revision exists: {first}-r2.")
    assert last.sentences.revision is not None
    assert last.sentences.revision.endswith(f"{first}-r1 stands in the record.")
    assert last.paid_by == "release"


def test_protection_is_told_in_odds_and_in_chances(open_app: Any) -> None:
    app = open_app(delta=1e-5)
    view = app.explain(app.release(Metric.DAU, DAY).release_id)

    assert view.odds_factor == pytest.approx(20.0855, rel=1e-5)
    assert "by at most a factor of 20.1" in view.sentences.protection
    assert "but for a chance of one in 100,000." in view.sentences.protection


def test_an_epsilon_that_promises_nothing_is_not_dressed_up(open_app: Any) -> None:
    app = open_app(dau_budget_total=1e12, epsilon_dau=1e6, mechanism_dau="laplace")
    app.ingestor.apply(app.ingestor.pseudonymize(columns([Event("ada", DAY)])))
    view = app.explain(app.release(Metric.DAU, DAY).release_id)

    assert view.odds_factor is None
    assert "promises nothing" in view.sentences.protection
    assert view.sentences.meaning == "About 1 distinct person was active on 2025-10-07."


def test_an_explanation_depends_on_the_ledger_alone(open_app: Any) -> None:
    app = open_app(w_bound_mau=2)
    release_id = app.release(Metric.MAU, DAY).release_id
    before = app.explain(release_id)
    crowd = [Event(f"user-{number}", DAY) for number in range(100)]
    app.ingestor.apply(app.ingestor.pseudonymize(columns(crowd)))
    app.erase(["user-1"])

    assert app.explain(release_id) == before


def test_a_series_whose_plan_is_missing_is_explained_without_its_scale(
    open_app: Any, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = open_app()
    release_id = app.release(Metric.DAU, DAY).release_id
    with store.read() as reader:
        row = reader.ledger_row(LedgerKind.RELEASE, release_id)
    assert row is not None
    body = {**row.body, "window_days": 2}
    changed = msgspec.structs.replace(row, body=body)
    monkeypatch.setattr(
        type(reader),
        "ledger_row",
        lambda *asked: changed if asked[-1] == release_id else None,
    )
    view = app.explain(release_id)

    assert view.noise.scale is None
    assert "with discrete Gaussian noise, and" in view.sentences.mechanism


@pytest.mark.parametrize("release_id", ["", "dau", "dau-1d-2025-10-07-r9", "x" * 10_000, "é/../ü"])
def test_what_was_never_released_is_not_found(open_app: Any, release_id: str) -> None:
    app = open_app()
    with pytest.raises(ReleaseNotFoundError):
        app.explain(release_id)
    with pytest.raises(ReleaseNotFoundError):
        app.released(release_id)


def test_a_release_is_found_by_its_id(open_app: Any) -> None:
    app = open_app()
    value = app.release(Metric.DAU, DAY)
    assert app.released(value.release_id) == value
