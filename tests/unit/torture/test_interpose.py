"""The library between a process and the file system, on processes that do very little."""

import errno
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from _interpose import Action, Call, Interposer, library

KILLED = -signal.SIGKILL
LONG = b"second" * 200


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


@pytest.fixture
def interposer(root: Path) -> Iterator[Interposer]:
    with Interposer(root.parent / "control", root) as made:
        yield made


def run(interposer: Interposer, root: Path, text: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - this interpreter on this file's own text
        [sys.executable, "-S", "-c", "import os\n" + text],
        env={"LD_PRELOAD": str(library()), **interposer.environment},
        cwd=root,
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )


EVERYTHING = """
one = os.open("one", os.O_CREAT | os.O_RDWR)
os.write(one, b"12345678")
os.pwrite(one, b"ab", 2)
os.writev(one, [b"c", b"d"])
os.fsync(one); os.fdatasync(one)
os.ftruncate(one, 4)
os.link("one", "two"); os.rename("two", "three"); os.unlink("three")
os.mkdir("folder"); os.rmdir("folder")
os.close(os.open("one", os.O_WRONLY | os.O_TRUNC))
os.close(os.open(os.path.dirname(os.getcwd()) + "/elsewhere", os.O_CREAT))
os.close(os.open("one-shm", os.O_CREAT))
"""


def test_every_change_below_the_folder_is_counted_and_nothing_else(
    interposer: Interposer, root: Path
) -> None:
    done = run(interposer, root, EVERYTHING)
    assert done.returncode == 0, done.stderr
    assert interposer.calls == {
        **dict.fromkeys(Call, 1),
        Call.WRITE: 4,
        Call.SYNC: 2,
        Call.TRUNCATE: 2,
        Call.READ: 0,
    }
    assert interposer.hit is None


@pytest.mark.parametrize(
    ("action", "call", "left"),
    [
        (Action.DIE_BEFORE, Call.WRITE, b"first"),
        (Action.DIE_TORN, Call.WRITE, b"first" + LONG[: 512 - len("first")]),
        (Action.DIE_AFTER, Call.WRITE, b"first" + LONG),
        (Action.DIE_BEFORE, Call.SYNC, b"first" + LONG),
    ],
)
def test_a_process_dies_at_the_call_that_was_chosen(
    interposer: Interposer, root: Path, action: Action, call: Call, left: bytes
) -> None:
    interposer.arm(action, calls={call}, first=2 if call is Call.WRITE else 1, part="one")
    done = run(
        interposer,
        root,
        "file = os.open('one', os.O_CREAT | os.O_WRONLY)\n"
        "other = os.open('other', os.O_CREAT | os.O_WRONLY)\n"
        f"for text in (b'first', {LONG!r}): os.write(other, text); os.write(file, text)\n"
        "os.fsync(other); os.fsync(file); print('survived')",
    )
    assert (done.returncode, done.stdout) == (KILLED, "")
    assert (root / "one").read_bytes() == left
    assert (root / "other").read_bytes() == b"first" + LONG
    assert interposer.hit is not None
    assert str(interposer.hit) == f"{call.name.lower()} of one"
    assert interposer.hit.count == 1


def test_a_write_within_one_sector_is_never_torn(interposer: Interposer, root: Path) -> None:
    (root / "one").write_bytes(b"first")
    interposer.arm(Action.DIE_TORN, calls={Call.WRITE})
    done = run(interposer, root, "os.pwrite(os.open('one', os.O_RDWR), b'other', 0)")
    assert done.returncode == KILLED
    assert (root / "one").read_bytes() == b"first"


def test_calls_fail_as_often_as_was_chosen(interposer: Interposer, root: Path) -> None:
    interposer.arm(Action.FAIL, first=2, times=2, calls={Call.WRITE}, error=errno.ENOSPC)
    text = """
file = os.open("one", os.O_CREAT | os.O_WRONLY)
for number in range(5):
    try:
        print(os.write(file, b"x"))
    except OSError as error:
        print(error.errno)
"""
    done = run(interposer, root, text)
    full = str(errno.ENOSPC)
    assert done.stdout.split() == ["1", full, full, "1", "1"]
    assert interposer.hit is not None
    assert (interposer.hit.count, interposer.matched) == (2, 5)
    interposer.arm(Action.FAIL, times=None, calls={Call.READ}, error=errno.EIO)
    done = run(interposer, root, "os.read(os.open('one', os.O_RDONLY), 9)")
    assert "Input/output error" in done.stderr
    interposer.disarm()
    assert interposer.hit is not None
    interposer.reset()
    assert interposer.hit is None
    assert run(interposer, root, "print(os.read(os.open('one', 0), 9))").stdout == "b'xxx'\n"


def test_a_shortened_write_says_so(interposer: Interposer, root: Path) -> None:
    interposer.arm(Action.SHORTEN, calls={Call.WRITE})
    done = run(interposer, root, "print(os.write(os.open('one', os.O_CREAT | 1), b'12345678'))")
    assert done.stdout == "4\n"
    assert (root / "one").read_bytes() == b"1234"


def test_a_call_can_be_held(interposer: Interposer, root: Path) -> None:
    interposer.arm(Action.STALL, calls={Call.MKDIR}, milliseconds=50)
    text = "import time; before = time.monotonic(); os.mkdir('a'); print(time.monotonic() - before)"
    assert float(run(interposer, root, text).stdout) >= 0.05


def test_a_control_file_of_another_layout_is_refused(interposer: Interposer, root: Path) -> None:
    (root.parent / "control").write_bytes(b"short")
    done = run(interposer, root, "print('went on')")
    assert (done.returncode, done.stdout) == (70, "")
    assert "another layout" in done.stderr


def test_a_missing_compiler_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(RuntimeError, match="install gcc"):
        library()


def test_a_source_that_does_not_compile_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "broken.c"
    broken.write_text("no C at all")
    monkeypatch.setattr("_interpose._SOURCE", broken)
    with pytest.raises(RuntimeError, match=r"does not compile(?s:.)*no C at all"):
        library()
