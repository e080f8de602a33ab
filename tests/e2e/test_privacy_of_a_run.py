"""A month of a real service, and every byte that readers, ingesters and outsiders get of it.

The counts are numbers that cannot be mistaken for others, and the noise is so wide that a published
value is one of them by chance less often than once in a million runs.
"""

import json
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray
from playwright.sync_api import expect, sync_playwright

from _launch import set_clock
from _process import Installation, Running
from dpdau.cli import main
from dpdau.hashing import Pseudonymizer
from dpdau.store.sqlite.inspection import inspecting
from support.audience import KEYS, OUTSIDERS, Audience, walk
from support.browser import ARGUMENTS, chromium
from support.service import event
from support.telltales import Find, Telltales

SECRET = "a salt that nobody else may know"
STEM = 'hüsh/hush "person" '
USERS = 24_000
FIRST = date(2031, 6, 1)
DAYS = 30
LAST = FIRST + timedelta(days=DAYS - 1)
WINDOW = 30
MOST_EVENTS = 30_000
SETTINGS = {
    "HASH_SALT_SECRET": SECRET,
    "READ_API_KEY": str(KEYS["reader"]),
    "INGEST_API_KEY": str(KEYS["ingester"]),
    "ADMIN_API_KEY": str(KEYS["admin"]),
    "LATENESS_HOURS": "0",
    "MAX_BATCH_EVENTS": str(MOST_EVENTS),
    # The widest noise that there is: the smallest price at a tiny δ.
    "DELTA": "1e-60",
    "ADVANCED_DELTA": "1e-60",
    "EPSILON_DAU": "1e-9",
    "EPSILON_MAU": "1e-9",
    "DAU_BUDGET_TOTAL": "4e-9",
    "MAU_BUDGET_TOTAL": "4e-9",
    "SERIES_SHARE": "0.25",
    "W_BOUND_MAU": "unbounded",
}
ASKED_WINDOWS = (7, 8)
# What stands in the raw value is either the estimate or no whole number.
NOISY = ("estimate", "lower_95", "upper_95", "band_lower_95", "band_upper_95")
SCOPE_OF = re.compile(r"### `(?P<method>[A-Z]+) (?P<path>\S+)`\n\n.* Scope: (?P<scope>\w+)\.")
HTTP_REFERENCE = Path(__file__).parents[2] / "docs" / "http.md"


def recognisable(count: int) -> list[int]:
    """Primes from 10,007 on that also in hexadecimal are no plain number."""
    numbers = (n for n in range(10_007, 20_000, 2) if f"{n:x}"[-1] in "bdf")
    return [n for n in numbers if all(n % d for d in range(3, 142, 2))][: count * 5 : 5]


SIZES = recognisable(DAYS)


def ids(users: Iterable[int]) -> list[str]:
    return [f"{STEM}{user:05d}" for user in users]


@dataclass
class Truth:
    """What is stored, and every number that it ever had."""

    active: NDArray[np.bool_] = field(default_factory=lambda: np.zeros((DAYS, USERS), np.bool_))
    counts: dict[int, str] = field(default_factory=dict)
    seen: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(USERS, np.bool_))
    events: int = 0

    def note(self, through: int) -> None:
        """Remember the numbers of the days so far."""
        for day in range(through + 1):
            self._add(self.active[day].sum(), f"users of day {day}")
            self._add(self._window(day, WINDOW), f"users of {WINDOW} days to day {day}")
        for window in ASKED_WINDOWS:
            self._add(self._window(through, window), f"users of {window} days to day {through}")
        self._add(self.active.sum(), "days of users")
        self._add(self.seen.sum(), "users known")
        # Of the first batch its sender is told how many it held.
        if through:
            self._add(self.events, "events")

    def _window(self, day: int, size: int) -> int:
        return int(self.active[max(day - size + 1, 0) : day + 1].any(axis=0).sum())

    def _add(self, count: int, what: str) -> None:
        if count > 2_000:
            self.counts[int(count)] = what


@dataclass
class Month:
    """The run."""

    installed: Installation
    audience: Audience
    truth: Truth
    telltales: Telltales
    operations: set[tuple[str, str]]
    logs: list[list[str]]
    running: Running

    @property
    def port(self) -> str:
        return self.running.url.rpartition(":")[2]


def arrow(users: Sequence[int], days: Sequence[date], adds: Sequence[bool]) -> bytes:
    table = pa.table(
        {
            "user_id": ids(users),
            "op": ["+" if add else "-" for add in adds],
            "day": [day.isoformat() for day in days],
        }
    )
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def send(audience: Audience, truth: Truth, day: int, users: Sequence[int], *, add: bool) -> None:
    named = FIRST + timedelta(days=day)
    body = arrow(users, [named] * len(users), [add] * len(users))
    headers = {"Content-Type": "application/vnd.apache.arrow.stream"}
    assert audience.ask("ingester", "POST", "/event", content=body, headers=headers).is_success
    truth.events += len(users)


def live(audience: Audience, truth: Truth, day: int) -> None:
    """One day's activity, some of it twice, and on some days what is taken back of the day before."""
    start = 173 * day
    users = [user % USERS for user in range(start, start + SIZES[day])]
    send(audience, truth, day, [*users, *users[: 11 + day]], add=True)
    truth.active[day, users] = truth.seen[users] = True
    if day in {5, 25}:
        back = np.flatnonzero(truth.active[day - 1])[:37].tolist()
        send(audience, truth, day - 1, back, add=False)
        truth.active[day - 1, back] = False


def erase(audience: Audience, truth: Truth, day: int) -> str:
    """Erase many people, who are sent again as of before; returns the record's id."""
    gone = list(range(3_000, 4_511))
    answer = audience.ask("ingester", "POST", "/erasure", json={"user_ids": ids(gone)})
    assert answer.status_code in {200, 202}
    touched = int(truth.active[: day + 1, gone].sum())
    truth.counts[touched] = "days of the erased"
    truth.active[: day + 1, gone] = False
    for earlier in range(day - 5, day):
        send(audience, truth, earlier, gone, add=True)
    truth.counts[5 * len(gone)] = "events of the erased"
    return str(answer.json()["erasure_id"])


def look(audience: Audience, day: int) -> None:
    """What readers ask for in the middle of a month."""
    closed = FIRST + timedelta(days=day - 1)
    for path in (f"/dau/{closed}", f"/mau?end={closed}", f"/mau?end={closed}&window=7"):
        assert audience.ask("reader", "GET", path).status_code == 200
    assert audience.ask("reader", "GET", f"/dau/{FIRST + timedelta(days=day)}").status_code == 409


def refused(audience: Audience, day: int) -> None:
    """Events that cannot be kept, and people who leave by an event."""
    today = str(FIRST + timedelta(days=day))
    bad = [event(ids([1])[0], today), event("", today), event(ids([2])[0], "2031-13-13")]
    for partial, status in ((False, 422), (True, 200)):
        sent = {"json": {"events": bad}, "params": {"partial": partial}}
        assert audience.ask("ingester", "POST", "/event", **sent).status_code == status
    too_many = {"events": [event("someone", today)] * (MOST_EVENTS + 1)}
    assert audience.ask("ingester", "POST", "/event", json=too_many).status_code == 413
    long = {"X-Long": "x" * 40_000}
    assert audience.ask("ingester", "GET", "/budget", headers=long).status_code == 431
    leaving = [event(each, today, "-", scope="user") for each in ids([20_500, 20_501])]
    assert audience.ask("ingester", "POST", "/event", json={"events": leaving}).is_success


def finish(audience: Audience, erasure_id: str) -> set[tuple[str, str]]:
    """The end of the month: all that can be asked, a correction, and a budget that ends."""
    assert audience.ask("admin", "POST", "/publish", json={}).status_code == 200
    for metric in ("dau", "mau"):
        revision = {"metric": metric, "day": str(LAST - timedelta(days=3))}
        assert audience.ask("admin", "POST", "/revise", json=revision).status_code == 200
    values = {
        "day": [str(LAST), str(LAST + timedelta(days=2)), "never"],
        "end": [str(LAST), str(LAST + timedelta(days=2)), "never"],
        "start": [str(FIRST), str(FIRST), "never"],
        "metric": ["dau", "mau", "people"],
        "period": ["2031-06", "2031-07", "never"],
        "window": [str(WINDOW), "8", "0"],
        "erasure_id": [erasure_id, "none"],
        "release_id": [f"dau-1d-{LAST - timedelta(days=3)}-r1", f"mau-30d-{LAST}", "none"],
        "publish": ["true", "false"],
        "format": ["json", "csv", "xml"],
        "partial": ["true", "no"],
        "users": ["1000", "0"],
        "target_error": ["1%", "x"],
        "epsilon": ["1", "-1"],
        "rows": ["5", "1000"],
    }
    for path in ("/series/dau", "/series/mau", "/stickiness"):
        for form in ("json", "csv"):
            asked = f"{path}?start={FIRST}&end={LAST}&format={form}"
            assert audience.ask("reader", "GET", asked).status_code == 200
    operations = walk(audience, values)
    for window in range(9, 60):
        asked = f"/mau?end={LAST}&window={window}"
        if audience.ask("reader", "GET", asked).status_code == 429:
            return operations
    pytest.fail("the budget has no end")


@pytest.fixture(scope="module")
def month(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Month]:
    folder = tmp_path_factory.mktemp("month")
    data_dir = folder / "data"
    data_dir.mkdir()
    installed = Installation(data_dir, SETTINGS, folder / "clock")
    truth = Truth()
    logs = []

    def until(audience: Audience, days: range) -> None:
        for day in days:
            set_clock(installed.clock, noon(day))
            live(audience, truth, day)
            truth.note(day)

    set_clock(installed.clock, noon(0))
    with installed.serve() as running, Audience(running.url) as audience:
        until(audience, range(13))
        look(audience, 12)
        erasure_id = erase(audience, truth, 12)
        truth.note(12)
        until(audience, range(13, 20))
        told = audience.told
        logs.append(running.log)
        assert running.stop() == 0
    with installed.serve() as running, Audience(running.url, told) as audience:
        until(audience, range(20, 22))
        look(audience, 21)
        refused(audience, 21)
        truth.active[21, 1] = truth.seen[1] = True
        truth.active[:, [20_500, 20_501]] = False
        truth.note(21)
        until(audience, range(22, DAYS))
        set_clock(installed.clock, noon(DAYS + 1))
        operations = finish(audience, erasure_id)
        logs.append(running.log)
        yield Month(installed, audience, truth, telltales(truth.counts), operations, logs, running)


def noon(day: int) -> datetime:
    return datetime(FIRST.year, FIRST.month, FIRST.day, 12, tzinfo=UTC) + timedelta(days=day)


def telltales(counts: dict[int, str]) -> Telltales:
    pseudonymizer = Pseudonymizer(SECRET)
    keys = (str(KEYS[who]) for who in ("reader", "ingester", "admin"))
    return Telltales(
        counts,
        STEM,
        (SECRET, pseudonymizer.key_check_value, *keys),
        pseudonymizer.pseudonyms(ids(range(USERS))),
    )


def finds(month: Month, told: str) -> list[Find]:
    """What is found in a text, without the numbers that the system drew for this run."""
    plain = re.sub(rf"127\.0\.0\.1:{month.port}\b|process \[\d+\]", "", told)
    return month.telltales.search(plain)


def test_no_answer_tells_a_true_number_an_id_a_pseudonym_or_a_key(month: Month) -> None:
    told = [each for each in month.audience.told if each.who in OUTSIDERS]
    found = {
        (each.who, each.asked, find)
        for each in told
        for find in month.telltales.search(each.everything)
    }
    assert not found
    assert {200, 400, 401, 403, 404, 405, 409, 413, 415, 422, 429, 431} <= {
        each.answer.status_code for each in told
    }


def test_the_numbers_that_are_searched_for_are_those_of_the_store(month: Month) -> None:
    with inspecting(month.installed.data_dir / "dpdau.sqlite3", 10) as store:
        for day in range(DAYS):
            ordinal = (FIRST + timedelta(days=day)).toordinal()
            stored = len(store.reader.members(ordinal, ordinal))
            assert stored == month.truth.active[day].sum()
            assert stored in month.truth.counts


def test_every_route_of_administrators_is_closed_to_all_others(month: Month) -> None:
    stated = {
        (found["method"], found["path"]): found["scope"]
        for found in SCOPE_OF.finditer(HTTP_REFERENCE.read_text(encoding="utf-8"))
    }
    assert stated.keys() == month.operations
    closed = {operation for operation, scope in stated.items() if scope == "admin"}
    statuses: dict[str, set[int]] = {who: set() for who in OUTSIDERS}
    for each in month.audience.told:
        method, path, *_ = each.asked.split(" ")
        if (method, path) in closed and each.who in OUTSIDERS:
            statuses[each.who].add(each.answer.status_code)
    assert statuses == {"reader": {403}, "ingester": {403}, "stranger": {401}, "nobody": {401}}


def test_no_line_of_the_log_tells_any_either(month: Month) -> None:
    logged = "".join(line for log in month.logs for line in log)
    assert "route=/dau/{day}" in logged
    assert not finds(month, logged)


def test_no_command_tells_any_either(
    month: Month, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    server = ("--url", month.running.url, "--key", str(KEYS["reader"]))
    release = f"mau-30d-{LAST}"
    series = ("series", "dau", "--start", str(FIRST), "--end", str(LAST))
    commands = (
        ("dau", str(LAST)),
        ("dau", "2031-07-02"),
        ("mau", str(LAST), "--json"),
        series,
        (*series, "--csv"),
        ("explain", release),
        ("budget",),
        ("plan", "--users", "1000", "--epsilon", "1"),
        ("ledger",),
        ("verify",),
    )
    codes = [main([*command, *server]) for command in commands]
    shown = capsys.readouterr()
    assert codes == [0, 7, 0, 0, 0, 0, 0, 0, 4, 4], shown.err
    told = shown.out + shown.err
    for command in (("dau", str(LAST)), series, ("explain", release)):
        done = month.installed.run(*command)
        assert done.returncode == 0, done.stderr
        told += done.stdout + done.stderr
    assert str(LAST) in told
    assert not finds(month, told)


def test_no_page_of_the_dashboard_tells_any_either(month: Month) -> None:
    executable = chromium()
    told: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=ARGUMENTS)
        page = browser.new_page()
        page.on("response", lambda answer: told.append(json.dumps(answer.headers)))
        page.on("console", lambda line: told.append(line.text))
        page.goto(month.running.url)
        page.get_by_label("API key").fill(str(KEYS["reader"]))
        page.get_by_role("button", name="Sign in").click()
        expect(page.locator("#status")).to_contain_text("Showing", timeout=30_000)
        page.get_by_role("button", name="90 days").click()
        for summary in page.locator("summary").all():
            summary.click()
        expect(page.locator("[aria-busy]")).to_have_count(0)
        shown = page.locator("body").inner_text()
        told += [page.content(), shown, page.title()]
        browser.close()
    assert "2031-06-30" in "".join(told)
    # The lengths of the page's files are those of the files.
    assert not finds(month, re.sub(r'"content-length": "\d+"', "", "\n".join(told)))


def test_a_value_is_a_true_number_by_chance_less_than_once_in_a_million(month: Month) -> None:
    answers = [each.answer for each in month.audience.told if each.answer.status_code == 200]
    values: dict[str, dict[str, Any]] = {}
    for answer in answers:
        if answer.headers["content-type"] == "application/json" and answer.content[:1] == b"{":
            body = answer.json()
            listed = body.get("releases")
            for each in (body, *(listed if isinstance(listed, list) else ())):
                if "release_id" in each:
                    values[each["release_id"]] = each
    assert len(values) >= 2 * DAYS
    # A rounded normal variable takes its likeliest value with this chance at most.
    chance = sum(
        sum(each.get(name) is not None for name in NOISY)
        * len(month.truth.counts)
        / (each["std_error"] * math.sqrt(2 * math.pi))
        for each in values.values()
    )
    assert 0 < chance < 1e-6, (chance, len(values), len(month.truth.counts))
