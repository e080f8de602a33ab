"""Spark counts whom the embedded engine counts, number for number, whatever people do."""

import json
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from random import Random  # noqa: TID251 - made-up people, no noise
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from dpdau.application import Application
from dpdau.config import load_settings
from dpdau.model.releases import SeriesKey
from dpdau.pipeline.source import folder_of
from dpdau.privacy.flippancy import LimiterState
from support import FakeClock, application, columns
from support.warehouse import Crowd, write_events

pytestmark = pytest.mark.usefixtures("event_log")

# One example is hundreds of lives, and to try a failing one again takes long.
few = settings(max_examples=1, phases=[Phase.generate], suppress_health_check=list(HealthCheck))

FIRST = date(2025, 10, 27)
PUBLISHED_ON = (date(2025, 11, 3), date(2025, 11, 4), date(2025, 11, 13), date(2025, 12, 3))
SHARED: dict[str, Any] = {
    "lateness_hours": 0,
    "mau_window_days": 4,
    "hash_salt_secret": "one secret for both stores",
}
BOUNDED = {"w_bound_dau": 4, "w_bound_mau": 2}
OF_A_SAMPLE = {
    "w_bound_dau": "unbounded",
    "w_bound_mau": "unbounded",
    "sketch_impl": "theta",
    "sketch_sampling_rate": "1/2",
}
SAMPLE = f"1:{bytes(16).hex()}"
Limiter = dict[int, tuple[bool, int]]


@dataclass(frozen=True)
class State:
    """What a store keeps of a series: totals, and of each user whether counted, and the rises."""

    totals: tuple[int, ...]
    limiter: Limiter


def live(directory: Path, random: Random, size: int, **given: Any) -> list[list[dict[str, State]]]:
    """Let a crowd live with both engines; what both keep after each publication."""
    from dpdau.spark import TableSource, publish  # noqa: PLC0415 - only where there is Java

    clock = FakeClock(datetime.combine(FIRST, time(), UTC))
    crowd = Crowd(random, size, FIRST)
    embedded = {**SHARED, **given}
    counted = {**embedded, "activity_source": "spark"}
    one, other = directory / "embedded", directory / "spark"
    states = []
    with (
        application(one, clock=clock, **embedded) as here,
        application(other, clock=clock, **counted) as there,
    ):
        for store in (here.store, there.store):
            if "sketch_impl" in given:
                with store.write() as transaction:
                    transaction.put_meta("sample", SAMPLE)
    with (
        application(one, clock=clock, **embedded) as here,
        application(other, clock=clock, **counted) as there,
    ):
        arrived = []
        today = FIRST
        while today <= PUBLISHED_ON[-1]:
            clock.now = datetime.combine(today, time(0, 30), UTC)
            if today in PUBLISHED_ON:
                # Files in any order, with rows in any order, some of them twice.
                rows = arrived + [each for each in arrived if random.random() < 0.1]
                random.shuffle(rows)
                write_events(directory / "events" / f"{random.random()}.parquet", rows)
                arrived = []
                list(here.publish(start=date(2025, 11, 1)))
                publish(
                    load_settings(data_dir=other, **counted),
                    TableSource(paths=[str(directory / "events")]),
                    start=date(2025, 11, 1),
                    clock=clock,
                )
                states.append([of_the_store(here), of_spark(there, other)])
            clock.now = datetime.combine(today, time(23, 59), UTC)
            arrivals = crowd.arrivals(today)
            events = here.ingestor.pseudonymize(columns(each.event for each in arrivals))
            here.ingestor.apply(events)
            arrived += arrivals
            if gone := crowd.asking_to_be_erased():
                here.erase(gone)
                there.erase(gone)
            today += timedelta(days=1)
        there.verify()
    return states


def of_the_store(app: Application) -> dict[str, State]:
    """The totals and limiters of the embedded engine, by pseudonym."""
    with app.store.read() as reader:
        stones = reader.tombstones()
        erased = dict(zip(stones.user_indices.tolist(), stones.pseudonyms.tolist(), strict=True))

        def limiter(data: bytes | None) -> Limiter:
            if data is None:
                return {}
            state = LimiterState.from_bytes(data)
            indices = state.levels[0].to_array()
            known = reader.pseudonyms_of(np.array(indices, dtype=np.int64))
            return {
                (pseudonym or erased[index]): (
                    index in state.current,
                    sum(index in level for level in state.levels),
                )
                for index, pseudonym in zip(indices, known.tolist(), strict=True)
            }

        return {
            key.series_id: State(state.totals, limiter(state.limiter))
            for key, state in _states(reader)
        }


def of_spark(app: Application, directory: Path) -> dict[str, State]:
    """The totals in the store and the limiter tables that it names."""
    with app.store.read() as reader:
        root = directory / "spark" / folder_of(reader) / "limiters"

        def limiter(key: SeriesKey, data: bytes | None) -> Limiter:
            if data is None:
                return {}
            table = pq.read_table(root / key.series_id / json.loads(data)["table"])
            rows = table.select(["pseudonym", "counted", "rises"]).to_pylist()
            return {row["pseudonym"] % 2**64: (row["counted"], row["rises"]) for row in rows}

        return {
            key.series_id: State(state.totals, limiter(key, state.limiter))
            for key, state in _states(reader)
        }


def _states(reader: Any) -> list[tuple[SeriesKey, Any]]:
    return [(key, reader.series_state(key)) for key in reader.series_keys()]


@few
@given(random=st.randoms(use_true_random=True))
def test_totals_and_limiters_are_those_of_the_embedded_engine(
    tmp_path_factory: pytest.TempPathFactory, random: Random
) -> None:
    states = live(tmp_path_factory.mktemp("bounded"), random, 50, **BOUNDED)
    for here, there in states:
        assert here == there
    assert [sorted(there) for _, there in states] == [
        *[["dau-1d-2025-11", "mau-4d-2025-11"]] * 3,
        ["dau-1d-2025-12", "mau-4d-2025-12"],
    ]
    # The limits were reached, by people who were counted once more before.
    of_november = states[2][1]
    assert {rises for _, rises in of_november["dau-1d-2025-11"].limiter.values()} == {1, 2}
    assert len({counted for counted, _ in of_november["mau-4d-2025-11"].limiter.values()}) == 2


@few
@given(random=st.randoms(use_true_random=True))
def test_so_they_are_of_a_sample_without_a_limit(
    tmp_path_factory: pytest.TempPathFactory, random: Random
) -> None:
    states = live(tmp_path_factory.mktemp("sampled"), random, 25, **OF_A_SAMPLE)
    for here, there in states:
        assert here == there
        assert all(total % 2 == 0 for state in there.values() for total in state.totals)
