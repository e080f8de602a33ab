"""Who is counted in a series, at which sensitivity and price, as the store and the ledger have it."""

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from dpdau.application import Application
from dpdau.model.releases import Metric, SeriesKey
from dpdau.privacy.flippancy import LimiterState
from dpdau.store import MemoryStore
from support import Event, FakeClock, application, columns

FIRST = date(2025, 11, 1)
TODAY = date(2025, 11, 20)
SERIES = SeriesKey(Metric.DAU, 1, "2025-11")


@pytest.fixture
def open_app(tmp_path: Path, clock: FakeClock, store: MemoryStore) -> Iterator[Any]:
    opened: list[Application] = []

    def make(**settings: Any) -> Application:
        settings = {"lateness_hours": 0, "w_bound_mau": "unbounded", **settings}
        opened.append(application(tmp_path, store=store, clock=clock, **settings))
        return opened[-1]

    yield make
    for app in opened:
        app.close()


def day(number: int) -> date:
    return FIRST + timedelta(days=number - 1)


def send(app: Application, user_id: str, *numbers: int) -> None:
    events = columns(Event(user_id, day(number)) for number in numbers)
    app.ingestor.apply(app.ingestor.pseudonymize(events))


def totals(store: MemoryStore) -> tuple[int, ...]:
    with store.read() as reader:
        state = reader.series_state(SERIES)
    assert state is not None
    return state.totals


class TestTheLimiter:
    def test_who_used_up_their_runs_on_earlier_days_is_counted_no_more(
        self, open_app: Any, store: MemoryStore
    ) -> None:
        app = open_app(w_bound_dau=4)
        send(app, "ada", 1, 3, 5, 7)
        send(app, "bob", 1, 2, 3, 4, 5, 6, 7)
        app.release(Metric.DAU, day(7))
        assert totals(store) == (2, 1, 2, 1, 1, 1, 1)

    def test_it_remembers_across_processes(self, open_app: Any, store: MemoryStore) -> None:
        app = open_app(w_bound_dau=2)
        send(app, "ada", 1, 3)
        app.release(Metric.DAU, day(2))
        open_app(w_bound_dau=2).release(Metric.DAU, day(3))
        assert totals(store) == (1, 0, 0)
        with store.read() as reader:
            state = reader.series_state(SERIES)
        assert state is not None
        assert state.limiter is not None
        limiter = LimiterState.from_bytes(state.limiter)
        assert (len(limiter.current), [len(level) for level in limiter.levels]) == (0, [1])

    def test_without_a_bound_every_return_is_counted(
        self, open_app: Any, store: MemoryStore
    ) -> None:
        app = open_app()
        send(app, "ada", 1, 3, 5, 7)
        app.release(Metric.DAU, day(7))
        assert totals(store) == (1, 0, 1, 0, 1, 0, 1)


@pytest.mark.parametrize(("rate", "sensitivity"), [("1/2", 2), ("1/8", 8)])
def test_the_plan_of_a_sample_is_for_what_one_person_of_it_stands_for(
    open_app: Any, rate: str, sensitivity: int
) -> None:
    app = open_app(sketch_impl="theta", sketch_sampling_rate=rate)
    plan = app.plan(Metric.DAU, "2025-11")
    assert plan.sensitivity == sensitivity
    app.release(Metric.DAU, day(1))
    opened, released = app.ledger(Metric.DAU)
    assert released.body["sensitivity"] == sensitivity
    assert opened.charge is not None
    assert opened.charge["sensitivity_squared"] == plan.sensitivity_squared
