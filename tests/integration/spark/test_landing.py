"""Landing by Structured Streaming: each row once, whoever dies when, and nobody who was erased."""

import threading
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from dpdau.errors import FileUnreadableError, InvalidValueError, RowsRefusedError, SparkFailedError
from dpdau.hashing import Pseudonymizer
from dpdau.model.releases import Metric, SeriesKey
from support import Event
from support.places import SECRET, Place
from support.spark import run_until_killed
from support.warehouse import Arrival, write_events

FIRST = date(2025, 11, 1)
DAU = SeriesKey(Metric.DAU, 1, "2025-11")


def arrival(user: str, day: int, op: str = "+", *, at: int | None = None, **said: Any) -> Arrival:
    """Someone's event of a day of November, which came at noon of that day or another."""
    moment = datetime(2025, 11, at or day, 12, tzinfo=UTC)
    return Arrival(Event(user, date(2025, 11, day), op == "+", **said), moment)


def land(place: Place, folder: Path, **options: Any) -> int:
    from dpdau.spark import TableSource, land  # noqa: PLC0415 - only where there is Java

    source = TableSource(paths=(str(folder),))
    return land(place.settings, source, clock=place.clock, **options).batches


def compact(place: Place) -> int:
    from dpdau.spark import compact  # noqa: PLC0415 - only where there is Java

    return compact(place.settings, clock=place.clock)


def publish(place: Place, through: int) -> tuple[int, ...]:
    """Publish from what was landed; gives the totals of the days so far."""
    from dpdau.spark import publish  # noqa: PLC0415 - only where there is Java

    last = date(2025, 11, through)
    publish(place.settings, through=last, start=FIRST, clock=place.clock)
    with place.open() as app, app.store.read() as reader:
        state = reader.series_state(DAU)
    assert state is not None
    return state.totals


def rows(place: Place) -> list[dict[str, Any]]:
    """All that lies in files of landed events, whether it counts or not."""
    files = sorted(place.directory.glob("spark/*/landed/[bc]*/*/*.parquet"))
    return [row for file in files for row in pq.read_table(file).to_pylist()]


def pseudonym(user: str) -> int:
    return int(Pseudonymizer(SECRET).pseudonyms([user]).view("int64")[0])


@pytest.fixture
def place(place: Place) -> Place:
    place.given["w_bound_mau"] = "unbounded"
    place.given["w_bound_dau"] = "unbounded"
    return place


@pytest.fixture
def incoming(tmp_path: Path) -> Path:
    folder = tmp_path / "incoming"
    write_events(folder / "1.parquet", [arrival(user, day) for user in "abc" for day in (1, 2)])
    return folder


class TestLanding:
    def test_takes_each_file_once_and_publishing_reads_all(
        self, place: Place, incoming: Path
    ) -> None:
        assert publish(place, 1) == (0,)
        assert land(place, incoming) == 1
        assert land(place, incoming) == 0
        write_events(incoming / "2.parquet", [arrival("d", 3), arrival("a", 2, "-", at=3)])
        assert land(place, incoming) == 1
        assert publish(place, 3) == (0, 2, 1)
        assert len(rows(place)) == 8

    def test_that_dies_behind_a_batch_lands_it_again_in_its_place(
        self, place: Place, incoming: Path
    ) -> None:
        code = f"""
from dpdau.spark import TableSource, land
land(
    load_settings(data_dir=Path(sys.argv[1]), **{place.given!r}),
    TableSource(paths=(sys.argv[2],)),
    watch=lambda _: os.kill(os.getpid(), signal.SIGKILL),
    clock=lambda: datetime(2025, 11, 20, 12, tzinfo=UTC),
)
"""
        run_until_killed(code, place.directory, incoming)
        assert len(rows(place)) == 6
        write_events(incoming / "2.parquet", [arrival("d", 2)])
        # Even if the batch was compacted before it comes again.
        assert compact(place) == 1
        assert land(place, incoming) == 2
        assert publish(place, 2) == (3, 4)
        assert compact(place) == 1
        assert len(rows(place)) == 7

    def test_of_a_batch_that_died_half_way_counts_for_nothing(
        self, place: Place, incoming: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from dpdau.spark.folders import Folder  # noqa: PLC0415 - only where there is Java

        def die(_: Folder) -> None:
            raise OSError

        monkeypatch.setattr(Folder, "sync", die)
        with pytest.raises(OSError, match=r"^$"):
            land(place, incoming)
        monkeypatch.undo()
        for done in place.directory.glob("spark/*/landed/batches/*/_SUCCESS"):
            done.unlink()
        assert publish(place, 1) == (0,)
        assert land(place, incoming) == 1
        assert publish(place, 2) == (0, 3)

    def test_refuses_a_batch_with_bad_rows_until_its_file_is_right_or_they_are_left_out(
        self, place: Place, incoming: Path
    ) -> None:
        write_events(incoming / "2.parquet", [arrival("", 2), arrival("d", 2)])
        with pytest.raises(RowsRefusedError, match="1 without a user id"):
            land(place, incoming)
        assert rows(place) == []
        old = Event("e", date(2024, 1, 1))
        write_events(incoming / "2.parquet", [Arrival(old, datetime(2024, 1, 1, tzinfo=UTC))])
        with pytest.raises(RowsRefusedError, match="1 before 2024-10-16"):
            land(place, incoming)
        assert land(place, incoming, max_bad=1) == 1
        assert len(rows(place)) == 6

    def test_names_a_damaged_file(self, place: Place, incoming: Path) -> None:
        (incoming / "2.parquet").write_bytes(b"PAR1 but no more than that")
        with pytest.raises(FileUnreadableError, match=r"2\.parquet"):
            land(place, incoming)

    def test_goes_on_until_it_is_stopped(
        self, place: Place, incoming: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from dpdau.spark import running  # noqa: PLC0415 - only where there is Java

        session = running.open_session()
        monkeypatch.setattr(running, "open_session", lambda: session)

        def stop(_: int) -> None:
            (query,) = session.streams.active
            threading.Thread(target=query.stop).start()

        assert land(place, incoming, every_seconds=0.2, watch=stop) == 1

    def test_takes_a_table_of_the_catalog(self, place: Place) -> None:
        from dpdau.spark import TableSource, land  # noqa: PLC0415 - only where there is Java
        from dpdau.spark.session import open_session  # noqa: PLC0415

        spark = open_session()
        spark.sql("CREATE TABLE visits (user_id STRING, op STRING, day DATE, n INT) USING parquet")
        try:
            spark.sql("INSERT INTO visits VALUES ('ada', '+', DATE'2025-11-01', 1)")
            source = TableSource(table="visits", arrival="n")
            assert land(place.settings, source, clock=place.clock).batches == 1
            place.clock.advance(days=1)
            place.erase("ada")
            assert compact(place) == 1
            assert rows(place) == []
        finally:
            spark.sql("DROP TABLE visits")

    def test_takes_one_path_only(self, place: Place) -> None:
        from dpdau.spark import TableSource, land  # noqa: PLC0415 - only where there is Java

        with pytest.raises(InvalidValueError, match="one path, which may be a pattern"):
            land(place.settings, TableSource(paths=("a", "b")), clock=place.clock)


class TestCompacting:
    def test_changes_no_count_and_leaves_one_row_a_user_and_day(
        self, place: Place, incoming: Path
    ) -> None:
        land(place, incoming)
        late = [
            arrival("a", 2, "-", at=5),
            arrival("b", 2, "-", at=1),
            arrival("c", 1, "-", at=7, whole_user=True),
            arrival("c", 9, at=9),
        ]
        write_events(incoming / "2.parquet", late)
        land(place, incoming)
        assert compact(place) == 2
        assert compact(place) == 0
        found = {(row["pseudonym"], row["day"] - FIRST.toordinal() + 1): row for row in rows(place)}
        assert len(found) == len(rows(place)) == 6
        assert {(p, day): row["add"] for (p, day), row in found.items()} == {
            (pseudonym("a"), 1): True,
            (pseudonym("a"), 2): False,
            (pseudonym("b"), 1): True,
            (pseudonym("b"), 2): True,
            (pseudonym("c"), 1): False,
            (pseudonym("c"), 9): True,
        }
        # What is dated before the erasure stays refused, whenever it is landed.
        write_events(incoming / "3.parquet", [arrival("c", 8, at=6), arrival("a", 2, at=4)])
        land(place, incoming)
        assert publish(place, 9) == (2, 1, 0, 0, 0, 0, 0, 0, 1)

    def test_removes_whoever_asked_to_be_erased(self, place: Place, incoming: Path) -> None:
        land(place, incoming)
        place.erase("a")
        assert pseudonym("a") in {row["pseudonym"] for row in rows(place)}
        compact(place)
        assert {row["pseudonym"] for row in rows(place)} == {pseudonym("b"), pseudonym("c")}
        write_events(incoming / "2.parquet", [arrival("a", 2, at=19), arrival("a", 21, at=21)])
        place.clock.advance(days=2)
        land(place, incoming)
        assert publish(place, 2) == (2, 2)

    def test_drops_what_is_past_its_retention(self, place: Place, incoming: Path) -> None:
        erased = arrival("c", 2, "-", at=3, whole_user=True)
        write_events(incoming / "2.parquet", [erased, arrival("d", 15)])
        land(place, incoming)
        place.clock.now += timedelta(days=390)
        compact(place)
        assert [row["pseudonym"] for row in rows(place)] == [pseudonym("d")]

    def test_has_nothing_to_do_where_nothing_was_landed(self, place: Place) -> None:
        assert compact(place) == 0

    def test_that_dies_leaves_all_as_it_was_and_what_it_left_is_deleted(
        self, place: Place, incoming: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from dpdau.spark.landed import LandedEvents  # noqa: PLC0415 - only where there is Java

        land(place, incoming)
        delete = LandedEvents._delete_before  # noqa: SLF001 - where it dies

        def die(*_: object) -> None:
            raise OSError

        monkeypatch.setattr(LandedEvents, "_delete_before", die)
        with pytest.raises(OSError, match=r"^$"):
            compact(place)
        # All of it is there twice, and counts once.
        assert len(rows(place)) == 12
        (generation,) = place.directory.glob("spark/*/landed/compacted/*")
        assert publish(place, 1) == (3,)
        (generation / "_SUCCESS").unlink()
        assert publish(place, 2) == (3, 3)
        monkeypatch.setattr(LandedEvents, "_delete_before", delete)
        assert compact(place) == 1
        assert len(rows(place)) == 6
        assert not generation.exists()

    def test_that_fails_in_spark_is_told(
        self, place: Place, incoming: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from dpdau.spark import landed  # noqa: PLC0415 - only where there is Java

        land(place, incoming)
        monkeypatch.setattr(landed, "spared", lambda days, _: days.selectExpr("nothing"))
        with pytest.raises(SparkFailedError, match="compacting: UNRESOLVED_COLUMN"):
            compact(place)
        assert len(rows(place)) == 6
