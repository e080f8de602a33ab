"""The journal of erasures: durable, private, exclusive, and clear about what is damaged."""

import errno
import os
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpdau.errors import JournalDamagedError, StoreError, StoreFullError, StoreReadOnlyError
from dpdau.pipeline.ports import ErasureJournal, Tombstones
from dpdau.store import JournalFile, MemoryJournal
from dpdau.store import journal as journal_module

HEAD_BYTES = 24
RECORD_BYTES = 24


def tombstones(*rows: tuple[int, int, int, int]) -> Tombstones:
    columns = np.array([row[1:] for row in rows], dtype=np.int64).reshape(-1, 3)
    return Tombstones(
        np.array([row[0] for row in rows], dtype=np.uint64),
        columns[:, 0].astype(np.int32),
        columns[:, 1].astype(np.int32),
        columns[:, 2],
    )


def rows(found: Tombstones) -> list[tuple[int, ...]]:
    columns = (found.pseudonyms, found.erased_on, found.recorded_on, found.user_indices)
    return list(zip(*(column.tolist() for column in columns), strict=True))


ADA = (2**64 - 1, 739_001, 739_002, -1)
BOB = (7, 739_003, 739_003, 2**32 - 2)
EVE = (8, 739_004, 739_004, 0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "elsewhere" / "erasures.journal"


@pytest.fixture(params=["file", "memory"])
def journal(request: pytest.FixtureRequest, path: Path) -> ErasureJournal:
    return JournalFile(path) if request.param == "file" else MemoryJournal()


def test_a_journal_is_missing_until_something_is_written(journal: ErasureJournal) -> None:
    assert not journal.exists()
    assert rows(journal.read()) == []
    journal.append(tombstones())
    assert journal.exists()
    assert rows(journal.read()) == []


def test_what_is_appended_is_read_back_in_the_order_of_pseudonyms(journal: ErasureJournal) -> None:
    journal.append(tombstones(BOB, ADA))
    journal.append(tombstones(EVE))
    assert rows(journal.read()) == [BOB, EVE, ADA]


def test_of_two_tombstones_of_one_person_the_one_that_protects_more_holds(
    journal: ErasureJournal,
) -> None:
    journal.append(tombstones((7, 20, 30, 5)))
    journal.append(tombstones((7, 10, 40, -1)))
    assert rows(journal.read()) == [(7, 20, 40, 5)]


def test_what_replaces_is_all_that_is_left(journal: ErasureJournal) -> None:
    journal.append(tombstones(BOB, ADA))
    journal.replace(tombstones(EVE))
    assert rows(journal.read()) == [EVE]


def test_what_was_recorded_before_a_day_is_forgotten(journal: ErasureJournal) -> None:
    journal.drop_before(739_003)
    journal.append(tombstones(BOB, ADA, EVE))
    journal.drop_before(739_003)
    assert rows(journal.read()) == [BOB, EVE]


@given(
    st.lists(
        st.tuples(st.integers(1, 5), st.integers(0, 9), st.integers(0, 9), st.integers(-1, 9)),
        max_size=12,
    ),
    st.integers(0, 12),
)
def test_merging_takes_the_largest_of_each_column(
    given_rows: list[tuple[int, int, int, int]], cut: int
) -> None:
    expected: dict[int, tuple[int, ...]] = {}
    for name, *values in given_rows:
        former = expected.get(name, (-1, -1, -1))
        expected[name] = tuple(max(pair) for pair in zip(former, values, strict=True))
    parts = [tombstones(*given_rows[:cut]), tombstones(*given_rows[cut:])]
    merged = rows(Tombstones.merged(parts))
    assert merged == [(name, *expected[name]) for name in sorted(expected)]


def test_the_file_belongs_to_its_owner_alone(path: Path) -> None:
    JournalFile(path).append(tombstones(ADA))
    assert path.stat().st_mode & 0o777 == 0o600
    assert sorted(each.name for each in path.parent.iterdir()) == [
        "erasures.journal",
        "erasures.journal.lock",
    ]


def test_appending_leaves_what_is_there_where_it_is(path: Path) -> None:
    journal = JournalFile(path)
    journal.append(tombstones(ADA))
    place, content = path.stat().st_ino, path.read_bytes()
    journal.append(tombstones(BOB))
    assert path.stat().st_ino == place
    assert path.read_bytes()[HEAD_BYTES:].startswith(content[HEAD_BYTES:])
    assert path.stat().st_size == HEAD_BYTES + 2 * RECORD_BYTES


def test_repetitions_are_dropped_with_what_is_too_old_and_nothing_is_written_without_need(
    path: Path,
) -> None:
    journal = JournalFile(path)
    journal.append(tombstones(BOB))
    journal.append(tombstones(BOB))
    journal.drop_before(0)
    assert path.stat().st_size == HEAD_BYTES + RECORD_BYTES
    place = path.stat().st_ino
    journal.drop_before(0)
    assert path.stat().st_ino == place


@pytest.mark.parametrize("torn_bytes", [1, RECORD_BYTES, 2 * RECORD_BYTES + 5])
def test_a_tail_that_a_crash_left_is_cut_off(path: Path, torn_bytes: int) -> None:
    journal = JournalFile(path)
    journal.append(tombstones(BOB))
    with path.open("ab") as file:
        file.write(b"\x07" * torn_bytes)
    assert rows(journal.read()) == [BOB]
    journal.append(tombstones(ADA))
    assert rows(journal.read()) == [BOB, ADA]
    assert path.stat().st_size == HEAD_BYTES + 2 * RECORD_BYTES


def test_an_append_that_dies_before_its_head_is_written_is_cut_off(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = JournalFile(path)
    journal.append(tombstones(BOB))
    with monkeypatch.context() as patch:
        patch.setattr(journal_module._Head, "followed_by", lambda *_: 1 / 0)  # noqa: SLF001
        with pytest.raises(ZeroDivisionError):
            journal.append(tombstones(ADA))
    assert path.stat().st_size == HEAD_BYTES + 2 * RECORD_BYTES
    assert rows(journal.read()) == [BOB]
    journal.append(tombstones(EVE))
    assert rows(journal.read()) == [BOB, EVE]


def test_records_are_on_disk_before_the_head_counts_them_and_the_head_before_it_returns(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = JournalFile(path)
    journal.append(tombstones(BOB))
    before, synced = path.read_bytes(), []
    sync = os.fsync

    def watched(descriptor: int) -> None:
        sync(descriptor)
        synced.append(path.read_bytes())

    monkeypatch.setattr(os, "fsync", watched)
    journal.append(tombstones(ADA))
    after = path.read_bytes()
    assert synced == [before[:HEAD_BYTES] + after[HEAD_BYTES:], after]


def test_to_forget_makes_no_file(path: Path) -> None:
    JournalFile(path).drop_before(739_003)
    assert not path.exists()


USES: dict[str, Callable[[JournalFile], object]] = {
    "read": lambda journal: journal.read(),
    "drop": lambda journal: journal.drop_before(0),
}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
@pytest.mark.parametrize("position", range(HEAD_BYTES + 2 * RECORD_BYTES))
def test_any_other_damage_is_a_clear_error(
    path: Path, position: int, use: Callable[[JournalFile], object]
) -> None:
    JournalFile(path).append(tombstones(ADA, BOB))
    content = bytearray(path.read_bytes())
    content[position] ^= 0x10
    path.write_bytes(content)
    with pytest.raises(JournalDamagedError, match="move this file away") as error:
        use(JournalFile(path))
    assert str(path) in str(error.value)
    assert path.read_bytes() == bytes(content)


@pytest.mark.parametrize("kept_bytes", [0, HEAD_BYTES - 1, HEAD_BYTES, HEAD_BYTES + 30])
def test_a_file_that_lost_its_end_is_damaged(path: Path, kept_bytes: int) -> None:
    JournalFile(path).append(tombstones(ADA, BOB))
    path.write_bytes(path.read_bytes()[:kept_bytes])
    with pytest.raises(JournalDamagedError):
        JournalFile(path).read()
    with pytest.raises(JournalDamagedError):
        JournalFile(path).append(tombstones(EVE))
    assert path.stat().st_size == kept_bytes


def test_a_damaged_journal_can_be_replaced(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"not a journal, but longer than its head would be")
    JournalFile(path).replace(tombstones(ADA))
    assert rows(JournalFile(path).read()) == [ADA]


def test_those_who_append_at_once_take_turns(path: Path) -> None:
    def work(start: int) -> None:
        for number in range(start, start + 10):
            JournalFile(path).append(tombstones((number, 1, 1, number)))

    threads = [threading.Thread(target=work, args=(start,)) for start in (100, 200, 300)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(JournalFile(path).read()) == 30


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (errno.ENOSPC, StoreFullError),
        (errno.EROFS, StoreReadOnlyError),
        (errno.EIO, StoreError),
    ],
)
@pytest.mark.parametrize("change", ["append", "replace"])
def test_a_disk_that_fails_leaves_what_was_there(
    path: Path, monkeypatch: pytest.MonkeyPatch, code: int, kind: type[StoreError], change: str
) -> None:
    def fail(_: int) -> None:
        raise OSError(code, os.strerror(code))

    journal = JournalFile(path)
    journal.append(tombstones(BOB))
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(StoreError) as error:
            getattr(journal, change)(tombstones(ADA))
    assert type(error.value) is kind
    assert rows(journal.read()) == [BOB]


def test_a_disk_that_fails_while_days_are_forgotten_leaves_what_was_there(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: int) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    journal = JournalFile(path)
    journal.append(tombstones(ADA, BOB))
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(StoreReadOnlyError, match=str(path)):
            journal.drop_before(739_003)
    assert rows(journal.read()) == [BOB, ADA]


def test_a_folder_in_its_place_is_named(path: Path) -> None:
    path.mkdir(parents=True)
    journal = JournalFile(path)
    for use in (journal.read, lambda: journal.append(tombstones(ADA))):
        with pytest.raises(StoreReadOnlyError, match=str(path)):
            use()


def test_a_name_that_the_file_system_refuses_is_named(tmp_path: Path) -> None:
    path = tmp_path / ("j" * 300)
    with pytest.raises(StoreError, match=path.name):
        JournalFile(path).exists()


def test_a_place_that_is_no_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    journal = JournalFile(tmp_path / "file" / "erasures.journal")
    with pytest.raises(StoreReadOnlyError, match=r"erasures\.journal"):
        journal.append(tombstones(ADA))
