import csv
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from dpdau.errors import InvalidValueError
from dpdau.formats import EventRules, read_file
from dpdau.model.events import EventColumns
from dpdau.simulation import ACTIVITY_SUFFIXES, Arrivals, Population, truth_path, write_activity
from support.oracle import Event, Oracle

END = date(2025, 6, 30)
POPULATION = Population(users=40, p_active=0.3, delete_rate=0.3, days=12, end=END, seed=5)
RULES = EventRules(
    timezone=ZoneInfo("UTC"), first_day=date.min, last_day=date.max, erase_by_default=False
)


def written_events(path: Path) -> list[Event]:
    events = []
    for chunk in read_file(path, RULES):
        assert chunk.refused_lines == ()
        events += as_events(chunk.events.user_ids, chunk.events)
    return events


def as_events(names: Sequence[str], found: EventColumns | Arrivals) -> list[Event]:
    columns = (names, found.days.tolist(), found.adds.tolist(), found.whole_user.tolist())
    return [
        Event(user, date.fromordinal(day), add=add, whole_user=whole)
        for user, day, add, whole in zip(*columns, strict=True)
    ]


@pytest.mark.parametrize("suffix", ACTIVITY_SUFFIXES)
def test_what_is_written_is_read_back_in_every_format(tmp_path: Path, suffix: str) -> None:
    written = write_activity(POPULATION, tmp_path / f"events{suffix}")
    expected = []
    for arrivals in POPULATION.arrivals():
        expected += as_events([f"user-{user:06}" for user in arrivals.users], arrivals)

    assert written_events(written.path) == expected
    assert written.events == len(expected)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        f"events{suffix}",
        "events.truth.csv",
    ]


def test_the_same_activity_gives_the_same_bytes(tmp_path: Path) -> None:
    for suffix in ACTIVITY_SUFFIXES:
        first = write_activity(POPULATION, tmp_path / f"a{suffix}").path.read_bytes()
        assert write_activity(POPULATION, tmp_path / f"b{suffix}").path.read_bytes() == first


def test_the_truth_is_what_plain_sets_say(tmp_path: Path) -> None:
    written = write_activity(POPULATION, tmp_path / "events.jsonl")
    plain = Oracle()
    at_closing: dict[str, tuple[str, str]] = {}
    arrivals = iter(POPULATION.arrivals())
    events = iter(written_events(written.path))
    for arrived in arrivals:
        for _ in range(len(arrived)):
            plain.apply(next(events))
        closing = date.fromordinal(arrived.day - 1)
        at_closing[closing.isoformat()] = numbers(plain, closing)

    with written.truth.open() as file:
        rows = list(csv.DictReader(file))
    assert [row["day"] for row in rows] == [
        str(END - timedelta(back)) for back in range(11, -1, -1)
    ]
    for row in rows:
        final = numbers(plain, date.fromisoformat(row["day"]))
        assert (row["dau_final"], row["mau_final"]) == final
        assert (row["dau"], row["mau"]) == at_closing.get(row["day"], final)


def numbers(plain: Oracle, day: date) -> tuple[str, str]:
    return str(len(plain.present(day))), str(len(plain.present(day, 30)))


def test_progress_is_told_day_by_day(tmp_path: Path) -> None:
    told: list[int] = []
    write_activity(POPULATION, tmp_path / "events.csv", told.append)
    assert told == list(range(1, 13))


def test_an_unknown_ending_is_refused_and_the_known_ones_are_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidValueError, match=r"\.parquet"):
        write_activity(POPULATION, tmp_path / "events.txt")
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidValueError, match="--out"):
        write_activity(POPULATION, tmp_path / "missing" / "events.csv")


class Failing(Population):
    """A population that ends too soon."""

    def arrivals(self) -> Iterator[Arrivals]:
        yield next(super().arrivals())
        raise KeyboardInterrupt


def test_a_file_that_was_not_finished_does_not_replace_the_one_before(tmp_path: Path) -> None:
    path = write_activity(POPULATION, tmp_path / "events.csv").path
    before = path.read_bytes()
    fields = {name: getattr(POPULATION, name) for name in Population.__slots__}
    with pytest.raises(KeyboardInterrupt):
        write_activity(Failing(**fields), path)

    assert path.read_bytes() == before
    assert sorted(each.name for each in tmp_path.iterdir()) == ["events.csv", "events.truth.csv"]


def test_the_truth_lies_beside_the_events() -> None:
    assert truth_path(Path("some/my.events.csv.gz")) == Path("some/my.events.truth.csv")
