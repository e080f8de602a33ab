"""What every database keeps alike, by queries of the same names: ledger, erasures, series, meta."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol, TypeAlias

import msgspec

from dpdau.errors import LedgerDamagedError, StoreCorruptError
from dpdau.model.erasures import Erasure
from dpdau.model.ledger import LedgerKind, LedgerRow
from dpdau.model.releases import Metric, SeriesKey
from dpdau.pipeline.ports import SeriesState
from dpdau.store.appending import require_next

__all__ = ["RecordReader", "RecordWriter", "erasures_of", "ledger_row_of", "series_parameters"]

_Corrupt: TypeAlias = Callable[[str], StoreCorruptError]


class _Session(Protocol):
    """A database within its transaction."""

    def rows(self, name: str, /, **parameters: Any) -> list[Any]: ...

    def row(self, name: str, /, **parameters: Any) -> Any: ...

    def run(self, name: str, /, **parameters: Any) -> None: ...

    def corrupt(self, reason: str) -> StoreCorruptError: ...


class RecordReader:
    """What a transaction sees of them."""

    _session: _Session

    def ledger_row(self, kind: LedgerKind, subject: str) -> LedgerRow | None:
        """The row that records this subject."""
        row = self._session.row("ledger_row", kind=str(kind), subject=subject)
        return None if row is None else ledger_row_of(row)

    def ledger_head(self) -> LedgerRow | None:
        """The newest row."""
        row = self._session.row("ledger_head")
        return None if row is None else ledger_row_of(row)

    def series_state(self, key: SeriesKey) -> SeriesState | None:
        """The private state of a running series."""
        row = self._session.row("series_state", **series_parameters(key))
        if row is None:
            return None
        try:
            return msgspec.msgpack.decode(self._unpacked(row[0]), type=SeriesState)
        except msgspec.MsgspecError as error:
            raise self._session.corrupt(f"the state of {key} cannot be read") from error

    def series_keys(self) -> list[SeriesKey]:
        """The series that have private state."""
        rows = self._session.rows("series_keys")
        try:
            return [SeriesKey(Metric(metric), days, period) for metric, days, period in rows]
        except ValueError as error:
            raise self._session.corrupt("a series is of no metric") from error

    def erasure(self, erasure_id: str) -> Erasure | None:
        """The record of an erasure."""
        return self._erasure("erasure", erasure_id=erasure_id)

    def erasure_of(self, request_key: str) -> Erasure | None:
        """The record of the erasure that was requested under this key."""
        return self._erasure("erasure_of", request_key=request_key)

    def erasures(self) -> list[Erasure]:
        """The records of all erasures, oldest first."""
        return self._erasures("erasures")

    def newest_erasures(self, count: int) -> list[Erasure]:
        """The records of the last erasures requested, at most so many, newest first."""
        return self._erasures("newest_erasures", count=count)

    def unfinished_erasures(self) -> list[Erasure]:
        """The erasures that were neither completed nor refused, oldest first."""
        return self._erasures("unfinished_erasures")

    def meta(self, name: str) -> str | None:
        """A named value that the store keeps about itself."""
        row = self._session.row("meta", name=name)
        return None if row is None else str(row[0])

    def metas(self) -> dict[str, str]:
        """All of them."""
        return dict(self._session.rows("metas"))

    def _unpacked(self, content: bytes) -> bytes:
        """What was put where this was found; databases that wrap it override this."""
        return content

    def _erasures(self, query: str, **parameters: Any) -> list[Erasure]:
        return erasures_of(self._session.rows(query, **parameters), self._session.corrupt)

    def _erasure(self, query: str, **parameters: Any) -> Erasure | None:
        return next(iter(self._erasures(query, **parameters)), None)


class RecordWriter(RecordReader):
    """A transaction that may also change them."""

    def append_ledger(self, row: LedgerRow) -> None:
        """Append a row whose sequence continues the ledger.

        Raises:
            ValueError: if the sequence has a gap, or a row of that kind and subject exists.
        """
        require_next(self, row)
        self._session.run("append_ledger", **_ledger_parameters(row))

    def put_erasure(self, erasure: Erasure) -> None:
        """Add or replace an erasure's record."""
        self._session.run("put_erasure", **_erasure_parameters(erasure))

    def put_meta(self, name: str, value: str) -> None:
        """Add or replace a named value."""
        self._session.run("put_meta", name=name, value=value)


def _ledger_parameters(row: LedgerRow) -> dict[str, Any]:
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


def _erasure_parameters(erasure: Erasure) -> dict[str, Any]:
    """An erasure's record by column: all of it as JSON, and what it is looked up by."""
    return {
        "erasure_id": erasure.erasure_id,
        "requested_at": msgspec.to_builtins(erasure.requested_at),
        "request_key": erasure.request_key,
        "is_finished": erasure.is_finished,
        "body": _json(erasure),
    }


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


def _json(value: Any) -> str:
    return msgspec.json.encode(value, order="sorted").decode()
