"""What the copy of the ledger's head remembers, of whatever bytes are found in its place."""

from datetime import date

import msgspec
import pytest

from dpdau.model.ledger import GENESIS_HASH, LedgerKind, LedgerRow
from dpdau.model.releases import Metric
from dpdau.pipeline.head import NOTHING, Head, RememberedSeries, following, remembered_in
from support.stores import ledger_row

SOUND = (
    b'{"version":1,"sequence":3,"hash":"ab","budgets":[{"metric":"dau","period":"2025-10",'
    b'"sequence":3,"hash":"ab","charges":[{"charge":{"kind":"pure","epsilon":0.5},"count":2}]}],'
    b'"series":{},"closed_through":{"mau":"2025-10-31"}}'
)
CHARGE = b'{"kind":"pure","epsilon":0.5}'


def test_a_head_is_read_as_it_was_written() -> None:
    head = remembered_in(SOUND)
    assert isinstance(head, Head)
    assert remembered_in(msgspec.json.encode(head)) == head
    assert remembered_in(msgspec.json.encode(NOTHING)) == NOTHING
    assert NOTHING.hash == GENESIS_HASH


@pytest.mark.parametrize(
    "content",
    [
        None,
        b"",
        SOUND[:-1],
        SOUND.replace(b'"ab"', b'"\xff"'),
        SOUND.replace(CHARGE, b'{"a":' * 100_000 + b"1" + b"}" * 100_000),
        SOUND.replace(b"pure", b"purr"),
        SOUND.replace(b"0.5", b"-0.5"),
        SOUND.replace(b"2025-10", b"2025-13"),
    ],
    ids=["missing", "empty", "cut", "no text", "deep", "no charge", "a gain", "no period"],
)
def test_a_head_that_cannot_be_understood_or_charged_is_none(content: bytes | None) -> None:
    assert remembered_in(content) is None


def release(sequence: int, plan_id: str | None) -> LedgerRow:
    body = {"plan_id": plan_id, "window_days": 30}
    return ledger_row(sequence, metric=Metric.MAU, body=body)


def acknowledgement(sequence: int, through: str | None, *ended: str) -> LedgerRow:
    series = [{"series_id": each, "period": "2025-10"} for each in ended]
    return ledger_row(
        sequence,
        kind=LedgerKind.ACKNOWLEDGEMENT,
        metric=Metric.MAU,
        body={"ended_series": series, "closed_through": through},
    )


OPENED = ledger_row(
    1,
    kind=LedgerKind.SERIES,
    metric=Metric.MAU,
    subject="mau-30d-2025-10",
    body={"plan_id": "a plan"},
)


def test_the_rows_that_a_series_has_measured_are_counted_and_no_other_releases() -> None:
    rows = [OPENED, release(2, "a plan"), release(3, None), release(4, "a plan")]
    head = following(NOTHING, rows)
    counted = RememberedSeries(Metric.MAU, "2025-10", "a plan", 2, ended=False)
    assert head.series == {"mau-30d-2025-10": counted}
    assert (head.sequence, head.hash) == (4, rows[-1].hash)
    assert following(following(NOTHING, rows[:2]), rows[2:]) == head


def test_a_series_that_was_ended_stays_ended_with_the_rows_it_had() -> None:
    rows = [OPENED, release(2, "a plan"), acknowledgement(3, None, "mau-30d-2025-10", "another")]
    assert following(NOTHING, rows).series == {
        "mau-30d-2025-10": RememberedSeries(Metric.MAU, "2025-10", "a plan", 1, ended=True),
        "another": RememberedSeries(Metric.MAU, "2025-10", "", 0, ended=True),
    }


@pytest.mark.parametrize(
    "days", [("2025-10-31", "2025-09-30"), ("2025-09-30", "2025-10-31"), ("2025-10-31", None)]
)
def test_what_was_closed_is_never_opened_by_a_later_acknowledgement(
    days: tuple[str, str | None],
) -> None:
    rows = [acknowledgement(at, through) for at, through in enumerate(days, 1)]
    assert following(NOTHING, rows).closed_through == {Metric.MAU: date(2025, 10, 31)}
