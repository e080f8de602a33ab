"""Series whose users are counted outside of the store: what is recorded, and what is refused."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from dpdau.application import Application
from dpdau.errors import (
    CountedElsewhereError,
    ReleaseNotFoundError,
    SeriesMovedError,
    SeriesRunningError,
    SettingsError,
)
from dpdau.model.releases import Metric, SeriesKey
from dpdau.model.sources import ActivitySource
from dpdau.pipeline import source
from dpdau.pipeline.census import Counted, Span
from dpdau.pipeline.ports import SeriesState
from dpdau.pipeline.restoring import Remains
from dpdau.store import MemoryStore
from support import Event, FakeClock, application, columns

FIRST = date(2025, 11, 1)
NEWEST = date(2025, 11, 19)
DAU, MAU = SeriesKey(Metric.DAU, 1, "2025-11"), SeriesKey(Metric.MAU, 30, "2025-11")
Open = Callable[..., Application]


@dataclass
class Census:
    """Counts ten people on the first day, eleven on the second, and so on; does something else first."""

    spans: list[Span] = field(default_factory=list)
    meanwhile: Callable[[], object] = lambda: None

    def count(self, span: Span) -> Counted:
        self.spans.append(span)
        self.meanwhile()
        users = tuple(10 + row for row in range(span.first_row, span.last_row + 1))
        return Counted(users, None if span.runs is None else f"after {span.last_row}".encode())


@pytest.fixture
def open_app(tmp_path: Path, clock: FakeClock, store: MemoryStore) -> Iterator[Open]:
    opened: list[Application] = []

    def make(**settings: Any) -> Application:
        settings = {"activity_source": "spark", "lateness_hours": 0, "w_bound_mau": 2, **settings}
        opened.append(application(tmp_path, store=store, clock=clock, **settings))
        return opened[-1]

    yield make
    for app in opened:
        app.close()


@pytest.fixture
def app(open_app: Open) -> Application:
    return open_app()


def publish(app: Application, census: Census, through: date = NEWEST) -> list[str]:
    return [release.release_id for release in app.publish(through, FIRST, census)]


def state(store: MemoryStore, key: SeriesKey) -> SeriesState | None:
    with store.read() as reader:
        return reader.series_state(key)


class TestWhatACensusCounts:
    def test_is_recorded_as_the_rows_of_its_days(
        self, app: Application, store: MemoryStore
    ) -> None:
        released = publish(app, Census())
        assert released[:2] == ["dau-1d-2025-11-01", "dau-1d-2025-11-02"]
        assert len(released) == 2 * 19
        assert state(store, DAU) == SeriesState(tuple(range(10, 29)), None)
        assert state(store, MAU) == SeriesState(tuple(range(10, 29)), b"after 18")
        app.verify()
        assert app.released("mau-30d-2025-11-19").epsilon > 0

    def test_begins_behind_the_rows_and_with_the_limiter_of_the_one_before(
        self, app: Application, store: MemoryStore
    ) -> None:
        census = Census()
        publish(app, census, FIRST + timedelta(days=4))
        publish(app, census, FIRST + timedelta(days=6))
        spans = [span for span in census.spans if span.series == MAU]
        assert [(span.first_row, span.last_row) for span in spans] == [(0, 4), (5, 6)]
        assert [span.limiter for span in spans] == [None, b"after 4"]
        assert [span.runs for span in spans] == [1, 1]
        assert spans[1].first_day == date(2025, 11, 6).toordinal()
        assert spans[1].last_day == date(2025, 11, 7).toordinal()
        assert state(store, MAU) == SeriesState(tuple(range(10, 17)), b"after 6")

    def test_is_asked_for_once(self, app: Application) -> None:
        census = Census()
        assert publish(app, census)
        assert publish(app, census) == []
        assert len(census.spans) == 2

    def test_is_gone_with_the_last_day_of_the_period(
        self, app: Application, store: MemoryStore, clock: FakeClock
    ) -> None:
        census = Census()
        clock.advance(days=20)
        list(app.publish(date(2025, 12, 2), FIRST, census))
        assert state(store, MAU) is None
        assert [span.period.name for span in census.spans if span.series.metric is Metric.MAU] == [
            "2025-11",
            "2025-12",
        ]
        app.verify()

    def test_of_a_sample_stands_for_everyone(self, open_app: Open, store: MemoryStore) -> None:
        app = open_app(sketch_impl="theta", sketch_sampling_rate="1/8")
        publish(app, Census(), FIRST)
        assert state(store, DAU) == SeriesState((80,), None)

    def test_must_be_of_every_day(self, app: Application) -> None:
        class Short(Census):
            def count(self, span: Span) -> Counted:
                return replace(super().count(span), users=(1,))

        with pytest.raises(ValueError, match="zip"):
            publish(app, Short())
        assert app.ledger() == []

    def test_that_another_was_recorded_before_is_not_recorded(
        self, app: Application, open_app: Open, store: MemoryStore
    ) -> None:
        other = Census()
        late = Census(meanwhile=lambda: publish(open_app(), other, FIRST + timedelta(days=2)))
        with pytest.raises(SeriesMovedError, match="dau-1d-2025-11"):
            publish(app, late)
        assert len(app.ledger(Metric.DAU)) == 1 + 3
        assert state(store, DAU) == SeriesState((10, 11, 12), None)
        app.verify()
        assert len(publish(app, Census())) == 2 * (19 - 3)

    def test_that_fails_records_nothing_and_spends_nothing(self, app: Application) -> None:
        def fail() -> None:
            raise OSError

        with pytest.raises(OSError, match=r"^$"):
            publish(app, Census(meanwhile=fail))
        assert app.ledger() == []


class TestAStoreThatSparkCountsFor:
    def test_publishes_nothing_by_itself(self, app: Application, clock: FakeClock) -> None:
        clock.advance(days=3)
        report = app.upkeep.run()
        assert (report.published, report.refused) == ([], [])
        assert report.due_days > 0
        with pytest.raises(CountedElsewhereError, match="dpdau spark publish"):
            list(app.publish())
        with pytest.raises(CountedElsewhereError):
            app.release(Metric.DAU, NEWEST)
        series = app.series(Metric.DAU, FIRST, NEWEST)
        assert series.releases == []
        assert app.ledger() == []

    def test_answers_with_what_was_published(self, app: Application) -> None:
        publish(app, Census(), FIRST)
        assert app.release(Metric.MAU, FIRST).release_id == "mau-30d-2025-11-01"
        assert len(app.series(Metric.MAU, FIRST, NEWEST).releases) == 1

    def test_answers_nothing_on_demand(self, app: Application) -> None:
        publish(app, Census(), FIRST)
        with pytest.raises(CountedElsewhereError, match="only the days of a series"):
            app.release(Metric.MAU, FIRST, 7)
        with pytest.raises(CountedElsewhereError):
            app.revise(Metric.DAU, FIRST)
        with pytest.raises(ReleaseNotFoundError):
            app.revise(Metric.DAU, NEWEST)
        assert app.budget_of(Metric.MAU, FIRST).releases == 1

    def test_takes_no_events_and_exports_no_sketch(self, app: Application) -> None:
        events = app.ingestor.pseudonymize(columns([Event("ada", NEWEST)]))
        with pytest.raises(CountedElsewhereError, match="dpdau spark land"):
            app.ingestor.apply(events)
        with pytest.raises(CountedElsewhereError, match="no sketch"):
            app.export_sketch(NEWEST, 1)

    @pytest.mark.usefixtures("leaps_are_believed")
    def test_erases_and_drops_what_is_old(
        self, app: Application, store: MemoryStore, clock: FakeClock
    ) -> None:
        publish(app, Census())
        erased = app.erase(["ada"])
        receipt = app.receipt(erased.erasure_id)
        assert "limiter tables in SPARK_DIR" in [each.place for each in receipt.kept]
        assert any("tables that Spark reads" in place for place in receipt.not_reached)
        app.upkeep.run()
        with store.read() as reader:
            assert len(reader.tombstones()) == 1
        clock.advance(days=500)
        app.upkeep.run()
        assert state(store, MAU) is None
        with store.read() as reader:
            assert len(reader.tombstones()) == 0


class TestTheSource:
    @pytest.mark.usefixtures("app")
    def test_of_a_store_is_not_another_later(self, open_app: Open) -> None:
        with pytest.raises(SettingsError, match="expected spark"):
            open_app(activity_source="store")

    def test_of_a_store_that_counts_itself_is_not_spark(self, open_app: Open) -> None:
        app = open_app(activity_source="store")
        assert app.publisher.is_counted_here
        with pytest.raises(CountedElsewhereError, match="`dpdau publish`"):
            publish(app, Census())
        with pytest.raises(SettingsError, match="dpdau spark adopt"):
            open_app()

    def test_is_that_of_the_first_of_two_that_begin_at_once(
        self, store: MemoryStore, monkeypatch: pytest.MonkeyPatch, open_app: Open
    ) -> None:
        former = source.source_of

        def begun_meanwhile(reader: Any) -> ActivitySource:
            monkeypatch.setattr(source, "source_of", former)
            found = former(reader)
            open_app(activity_source="store")
            return found

        monkeypatch.setattr(source, "source_of", begun_meanwhile)
        with pytest.raises(SettingsError, match="expected store"):
            source.bind_source(store, ActivitySource.SPARK)

    def test_changes_only_while_no_series_runs(self, open_app: Open, store: MemoryStore) -> None:
        app = open_app(activity_source="store", w_bound_mau="unbounded")
        app.release(Metric.DAU, FIRST)
        with pytest.raises(SeriesRunningError, match="dau-1d-2025-11 runs"):
            source.hand_over_to_spark(store)
        app.release(Metric.DAU, NEWEST)

    def test_changes_at_once_for_whoever_has_the_store_open(
        self, open_app: Open, store: MemoryStore
    ) -> None:
        app = open_app(activity_source="store", w_bound_mau="unbounded")
        events = app.ingestor.pseudonymize(columns([Event("ada", NEWEST)]))
        app.ingestor.apply(events)
        source.hand_over_to_spark(store)
        with pytest.raises(CountedElsewhereError):
            app.ingestor.apply(events)
        with pytest.raises(CountedElsewhereError):
            app.release(Metric.DAU, NEWEST)
        with pytest.raises(CountedElsewhereError, match="nothing to hand over"):
            source.hand_over_to_spark(store)
        with store.read() as reader, MemoryStore().read() as another:
            assert len(source.folder_of(reader)) == 16
            assert source.folder_of(another) == ""
        assert publish(open_app(), Census(), FIRST) == ["dau-1d-2025-11-01", "mau-30d-2025-11-01"]

    def test_needs_settings_that_spark_can_count_with(self, open_app: Open) -> None:
        with pytest.raises(SettingsError, match="continual, as ACTIVITY_SOURCE is spark"):
            open_app(mechanism_dau="laplace")
        with pytest.raises(SettingsError, match="HASH_SALT_SECRET_PREVIOUS is set"):
            open_app(hash_salt_secret_previous="the secret before this one")

    def test_hands_its_series_to_a_restored_store_as_they_are(
        self, app: Application, store: MemoryStore
    ) -> None:
        publish(app, Census())
        older = MemoryStore()
        with store.read() as reader:
            remains = Remains.of(reader)
        with older.write() as transaction:
            remains.hand_over(transaction)
        assert state(older, MAU) == state(store, MAU)
        assert len(remains.pseudonyms) == 0
