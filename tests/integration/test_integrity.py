"""Verification against forgers who can change any row and compute every hash anew."""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dpdau.application import Application
from dpdau.errors import LedgerDamagedError
from dpdau.model.ledger import GENESIS_HASH, LedgerKind, LedgerRow, chained
from dpdau.model.releases import Metric, SeriesKey
from dpdau.pipeline.ports import SeriesState
from dpdau.store import MemoryStore
from support import FakeClock, application

YESTERDAY = date(2025, 11, 19)
PERIOD = "2025-11"
SETTINGS: dict[str, Any] = {
    "hash_salt_secret": "one secret for every store of these tests",
    "mechanism_dau": "laplace",
    "epsilon_dau": 0.5,
    "w_bound_mau": "unbounded",
    "dau_budget_total": 0.9,
}
SERIES = SeriesKey(Metric.MAU, 30, PERIOD)
SIGNED = {"who": "Ada", "why": "one more day"}

Rows = list[LedgerRow]
Forgery = Callable[[Rows], None]


@pytest.fixture(scope="module")
def genuine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MemoryStore]:
    """A series that runs, a revision in it, two Laplace releases and two raised caps."""
    store = MemoryStore()
    with application(tmp_path_factory.mktemp("data"), store=store, **SETTINGS) as app:
        app.release(Metric.MAU, YESTERDAY)
        app.revise(Metric.MAU, date(2025, 11, 3))
        app.release(Metric.DAU, YESTERDAY)
        app.raise_cap(Metric.DAU, PERIOD, 1.2, **SIGNED)
        app.raise_cap(Metric.DAU, PERIOD, 1.4, **SIGNED)
        app.release(Metric.DAU, YESTERDAY - timedelta(days=1))
        yield store


@pytest.fixture
def store(genuine: MemoryStore) -> MemoryStore:
    copy = MemoryStore()
    copy._state = genuine._state.copy()  # noqa: SLF001 - what an editor of the file does
    return copy


@pytest.fixture
def app(tmp_path: Path, store: MemoryStore) -> Iterator[Application]:
    with application(tmp_path, store=store, **SETTINGS) as opened:
        yield opened


def forge(store: MemoryStore, change: Forgery) -> None:
    """Change the ledger and number and chain it anew, as a forger with this program would."""
    rows = store._state.ledger  # noqa: SLF001 - as above
    change(rows)
    previous = GENESIS_HASH
    for index, row in enumerate(rows):
        rows[index] = chained(
            msgspec.structs.replace(row, sequence=index + 1, previous_hash=previous)
        )
        previous = rows[index].hash


def find(rows: Rows, subject: str) -> int:
    return next(index for index, row in enumerate(rows) if row.subject == subject)


def edit(target: str, body: dict[str, Any] | None = None, /, **columns: Any) -> Forgery:
    def change(rows: Rows) -> None:
        index = find(rows, target)
        merged = {**rows[index].body, **(body or {})}
        rows[index] = msgspec.structs.replace(rows[index], body=merged, **columns)

    return change


def claim(name: str, value: float) -> Forgery:
    """Change what the plan claims; its id is recomputed when it is read."""

    def change(rows: Rows) -> None:
        body = {**rows[0].body, name: value}
        del body["plan_id"]
        rows[0] = msgspec.structs.replace(rows[0], body=body)

    return change


def remove(subject: str) -> Forgery:
    return lambda rows: rows.pop(find(rows, subject)) and None


def move(subject: str, to: int) -> Forgery:
    return lambda rows: rows.insert(to, rows.pop(find(rows, subject)))


def repeat(subject: str) -> Forgery:
    return lambda rows: rows.append(rows[find(rows, subject)])


def both(*changes: Forgery) -> Forgery:
    def change(rows: Rows) -> None:
        for each in changes:
            each(rows)

    return change


def shift(name: str, by: float) -> Forgery:
    """Move a number of the tenth value of the series."""

    def change(rows: Rows) -> None:
        index = find(rows, "mau-30d-2025-11-10")
        body = rows[index].body
        rows[index] = msgspec.structs.replace(rows[index], body={**body, name: body[name] + by})

    return change


LAPLACE = {"kind": "laplace", "scale": 2.0, "sensitivity": 1}
WEAKER = {"kind": "laplace", "scale": 1.0, "sensitivity": 1}
PURE = {"kind": "pure", "epsilon": 0.5}
VECTOR = {"kind": "gaussian", "sigma": 2.0, "sensitivity_squared": 1, "dimension": 2}
VALUE = "dau-1d-2025-11-19"
SERIES_ROW = SERIES.series_id
CAP = "dau-2025-11-cap-1"

FORGERIES: dict[str, tuple[Forgery, str]] = {
    "an estimate": (edit(VALUE, {"estimate": 10**6}), "its estimate is 1000000"),
    "a raw estimate": (
        edit(VALUE, {"estimate": 9, "estimate_raw": 9.0, "measurement": 10}),
        "its estimate_raw is 9.0; expected 10",
    ),
    "the id": (edit(VALUE, subject="dau-1d-2025-11-07"), "its release_id is"),
    "the day": (edit(VALUE, {"day": "2025-11-07"}), "its release_id is"),
    "a day outside of the period": (
        edit(
            VALUE,
            {"day": "2025-10-07", "release_id": "dau-1d-2025-10-07"},
            subject="dau-1d-2025-10-07",
        ),
        "its day is not in its period",
    ),
    "a window of DAU": (
        edit(
            VALUE,
            {"window_days": 7, "release_id": "dau-7d-2025-11-19"},
            subject="dau-7d-2025-11-19",
        ),
        "DAU counts one day",
    ),
    "the metric": (edit(VALUE, metric=Metric.MAU), "its metric is dau; expected mau"),
    "the period": (edit(VALUE, period="2025-12"), "its period is 2025-11; expected 2025-12"),
    "a period that is none": (edit(VALUE, period="soon"), "period is 'soon'"),
    "the time": (edit(VALUE, recorded_at=datetime(2025, 11, 1, tzinfo=UTC)), "its released_at"),
    "no price": (edit(VALUE, {"charge": None}, charge=None), "expected a laplace, gaussian or"),
    "another price": (edit(VALUE, charge=WEAKER), "its charge is"),
    "a lower ε": (edit(VALUE, {"epsilon": 0.1}), r"its epsilon is 0\.1; recomputed"),
    "another ε and price": (
        edit(VALUE, {"epsilon": 1.0, "charge": WEAKER}, charge=WEAKER),
        "its std_error is",
    ),
    "a price of no noise": (
        edit(VALUE, {"charge": PURE}, charge=PURE),
        "its mechanism is laplace; expected intrinsic",
    ),
    "a price of many values": (
        edit(VALUE, {"charge": VECTOR}, charge=VECTOR),
        "its body is no release: gaussian",
    ),
    "a price of other noise": (
        edit(VALUE, {"charge": PURE, "mechanism": "intrinsic"}, charge=PURE),
        "its sensitivity is 1; expected None",
    ),
    "an exact count that is private by itself": (
        edit(
            VALUE,
            {"charge": PURE, "mechanism": "intrinsic", "sensitivity": None},
            charge=PURE,
        ),
        "its sensitivity is None; expected one",
    ),
    "a sketch that was not made": (edit(VALUE, {"sketch": "hllpp"}), "expected intrinsic"),
    "a sample that was not taken": (
        edit(VALUE, {"sketch": "theta"}),
        "its sensitivity is 1; expected a power of two above one",
    ),
    "a δ of pure noise": (edit(VALUE, {"delta": 1e-6}), "its delta does not fit its noise"),
    "the noise's name": (edit(VALUE, {"mechanism": "gaussian"}), "its mechanism is gaussian"),
    "the sensitivity": (edit(VALUE, {"sensitivity": 2}), "its sensitivity is 2; expected one"),
    "an interval": (edit(VALUE, {"upper_95": 1e6}), "its upper_95 is"),
    "a plan": (edit(VALUE, {"plan_id": "x"}), "its plan_id is x"),
    "a body": (edit(VALUE, {"sketch": "none"}), "its body is no release"),
    "a value twice": (repeat(VALUE), "is recorded a second time"),
    "a revision without the value": (
        both(
            remove(VALUE),
            edit(
                "dau-1d-2025-11-18",
                {"revision": 1, "release_id": "dau-1d-2025-11-18-r1"},
                subject="dau-1d-2025-11-18-r1",
            ),
        ),
        "revision 1 has no revision before it",
    ),
    "no plan": (remove(SERIES_ROW), "its series mau-30d-2025-11 was never opened"),
    "a plan that comes late": (move(SERIES_ROW, 3), "was never opened"),
    "a lost value of a series": (remove("mau-30d-2025-11-10"), "its day is 10; expected 9"),
    "values in another order": (move("mau-30d-2025-11-10", 12), "its day is 10; expected 9"),
    "a measurement": (shift("measurement", 10**6), "does not follow from measurements"),
    "a value of a series": (
        edit("mau-30d-2025-11-10", {"estimate": 1000, "estimate_raw": 1000.0}),
        "does not follow",
    ),
    "an error of a series": (shift("std_error", -1.0), "its std_error is"),
    "an interval of a series": (shift("upper_95", -1.0), "its upper_95 is"),
    "a band of a series": (shift("band_upper_95", -1.0), "its band_upper_95 is"),
    "no band": (edit("mau-30d-2025-11-10", {"band_upper_95": None}), "its band_upper_95 is None"),
    "the ε of a series": (edit("mau-30d-2025-11-10", {"epsilon": 1.0}), r"its epsilon is 1\.0"),
    "the price of a series": (edit(SERIES_ROW, charge=LAPLACE), "its charge is"),
    "a free series": (edit(SERIES_ROW, charge=None), "its charge is None"),
    "the noise of a plan": (edit(SERIES_ROW, {"sigma": 1e9}), "plan_id is"),
    "a plan's price": (claim("rho", 0.01), r"rho is 0\.01; recomputed"),
    "a plan's certificate": (claim("sensitivity_squared", 7), "sensitivity_squared is 7"),
    "a series of another length": (
        edit(SERIES_ROW, period="2025-10", subject="mau-30d-2025-10"),
        "its days is 30; expected 31",
    ),
    "the name of a series": (edit(SERIES_ROW, subject="mau-030d-2025-11"), "its subject is"),
    "no name of a series": (edit(SERIES_ROW, subject="november"), "its body is no series"),
    "a cap below the former": (edit(CAP, {"epsilon_cap": 0.5}), "a cap was lowered"),
    "a cap from nothing": (edit("dau-2025-11-cap-2", {"former_cap": 0.9}), "less than it was"),
    "a cap with a price": (edit(CAP, charge=LAPLACE), "a cap has no price"),
    "a cap by nobody": (edit(CAP, {"who": ""}), "nobody or no reason"),
    "a cap that is none": (edit(CAP, {"more": 1}), "its body is no cap"),
    "a raise that is not there": (
        both(
            remove(CAP),
            remove("dau-2025-11-cap-2"),
            edit("dau-1d-2025-11-18", {"epsilon_cap": 0.9}),
        ),
        r"costs ε = 0\.99\d+ of 0\.9",
    ),
    "a raise that is not stated": (
        edit("dau-1d-2025-11-18", {"epsilon_cap": 1.3}),
        "a cap below the raised one",
    ),
    "a raise that comes late, and no cap stated": (
        both(move("dau-1d-2025-11-18", 22), edit("dau-1d-2025-11-18", {"epsilon_cap": None})),
        r"costs ε = 0\.99\d+ of 0\.9",
    ),
}


def test_a_genuine_ledger_is_true(app: Application) -> None:
    found = app.verify()
    assert found.rows == sum(found.kinds.values()) == 25
    assert found.kinds[LedgerKind.CAP] == 2
    assert found.head == app.ledger()[-1].hash
    assert found.remarks == []


@pytest.mark.parametrize("name", FORGERIES)
def test_what_a_forger_changes_is_found_though_all_hashes_fit(
    app: Application, store: MemoryStore, name: str
) -> None:
    change, reason = FORGERIES[name]
    forge(store, change)
    with pytest.raises(LedgerDamagedError, match=reason) as fault:
        app.verify()
    assert f"at row {fault.value.sequence}:" in fault.value.message
    assert ".." not in fault.value.message
    assert fault.value.exit_code == 9


def test_rows_that_state_no_cap_are_held_to_what_was_configured_or_raised(
    tmp_path: Path, store: MemoryStore
) -> None:
    def forget(rows: Rows) -> None:
        for index, row in enumerate(rows):
            body = {name: value for name, value in row.body.items() if name != "epsilon_cap"}
            if row.kind is not LedgerKind.CAP:
                rows[index] = msgspec.structs.replace(row, body=body)

    forge(store, forget)
    with application(tmp_path, store=store, **SETTINGS) as app:
        assert app.verify().rows == 25


def test_a_clock_that_was_set_back_is_a_remark(tmp_path: Path, store: MemoryStore) -> None:
    then = datetime(2025, 11, 20, 10, tzinfo=UTC)
    forge(store, edit(CAP, recorded_at=then))
    with application(tmp_path, store=store, **SETTINGS) as app:
        (remark,) = app.verify().remarks
    assert remark.startswith("Row 23 is dated 2:00:00 before row 22")


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        (None, "its private state is gone"),
        (SeriesState((0,) * 18, None), "19 rows and private state of 18"),
        (SeriesState((0,) * 20, None), "19 rows and private state of 20"),
    ],
)
def test_private_state_that_does_not_fit_is_found(
    app: Application, store: MemoryStore, state: SeriesState | None, reason: str
) -> None:
    with store.write() as transaction:
        transaction.drop_series_state(SERIES)
        if state is not None:
            transaction.put_series_state(SERIES, state)
    with pytest.raises(LedgerDamagedError, match=reason):
        app.verify()


@pytest.mark.parametrize(("place", "row"), [(0, 2), (1, 3)])
def test_a_series_or_a_value_of_it_that_an_acknowledgement_had_ended_before_is_found(
    app: Application, store: MemoryStore, place: int, row: int
) -> None:
    def end_early(rows: Rows) -> None:
        opened = rows[find(rows, SERIES.series_id)]
        body = {
            "who": "Ada",
            "why": "the disk died",
            "remembered": None,
            "nothing_lost": False,
            "ended_series": [{"series_id": SERIES.series_id, "period": PERIOD}],
            "closed_through": None,
        }
        rows.insert(
            place,
            msgspec.structs.replace(
                opened, kind=LedgerKind.ACKNOWLEDGEMENT, subject="a loss", charge=None, body=body
            ),
        )

    forge(store, end_early)
    with pytest.raises(LedgerDamagedError, match=rf"row {row}: .* acknowledgement had ended that"):
        app.verify()


def test_private_state_without_a_series_is_found_and_the_newest_row_named(
    app: Application, store: MemoryStore
) -> None:
    with store.write() as transaction:
        transaction.put_series_state(SeriesKey(Metric.MAU, 7, PERIOD), SeriesState((0,), None))
    newest = len(app.ledger())
    with pytest.raises(LedgerDamagedError, match=f"row {newest}: .* which was never opened"):
        app.verify()


def test_private_state_in_an_empty_ledger_is_found(tmp_path: Path) -> None:
    store = MemoryStore()
    with application(tmp_path, store=store, **SETTINGS) as app:
        with store.write() as transaction:
            transaction.put_series_state(SERIES, SeriesState((0,), None))
        with pytest.raises(LedgerDamagedError, match=r"row 0: .* which was never opened"):
            app.verify()


@pytest.mark.usefixtures("leaps_are_believed")
def test_private_state_may_be_gone_once_its_retention_is_over(
    tmp_path: Path, store: MemoryStore
) -> None:
    clock = FakeClock(datetime(2027, 6, 1, 12, tzinfo=UTC))
    with application(tmp_path, store=store, clock=clock, **SETTINGS) as app:
        app.upkeep.run()
        assert store._state.series.get(SERIES) is None  # noqa: SLF001 - private on purpose
        assert app.verify().rows >= 25


def test_a_complete_series_leaves_no_private_state(tmp_path: Path, store: MemoryStore) -> None:
    clock = FakeClock(datetime(2025, 12, 2, 12, tzinfo=UTC))
    with application(tmp_path, store=store, clock=clock, **SETTINGS) as app:
        app.release(Metric.MAU, date(2025, 11, 30))
        assert app.verify().kinds[LedgerKind.RELEASE] == 22 + 11
        with store.write() as transaction:
            transaction.put_series_state(SERIES, SeriesState((0,) * 30, None))
        with pytest.raises(LedgerDamagedError, match="30 rows and private state of 30"):
            app.verify()


def test_estimates_near_zero_are_true(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Strategies have negative entries, which leave no less room for rounding."""
    monkeypatch.setattr("dpdau.privacy.continual._measurement", lambda _: lambda query: query)
    with application(tmp_path, **SETTINGS) as app:
        app.release(Metric.MAU, date(2025, 11, 2))
        assert [row.body.get("estimate_raw") for row in app.ledger()] == [None, 0.0, 0.0]
        assert app.verify().rows == 3


def test_an_empty_ledger_is_true(tmp_path: Path) -> None:
    with application(tmp_path, store=MemoryStore(), **SETTINGS) as app:
        found = app.verify()
        assert (found.rows, found.head) == (0, None)
