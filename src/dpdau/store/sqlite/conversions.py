"""Steps of the schema that SQL alone cannot make: content that changes its form."""

from collections.abc import Callable, Mapping

import msgspec
import numpy as np
from pyroaring import BitMap

from dpdau.pipeline.ports import SeriesState
from dpdau.store.sqlite.cells import Cells
from dpdau.store.sqlite.pages import TOMBSTONES, USERS, PageKind, Pages
from dpdau.store.sqlite.session import Session
from dpdau.store.sqlite.shards import Shards

__all__ = ["CONVERSIONS"]

_BATCH_ROWS = 1 << 20


def _into_cells(session: Session) -> None:
    """Version 2: from a row a user and a row a bitmap to cells."""
    _copy_records(session, USERS, "SELECT user_index, pseudonym FROM users ORDER BY user_index")
    _copy_records(
        session,
        TOMBSTONES,
        "SELECT row_number() OVER (ORDER BY recorded_on, pseudonym) - 1, pseudonym, erased_on, "
        "recorded_on, coalesce(user_index, -1) FROM tombstones",
    )
    run = session.connection.execute
    run(
        "UPDATE counters SET value = (SELECT count(*) FROM tombstones) "
        "WHERE name = 'next_tombstone'"
    )
    shards = Shards(session)
    for day, shard, bitmap in run("SELECT day, shard, bitmap FROM membership ORDER BY day, shard"):
        shards.write(day, {shard: BitMap.deserialize(bitmap)})
    cells = Cells(session)
    for *key, totals, limiter in run(
        "SELECT metric, window_days, period, totals, limiter FROM series_state"
    ):
        state = SeriesState(msgspec.json.decode(totals, type=tuple[int, ...]), limiter)
        place = cells.put(msgspec.msgpack.encode(state))
        run("INSERT INTO series VALUES (?, ?, ?, ?, ?)", (*key, place.cell, place.capacity))
    for table in ("users", "tombstones", "membership", "series_state"):
        run(f"DROP TABLE {table}")


def _copy_records(session: Session, kind: PageKind, select: str) -> None:
    """Write rows of (number, fields of the record) to pages."""
    pages = Pages(session, kind)
    rows = session.connection.execute(select)
    while batch := rows.fetchmany(_BATCH_ROWS):
        table = np.array(batch, dtype=np.int64)
        records = np.empty(len(table), dtype=kind.record)
        for column, field in enumerate(kind.record.names or (), start=1):
            # Two's complement gives the pseudonym back that SQLite kept as a signed integer.
            records[field] = table[:, column].astype(kind.record[field], casting="unsafe")
        pages.write(table[:, 0], records, 0)


CONVERSIONS: Mapping[int, Callable[[Session], None]] = {2: _into_cells}
