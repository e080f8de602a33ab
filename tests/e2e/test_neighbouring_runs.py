"""Two runs of a real service that differ by one person's whole stream, asked the same questions.

Whatever is not noise must be equal to the byte: statuses, headers, bodies, what is published when,
and the lines of the log but for times and ids. The person comes, takes days back, leaves by an
event, comes back, is erased by a request and comes back again; in the other run somebody else's
event is sent again in place of each of theirs, which changes nothing.
"""

import csv
import io
import json
import re
import subprocess
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from _process import Installation, Running
from support.audience import KEYS, OUTSIDERS, Audience, Told, walk
from support.service import NOISY_FIELDS, event

NOON = datetime(2031, 6, 20, 12, tzinfo=UTC)
TODAY = NOON.date()
FIRST = date(2031, 6, 1)
LATER = timedelta(days=3)
TARGET = "target"
OTHERS = [f"person-{number}" for number in range(12)]
COMMON = {
    "HASH_SALT_SECRET": "a secret of both runs",
    "READ_API_KEY": str(KEYS["reader"]),
    "INGEST_API_KEY": str(KEYS["ingester"]),
    "ADMIN_API_KEY": str(KEYS["admin"]),
    "LATENESS_HOURS": "0",
    "LOG_FORMAT": "json",
}
BOUNDED = {"W_BOUND_DAU": "unbounded", "W_BOUND_MAU": "2", "EPSILON_MAU": "2"}
KINDS: Mapping[str, Mapping[str, str]] = {
    "continual, DAU unbounded and MAU bounded": BOUNDED,
    "theta": {"SKETCH_IMPL": "theta", "SKETCH_SAMPLING_RATE": "0.5", **BOUNDED},
    "laplace and gaussian": {
        "MECHANISM_DAU": "laplace",
        "MECHANISM_MAU": "gaussian",
        "EPSILON_DAU": "0.5",
        "DAU_BUDGET_TOTAL": "1.2",
        "MAU_BUDGET_TOTAL": "1.2",
    },
    "hllpp": {
        "SKETCH_IMPL": "hllpp",
        "MECHANISM_DAU": "intrinsic",
        "MECHANISM_MAU": "intrinsic",
        "HLL_LOG2_REGISTERS": "8",
        "DAU_BUDGET_TOTAL": "1.2",
        "MAU_BUDGET_TOTAL": "1.2",
    },
}
NOISY = NOISY_FIELDS | {"stickiness"}
IN_WORDS = {"meaning", "certainty"}
"""Sentences of an explanation that state the value."""
RANDOM = {"request_id", "erasure_id"}
VARYING_HEADERS = {"date", "x-request-id", "content-length"}
VARYING_FIELDS = {"timestamp", "milliseconds", "seconds", "request_id", "erasure_id"}
SWITCHES = re.compile(r"\[\d+\]|127\.0\.0\.1:\d+")


@dataclass(frozen=True)
class Run:
    """What one run told.

    Attributes:
        told: to outsiders, in order.
        releases: rows of the ledger as (kind, subject, when).
        log: what was logged, as objects.
        erasures: ids of records, which are random.
    """

    told: Sequence[Told]
    releases: Sequence[tuple[str, str, str]]
    log: Sequence[dict[str, Any]]
    erasures: Sequence[str]


def stream(*, with_target: bool) -> Iterator[list[dict[str, Any]]]:
    """Batches of events, those of one person among them or not."""
    plain = [
        event(other, FIRST + timedelta(days=day))
        for day in range(19)
        for number, other in enumerate(OTHERS)
        if (day + number) % 3
    ]
    there = [event(TARGET, FIRST + timedelta(days=day)) for day in range(19) if day % 4]
    taken = [event(TARGET, FIRST + timedelta(days=day), "-") for day in (2, 9)]
    left = [event(TARGET, TODAY, "-", scope="user")]
    back = [event(TARGET, TODAY), event(TARGET, TODAY - timedelta(days=3))]
    for part in (there, taken, left, back):
        yield plain + (part if with_target else [plain[at] for at in range(len(part))])


def return_of(*, with_target: bool, on: date) -> list[dict[str, Any]]:
    """What is sent after the erasure."""
    others = [event(other, on) for other in OTHERS]
    return [*others, event(TARGET, on) if with_target else others[0]]


def performed(folder: Path, settings: Mapping[str, str], *, with_target: bool) -> Run:
    """One run from its first event to its last answer, with a restart where a series goes on."""
    restart = settings is BOUNDED
    data_dir = folder / "data"
    data_dir.mkdir(parents=True)
    installed = Installation(data_dir, {**COMMON, **settings}, folder / "clock")
    installed.set_clock(NOON)
    log: list[str] = []
    erasures: list[str] = []
    with ExitStack() as opened:
        running, audience = begin(installed, opened, [])
        for batch in stream(with_target=with_target):
            sent(audience, batch)
        ask(audience, TODAY - timedelta(days=1))
        erasures.append(leave(audience))
        sent(audience, return_of(with_target=with_target, on=TODAY))
        installed.set_clock(NOON + LATER)
        if restart:
            assert running.stop() == 0
            log += running.log
            running, audience = begin(installed, opened, audience.told)
        sent(audience, return_of(with_target=with_target, on=TODAY + LATER))
        closed = TODAY + LATER - timedelta(days=1)
        ask(audience, closed)
        ask_all(audience, closed, erasures[-1])
        erasures.append(leave(audience))
        rows = audience.ask("admin", "GET", "/ledger").json()["rows"]
        assert running.stop() == 0
        log += running.log
    told = audience.told
    return Run(
        [each for each in told if each.who in OUTSIDERS],
        [(row["kind"], row["subject"], row["recorded_at"]) for row in rows],
        [json.loads(SWITCHES.sub("", line)) for line in log],
        erasures,
    )


def begin(installed: Installation, opened: ExitStack, told: list[Told]) -> tuple[Running, Audience]:
    """Start the service, and those who ask it."""
    running = opened.enter_context(installed.serve())
    settled(running)
    return running, opened.enter_context(Audience(running.url, told))


def settled(running: Running) -> None:
    """Wait until the first round of upkeep is over, so that no answer depends on how fast it was."""
    while not any("ledger verified" in line for line in running.log):
        with suppress(subprocess.TimeoutExpired):
            pytest.fail(f"it ended with {running.process.wait(0.02)}")


def sent(audience: Audience, batch: Sequence[Mapping[str, Any]]) -> None:
    assert audience.ask("ingester", "POST", "/event", json={"events": batch}).is_success


def ask(audience: Audience, closed: date) -> None:
    """A reader's questions, and a correction."""
    for path in (f"/dau/{closed}", f"/mau?end={closed}"):
        audience.ask("reader", "GET", path)
    audience.ask("admin", "POST", "/revise", json={"metric": "mau", "day": str(closed)})


def leave(audience: Audience) -> str:
    """The erasure of someone known and of someone perhaps not; returns the record's id."""
    named = {"user_ids": [TARGET, OTHERS[3]]}
    erased = audience.ask("ingester", "POST", "/erasure", json=named)
    erasure_id: str = erased.json()["erasure_id"]
    audience.ask("ingester", "GET", f"/erasure/{erasure_id}", asked="/erasure/ID")
    for path in ("/readyz", "/healthz", "/whoami"):
        audience.ask("reader", "GET", path)
    return erasure_id


def ask_all(audience: Audience, closed: date, erasure_id: str) -> None:
    """Everything that readers and ingesters can ask, until the budget is spent."""
    later = closed + timedelta(days=9)
    walk(
        audience,
        {
            "day": [str(closed), str(later)],
            "end": [str(closed), str(closed), str(later)],
            "start": [str(FIRST)],
            "metric": ["dau", "mau"],
            "period": ["2031-06", "never"],
            "window": ["30", "7"],
            "erasure_id": [erasure_id, "none"],
            "release_id": [f"mau-30d-{closed}-r1", f"dau-1d-{closed}"],
            "publish": ["true", "false"],
            "format": ["json", "csv"],
            "partial": ["true"],
            "users": ["1000"],
            "target_error": ["1%"],
            "epsilon": ["1"],
            "rows": ["5"],
        },
        ("reader", "ingester"),
    )
    for metric in ("dau", "mau"):
        audience.ask("reader", "GET", f"/series/{metric}?start={FIRST}&end={closed}")
    for window in range(2, 9):
        audience.ask("reader", "GET", f"/mau?end={closed}&window={window}")


def is_waiting(told: Told) -> bool:
    """Whether an erasure's last trace was still there, which is a matter of time alone."""
    return '"state":"received"' in told.answer.text


def without_noise(told: Told, erasures: Sequence[str]) -> tuple[Any, ...]:
    """What must be the same in both runs."""
    answer = told.answer
    # A HEAD has the length of what it does not bring.
    if told.asked.split(" ")[0] != "HEAD" and "content-length" in answer.headers:
        assert int(answer.headers["content-length"]) == len(answer.content)
    headers = [pair for pair in answer.headers.multi_items() if pair[0] not in VARYING_HEADERS]
    text = answer.text
    for erasure_id in erasures:
        text = text.replace(erasure_id, "ERASURE")
    kind = answer.headers.get("content-type", "")
    body: Any = text
    if "json" in kind and text:
        body = masked(json.loads(text))
    elif kind.startswith("text/csv"):
        body = [masked(row) for row in csv.DictReader(io.StringIO(text))]
    return told.who, told.asked, answer.status_code, headers, body


def masked(value: Any) -> Any:
    if isinstance(value, list):
        return [masked(each) for each in value]
    if not isinstance(value, dict):
        return value
    noisy = NOISY | IN_WORDS
    if value.get("sketch", "set") != "set":
        # The error of a sample and of a HyperLogLog is computed from the noisy value.
        noisy = noisy | {"std_error"}
    return {
        name: ("noise" if each is not None or name == "stickiness" else None)
        if name in noisy and not isinstance(each, (dict, list))
        else "random"
        if name in RANDOM
        else masked(each)
        for name, each in value.items()
    }


def lines(log: Sequence[Mapping[str, Any]]) -> tuple[list[Any], Counter[str]]:
    """The requests in order, and all other lines."""
    plain = [{name: line[name] for name in line if name not in VARYING_FIELDS} for line in log]
    asked = [line for line in plain if line["event"] == "request"]
    others = Counter(json.dumps(line) for line in plain if line["event"] != "request")
    return asked, others


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_runs_on_neighbouring_data_differ_in_noise_only(tmp_path: Path, kind: str) -> None:
    runs = [
        performed(tmp_path / str(with_target), KINDS[kind], with_target=with_target)
        for with_target in (True, False)
    ]
    one, other = runs
    assert len(one.told) == len(other.told)
    for mine, theirs in zip(one.told, other.told, strict=True):
        if is_waiting(mine) or is_waiting(theirs):
            continue
        assert without_noise(mine, one.erasures) == without_noise(theirs, other.erasures)
    assert one.releases == other.releases
    assert {row[0] for row in one.releases} >= {"release"}
    assert lines(one.log) == lines(other.log)
    assert lines(one.log)[0]
    # They are real answers.
    assert {each.answer.status_code for each in one.told} >= {200, 403, 404, 409, 422, 429}


def told(body: Any, *, kind: str = "application/json", status: int = 200, **headers: str) -> Told:
    content = json.dumps(body).encode() if kind == "application/json" else body
    given = {"content-type": kind, **headers}
    return Told("reader", "GET /", httpx.Response(status, headers=given, content=content))


VALUE = {"estimate": 7, "std_error": 2.0, "band_lower_95": 1.5, "sketch": "set", "releases": 3}
TABLE = b"day,estimate\n2031-06-01,7\n"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (told(VALUE), told({**VALUE, "releases": 4})),
        (told(VALUE), told({**VALUE, "std_error": 2.5})),
        (told(VALUE), told({**VALUE, "band_lower_95": None})),
        (told(VALUE), told({**VALUE, "stale": True})),
        (told({"budget": [VALUE]}), told({"budget": [VALUE, VALUE]})),
        (told(VALUE), told(VALUE, x_rows="9")),
        (told(VALUE), told(VALUE, status=409)),
        (told(TABLE, kind="text/csv"), told(TABLE.replace(b"-01,", b"-02,"), kind="text/csv")),
        (told(b"7 people", kind="text/plain"), told(b"8 people", kind="text/plain")),
    ],
)
def test_a_difference_that_is_no_noise_is_seen(one: Told, other: Told) -> None:
    assert without_noise(one, ()) != without_noise(other, ())


def test_noise_makes_no_difference() -> None:
    other = {**VALUE, "estimate": 9, "band_lower_95": -4.25}
    assert without_noise(told(VALUE), ()) == without_noise(told(other), ())
    sampled = {**VALUE, "sketch": "theta"}
    assert without_noise(told(sampled), ()) == without_noise(
        told({**sampled, "std_error": 9.5}), ()
    )
    table = TABLE.replace(b",7", b",-80")
    assert without_noise(told(TABLE, kind="text/csv"), ()) == without_noise(
        told(table, kind="text/csv"), ()
    )


def test_a_line_that_only_one_log_has_is_seen() -> None:
    line = {"event": "request", "route": "/mau", "status": 200, "milliseconds": 3}
    note = {"event": "published", "releases": 2, "timestamp": "now"}
    assert lines([line, note]) == lines(
        [{**line, "milliseconds": 5}, {**note, "timestamp": "then"}]
    )
    for log in ([line], [note, line, line], [line, {**note, "releases": 3}]):
        assert lines([line, note]) != lines(log)
