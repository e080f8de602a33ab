"""Rows of a database and what they hold: the ledger, erasures, and the names of series."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias

import msgspec

from dpdau.errors import LedgerDamagedError, StoreCorruptError
from dpdau.model.erasures import Erasure
from dpdau.model.ledger import LedgerRow
from dpdau.model.releases import Metric, SeriesKey

__all__ = [
    "erasure_of",
    "erasure_parameters",
    "erasures_of",
    "ledger_parameters",
    "ledger_row_of",
    "series_keys_of",
    "series_parameters",
]

_Corrupt: TypeAlias = Callable[[str], StoreCorruptError]


def ledger_parameters(row: LedgerRow) -> dict[str, Any]:
    """A row of the ledger by column; what is not a number is text."""
    columns: dict[str, Any] = msgspec.structs.asdict(row)
    columns |= {"kind": str(row.kind), "metric": str(row.metric)}
    columns["recorded_at"] = msgspec.to_builtins(row.recorded_at)
    columns["charge"] = None if row.charge is None else _json(row.charge)
    columns["body"] = _json(row.body)
    return columns


def ledger_row_of(columns: Sequence[Any]) -> LedgerRow:
    """The row of the ledger that a database kept, from its columns in the order of the class.

    Raises:
        LedgerDamagedError: if they are none.
    """
    sequence, kind, metric, period, subject, recorded_at, charge, body, previous, own = columns
    try:
        return msgspec.convert(
            {
                "sequence": sequence,
                "kind": kind,
                "metric": metric,
                "period": period,
                "subject": subject,
                "recorded_at": recorded_at,
                "charge": None if charge is None else msgspec.json.decode(charge),
                "body": msgspec.json.decode(body),
                "previous_hash": previous,
                "hash": own,
            },
            LedgerRow,
        )
    except (msgspec.MsgspecError, RecursionError) as error:
        raise LedgerDamagedError(sequence, "it cannot be read") from error


def erasure_parameters(erasure: Erasure) -> dict[str, Any]:
    """An erasure's record by column: all of it as JSON, and what it is looked up by."""
    return {
        "erasure_id": erasure.erasure_id,
        "requested_at": msgspec.to_builtins(erasure.requested_at),
        "request_key": erasure.request_key,
        "is_finished": erasure.is_finished,
        "body": _json(erasure),
    }


def erasure_of(row: Sequence[str] | None, corrupt: _Corrupt) -> Erasure | None:
    """The record in the one column of a row; None if there is no row."""
    return None if row is None else erasures_of([row], corrupt)[0]


def erasures_of(rows: Iterable[Sequence[str]], corrupt: _Corrupt) -> list[Erasure]:
    """The records in the one column of some rows.

    Args:
        rows: what a database has.
        corrupt: makes the error that is raised if one of them is no record.
    """
    try:
        return [msgspec.json.decode(body, type=Erasure) for (body,) in rows]
    except msgspec.MsgspecError as error:
        raise corrupt("the record of an erasure cannot be read") from error


def series_parameters(key: SeriesKey) -> dict[str, Any]:
    """The columns that name a series."""
    return {"metric": str(key.metric), "window_days": key.window_days, "period": key.period}


def series_keys_of(rows: Iterable[tuple[str, int, str]], corrupt: _Corrupt) -> list[SeriesKey]:
    """The names of series in rows of those columns."""
    try:
        return [SeriesKey(Metric(metric), days, period) for metric, days, period in rows]
    except ValueError as error:
        raise corrupt("a series is of no metric") from error


def _json(value: Any) -> str:
    return msgspec.json.encode(value, order="sorted").decode()
