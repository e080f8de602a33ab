"""The crowd of a soak, against plain sets, and what is drawn of a run."""

import json
from datetime import date
from pathlib import Path

import numpy as np
from pyroaring import BitMap

from _crowd import HISTORY_DAYS, Crowd, Limiter, bodies_of, user_id
from _soak_report import Soak, write
from _verdicts import Verdict
from dpdau.privacy.flippancy import LimiterState

FIRST = date(2031, 3, 18)
DAYS = 12


def test_a_crowd_is_what_its_events_say_in_whatever_round_they_are_broken_off() -> None:
    crowd = Crowd(600, DAYS, FIRST, erased_a_day=6)
    stored: set[tuple[int, int]] = set()
    erased_on: dict[int, int] = {}
    histories = [(0, crowd.history())]
    crowd.apply(histories[0][1], 0)
    lives = histories
    for today in range(HISTORY_DAYS, HISTORY_DAYS + DAYS):
        life = crowd.live(today)
        crowd.apply(life, today)
        lives = [*lives, (today, life)]
    for today, life in lives:
        events = list(zip(life.users.tolist(), life.days.tolist(), life.adds.tolist(), strict=True))
        assert len({(user, day) for user, day, _ in events}) == len(events)
        gone = {*life.erased.tolist(), *life.leaving.tolist()}
        assert not gone & {user for user, _, _ in events}
        # A whole round and a part of the next.
        for user, day, add in events + events[: len(events) // 3]:
            if day >= erased_on.get(user, 0):
                (stored.add if add else stored.discard)((user, day))
        stored = {(user, day) for user, day in stored if user not in gone}
        erased_on |= dict.fromkeys(gone, today)
    days, users = np.nonzero(crowd.active)
    assert set(zip(users.tolist(), days.tolist(), strict=True)) == stored
    assert len(erased_on) > 30
    assert any(not add for _, life in lives for add in life.adds.tolist())


def test_the_same_seed_lives_the_same_life() -> None:
    one, other = (Crowd(300, 2, FIRST) for _ in range(2))
    assert np.array_equal(one.history().users, other.history().users)
    assert not np.array_equal(Crowd(300, 2, FIRST, seed=5).history().users, one.history().users)


def test_a_connection_has_people_of_its_own_and_all_events_are_in_bodies() -> None:
    crowd = Crowd(400, 2, FIRST)
    crowd.apply(crowd.history(), 0)
    life = crowd.live(HISTORY_DAYS)
    bodies = bodies_of(crowd, life, 4, 7)
    sent = []
    for connection, own in enumerate(bodies):
        events = [event for body in own for event in json.loads(body)["events"]]
        assert {int(event["user_id"][5:]) % 4 for event in events} <= {connection}
        assert all(len(json.loads(body)["events"]) == 7 for body in own[:-1])
        sent += [(each["user_id"], each["op"], each["day"]) for each in events]
    signs = ["+" if add else "-" for add in life.adds.tolist()]
    named = [str(crowd.day(day)) for day in life.days.tolist()]
    users = map(user_id, life.users.tolist())
    assert sorted(sent) == sorted(zip(users, signs, named, strict=True))


def test_the_limiter_in_a_few_lines_counts_as_the_products() -> None:
    draw = np.random.default_rng(3)  # noqa: TID251 - made-up presence, no noise
    ours, theirs = Limiter(2, 200), LimiterState.empty(2)
    limited = 0
    for _ in range(30):
        present = draw.random(200) < 0.5
        advance = theirs.advance(BitMap(np.flatnonzero(present)))
        theirs = advance.state
        counted = ours.advance(present)
        assert counted == len(advance.counted)
        limited += int(present.sum()) - counted
    assert limited > 0


def a_run(*, holds: bool) -> Soak:
    day = {
        "day": "2031-05-18",
        "seconds": 2.0,
        "events": 9_000.0,
        "known_users": 500,
        "events_a_second": 4_500.0,
        "p50_ms": 4.0,
        "p99_ms": 9.0,
        "read_p99_ms": 3.0,
    }
    sample = {"day": 0, "resident_mib": 120.0, "store_mib": 3.0, "wal_mib": 1.0, "backups_mib": 4.0}
    return Soak(
        users=1_000,
        seconds_a_day=2.0,
        days=[day, day],
        samples=[sample, sample],
        verdicts=[Verdict("people", holds, "none", "some"), Verdict("memory", None, "a", "b")],
    )


def test_a_run_is_kept_and_written_where_a_document_has_marks(tmp_path: Path) -> None:
    document = tmp_path / "reliability.md"
    document.write_text("# Soak\n\n<!-- table soak -->\n<!-- end -->\nafter\n")
    written = list(write(a_run(holds=True), tmp_path / "results", document))
    assert [path.name for path in written] == ["soak.json", "reliability.md", "soak.svg"]
    text = document.read_text()
    assert "18,000 events acknowledged, 4,500 a second" in text
    assert "| people | some | none | yes |" in text
    assert text.endswith("<!-- end -->\nafter\n")
    assert json.loads(written[0].read_text())["results"]["users"] == 1_000
    # A second run takes the place of the first.
    list(write(a_run(holds=False), tmp_path / "results", document))
    assert document.read_text().count("| people |") == 1
    assert "**no**" in document.read_text()


def test_a_document_without_marks_is_left_alone(tmp_path: Path) -> None:
    document = tmp_path / "other.md"
    document.write_text("nothing of soaks\n")
    assert len(list(write(a_run(holds=True), tmp_path / "results", document))) == 1
    assert document.read_text() == "nothing of soaks\n"


def test_a_run_holds_unless_a_verdict_says_otherwise() -> None:
    assert a_run(holds=True).holds
    assert not a_run(holds=False).holds
