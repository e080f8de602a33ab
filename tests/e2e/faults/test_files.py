"""Files and folders that are removed, replaced, moved or read-only, under a service and before one."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from _process import Installation
from support.installations import TODAY, installed, told, visited


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    return installed(tmp_path)


def test_a_file_that_is_gone_is_told_before_anything_is_acknowledged(
    installation: Installation,
) -> None:
    path = installation.data_dir / "dpdau.sqlite3"
    aside = installation.data_dir.with_name("aside")
    with visited(installation) as (running, visitor):
        visitor.send("ada", "bob")
        assert visitor.dau().json()["estimate"] == 2
        for file in (path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")):
            file.rename(aside)
            for answer in (visitor.send("eve"), visitor.dau(), visitor.get("/readyz")):
                told(answer, 503, "store-corrupt")
            # It is the same file, so nothing was lost in the meantime.
            aside.rename(file)
            assert visitor.send("eve").status_code == 200
        shutil.copy(path, aside)
        aside.replace(path)
        told(visitor.send("dan"), 503, "store-corrupt")
        assert running.stop() == 0
    assert any("removed or replaced while in use" in line for line in running.log)


def test_a_folder_that_is_moved_away_is_missed_and_found_again(installation: Installation) -> None:
    aside = installation.data_dir.with_name("aside")
    with visited(installation) as (_, visitor):
        visitor.send("ada")
        installation.data_dir.rename(aside)
        told(visitor.send("bob"), 503, "store-corrupt")
        told(visitor.erase("ada"), 503, "store-corrupt")
        assert visitor.get("/healthz").status_code == 200
        aside.rename(installation.data_dir)
        assert visitor.send("bob").status_code == 200
        assert visitor.dau().json()["estimate"] == 2


def test_backups_that_are_gone_or_broken_stop_no_events(installation: Installation) -> None:
    assert installation.run("erase", "nobody").returncode == 0
    assert installation.run("backup").returncode == 0
    (backup,) = (installation.data_dir / "backups").glob("*.sqlite3")
    with visited(installation) as (running, visitor):
        visitor.send("ada", "bob")
        backup.write_bytes(b"no backup at all, but some text" * 999)
        erasure = visitor.erase("ada").json()
        assert erasure["state"] == "received"
        assert visitor.send("eve").status_code == 200
        shutil.rmtree(backup.parent)
        assert visitor.erase("nobody").json()["state"] == "done"
        assert visitor.get(f"/erasure/{erasure['erasure_id']}").json()["state"] == "done"
        assert visitor.dau().json()["estimate"] == 2
        running.stop()
    assert any("purge failed" in line and backup.name in line for line in running.log)


@pytest.fixture
def read_only(installation: Installation) -> Iterator[Path]:
    """The data directory with a store in it, on a file system that takes no changes."""
    mount, place = shutil.which("mount"), installation.data_dir
    if mount is None or os.geteuid() != 0:
        pytest.skip("only the superuser may mount")
    with visited(installation) as (_, visitor):
        visitor.send("ada")
        visitor.dau()
    for options in (["--bind", str(place), str(place)], ["-o", "remount,ro,bind", str(place)]):
        if subprocess.run([mount, *options], check=False).returncode:  # noqa: S603 - this folder
            pytest.skip("file systems may not be mounted here")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)  # noqa: S603, S607 - the same


def test_a_file_system_that_takes_no_changes_is_named_at_the_start(
    installation: Installation, read_only: Path
) -> None:
    with pytest.raises(RuntimeError, match=rf"ended with 10 (?s:.)*{read_only}\S* cannot be"):
        installation.serve()
    done = installation.run("dau", str(TODAY))
    assert (done.returncode, "cannot be written" in done.stderr) == (10, True), done.stderr
