"""The test that matters most: what one user can do to the numbers before noise.

The real pipeline runs twice on the same stream of events, with and without one user whose
behaviour is arbitrary. Whatever that user does, the vectors that are measured must differ by an
element of the declared presence set, and by no more than the declared sensitivity.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pyroaring import BitMap

from dpdau.application import Application
from dpdau.hashing import Sampler
from dpdau.pipeline import erase, rekeying, retention, series
from dpdau.pipeline.ports import Tombstones
from dpdau.pipeline.retention import Retention
from dpdau.privacy.continual import Estimate
from dpdau.privacy.strategy import Plan, make_plan
from dpdau.store import MemoryStore
from support import Event, FakeClock, application, columns

START = date(2025, 1, 25)
DAYS = 40  # from January into March: two boundaries of a month
WINDOW_DAYS = 3
CANARY = "canary"
SAMPLERS = {
    3: next(
        sampler
        for sampler in (Sampler(bytes([each] * 16), 3) for each in range(256))
        if sampler.sampled([CANARY])[0]
    )
}
NO_DAY = -1
SECRET, NEW_SECRET = "the secret at first", "the secret after it"


class Vector(NamedTuple):
    """What one period's series measured: presence totals before noise."""

    plan: Plan
    totals: tuple[int, ...]


@dataclass(frozen=True)
class Step:
    """One thing that a user does on a day of the simulation."""

    on: int
    user_id: str
    about: int
    kind: str


a_day = st.integers(0, DAYS - 1)
a_step = st.builds(
    Step,
    on=a_day,
    user_id=st.sampled_from([CANARY, CANARY, CANARY, "ada", "grace"]),
    about=a_day,
    kind=st.sampled_from(["add", "add", "add", "add", "retract", "erase_event", "erase_request"]),
)
# Present on the publications of every fourth day only: as many runs as the calendar allows.
TOGGLING = [Step(day, CANARY, day, "add") for day in range(0, DAYS, WINDOW_DAYS + 1)]
# Active on one day, erased by a back-dated event on the next, again and again.
LEAVING = [
    step
    for day in range(0, DAYS - 1, 2)
    for step in (Step(day, CANARY, day, "add"), Step(day + 1, CANARY, 0, "erase_event"))
]
# Active on one day, which is retracted on the next, so that nothing is left, again and again.
RETRACTING = [
    step
    for day in range(0, DAYS - 1, 2)
    for step in (Step(day, CANARY, day, "add"), Step(day + 1, CANARY, day, "retract"))
]


def measured_vectors(
    directory: Path,
    steps: Sequence[Step],
    silent: frozenset[int],
    runs: int,
    rotated_on: int,
    *,
    exponent: int = 0,
) -> list[Vector]:
    """Live through the steps with a real pipeline; what its MAU series measured, by period."""
    clock = FakeClock(datetime.combine(START, datetime.min.time(), UTC))
    vectors: list[Vector] = []

    def record(plan: Plan, totals: Sequence[int]) -> int:
        if len(totals) > 1:
            vectors.pop()
        vectors.append(Vector(plan, tuple(totals)))
        return 0

    store = MemoryStore()
    sampling: dict[str, Any] = {}
    if exponent:
        sampling = {"sketch_impl": "theta", "sketch_sampling_rate": 2.0**-exponent}
        # Both lives must have one sample, and one that the user under test is in.
        with store.write() as transaction:
            transaction.put_meta("sample", str(SAMPLERS[exponent]))
    start = partial(
        application,
        directory,
        store=store,
        clock=clock,
        mechanism_dau="laplace",
        mau_window_days=WINDOW_DAYS,
        w_bound_mau=2 * runs,
        lateness_hours=0,
        **sampling,
    )
    app = start(hash_salt_secret=SECRET)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(series, "measure_row", record)
        # Post-processing does not matter here, and takes time.
        patch.setattr(series, "estimate_row", lambda *_: Estimate(0.0, 1.0, 2.0, 3.0))
        for day in range(DAYS):
            if day == rotated_on:
                app = start(hash_salt_secret=NEW_SECRET, hash_salt_secret_previous=SECRET)
            for step in steps:
                if step.on == day:
                    take(app, step)
            clock.advance(days=1)
            if day not in silent or day == DAYS - 1:
                list(app.publish())
            assert app.eraser.finish() == 0
            Retention(app.store).drop(app.calendar.accepted_days()[0])
    return vectors


def take(app: Application, step: Step) -> None:
    if step.kind == "erase_request":
        app.erase([step.user_id])
        return
    event = Event(
        step.user_id,
        START + timedelta(days=step.about),
        add=step.kind == "add",
        whole_user=step.kind == "erase_event",
    )
    app.ingestor.apply(app.ingestor.pseudonymize(columns([event])))


def runs_of(presence: Sequence[int]) -> int:
    return sum(
        here == 1 and before == 0 for before, here in zip((0, *presence), presence, strict=False)
    )


def check_difference(
    directory: Path,
    steps: Sequence[Step],
    silent: frozenset[int],
    runs: int,
    rotated_on: int = NO_DAY,
    *,
    exponent: int = 0,
) -> None:
    with_canary = measured_vectors(directory, steps, silent, runs, rotated_on, exponent=exponent)
    others = [step for step in steps if step.user_id != CANARY]
    without = measured_vectors(directory, others, silent, runs, rotated_on, exponent=exponent)
    assert [len(vector.totals) for vector in with_canary] == [
        len(vector.totals) for vector in without
    ]
    assert len(with_canary) == 3
    for here, there in zip(with_canary, without, strict=True):
        difference = [a - b for a, b in zip(here.totals, there.totals, strict=True)]
        assert set(difference) <= {0, 2**exponent}
        assert runs_of([each >> exponent for each in difference]) <= runs
        moved = sum(
            sum(c * v for c, v in zip(row, difference, strict=False)) ** 2
            for row in here.plan.strategy[: len(difference)]
        )
        assert moved <= here.plan.sensitivity_squared


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.mark.slow
@pytest.mark.timeout(1200)
@settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    steps=st.lists(a_step, max_size=40),
    silent=st.frozensets(a_day, max_size=30),
    runs=st.integers(1, 2),
    rotated_on=st.just(NO_DAY) | a_day,
)
@example(steps=TOGGLING, silent=frozenset(), runs=2, rotated_on=NO_DAY)
@example(steps=LEAVING, silent=frozenset(), runs=1, rotated_on=15)
@example(steps=RETRACTING, silent=frozenset(), runs=1, rotated_on=16)
@example(steps=[*TOGGLING, *LEAVING], silent=frozenset(range(5, 12)), runs=2, rotated_on=NO_DAY)
def test_one_user_moves_the_measured_vectors_within_the_declared_sensitivity(
    directory: Path, steps: list[Step], silent: frozenset[int], runs: int, rotated_on: int
) -> None:
    check_difference(directory, steps, silent, runs, rotated_on)


@settings(max_examples=30, deadline=None)
@given(
    steps=st.lists(a_step, max_size=40),
    silent=st.frozensets(a_day, max_size=30),
    rotated_on=st.just(NO_DAY) | a_day,
)
@example(steps=LEAVING, silent=frozenset(), rotated_on=15)
def test_one_user_of_a_sample_moves_them_by_the_inverse_of_its_rate(
    directory: Path, steps: list[Step], silent: frozenset[int], rotated_on: int
) -> None:
    check_difference(directory, steps, silent, 2, rotated_on, exponent=3)


def test_a_plan_for_exact_counts_would_not_cover_a_sample(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def of_exact_counts(*arguments: Any, sensitivity: int) -> Plan:
        del sensitivity
        return make_plan(*arguments)

    monkeypatch.setattr(series, "make_plan", of_exact_counts)
    with pytest.raises(AssertionError):
        check_difference(directory, LEAVING, frozenset(), 1, exponent=3)


@pytest.mark.parametrize("steps", [TOGGLING, LEAVING], ids=["toggling", "leaving"])
def test_without_the_limiter_a_user_exceeds_it(
    directory: Path, steps: list[Step], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(series, "_limited", lambda _plan, _state, present: (present, None))
    with pytest.raises(AssertionError):
        check_difference(directory, steps, frozenset(), 1)


def test_without_the_kept_index_a_returning_user_exceeds_it(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without_index(tombstones: Tombstones, _: Tombstones) -> None:
        tombstones.user_indices.fill(-1)

    monkeypatch.setattr(erase, "_keep_protecting", without_index)
    with pytest.raises(AssertionError):
        check_difference(directory, LEAVING, frozenset(), 1)


@pytest.mark.parametrize("steps", [RETRACTING, LEAVING], ids=["retracting", "leaving"])
def test_if_those_whom_a_series_counted_were_forgotten_a_returning_user_exceeds_it(
    directory: Path, steps: list[Step], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "_limited", lambda _reader: BitMap())
    with pytest.raises(AssertionError):
        check_difference(directory, steps, frozenset(), 1)


def test_if_a_rotation_moved_nobody_a_returning_user_exceeds_it(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_difference(directory, LEAVING, frozenset(), 1, rotated_on=15)
    monkeypatch.setattr(rekeying, "_move", lambda *_: None)
    with pytest.raises(AssertionError):
        check_difference(directory, LEAVING, frozenset(), 1, rotated_on=15)
