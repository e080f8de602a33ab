"""Publishing by Spark: what it reads, what it refuses, and that no day is published twice."""

import json
import os
import shutil
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dpdau.errors import (
    CountedElsewhereError,
    DpdauError,
    FileUnreadableError,
    InvalidValueError,
    LimiterTableError,
    RowsRefusedError,
    SeriesMovedError,
    SparkFailedError,
)
from dpdau.hashing import Pseudonymizer
from dpdau.model.releases import Metric, SeriesKey
from dpdau.pipeline.ports import SeriesState
from support import Event
from support.places import SECRET, Place
from support.spark import run_until_killed
from support.warehouse import Arrival, write_events

FIRST = date(2025, 11, 1)
DAU, MAU = SeriesKey(Metric.DAU, 1, "2025-11"), SeriesKey(Metric.MAU, 3, "2025-11")


def arrivals(*days: int, users: Sequence[str] = ("ada", "bob", "eve")) -> list[Arrival]:
    """All of these people are active on these days of November, at noon."""
    return [
        Arrival(Event(user, date(2025, 11, day)), datetime(2025, 11, day, 12, tzinfo=UTC))
        for day in days
        for user in users
    ]


def publish(
    place: Place, *paths: Path | str, through: int = 19, month: int = 11, **options: Any
) -> list[str]:
    from dpdau.spark import TableSource, publish  # noqa: PLC0415 - only where there is Java

    allowed = {name: options.pop(name) for name in ("max_bad",) if name in options}
    source = TableSource(paths=tuple(map(str, paths)), **options)
    last = date(2025, month, through)
    return publish(place.settings, source, through=last, start=FIRST, clock=place.clock, **allowed)


def state(place: Place, key: SeriesKey) -> SeriesState | None:
    with place.open() as app, app.store.read() as reader:
        return reader.series_state(key)


def totals(place: Place, key: SeriesKey = DAU) -> tuple[int, ...]:
    found = state(place, key)
    assert found is not None
    return found.totals


def limiter_folders(place: Place, key: SeriesKey = MAU) -> list[Path]:
    return sorted(place.directory.glob(f"spark/*/limiters/{key.series_id}/*"))


@pytest.fixture
def events(tmp_path: Path) -> Path:
    """Three people who are active on the first four days."""
    folder = tmp_path / "events"
    write_events(folder / "one.parquet", arrivals(1, 2, 3, 4))
    return folder


class TestWhatIsRead:
    def test_events_in_any_file_any_order_and_any_number_count_once(
        self, place: Place, events: Path
    ) -> None:
        write_events(events / "again.parquet", arrivals(4, 3, 2, 2))
        later = Arrival(
            Event("bob", date(2025, 11, 2), add=False), datetime(2025, 11, 9, tzinfo=UTC)
        )
        earlier = Arrival(
            Event("eve", date(2025, 11, 2), add=False), datetime(2025, 11, 1, tzinfo=UTC)
        )
        write_events(events / "0.parquet", [later, earlier])
        released = publish(place, events, through=5)
        assert len(released) == len(set(released)) == 10
        assert totals(place) == (3, 2, 3, 3, 0)
        assert totals(place, MAU) == (3, 3, 3, 3, 3)

    def test_of_an_operation_and_its_opposite_at_one_moment_the_minus_counts(
        self, place: Place, events: Path
    ) -> None:
        gone = [
            Arrival(Event(each.event.user_id, each.event.day, add=False), each.at)
            for each in arrivals(2)
        ]
        write_events(events / "gone.parquet", gone)
        publish(place, events, through=3)
        assert totals(place) == (3, 0, 3)

    @pytest.mark.parametrize(
        ("file_format", "rows", "options"),
        [
            ("json", [{"user_id": "ada", "op": "+", "ts": "2025-11-02T04:59:59Z", "n": 1}], {}),
            ("json", [{"user_id": "ada", "op": "+", "ts": 1762059599, "n": 1}], {}),
            ("json", [{"user_id": "ada", "op": "+", "day": "2025-11-01", "n": 1}], {}),
            (
                "csv",
                "user_id,op,day,n\nada,-,2025-11-01,1\nada,+,2025-11-01,2\n",
                {"header": "true", "inferSchema": "true"},
            ),
        ],
        ids=["text", "seconds", "day", "csv"],
    )
    def test_files_of_other_formats_in_the_days_of_the_time_zone(
        self, place: Place, tmp_path: Path, file_format: str, rows: Any, options: dict[str, str]
    ) -> None:
        place.given |= {"timezone": "America/Chicago", "w_bound_mau": "unbounded"}
        text = rows if isinstance(rows, str) else "\n".join(map(json.dumps, rows))
        (tmp_path / "events").write_text(text)
        publish(
            place,
            tmp_path / "events",
            through=2,
            file_format=file_format,
            options=options,
            arrival="n",
        )
        assert totals(place) == (1, 0)

    def test_timestamps_of_a_view_of_the_catalog(self, place: Place) -> None:
        from dpdau.spark import TableSource, publish  # noqa: PLC0415 - only where there is Java
        from dpdau.spark.session import open_session  # noqa: PLC0415

        spark = open_session()
        spark.sql(
            "SELECT * FROM VALUES ('ada', '+', TIMESTAMP'2025-11-02T04:59:59Z', 1), "
            "('bob', '+', TIMESTAMP'2025-10-01T00:00:00Z', 2) AS events (user_id, op, ts, n)"
        ).createOrReplaceGlobalTempView("v")
        place.given |= {"timezone": "America/Chicago", "w_bound_mau": "unbounded"}
        source = TableSource(table="global_temp.v", arrival="n")
        last = date(2025, 11, 2)
        publish(place.settings, source, through=last, start=FIRST, clock=place.clock)
        assert totals(place) == (1, 0)
        assert totals(place, MAU) == (1, 1)

    def test_old_events_that_erase_reach_the_days_that_are_counted(
        self, place: Place, events: Path
    ) -> None:
        erasure = Event("eve", date(2025, 1, 1), add=False, whole_user=True)
        write_events(
            events / "gone.parquet", [Arrival(erasure, datetime(2025, 11, 3, 18, tzinfo=UTC))]
        )
        publish(place, events, through=4)
        assert totals(place) == (2, 2, 2, 3)

    def test_a_minus_erases_the_person_where_that_is_what_it_means(
        self, place: Place, tmp_path: Path
    ) -> None:
        place.given["delete_scope"] = "user"
        rows = [
            {"user_id": "ada", "op": op, "day": f"2025-11-{day:02}", "n": n}
            for n, (op, day) in enumerate([("+", 1), ("+", 2), ("-", 2), ("+", 3)])
        ]
        (tmp_path / "events.json").write_text("\n".join(map(json.dumps, rows)))
        publish(place, tmp_path / "events.json", through=3, file_format="json", arrival="n")
        assert totals(place) == (0, 0, 1)

    def test_whoever_asked_to_be_erased_counts_from_the_day_after_on(
        self, place: Place, tmp_path: Path
    ) -> None:
        rows = [
            {"user_id": user, "op": "+", "day": f"2025-11-{day:02}", "n": day}
            for user in ("ada", "bob")
            for day in (1, 2, 3, 4)
        ]
        (tmp_path / "events.json").write_text("\n".join(map(json.dumps, rows)))
        place.clock.now = datetime(2025, 11, 3, 9, tzinfo=UTC)
        place.erase("ada")
        place.clock.now = datetime(2025, 11, 9, 9, tzinfo=UTC)
        publish(place, tmp_path / "events.json", through=4, file_format="json", arrival="n")
        assert totals(place) == (1, 1, 1, 2)


class TestWhatIsRefused:
    def refused(self, place: Place, *paths: Path | str, **options: Any) -> DpdauError:
        with pytest.raises(DpdauError) as caught:
            publish(place, *paths, through=3, **options)
        assert caught.value.details["published"] == []
        with place.open() as app:
            assert app.ledger() == []
        return caught.value

    def test_rows_that_are_no_events_unless_so_many_may_be_left_out(
        self, place: Place, tmp_path: Path
    ) -> None:
        good = {"user_id": "ada", "op": "+", "day": "2025-11-02", "scope": None, "received_at": "x"}
        faults: list[dict[str, Any]] = [
            {"user_id": None},
            {"user_id": ""},
            {"user_id": "hunter2" * 40},
            {"op": "add"},
            {"op": None},
            {"day": "2025-11-31"},
            {"day": None},
            {"day": "2025-12-24"},
            {"scope": "user"},
            {"scope": "all", "op": "-"},
            {"received_at": None},
        ]
        rows = [good, good, *({**good, "user_id": "person", **fault} for fault in faults)]
        at = {"x": datetime(2025, 11, 2, tzinfo=UTC)}
        columns: dict[str, list[Any]] = {name: [row[name] for row in rows] for name in good}
        columns["received_at"] = [at.get(value) for value in columns["received_at"]]
        table = pa.table(columns).set_column(
            4, "received_at", pa.array(columns["received_at"], pa.timestamp("us", tz="UTC"))
        )
        (tmp_path / "events").mkdir()
        pq.write_table(table, tmp_path / "events" / "bad.parquet")
        error = self.refused(place, tmp_path / "events")
        assert isinstance(error, RowsRefusedError)
        assert error.refusals == {
            "after 2025-11-21": 1,
            'with a scope that is neither "day" nor "user", or beside "+"': 2,
            'with an op that is neither "+" nor "-"': 2,
            "with a user id of more than 256 bytes": 1,
            "without a day or ts that can be read": 2,
            "without a user id": 2,
            "without received_at": 1,
        }
        assert "11 rows are no events" in error.message
        assert "--max-bad 11" in error.message
        assert "hunter2" not in error.message
        assert "person" not in error.message
        publish(place, tmp_path / "events", through=3, max_bad=11)
        assert totals(place) == (0, 1, 0)

    @pytest.mark.parametrize("damage", ["cut", "overwritten", "text"])
    def test_a_damaged_file_is_named(self, place: Place, events: Path, damage: str) -> None:
        file = events / "two.parquet"
        write_events(file, arrivals(2, 3) * 500)
        data = file.read_bytes()
        half = len(data) // 2
        file.write_bytes(
            {
                "cut": data[:half],
                "overwritten": data[:8] + b"\xff" * (half - 8) + data[half:],
                "text": b"user_id,op,day\nada,+,2025-11-02\n",
            }[damage]
        )
        error = self.refused(place, events)
        assert isinstance(error, FileUnreadableError)
        assert "two.parquet" in error.message
        assert "damaged" in error.message
        file.unlink()
        assert len(publish(place, events, through=3)) == 6

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"file_format": "deltaa"}, "no such --format"),
            ({"arrival": "n"}, "a column n"),
            ({"arrival": "op"}, "column op is 'string'; expected a timestamp or a whole number"),
        ],
    )
    def test_a_source_that_does_not_fit_is_named(
        self, place: Place, events: Path, options: dict[str, str], message: str
    ) -> None:
        assert message in self.refused(place, events, **options).message

    def test_a_missing_file_or_table_is_named(self, place: Place, tmp_path: Path) -> None:
        from dpdau.spark import TableSource, publish  # noqa: PLC0415 - only where there is Java

        error = self.refused(place, tmp_path / "nowhere")
        assert isinstance(error, FileUnreadableError)
        assert "nowhere: there is no such file" in error.message
        with pytest.raises(FileUnreadableError, match=r"no\.where: there is no such table"):
            publish(place.settings, TableSource(table="no.where"), start=FIRST, clock=place.clock)
        (tmp_path / "empty").mkdir()
        assert "no file of that format" in self.refused(place, tmp_path / "empty").message

    @pytest.mark.parametrize(
        ("row", "message"),
        [
            ({"user_id": 7, "op": "+", "day": "2025-11-01", "n": 1}, "column user_id is 'bigint'"),
            ({"op": "+", "day": "2025-11-01", "n": 1}, "a column user_id"),
            ({"user_id": "a", "op": "+", "n": 1}, "a column day"),
            ({"user_id": "a", "op": "+", "day": 1, "n": 1}, "column day is 'bigint'"),
            ({"user_id": "a", "op": "+", "ts": True, "n": 1}, "column ts is 'boolean'"),
            (
                {"user_id": "a", "op": "-", "day": "2025-11-01", "scope": 1, "n": 1},
                "column scope is",
            ),
        ],
    )
    def test_columns_that_do_not_fit_are_named(
        self, place: Place, tmp_path: Path, row: dict[str, Any], message: str
    ) -> None:
        (tmp_path / "events.json").write_text(json.dumps(row))
        error = self.refused(place, tmp_path / "events.json", file_format="json", arrival="n")
        assert isinstance(error, InvalidValueError)
        assert message in error.message

    @pytest.mark.usefixtures("event_log")
    def test_a_source_of_none_or_two_places(self) -> None:
        from dpdau.spark import TableSource  # noqa: PLC0415 - only where there is Java

        with pytest.raises(InvalidValueError, match="paths of files, or one table"):
            TableSource()
        with pytest.raises(InvalidValueError, match="paths of files, or one table"):
            TableSource(paths=("a",), table="b")

    def test_a_store_that_counts_itself(self, place: Place, events: Path) -> None:
        place.given["activity_source"] = "store"
        with pytest.raises(CountedElsewhereError, match="dpdau spark adopt"):
            publish(place, events)

    def test_what_fails_in_a_worker_is_told_without_what_it_fell_over(
        self, place: Place, events: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("dpdau.spark.pseudonyms.replacing", _falling)
        error = self.refused(place, events)
        assert isinstance(error, SparkFailedError)
        assert "ada" not in error.message
        assert "counting dau-1d-2025-11" in error.message


def _falling(*_: object) -> Callable[[Any], Any]:
    def fall(batches: Any) -> Any:
        raise ValueError(next(batches).column(0).to_pylist()[0])

    return fall


class TestEachDayOnce:
    def test_a_second_publisher_publishes_nothing_from_what_it_counted_before(
        self, place: Place, events: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from dpdau.spark.limiters import LimiterTables  # noqa: PLC0415 - only where there is Java

        write = LimiterTables.write
        first: list[str] = []

        def overtaken(*arguments: Any) -> Any:
            monkeypatch.undo()
            first.extend(publish(place, events, through=3))
            return write(*arguments)

        monkeypatch.setattr(LimiterTables, "write", overtaken)
        with pytest.raises(SeriesMovedError, match="dau-1d-2025-11"):
            publish(place, events, through=4)
        assert len(first) == 6
        assert len(limiter_folders(place, DAU)) == 2
        # What it left can be named no more once as many days are published.
        assert len(publish(place, events, through=4)) == 2
        assert len(limiter_folders(place, DAU)) == len(limiter_folders(place)) == 1
        assert totals(place) == (3, 3, 3, 3)
        with place.open() as app:
            app.verify()

    def test_whoever_is_killed_between_counting_and_recording_leaves_nothing_published(
        self, place: Place, events: Path
    ) -> None:
        publish(place, events, through=2)
        before = totals(place, MAU)
        code = f"""
from dpdau.spark import TableSource, publish
from dpdau.spark.limiters import LimiterTables
write = LimiterTables.write
def killed(*arguments):
    write(*arguments)
    os.kill(os.getpid(), signal.SIGKILL)
LimiterTables.write = killed
publish(
    load_settings(data_dir=Path(sys.argv[1]), **{place.given!r}),
    TableSource(paths=(sys.argv[2],)),
    through=date(2025, 11, 3),
    clock=lambda: datetime(2025, 11, 20, 12, tzinfo=UTC),
)
"""
        run_until_killed(code, place.directory, events)
        assert len(limiter_folders(place, DAU)) == 2
        assert totals(place, MAU) == before
        assert len(publish(place, events, through=4)) == 4
        assert totals(place) == (3, 3, 3, 3)
        assert len(limiter_folders(place, DAU)) == 1

    def test_tables_of_a_complete_period_are_deleted(self, place: Place, events: Path) -> None:
        publish(place, events, through=4)
        place.clock.now = datetime(2025, 12, 2, 12, tzinfo=UTC)
        (limiters,) = place.directory.glob("spark/*/limiters")
        strays = [limiters / "stray", limiters / MAU.series_id / "stray"]
        for stray in strays:
            stray.mkdir()
        publish(place, events, through=5)
        publish(place, events, through=1, month=12)
        assert limiter_folders(place) == []
        assert [stray.exists() for stray in strays] == [True, False]
        assert state(place, MAU) is None
        assert len(limiter_folders(place, SeriesKey(Metric.MAU, 3, "2025-12"))) == 1

    @pytest.mark.parametrize(
        ("damage", "reason"),
        [("gone", "is missing"), ("shorter", "lacks rows"), ("other", "did not write")],
    )
    def test_a_limiter_table_that_is_not_as_it_was_stops_the_series(
        self, place: Place, events: Path, damage: str, reason: str
    ) -> None:
        publish(place, events, through=2)
        (table,) = limiter_folders(place, DAU)
        if damage == "gone":
            shutil.move(table, place.directory / "elsewhere")
        elif damage == "shorter":
            max(table.glob("*.parquet"), key=os.path.getsize).unlink()
        else:
            found = state(place, DAU)
            assert found is not None
            with place.open() as app, app.store.write() as transaction:
                transaction.put_series_state(DAU, SeriesState(found.totals, b"dpdauLS1"))
        with pytest.raises(LimiterTableError, match=reason):
            publish(place, events, through=3)
        assert totals(place) == (3, 3)


def test_neither_secret_nor_ids_nor_pseudonyms_are_in_plans_or_logs(
    place: Place, tmp_path: Path, event_log: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    users = [f"person-{number}@example.org" for number in range(20)]
    write_events(tmp_path / "events" / "one.parquet", arrivals(1, 2, users=users))
    place.erase(users[0])
    publish(place, tmp_path / "events", through=2)
    log = b"".join(file.read_bytes() for file in event_log.rglob("*") if file.is_file())
    assert b"replace(user_id" in log
    written = capfd.readouterr()
    pseudonymizer = Pseudonymizer(SECRET)
    key = pseudonymizer._key  # noqa: SLF001 - what must not be found
    pseudonyms = pseudonymizer.pseudonyms(users)
    telltale = [SECRET, key.hex(), repr(key)[2:-1], *users]
    telltale += [str(each) for each in (*pseudonyms, *pseudonyms.view("int64"))]
    for text in (log.decode(errors="replace"), written.out, written.err):
        assert [each for each in telltale if each in text] == []
    assert totals(place) == (19, 19)
