"""Any history before and after a backup: restoring brings back nobody and no budget."""

import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from dpdau.hashing import Pseudonymizer
from dpdau.model.releases import Metric
from support import EXACT, Event, FakeClock, Oracle
from support.places import SECRET, Place, send

USERS = [f"user-{number}" for number in range(5)]
a_user = st.sampled_from(USERS)
a_step = st.one_of(
    st.tuples(st.just("add"), a_user, st.integers(0, 6)),
    st.tuples(st.just("erase"), a_user, st.just(0)),
    st.tuples(st.just("dau"), st.just(""), st.integers(1, 5)),
    st.tuples(st.just("mau"), st.just(""), st.integers(1, 5)),
    st.tuples(st.just("wait"), st.just(""), st.integers(1, 30)),
)
a_history = st.lists(a_step, max_size=8)
PLANNED: dict[str, Any] = {
    "mechanism_dau": "laplace",
    "dau_budget_total": 1e12,
    "epsilon_dau": 1e6,
    "mau_budget_total": 3.5,
    "w_bound_mau": "unbounded",
}


class History:
    """A product and a model of sets beside it."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.active = Oracle()
        self.back_then = Oracle()

    def go_through(self, steps: list[tuple[str, str, int]]) -> None:
        with self.place.open() as app:
            for kind, user, number in steps:
                day = self.place.today - timedelta(days=number)
                if kind == "add":
                    send(app, [Event(user, day)])
                    self.active.apply(Event(user, day))
                elif kind == "erase":
                    app.erase([user])
                    self.active.erase(user, self.place.today)
                    self.back_then.erase(user, self.place.today)
                elif kind == "wait":
                    self.place.clock.advance(hours=number)
                else:
                    app.release(Metric(kind), day - timedelta(days=1))

    def back_up(self) -> Path:
        file = self.place.back_up().path
        for day, users in self.active.active.items():
            self.back_then.active[day] = set(users)
        self.back_then.erased_on = dict(self.active.erased_on)
        return file


@settings(max_examples=25, deadline=None)
@given(before=a_history, after=a_history, planned=st.booleans())
def test_restoring_gives_back_neither_people_nor_budget(
    before: list[tuple[str, str, int]], after: list[tuple[str, str, int]], *, planned: bool
) -> None:
    with tempfile.TemporaryDirectory() as directory:
        noise = PLANNED if planned else EXACT
        own = {"hash_salt_secret": SECRET, "lateness_hours": 0}
        place = Place(Path(directory), FakeClock(), {**own, **noise})
        history = History(place)
        history.go_through([("add", "user-0", 1), *before])
        file = history.back_up()
        history.go_through(after)
        with place.open() as app:
            rows = app.ledger()
            spent = [app.budget_of(metric).epsilon_spent for metric in Metric]

        place.restore(file)
        with place.open() as app:
            app.verify()
            assert app.ledger() == rows
            assert [app.budget_of(metric).epsilon_spent for metric in Metric] == spent
            with app.store.read() as reader:
                known = reader.user_indices(Pseudonymizer(SECRET).pseudonyms(USERS)).tolist()
                indices = {user: i for user, i in zip(USERS, known, strict=True) if i >= 0}
                assert len(reader.known_users()) == len(indices)
                for back in range(15):
                    day = place.today - timedelta(days=back)
                    members = reader.members(day.toordinal(), day.toordinal())
                    kept = history.back_then.active.get(day, set())
                    found = {user for user, index in indices.items() if index in members}
                    # Whoever was erased, came back and was saved on one day may be missing.
                    assert found <= kept
                    assert kept - found <= history.active.erased_on.keys()
            for metric in Metric:
                app.release(metric, place.today - timedelta(days=1))
            assert app.verify().rows >= len(rows)
