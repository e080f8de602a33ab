"""The state of series, records of erasures, and named values."""

import msgspec

from dpdau.model.releases import Metric, SeriesKey
from dpdau.pipeline.ports import SeriesState, Store
from support.stores import erasure


def test_series_state_is_kept_replaced_listed_and_dropped(store: Store) -> None:
    mau = SeriesKey(Metric.MAU, 30, "2025-10")
    dau = SeriesKey(Metric.DAU, 1, "2025-10")
    with store.write() as transaction:
        transaction.put_series_state(mau, SeriesState((), None))
        transaction.put_series_state(mau, SeriesState((5, 10**9, 0), b"\x00limiter\xff"))
        transaction.put_series_state(dau, SeriesState((7,), None))
    with store.read() as reader:
        assert reader.series_keys() == [dau, mau]
        assert reader.series_state(mau) == SeriesState((5, 10**9, 0), b"\x00limiter\xff")
        assert reader.series_state(dau) == SeriesState((7,), None)
        assert reader.series_state(SeriesKey(Metric.MAU, 7, "2025-10")) is None
    with store.write() as transaction:
        transaction.drop_series_state(mau)
        transaction.drop_series_state(mau)
    with store.read() as reader:
        assert reader.series_keys() == [dau]


def test_erasures_are_kept_and_the_unfinished_ones_listed_by_age(store: Store) -> None:
    late, early = erasure("late", minutes=2), erasure("early", minutes=1)
    twin = erasure("a twin", minutes=2)
    done = erasure("done", completed=True)
    with store.write() as transaction:
        for one in (late, done, early, twin):
            transaction.put_erasure(one)
    with store.read() as reader:
        assert reader.unfinished_erasures() == [early, twin, late]
        assert reader.newest_erasures(3) == [late, twin, early]
        assert reader.newest_erasures(9) == [late, twin, early, done]
        assert reader.erasure("done") == done
        assert reader.erasure("late") == late
    with store.write() as transaction:
        transaction.put_erasure(erasure("late", minutes=2, completed=True))
    with store.read() as reader:
        assert reader.unfinished_erasures() == [early, twin]
        assert reader.erasure("late") == erasure("late", minutes=2, completed=True)


def test_a_request_is_found_by_its_key_until_that_is_forgotten(store: Store) -> None:
    early = msgspec.structs.replace(erasure("early"), request_key="k1", request_digest="d1")
    late = msgspec.structs.replace(erasure("late", minutes=24 * 60), request_key="k2")
    refused = msgspec.structs.replace(erasure("refused"), refusal="too many")
    with store.write() as transaction:
        for one in (early, late, refused):
            transaction.put_erasure(one)
    with store.read() as reader:
        assert reader.erasure_of("k1") == early
        assert reader.erasure_of("k2") == late
        assert reader.erasure_of("k3") is None
        assert reader.unfinished_erasures() == [early, late]
    with store.write() as transaction:
        transaction.drop_before(late.requested_at.toordinal())
    with store.read() as reader:
        assert reader.erasure_of("k1") is None
        assert reader.erasure("early") == erasure("early")
        assert reader.erasure_of("k2") == late


def test_a_named_value_is_kept_and_replaced(store: Store) -> None:
    with store.write() as transaction:
        transaction.put_meta("check", "é\n")
        transaction.put_meta("other", "")
    with store.write() as transaction:
        transaction.put_meta("check", "second")
    with store.read() as reader:
        assert reader.meta("check") == "second"
        assert reader.meta("other") == ""


def test_all_named_values_can_be_read_at_once(store: Store) -> None:
    with store.write() as transaction:
        assert transaction.metas() == {}
        transaction.put_meta("one", "1")
        transaction.put_meta("two", "2")
    with store.read() as reader:
        assert reader.metas() == {"one": "1", "two": "2"}


def test_nothing_keeps_what_a_purge_removed(store: Store) -> None:
    assert store.keeps_erased() == []
