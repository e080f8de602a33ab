"""The file of the second copy: whole, private, exclusive, and clear about what fails."""

import errno
import os
import stat
import threading
from pathlib import Path

import pytest

from dpdau.errors import StoreError, StoreFullError, StoreReadOnlyError, TooManyFilesError
from dpdau.store import HeadFile, MemoryHead


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "elsewhere" / "ledger.head"


def test_a_copy_is_missing_until_it_is_written_and_then_stays(path: Path) -> None:
    copy = HeadFile(path)
    assert copy.read() is None
    copy.replace(lambda content: b"one" if content is None else b"wrong")
    copy.replace(lambda content: None if content == b"one" else b"wrong")
    assert HeadFile(path).read() == b"one"
    assert path.stat().st_mode & 0o777 == 0o600
    assert sorted(each.name for each in path.parent.iterdir()) == [
        "ledger.head",
        "ledger.head.lock",
    ]


def test_a_copy_in_memory_behaves_the_same() -> None:
    copy = MemoryHead()
    assert copy.read() is None
    copy.replace(lambda content: b"one" if content is None else b"wrong")
    copy.replace(lambda content: None if content == b"one" else b"wrong")
    assert copy.read() == b"one"


def test_those_who_change_it_at_once_take_turns(path: Path) -> None:
    def count(content: bytes | None) -> bytes:
        return str(int(content or b"0") + 1).encode()

    def work() -> None:
        for _ in range(10):
            HeadFile(path).replace(count)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert HeadFile(path).read() == b"40"


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (errno.ENOSPC, StoreFullError),
        (errno.EROFS, StoreReadOnlyError),
        (errno.EMFILE, TooManyFilesError),
        (errno.EIO, StoreError),
    ],
)
def test_a_disk_that_fails_leaves_the_former_copy(
    path: Path, monkeypatch: pytest.MonkeyPatch, code: int, kind: type[StoreError]
) -> None:
    def fail(_: int) -> None:
        raise OSError(code, os.strerror(code))

    copy = HeadFile(path)
    copy.replace(lambda _: b"one")
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(StoreError) as error:
            copy.replace(lambda _: b"two")
    assert type(error.value) is kind
    assert copy.read() == b"one"


def test_a_name_that_was_not_synced_is_synced_before_the_copy_counts(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing = [True]
    synced: list[bool] = []

    def folders_fail(descriptor: int) -> None:
        is_folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        if is_folder and failing:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        synced.append(is_folder)

    monkeypatch.setattr(os, "fsync", folders_fail)
    copy = HeadFile(path)
    with pytest.raises(StoreError):
        copy.replace(lambda _: b"one")
    # It looks as if it was written, to this process and to others.
    for other in (copy, HeadFile(path)):
        assert other.read() == b"one"
        with pytest.raises(StoreError):
            other.replace(lambda _: None)
    failing.clear()
    synced.clear()
    copy.replace(lambda _: None)
    copy.replace(lambda _: None)
    assert synced == [True]


def test_a_copy_that_is_a_folder_is_named(path: Path) -> None:
    path.mkdir(parents=True)
    with pytest.raises(StoreReadOnlyError, match=str(path)):
        HeadFile(path).read()


def test_an_error_of_whoever_changes_it_is_theirs(path: Path) -> None:
    def fail(_: bytes | None) -> bytes:
        raise KeyError

    with pytest.raises(KeyError):
        HeadFile(path).replace(fail)
    assert HeadFile(path).read() is None
