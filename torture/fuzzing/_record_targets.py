"""Fuzz targets that read what dpdau keeps or is configured with.

Sketches, limiters, journals, heads, ledgers, plans, settings, and the small objects and words of
requests.
"""

import json
import math
import struct
import zlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cache
from typing import Any
from unittest import mock
from zoneinfo import ZoneInfo

import msgspec
import numpy as np
from pydantic import BaseModel
from pyroaring import BitMap

from _targets import Target, folder, refusing_clearly, require
from dpdau.bootstrap import build
from dpdau.config import Settings, load_settings
from dpdau.errors import JournalDamagedError, LedgerDamagedError
from dpdau.formats.days import day_reader
from dpdau.formats.rules import EventRules
from dpdau.model.calendar import Period, parse_day
from dpdau.model.ledger import GENESIS_HASH, LedgerRow, chained
from dpdau.model.releases import Metric, metric_named
from dpdau.pipeline.budget import BudgetRules
from dpdau.pipeline.head import NOTHING, following, lost, remembered_in
from dpdau.pipeline.integrity import verify
from dpdau.pipeline.ports import Tombstones
from dpdau.privacy.flippancy import LimiterState
from dpdau.privacy.questions import TargetError
from dpdau.privacy.strategy import Plan, Presence, check_plan, make_plan
from dpdau.service.bodies import parse_json
from dpdau.service.routes.admin import AcknowledgeRequest, PublishRequest, ReviseRequest
from dpdau.service.routes.budget import RaiseRequest
from dpdau.sketches import (
    HllppSketch,
    SetSketch,
    ThetaSketch,
    read_compact_theta,
    union_of,
    write_compact_theta,
)
from dpdau.store import JournalFile, MemoryStore

__all__ = ["RECORD_TARGETS"]

_BUDGETS = BudgetRules(
    caps=dict.fromkeys(Metric, 3.5), delta=1e-6, advanced_delta=1e-7, rdp_orders=(2.0, 8.0, 32.0)
)
_ANY_DAY = EventRules(ZoneInfo("UTC"), date.min, date.max, erase_by_default=False)
_NOON = datetime(2025, 3, 3, 12, tzinfo=UTC)
_MOST_PLANNED_DAYS = 5
_DAY = 739_001
_MANY_CHARGES = 100


# --- sketches and limiters -----------------------------------------------------------------


def _theta(data: bytes) -> None:
    """A compact sketch tells a number of users, and is the union of itself with itself."""
    with refusing_clearly():
        found = read_compact_theta(data)
        both = union_of([data, data])
        require(math.isfinite(found.estimate) and found.estimate >= 0, "an estimate is no count")
        require(0 <= found.rate <= 1, "a rate is no share")
        require(both.hashes <= found.hashes, "a union with itself has more hashes")


def _sketches(data: bytes) -> None:
    """A sketch that is read is written again as it was, and knows how many there are."""
    kinds: tuple[Any, ...] = (SetSketch, ThetaSketch, HllppSketch)
    kind = kinds[data[0] % len(kinds)] if data else SetSketch
    with refusing_clearly():
        sketch = kind.from_bytes(data[1:])
        again = kind.from_bytes(sketch.to_bytes())
        require(again.to_bytes() == sketch.to_bytes(), "a sketch changes when it is written")
        require(isinstance(sketch.estimate(), int), "an estimate is no whole number")
        require(again.estimate() == sketch.estimate(), "an estimate changes")
        require(sketch.union(again).estimate() == sketch.estimate(), "a union with itself differs")


def _limiter(data: bytes) -> None:
    """A limiter's state that is read is written as it was, and can go on."""
    with refusing_clearly():
        state = LimiterState.from_bytes(data)
        require(LimiterState.from_bytes(state.to_bytes()) == state, "a state changes")
        after = state.advance(BitMap(range(10))).state
        require(LimiterState.from_bytes(after.to_bytes()) == after, "no state follows")


# --- files beside the store ----------------------------------------------------------------


def _journal(data: bytes) -> None:
    """A journal is read whole or called damaged; what is appended is found behind it."""
    path = folder() / "journal"
    # Checksums are made to fit for half of all inputs, since no fuzzer finds one.
    path.write_bytes(_with_fitting_head(data[1:]) if data[:1] > b"@" else data[1:])
    journal = JournalFile(path)
    try:
        known = journal.read()
    except JournalDamagedError:
        return
    one = Tombstones(
        np.array([7], np.uint64),
        np.array([_DAY - 1], np.int32),
        np.array([_DAY], np.int32),
        np.array([-1], np.int64),
    )
    journal.append(one)
    expected = Tombstones.merged([known, one])
    require(_rows_of(journal.read()) == _rows_of(expected), "what was appended is not found")
    journal.drop_before(_DAY)
    kept = expected.select(expected.recorded_on >= _DAY)
    require(_rows_of(journal.read()) == _rows_of(kept), "the wrong tombstones are dropped")


def _with_fitting_head(records: bytes) -> bytes:
    count = len(records) // 24
    fields = struct.pack("<8sQI", b"dpdauej1", count, zlib.crc32(records[: count * 24]))
    return fields + struct.pack("<I", zlib.crc32(fields)) + records


def _rows_of(found: Tombstones) -> list[tuple[int, ...]]:
    columns = (found.pseudonyms, found.erased_on, found.recorded_on, found.user_indices)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def _head(data: bytes) -> None:
    """What a copy of the head remembers can be compared with a ledger, and charged again."""
    head = remembered_in(data)
    if head is None:
        return
    written = msgspec.json.encode(head, order="deterministic")
    require(remembered_in(written) == head, "a head changes when it is written")
    require(following(head, []).sequence == head.sequence, "a head moves by itself")
    if all(each.count < _MANY_CHARGES for budget in head.budgets for each in budget.charges):
        lost(head, _ledger())


# --- ledgers and plans ---------------------------------------------------------------------


def _rows(data: bytes) -> None:
    """Rows whose hashes fit are verified, or the first that is wrong is named."""
    try:
        contents = msgspec.json.decode(data, type=list[dict[str, Any]])
    except (ValueError, RecursionError):
        return
    store = MemoryStore()
    previous = GENESIS_HASH
    with store.write() as transaction:
        for number, content in enumerate(contents, start=1):
            links = {"sequence": number, "previous_hash": previous, "hash": ""}
            try:
                row = chained(msgspec.convert(content | links, LedgerRow))
            except msgspec.MsgspecError:
                return
            previous = row.hash
            with suppress(ValueError):  # no store appends a subject a second time
                transaction.append_ledger(row)
    with store.read() as reader, suppress(LedgerDamagedError):
        verify(reader, _BUDGETS, date(2025, 1, 1))


def _plan(data: bytes) -> None:
    """A plan is checked, or it is said what is wrong with it."""
    try:
        content = json.loads(data)
    except (ValueError, RecursionError):
        return
    with refusing_clearly():
        plan = Plan.from_dict(content)
        require(Plan.from_dict(plan.to_dict()) == plan, "a plan changes when it is written")
        if plan.days <= _MOST_PLANNED_DAYS:
            check_plan(plan)


# --- settings and requests -----------------------------------------------------------------


def _settings(data: bytes) -> None:
    """Settings are read from `.env`, or it is said line by line why not."""
    path = folder() / ".env"
    path.write_bytes(data)
    with mock.patch.dict(Settings.model_config, env_file=path), refusing_clearly(at=600):
        settings = load_settings()
        require("\0" not in str(settings.data_dir), "no folder can have that name")
        settings.model_dump_json()


def _words(data: bytes) -> None:
    """Words of requests: days, periods, times, metrics, errors that are wanted."""
    text = data.decode(errors="surrogateescape")
    with refusing_clearly():
        require(parse_day(text).isoformat() == text, "a day is read as another")
    with refusing_clearly():
        require(Period.named(text).name == text, "a period is read as another")
    with refusing_clearly():
        require(metric_named(text) == text, "a metric is read as another")
    with refusing_clearly():
        target = TargetError.parse(text)
        require(0 < target.value < math.inf, "a target is no error")
    reader = day_reader(_ANY_DAY)
    require(isinstance(reader.of_timestamp(text), int | str), "a time is no day")
    with suppress(ValueError):
        require(isinstance(reader.of_timestamp(float(text)), int | str), "a number is no day")


def _requests(data: bytes) -> None:
    """Small objects that routes take."""
    kinds: Sequence[type[BaseModel]] = (
        PublishRequest,
        ReviseRequest,
        RaiseRequest,
        AcknowledgeRequest,
    )
    kind = kinds[data[0] % len(kinds)] if data else PublishRequest
    with refusing_clearly():
        found = parse_json(kind, data[1:])
        again = parse_json(kind, found.model_dump_json(by_alias=True).encode())
        require(again == found, "a request changes when it is written")


# --- seeds ---------------------------------------------------------------------------------


@dataclass
class _Clock:
    now: datetime = _NOON

    def __call__(self) -> datetime:
        return self.now


@cache
def _ledger() -> list[LedgerRow]:
    """What a small store has published: a series and single values of every kind, and a cap."""
    rows: list[LedgerRow] = []
    for mechanisms in (
        {"mechanism_dau": "laplace", "mechanism_mau": "gaussian"},
        {"mechanism_dau": "continual", "mechanism_mau": "gaussian"},
    ):
        settings = load_settings(data_dir=folder() / "store", lateness_hours=0, **mechanisms)
        with build(settings, store=MemoryStore(), clock=_Clock()) as application:
            day = application.calendar.last_closed_day()
            for metric in Metric:
                application.release(metric, day)
            application.revise(Metric.MAU, day)
            application.raise_cap(Metric.MAU, "2025-03", 9.0, who="ada", why="a test")
            rows += application.ledger(None, None)
    return rows


def _ledger_seeds() -> list[bytes]:
    rows = [msgspec.json.encode(row) for row in _ledger()]
    return [b"[" + b",".join(part) + b"]" for part in (rows[:3], rows[-4:])]


def _head_seeds() -> list[bytes]:
    with_all = following(NOTHING, _ledger()[:4])
    return [msgspec.json.encode(with_all, order="deterministic")]


def _sketch_seeds() -> list[bytes]:
    users = BitMap([1, 2, 3, 70_000])
    hllpp = HllppSketch(4, 2**63, 20)
    hllpp.add(users)
    return [
        b"\0" + SetSketch(users).to_bytes(),
        b"\1" + ThetaSketch(4, SetSketch(users)).to_bytes(),
        b"\2" + hllpp.to_bytes(),
    ]


def _theta_seeds() -> list[bytes]:
    words = np.arange(1, 40, dtype=np.uint64) << np.uint64(55)
    return [write_compact_theta(words[:size], bits) for size in (0, 1, 39) for bits in (0, 3)]


def _limiter_seeds() -> list[bytes]:
    state = LimiterState.empty(2)
    seeds = [state.to_bytes()]
    for present in (BitMap([1, 2]), BitMap([2, 3]), BitMap(range(70_000))):
        state = state.advance(present).state
        seeds.append(state.to_bytes())
    return seeds


def _journal_seeds() -> list[bytes]:
    record = struct.pack("<QiiQ", 12345, 739_000, 739_001, 3)
    return [b"z" + record * 3, b"@" + _with_fitting_head(record * 2) + b"left over"]


def _plan_seeds() -> list[bytes]:
    presences = (Presence("unbounded", None), Presence("runs", 1))
    plans = [make_plan(3, presence, 1.0, 1e-6) for presence in presences]
    return [json.dumps(plan.to_dict()).encode() for plan in plans]


_ENV = b"""# a comment
DATA_DIR=data
export TIMEZONE="Europe/Berlin"
RDP_ORDERS=2,4,8
W_BOUND_DAU=unbounded
SKETCH_SAMPLING_RATE=1/16
ALLOWED_HOSTS=example.org, b.example
TRUSTED_PROXIES=10.0.0.0/8
EPSILON_DAU=${EPSILON_MAU:-0.3}
SERVICE_API_KEY='a key of sixteen letters'
"""
_REQUESTS = (
    b'\0{"through": "2025-10-07", "from": null}',
    b'\1{"metric": "mau", "day": "2025-10-07", "window": 7}',
    b'\2{"period": "2025-10", "to": 4.5, "who": "ada", "why": "because"}',
    b'\3{"who": "ada", "why": "a disk", "nothing_lost": true}',
)
_WORDS = (
    b"2025-10-07",
    b"2025-Q4",
    b"2025",
    b"2026-01-31T23:59:60.25+01:00",
    b"dau",
    b"1%",
    b"1e9",
)

RECORD_TARGETS = (
    Target("theta", "compact theta sketches", _theta, _theta_seeds),
    Target("sketches", "dpdau's own sketches", _sketches, _sketch_seeds),
    Target("limiter", "states of limiters", _limiter, _limiter_seeds),
    Target("journal", "journals of erasures", _journal, _journal_seeds),
    Target("head", "copies of the ledger's head", _head, _head_seeds),
    Target("ledger", "rows of a ledger whose hashes fit", _rows, _ledger_seeds),
    Target("plan", "plans, for `dpdau plan --check`", _plan, _plan_seeds),
    Target("settings", "`.env`", _settings, lambda: [_ENV]),
    Target("words", "days, periods and times", _words, lambda: _WORDS),
    Target("requests", "small objects of requests", _requests, lambda: _REQUESTS),
)
