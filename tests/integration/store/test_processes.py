"""Several processes on one file, and processes that are killed."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dpdau.errors import StoreBusyError
from dpdau.model.ledger import verify_chain
from dpdau.store import SqliteStore
from support.stores import DAY


def numbers_kept(path: Path) -> int:
    """How many numbered changes the file holds; fails if any of them is there by half."""
    store = SqliteStore(path)
    with store.read() as reader:
        rows = reader.ledger()
        verify_chain(rows)
        count = len(rows)
        users = np.arange(2**63 + 1, 2**63 + 1 + count, dtype=np.uint64)
        assert reader.user_indices(users).tolist() == list(range(count))
        assert len(reader.members(DAY, DAY + 6)) == count
        assert reader.meta("newest") == (str(count) if count else None)
        beyond = np.array([2**63 + count + 1], dtype=np.uint64)
        assert reader.user_indices(beyond).tolist() == [-1]
    store.close()
    return count


def test_what_is_committed_is_there_when_the_file_is_opened_again(path: Path) -> None:
    first = SqliteStore(path)
    with first.write() as transaction:
        transaction.put_meta("name", "value")
    first.close()
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    second = SqliteStore(path)
    with second.read() as reader:
        assert reader.meta("name") == "value"
    second.close()


def test_processes_that_start_and_write_at_once_take_turns(
    path: Path, child: Callable[..., Any]
) -> None:
    writers = [child("write-some", "40") for _ in range(3)]
    for writer in writers:
        assert writer.heard() == "ready"
    for writer in writers:
        writer.go()
    for writer in writers:
        writer.go()
    said = [int(number) for writer in writers for number in writer.rest()]
    assert sorted(said) == list(range(1, 121))
    assert numbers_kept(path) == 120


@pytest.mark.parametrize("role", ["write-forever", "purge-forever"])
def test_a_killed_process_leaves_every_acknowledged_change_and_none_by_half(
    path: Path, child: Callable[..., Any], role: str
) -> None:
    kept = 0
    for lines_before_the_kill in (1, 2, 3, 17, 8, 30):
        writer = child(role).start()
        acknowledged = [int(writer.heard()) for _ in range(lines_before_the_kill)]
        # The child has gone on meanwhile; where in a transaction it dies is chance.
        acknowledged += [int(number) for number in writer.kill()]
        assert acknowledged == list(range(kept + 1, acknowledged[-1] + 1))
        kept = numbers_kept(path)
        assert kept in (acknowledged[-1], acknowledged[-1] + 1)


def test_a_process_killed_inside_a_transaction_leaves_the_last_commit(
    path: Path, child: Callable[..., Any]
) -> None:
    with SqliteStore(path).write() as transaction:
        transaction.put_meta("name", "last commit")
    stopped = child("stop-inside").start()
    assert stopped.heard() == "inside"
    stopped.kill()
    assert numbers_kept(path) == 0
    store = SqliteStore(path, busy_timeout_seconds=0)
    with store.write() as transaction:
        assert transaction.meta("name") == "last commit"
    store.close()


def test_a_file_locked_by_another_process_is_busy_to_writers_only(
    path: Path, child: Callable[..., Any]
) -> None:
    store = SqliteStore(path, busy_timeout_seconds=0.05)
    holder = child("stop-inside").start()
    assert holder.heard() == "inside"
    with pytest.raises(StoreBusyError, match=r"for 0\.05 s"), store.write():
        pytest.fail("the transaction began")
    with pytest.raises(StoreBusyError):
        store.purge()
    store.check()
    holder.kill()
    with store.write() as transaction:
        transaction.put_meta("name", "value")
    store.close()


def test_a_writer_waits_for_another_process_to_finish(
    path: Path, child: Callable[..., Any]
) -> None:
    holder = child("stop-inside").start()
    assert holder.heard() == "inside"
    writer = child("write-some", "1").start()
    writer.go()
    holder.go()
    assert holder.rest() == []
    assert writer.rest() == ["2"]
    assert numbers_kept(path) == 2


def test_another_process_sees_a_commit_at_once(path: Path, child: Callable[..., Any]) -> None:
    store = SqliteStore(path)
    writer = child("write-forever").start()
    number = int(writer.heard())
    with store.read() as reader:
        head = reader.ledger_head()
    assert head is not None
    assert head.sequence >= number
    store.close()


def test_an_idle_process_does_not_hinder_a_purge(path: Path, child: Callable[..., Any]) -> None:
    idle = child("open").start()
    assert idle.heard() == "open"
    store = SqliteStore(path, busy_timeout_seconds=0)
    store.purge()
    store.close()


def test_those_who_wait_together_for_another_process_give_up_together(
    path: Path, child: Callable[..., Any]
) -> None:
    store = SqliteStore(path, busy_timeout_seconds=0.5)
    holder = child("stop-inside").start()
    assert holder.heard() == "inside"

    def write(_: int) -> float:
        begun = time.monotonic()
        with pytest.raises(StoreBusyError, match=r"locked for 0\.5 s"), store.write():
            pytest.fail("it opened")
        return time.monotonic() - begun

    with ThreadPoolExecutor(20) as threads:
        waited = list(threads.map(write, range(20)))
    # One after another they would have taken twenty times as long as the first.
    assert sum(waited) < 20 * 20 * 0.5 / 2
    holder.go()
    holder.rest()
    with store.write() as transaction:
        transaction.put_meta("name", "value")
    store.close()
