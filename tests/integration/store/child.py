"""Processes that use a store at the same time as a test, and that a test may kill.

Run as `python child.py ROLE FILE [NUMBER]`; what a role prints has been committed.
"""

import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from pyroaring import BitMap

from dpdau.model.ledger import GENESIS_HASH, LedgerKind, LedgerRow, chained
from dpdau.model.releases import Metric
from dpdau.pipeline.ports import Store, Transaction
from dpdau.store import SqliteStore

DAY = 739_000


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def wait_for_parent() -> None:
    sys.stdin.readline()


def write_one(transaction: Transaction) -> int:
    """One change of every kind, numbered by the ledger."""
    head = transaction.ledger_head()
    number = 1 if head is None else head.sequence + 1
    previous_hash = GENESIS_HASH if head is None else head.hash
    row = LedgerRow(
        sequence=number,
        kind=LedgerKind.RELEASE,
        metric=Metric.DAU,
        period="2025-10",
        subject=f"release-{number}",
        recorded_at=datetime(2025, 10, 7, tzinfo=UTC),
        charge=None,
        body={},
        previous_hash=previous_hash,
    )
    transaction.append_ledger(chained(row))
    index = transaction.allot_indices(np.array([2**63 + number], dtype=np.uint64))
    transaction.update_members(DAY + number % 7, BitMap(index), BitMap())
    transaction.put_meta("newest", str(number))
    return number


def write_forever(store: Store) -> None:
    while True:
        with store.write() as transaction:
            number = write_one(transaction)
        say(f"{number}")


def purge_forever(store: Store) -> None:
    while True:
        with store.write() as transaction:
            number = write_one(transaction)
        say(f"{number}")
        store.purge()


def stop_inside(store: Store) -> None:
    with store.write() as transaction:
        write_one(transaction)
        say("inside")
        wait_for_parent()


def write_some(store: Store) -> None:
    wait_for_parent()
    for _ in range(int(sys.argv[3])):
        with store.write() as transaction:
            number = write_one(transaction)
        say(f"{number}")


def open_only(_: Store) -> None:
    say("open")
    wait_for_parent()


ROLES = {
    "open": open_only,
    "purge-forever": purge_forever,
    "stop-inside": stop_inside,
    "write-forever": write_forever,
    "write-some": write_some,
}

if __name__ == "__main__":
    say("ready")
    wait_for_parent()
    ROLES[sys.argv[1]](SqliteStore(Path(sys.argv[2])))
