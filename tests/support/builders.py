"""Builders of applications and events for tests."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from dpdau.application import Application
from dpdau.bootstrap import build
from dpdau.config import load_settings
from dpdau.model.events import EventColumns
from dpdau.pipeline.ports import Store
from support.oracle import Event

EXACT: dict[str, Any] = {
    "mechanism_dau": "laplace",
    "mechanism_mau": "laplace",
    "epsilon_dau": 1e6,
    "epsilon_mau": 1e6,
    "dau_budget_total": 1e12,
    "mau_budget_total": 1e12,
}
"""Settings under which noise is zero but for a chance of e^-1000000, so that counts show."""


class FakeClock:
    """A clock that moves only when told to."""

    def __init__(self, now: datetime = datetime(2025, 11, 20, 12, tzinfo=UTC)) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **duration: float) -> None:
        self.now += timedelta(**duration)


def application(
    data_dir: Path,
    *,
    store: Store | None = None,
    clock: FakeClock | None = None,
    **settings: Any,
) -> Application:
    """A product on a data directory, with a clock that stands still."""
    return build(
        load_settings(data_dir=data_dir, **settings), store=store, clock=clock or FakeClock()
    )


def columns(events: Iterable[Event]) -> EventColumns:
    """Events in the form that the pipeline takes."""
    events = list(events)
    return EventColumns(
        user_ids=[event.user_id for event in events],
        days=np.array([event.day.toordinal() for event in events], dtype=np.int32),
        adds=np.array([event.add for event in events], dtype=np.bool_),
        whole_user=np.array([event.whole_user for event in events], dtype=np.bool_),
    )
