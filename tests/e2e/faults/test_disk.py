"""Disks that are full, fail, or do not sync, under a service that runs."""

import errno
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from _interpose import Action, Call, Interposer, library
from _process import Installation
from support.installations import NOW, TODAY, YESTERDAY, installed, told, visited

LOG, HEAD, JOURNAL = "sqlite3-wal", "ledger.head", "erasures.journal"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Interposer]:
    (tmp_path / "data").mkdir()
    with Interposer(tmp_path / "control", tmp_path / "data") as made:
        yield made


@pytest.fixture
def installation(tmp_path: Path, disk: Interposer) -> Installation:
    made = installed(tmp_path, **disk.environment)
    return Installation(made.data_dir, made.settings, made.clock, (library(),))


def fail(disk: Interposer, code: int, call: Call, part: str) -> None:
    """Let every such call fail until the disk is well again."""
    disk.arm(Action.FAIL, times=None, calls={call}, part=part, error=code)


FAULTS = [
    (errno.ENOSPC, Call.WRITE, 507, "store-full"),
    (errno.EIO, Call.WRITE, 503, "store-unavailable"),
    (errno.EROFS, Call.WRITE, 503, "store-unavailable"),
    (errno.EIO, Call.SYNC, 503, "store-unavailable"),
    (errno.ENOSPC, Call.SYNC, 503, "store-unavailable"),
]


def test_what_could_not_be_written_or_synced_is_not_acknowledged_and_nothing_else_is_lost(
    installation: Installation, disk: Interposer
) -> None:
    with visited(installation) as (running, visitor):
        for number, (code, call, status, kind) in enumerate(FAULTS):
            assert visitor.send(f"before-{number}").status_code == 200
            fail(disk, code, call, LOG)
            detail = told(visitor.send(f"lost-{number}"), status, kind)
            assert "nothing was changed" in detail
            told(visitor.erase(f"before-{number}"), status, kind)
            told(visitor.dau(TODAY.replace(day=number + 1)), status, kind)
            # What is known already is read all the same, and the process is well.
            assert visitor.get("/readyz").status_code == 200
            assert visitor.metric("dp_commits_failed_total") == number + 1
            disk.disarm()
            # No restart, and the transaction that takes the place of the failed one is whole.
            assert visitor.send(f"after-{number}").status_code == 200
        # What is in memory and, after a crash, what is on the disk are the same.
        expected = len(visitor.acknowledged[YESTERDAY])
        assert visitor.dau().json()["estimate"] == expected
        assert visitor.get("/ledger/verify").json()["rows"] == len(visitor.rows())
        running.kill()
    with visited(installation) as (_, again):
        revised = again.client.post("/revise", json={"metric": "dau", "day": str(YESTERDAY)})
        assert revised.json()["estimate"] == expected
        assert again.get("/ledger/verify").json()["valid"] is True


def test_an_erasure_whose_traces_cannot_be_purged_is_received_and_done_later(
    installation: Installation, disk: Interposer
) -> None:
    # After the commit, the log is copied back, synced and emptied.
    purging = [(Call.SYNC, 2), (Call.SYNC, 3), (Call.TRUNCATE, 1)]
    with visited(installation) as (_, visitor):
        for call, first in purging:
            visitor.send("ada", "bob")
            disk.arm(
                Action.FAIL,
                first=first,
                times=None,
                calls={call},
                part="dpdau.sqlite3",
                error=errno.EIO,
            )
            erasure = visitor.erase("ada").json()
            assert (erasure["state"], disk.hit is not None) == ("received", True)
            disk.disarm()
            assert visitor.erase("eve").json()["state"] == "done"
            found = visitor.get(f"/erasure/{erasure['erasure_id']}").json()
            assert found["state"] == "done"
        assert visitor.dau().json()["estimate"] == 1


def test_a_release_whose_commit_failed_is_neither_shown_nor_paid(
    installation: Installation, disk: Interposer
) -> None:
    with visited(installation) as (_, visitor):
        visitor.send("ada", "bob")
        fail(disk, errno.EIO, Call.SYNC, LOG)
        told(visitor.dau(), 503, "store-unavailable")
        assert visitor.rows() == [row for row in visitor.rows() if row["metric"] == "mau"]
        disk.disarm()
        assert visitor.dau().json()["estimate"] == 2
        assert len([row for row in visitor.rows() if row["metric"] == "dau"]) == 1


def test_a_value_waits_until_the_copy_of_the_head_is_written_and_is_paid_once(
    installation: Installation, disk: Interposer
) -> None:
    with visited(installation) as (running, visitor):
        for code, call in ((errno.ENOSPC, Call.WRITE), (errno.EIO, Call.SYNC)):
            day = TODAY.replace(day=1 + code % 7)
            visitor.send("ada", "bob", day=day)
            paid = len(visitor.rows())
            fail(disk, code, call, HEAD)
            for _ in range(2):
                detail = told(visitor.dau(day), 503, "ledger-head-not-kept")
                assert "no value leaves" in detail
            assert visitor.send("eve").status_code == 200
            disk.disarm()
            assert visitor.dau(day).json()["estimate"] == 2
            assert len(visitor.rows()) == paid + 1
        assert visitor.get("/ledger/verify").json()["valid"] is True
        assert running.stop() == 0
    assert any("ledger-head-not-kept" in line for line in running.log)


def test_an_erasure_that_cannot_reach_the_journal_is_received_and_done_later(
    installation: Installation, disk: Interposer
) -> None:
    with visited(installation) as (running, visitor):
        visitor.send("ada", "bob")
        fail(disk, errno.EIO, Call.SYNC, JOURNAL)
        erasure = visitor.erase("ada").json()
        assert erasure["state"] == "received"
        assert visitor.dau().json()["estimate"] == 1
        disk.disarm()
        assert visitor.erase("eve").json()["state"] == "done"
        found = visitor.get(f"/erasure/{erasure['erasure_id']}").json()
        assert found["state"] == "done"
        assert running.stop() == 0
    done = installation.run("verify")
    assert done.returncode == 0, done.stderr


def test_a_backup_that_cannot_be_written_leaves_nothing_behind(
    installation: Installation, disk: Interposer
) -> None:
    assert installation.run("erase", "ada").returncode == 0
    backups = installation.data_dir / "backups"
    for code, words in ((errno.ENOSPC, "is full"), (errno.EIO, "could not be used")):
        fail(disk, code, Call.SYNC if code == errno.EIO else Call.WRITE, "backups/")
        done = installation.run("backup")
        assert (done.returncode, words in done.stderr) == (10, True), done.stderr
        assert not list(backups.glob("*"))
    disk.disarm()
    assert installation.run("backup").returncode == 0
    assert len(list(backups.glob("*.sqlite3"))) == 1


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        return port


def test_a_log_on_a_full_disk_loses_its_lines_and_nothing_else(tmp_path: Path) -> None:
    port = free_port()
    environment = {"DATA_DIR": str(tmp_path), "SERVICE_PORT": str(port), "LOG_FORMAT": "json"}
    with Path("/dev/full").open("w") as full:
        process = subprocess.Popen(
            [sys.executable, "-m", "dpdau", "serve"], env=environment, cwd=tmp_path, stderr=full
        )
    try:
        with httpx.Client(
            base_url=f"http://127.0.0.1:{port}", transport=httpx.HTTPTransport(retries=20)
        ) as client:
            assert client.get("/readyz").status_code == 200
            assert client.get("/nowhere").status_code == 404
            assert client.post("/erasure", json={"user_id": "ada"}).json()["state"] == "done"
            upkeep = "dp_upkeep_last_success_timestamp_seconds "
            (line,) = (
                line for line in client.get("/metrics").text.splitlines() if line.startswith(upkeep)
            )
            assert float(line.removeprefix(upkeep)) > 0
        process.terminate()
        # 120 is Python's own, for what it could not write last.
        assert process.wait(60) in {0, 120}
        assert not list(tmp_path.glob("*-wal"))
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MiB."""
    place, mount = tmp_path / "small", shutil.which("mount")
    place.mkdir()
    if mount is None or os.geteuid() != 0:
        pytest.skip("only the superuser may mount")
    done = subprocess.run(  # noqa: S603 - a folder of this test
        [mount, "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(place)], check=False
    )
    if done.returncode:
        pytest.skip("file systems may not be mounted here")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)  # noqa: S603, S607 - the same


def fill(file: Path) -> None:
    """Leave no room on the disk of a file."""
    descriptor = os.open(file, os.O_CREAT | os.O_WRONLY)
    try:
        while True:
            os.write(descriptor, b"x" * 4096)
    except OSError as error:
        assert error.errno == errno.ENOSPC  # noqa: PT017 - the end of the loop
    finally:
        os.close(descriptor)


def test_a_full_disk_refuses_what_is_new_and_goes_on_by_itself_once_there_is_room(
    tmp_path: Path, small: Path
) -> None:
    installation = installed(tmp_path, data_dir=small / "data")
    filler = small / "filler"
    with visited(installation) as (running, visitor):
        visitor.send("ada", "bob")
        known = visitor.dau().json()["estimate"]
        fill(filler)
        for number in range(1_000):
            answer = visitor.send(*(f"user-{number}-{each}" for each in range(500)), day=TODAY)
            if answer.status_code != 200:
                break
        told(answer, 507, "store-full")
        told(visitor.erase("ada"), 507, "store-full")
        told(visitor.dau(TODAY.replace(day=1)), 507, "store-full")
        # Values that were published are read, and operators see what is wrong.
        assert visitor.dau().json()["estimate"] == known == 2
        assert visitor.metric("dp_commits_failed_total") == 1
        assert visitor.metric("dp_store_readable") == 1
        backup = installation.run("backup")
        assert (backup.returncode, "is full" in backup.stderr) == (10, True), backup.stderr
        filler.unlink()
        assert visitor.send("eve", day=TODAY).status_code == 200
        assert visitor.erase("ada").json()["state"] == "done"
        assert visitor.dau(TODAY.replace(day=1)).status_code == 200
        installation.set_clock(NOW + timedelta(days=1))
        counted = visitor.dau(TODAY).json()["estimate"]
        assert counted == len(visitor.acknowledged[TODAY])
        assert running.stop() == 0
    fill(filler)
    with pytest.raises(RuntimeError, match=r"ended with 10 (?s:.)*is full.*goes on by itself"):
        installation.serve()
    filler.unlink()
    with visited(installation) as (_, visitor):
        assert visitor.dau(TODAY).json()["estimate"] == counted
