"""Copying one store into another, whatever keeps them."""

from dataclasses import dataclass

import numpy as np
from pyroaring import BitMap

from dpdau.model.bitmaps import indices_of
from dpdau.pipeline.ports import OUTDATED, Reader, Transaction

__all__ = ["Copied", "copy_store"]

# Bounds what is in memory at a time to some tens of megabytes.
_AT_ONCE = 1 << 18


@dataclass(frozen=True, slots=True)
class Copied:
    """How much a store has.

    Attributes:
        users: how many people are known.
        pairs: on how many days they were active, all of theirs together.
        tombstones: how many were erased.
        ledger_rows: how many rows the ledger has.
    """

    users: int
    pairs: int
    tombstones: int
    ledger_rows: int

    @classmethod
    def of(cls, reader: Reader) -> "Copied":
        """Count."""
        return cls(
            users=len(reader.known_users()),
            pairs=sum(len(reader.members(day, day)) for day in reader.days()),
            tombstones=len(reader.tombstones()),
            ledger_rows=len(reader.ledger()),
        )


def copy_store(reader: Reader, transaction: Transaction) -> None:
    """Give an empty store all that another one has.

    Args:
        reader: of the one.
        transaction: of the other.
    """
    users = indices_of(reader.known_users()).astype(np.int64)
    for start in range(0, len(users), _AT_ONCE):
        some = users[start : start + _AT_ONCE]
        transaction.adopt_indices(reader.pseudonyms_of(some), some, 0)
    nobody = np.empty(0, dtype=np.uint64)
    transaction.adopt_indices(nobody, nobody.astype(np.int64), reader.index_bound())
    for day in (OUTDATED, *reader.days()):
        transaction.update_members(day, reader.members(day, day), BitMap())
    tombstones = reader.tombstones()
    for start in range(0, len(tombstones), _AT_ONCE):
        some = np.arange(start, min(start + _AT_ONCE, len(tombstones)))
        transaction.put_tombstones(tombstones.select(some))
    for row in reader.ledger():
        transaction.append_ledger(row)
    states = [(key, reader.series_state(key)) for key in reader.series_keys()]
    for key, state in [(key, state) for key, state in states if state is not None]:
        transaction.put_series_state(key, state)
    for erasure in reader.erasures():
        transaction.put_erasure(erasure)
    for name, value in reader.metas().items():
        transaction.put_meta(name, value)
