"""Clocks that go back, leap ahead, or count days of another length, under a service that runs."""

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from _process import Installation, Running
from support.installations import NOW, TODAY, YESTERDAY, Visitor, installed, told, visited


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    return installed(tmp_path)


def published_once(visitor: Visitor) -> list[str]:
    """The ids of all releases, if none was made twice."""
    ids = [row["subject"] for row in visitor.rows() if row["kind"] == "release"]
    assert set(Counter(ids).values()) <= {1}
    return sorted(ids)


def test_a_clock_that_goes_back_publishes_nothing_twice_and_nothing_that_is_open(
    installation: Installation,
) -> None:
    with visited(installation) as (_, visitor):
        visitor.send("ada", "bob")
        visitor.send("eve", day=TODAY)
        value, monthly = visitor.dau().json(), visitor.get("/mau").json()
        before = published_once(visitor)
        for back in (timedelta(hours=13), timedelta(days=1), timedelta(days=30)):
            installation.set_clock(NOW - back)
            for path, known in ((f"/dau/{YESTERDAY}", value), (f"/mau?end={YESTERDAY}", monthly)):
                again = visitor.get(path).json()
                assert again["release_id"] == known["release_id"]
                assert again["estimate"] == known["estimate"]
            told(visitor.dau(TODAY), 409, "day-open")
            visitor.client.post("/publish", json={}).raise_for_status()
            assert published_once(visitor) == before
            refused = visitor.send("dan", day=TODAY + timedelta(days=1))
            assert "day" in told(refused, 422, "events-refused")
        assert visitor.get("/ledger/verify").json()["valid"] is True
        # Once it is right again, everything is as if nothing had been.
        installation.set_clock(NOW + timedelta(days=1))
        assert visitor.dau(TODAY).json()["estimate"] == 1
        assert visitor.dau().json()["estimate"] == value["estimate"]


def test_a_clock_that_leaps_a_year_publishes_nothing_until_it_is_right_again(
    installation: Installation,
) -> None:
    with visited(installation) as (_, visitor):
        visitor.send("ada", "bob")
        visitor.send("eve", day=TODAY)
        assert visitor.dau().json()["estimate"] == 2
        visitor.get("/mau").raise_for_status()
        before = published_once(visitor)
        installation.set_clock(NOW + timedelta(days=365))
        answer = visitor.dau(TODAY)
        assert "a restart says so" in told(answer, 503, "clock-leapt")
        assert int(answer.headers["retry-after"]) > 3_600
        told(visitor.client.post("/publish", json={}), 503, "clock-leapt")
        shown = visitor.get(f"/series/mau?start={YESTERDAY}&end={YESTERDAY + timedelta(days=99)}")
        assert [value["day"] for value in shown.json()["releases"]] == [str(YESTERDAY)]
        assert visitor.dau().json()["estimate"] == 2
        assert published_once(visitor) == before
        installation.set_clock(NOW + timedelta(days=1))
        assert visitor.dau(TODAY).json()["estimate"] == 1


def wait_for(running: Running, words: str) -> str:
    """The line of the log that has these words."""
    while True:
        found = next((line for line in running.log if words in line), None)
        if found is not None:
            return found
        assert running.process.poll() is None


def test_a_start_under_a_clock_that_is_a_year_ahead_drops_nothing(tmp_path: Path) -> None:
    installation = installed(tmp_path, MECHANISM_MAU="laplace")
    oldest = TODAY - timedelta(days=390)
    with visited(installation) as (_, visitor):
        visitor.send("ada", "bob", day=oldest)
        visitor.erase("eve")
    installation.set_clock(NOW + timedelta(days=365))
    with installation.serve() as running:
        line = wait_for(running, "upkeep failed")
        assert "past its retention" in line
        assert "RETENTION_DAYS is wrong, put it right" in line
        assert running.stop() == 0
    installation.set_clock(NOW)
    with visited(installation) as (_, visitor):
        assert visitor.dau(oldest).json()["estimate"] == 2


def test_a_clock_that_starts_in_1970_is_left_for_the_right_time_without_a_restart(
    tmp_path: Path,
) -> None:
    installation = installed(tmp_path, moment=datetime(1970, 1, 1, 0, 1, tzinfo=UTC))
    with visited(installation) as (_, visitor):
        told(visitor.send("ada"), 422, "events-refused")
        installation.set_clock(NOW)
        assert visitor.send("ada").status_code == 200
        told(visitor.dau(), 503, "clock-leapt")
        assert published_once(visitor) == []


def test_a_clock_in_2100_is_a_clock(tmp_path: Path) -> None:
    installation = installed(tmp_path, moment=datetime(2100, 3, 1, 0, 30, tzinfo=UTC))
    with visited(installation) as (_, visitor):
        # 2100 is no leap year.
        assert visitor.send("ada", day=date(2100, 2, 28)).status_code == 200
        assert visitor.dau(date(2100, 2, 28)).json()["estimate"] == 1
        told(visitor.dau(date(2100, 3, 1)), 409, "day-open")


LONG_DAY, SHORT_DAY = date(2031, 10, 26), date(2031, 3, 30)
CLOSES = {
    LONG_DAY: datetime(2031, 10, 26, 23, tzinfo=UTC),
    SHORT_DAY: datetime(2031, 3, 30, 22, tzinfo=UTC),
}


def test_days_of_23_and_25_hours_close_at_their_own_midnight(tmp_path: Path) -> None:
    installation = installed(tmp_path, moment=CLOSES[LONG_DAY], TIMEZONE="Europe/Berlin")
    with visited(installation) as (_, visitor):
        for day, closes in CLOSES.items():
            installation.set_clock(closes - timedelta(seconds=1))
            moments = [closes - timedelta(seconds=1), closes - timedelta(days=1)]
            events = [
                {"user_id": f"user-{at}", "op": "+", "ts": moment.isoformat()}
                for at, moment in enumerate(moments)
            ]
            visitor.client.post("/event", json={"events": events}).raise_for_status()
            told(visitor.dau(day), 409, "day-open")
            installation.set_clock(closes)
            # A day ago it was this day too if it has 25 hours, and the day before if it has 23.
            assert visitor.dau(day).json()["estimate"] == (2 if day == LONG_DAY else 1)


def test_another_time_zone_lets_published_days_stand_and_publishes_none_twice(
    installation: Installation,
) -> None:
    moment = datetime(2031, 5, 17, 1, tzinfo=UTC)
    installation.set_clock(moment)
    with visited(installation) as (_, visitor):
        visitor.send("ada", "bob")
        value = visitor.dau().json()
        visitor.get("/mau").raise_for_status()
        before = published_once(visitor)
    # West of the former zone the newest published day is not even over, and stays published.
    for zone in ("Pacific/Kiritimati", "America/Los_Angeles"):
        with visited(installation, TIMEZONE=zone) as (_, visitor):
            assert visitor.dau().json()["estimate"] == value["estimate"]
            told(visitor.dau(TODAY + timedelta(days=2)), 409, "day-open")
            visitor.client.post("/publish", json={}).raise_for_status()
            assert published_once(visitor) == before
            assert visitor.get("/ledger/verify").json()["valid"] is True
            moment += timedelta(days=2)
            installation.set_clock(moment)
            assert visitor.dau(TODAY).status_code == 200
            visitor.client.post("/publish", json={}).raise_for_status()
            after = published_once(visitor)
            assert set(before) < set(after)
            before = after
