"""The product against plain sets: any order of events, erasures, releases and restarts."""

import shutil
import tempfile
from datetime import date, timedelta
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
)

from dpdau.application import Application
from dpdau.model.releases import Metric
from support import EXACT, Event, FakeClock, Oracle, application, columns

USERS = [f"user-{number}" for number in range(6)]
a_user = st.sampled_from(USERS)
days_back = st.integers(0, 12)


class Product(RuleBasedStateMachine):
    """Drives the product on SQLite, with noise turned off, and a model of sets beside it."""

    released = Bundle("released")

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp())
        self.clock = FakeClock()
        self.oracle = Oracle()
        self.values: dict[str, int] = {}
        self.app = self.open()

    def open(self) -> Application:
        return application(self.directory, clock=self.clock, lateness_hours=0, **EXACT)

    @property
    def today(self) -> date:
        return self.clock.now.date()

    @initialize(users=st.lists(a_user, max_size=6))
    def begin(self, users: list[str]) -> None:
        self.send([Event(user, self.today - timedelta(days=1)) for user in users])

    @rule(
        choices=st.lists(
            st.tuples(a_user, days_back, st.sampled_from(["add", "add", "retract", "erase"])),
            max_size=8,
        )
    )
    def ingest(self, choices: list[tuple[str, int, str]]) -> None:
        self.send(
            [
                Event(
                    user,
                    self.today - timedelta(days=back),
                    add=kind == "add",
                    whole_user=kind == "erase",
                )
                for user, back, kind in choices
            ]
        )

    @rule(users=st.lists(a_user, min_size=1, max_size=3))
    def erase(self, users: list[str]) -> None:
        assert self.app.erase(users).state == "done"
        for user in users:
            self.oracle.erase(user, self.today)

    @rule(hours=st.sampled_from([1, 24, 100]))
    def time_passes(self, hours: int) -> None:
        self.clock.advance(hours=hours)

    @rule()
    def restart(self) -> None:
        self.app.close()
        self.app = self.open()

    @rule(back=st.integers(1, 12), window=st.sampled_from([None, 1, 2, 7, 30]))
    def release(self, back: int, window: int | None) -> None:
        metric = Metric.DAU if window is None else Metric.MAU
        day = self.today - timedelta(days=back)
        view = self.app.release(metric, day, window)
        if view.release_id in self.values:
            assert view.estimate == self.values[view.release_id]
        else:
            assert view.estimate == len(self.oracle.present(day, window or 1))
            self.values[view.release_id] = view.estimate

    @invariant()
    def everyone_is_where_the_model_has_them(self) -> None:
        for back in range(13):
            day = (self.today - timedelta(days=back)).toordinal()
            with self.app.store.read() as reader:
                assert len(reader.members(day, day)) == len(
                    self.oracle.present(date.fromordinal(day))
                )

    def send(self, events: list[Event]) -> None:
        self.app.ingestor.apply(self.app.ingestor.pseudonymize(columns(events)))
        for event in events:
            self.oracle.apply(event)

    def teardown(self) -> None:
        self.app.close()
        shutil.rmtree(self.directory)


TestProduct = Product.TestCase
TestProduct.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
