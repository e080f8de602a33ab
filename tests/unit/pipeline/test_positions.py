"""Events of a stream are applied once and in order, whoever dies, wakes up late or reads again."""

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpdau.errors import PositionMovedError
from dpdau.hashing import Pseudonymizer
from dpdau.model.calendar import Calendar, PeriodKind
from dpdau.pipeline.ingest import Ingestor
from dpdau.pipeline.positions import Advance, position_in
from dpdau.store import MemoryStore
from support import Event, FakeClock, columns
from support.streams import SECRET, active, expected

TODAY = date(2025, 11, 20)
USERS = ["ada", "grace", "edsger"]
DAYS = [TODAY, TODAY - timedelta(days=1)]

an_event = st.builds(
    Event, st.sampled_from(USERS), st.sampled_from(DAYS), st.booleans(), st.booleans()
)
a_step = st.tuples(
    st.integers(0, 2), st.sampled_from(["open", "read", "store", "store", "die"]), st.integers(1, 4)
)


@dataclass
class Reading:
    """A consumer that holds what it read, however long ago."""

    position: int | None = None
    held: list[Event] = field(default_factory=list)


class Stream:
    """A list of events, a store, and consumers that all believe that the stream is theirs."""

    def __init__(self, events: list[Event]) -> None:
        self.events = events
        self.store = MemoryStore()
        clock = FakeClock(datetime(2025, 11, 20, 12, tzinfo=UTC))
        calendar = Calendar(ZoneInfo("UTC"), timedelta(), 400, PeriodKind.MONTH, clock)
        self.ingestor = Ingestor(self.store, Pseudonymizer(SECRET), calendar)

    def position(self) -> int | None:
        with self.store.read() as reader:
            return position_in(reader, "stream")

    def apply(self, events: list[Event], advance: Advance | None) -> None:
        self.ingestor.apply(self.ingestor.pseudonymize(columns(events)), advance)

    def step(self, consumer: Reading, action: str, count: int) -> None:
        if action in {"open", "die"}:
            consumer.position, consumer.held = self.position(), []
        elif action == "read":
            start = consumer.position or 0
            consumer.held = self.events[start : start + count]
        elif consumer.held:
            behind = consumer.position
            to = (behind or 0) + len(consumer.held)
            # Only what the broker was told after this is lost with a consumer that dies.
            self.apply(consumer.held, Advance("stream", behind, to))
            consumer.position, consumer.held = to, []

    def state(self) -> dict[date, set[str]]:
        return active(self.store, USERS, DAYS)


@given(st.lists(an_event, max_size=12), st.lists(a_step, max_size=40))
def test_whatever_consumers_do_the_store_has_the_events_up_to_its_position_and_no_other_state(
    events: list[Event], steps: list[tuple[int, str, int]]
) -> None:
    stream = Stream(events)
    consumers = [Reading() for _ in range(3)]
    for who, action, count in steps:
        try:
            stream.step(consumers[who], action, count)
        except PositionMovedError:
            stream.step(consumers[who], "open", count)
        assert stream.state() == expected(events[: stream.position() or 0], DAYS)


TOGGLE = [Event("ada", TODAY, add=True), Event("ada", TODAY, add=False)]


def test_a_consumer_that_wakes_up_late_cannot_bring_back_who_left() -> None:
    stream = Stream(TOGGLE)
    stalled, successor = Reading(), Reading()
    stream.step(stalled, "read", 1)
    for _ in TOGGLE:
        stream.step(successor, "read", 1)
        stream.step(successor, "store", 1)
    with pytest.raises(PositionMovedError, match="another consumer stored some of them"):
        stream.step(stalled, "store", 1)
    assert stream.state()[TODAY] == set()


def test_without_positions_it_would() -> None:
    stream = Stream(TOGGLE)
    stream.apply(TOGGLE, None)
    stream.apply(TOGGLE[:1], None)
    assert stream.state()[TODAY] == {"ada"}


def test_someone_erased_elsewhere_does_not_return_with_a_message_that_comes_twice() -> None:
    joins = [Event("ada", TODAY)]
    stream = Stream(joins)
    stream.apply(joins, Advance("stream", None, 1))
    stream.apply([Event("ada", TODAY, add=False, whole_user=True)], None)
    with pytest.raises(PositionMovedError):
        stream.apply(joins, Advance("stream", None, 1))
    assert stream.state()[TODAY] == set()


def test_a_batch_whose_events_are_all_left_out_moves_the_position() -> None:
    stream = Stream([])
    stream.apply([], Advance("stream", None, 7))
    assert stream.position() == 7


def test_streams_have_positions_of_their_own() -> None:
    stream = Stream([])
    stream.apply([], Advance("stream", None, 7))
    stream.apply([], Advance("another", None, 3))
    assert stream.position() == 7
