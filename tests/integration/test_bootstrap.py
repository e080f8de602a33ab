import errno
import os
import stat
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dpdau import bootstrap
from dpdau.bootstrap import build, open_store
from dpdau.config import load_settings
from dpdau.errors import (
    ExtraMissingError,
    SecretMissingError,
    StoreCorruptError,
    StoreFullError,
    StoreReadOnlyError,
    WrongSecretError,
)
from dpdau.model.releases import Metric
from dpdau.store import SqliteStore
from support import FakeClock

SECRET, OTHER = "a secret of sixteen", "another secret of it"


def start(data_dir: Path, **settings: object) -> None:
    with build(load_settings(data_dir=data_dir, **settings)) as app:
        app.store.check()


def test_the_first_start_makes_a_secret_that_only_its_owner_can_read(tmp_path: Path) -> None:
    data_dir = tmp_path / "new" / "data"
    start(data_dir)
    secret = data_dir / "secret"
    assert len(secret.read_text()) >= 32
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert stat.S_IMODE(data_dir.stat().st_mode) == 0o700
    before = secret.read_text()
    start(data_dir)
    assert secret.read_text() == before


def test_another_secret_is_refused_and_the_former_one_works_again(tmp_path: Path) -> None:
    start(tmp_path, hash_salt_secret=SECRET)
    with pytest.raises(WrongSecretError, match="HASH_SALT_SECRET is not the secret"):
        start(tmp_path, hash_salt_secret=OTHER)
    start(tmp_path, hash_salt_secret=SECRET)
    assert not (tmp_path / "secret").exists()


def test_a_lost_secret_is_not_replaced_and_where_it_was_looked_for_is_told(tmp_path: Path) -> None:
    start(tmp_path)
    secret = (tmp_path / "secret").read_text()
    (tmp_path / "secret").unlink()
    with pytest.raises(SecretMissingError, match=f"not set and {tmp_path}/secret does not exist"):
        start(tmp_path)
    assert not (tmp_path / "secret").exists()
    start(tmp_path, hash_salt_secret=secret)


def test_what_is_no_store_is_not_said_to_miss_its_secret(tmp_path: Path) -> None:
    (tmp_path / "dpdau.sqlite3").write_text("no database at all, but some text" * 99)
    with pytest.raises(StoreCorruptError, match="is damaged or is not a dpdau store"):
        start(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["dpdau.sqlite3"]


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff\xfe"])
def test_a_file_without_a_secret_in_it_is_told(tmp_path: Path, content: bytes) -> None:
    start(tmp_path)
    (tmp_path / "secret").write_bytes(content)
    with pytest.raises(WrongSecretError, match="secret is empty or holds something else"):
        start(tmp_path)


def test_a_store_that_was_never_claimed_gets_a_secret(tmp_path: Path) -> None:
    SqliteStore(tmp_path / "dpdau.sqlite3").close()
    start(tmp_path)
    assert (tmp_path / "secret").exists()


def test_an_empty_file_in_place_of_a_store_gets_a_secret(tmp_path: Path) -> None:
    (tmp_path / "dpdau.sqlite3").touch()
    start(tmp_path)
    assert (tmp_path / "secret").exists()


def test_programs_that_start_at_once_agree_on_the_secret(tmp_path: Path) -> None:
    with ThreadPoolExecutor(6) as threads:
        list(threads.map(lambda _: start(tmp_path), range(6)))
    assert sorted(path.name for path in tmp_path.glob("secret*")) == ["secret"]


def test_a_data_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreReadOnlyError, match="file/data cannot be written"):
        start(tmp_path / "file" / "data")


def test_a_disk_without_room_for_the_secret_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(bootstrap, "_create_secret", full)
    with pytest.raises(StoreFullError):
        start(tmp_path)


def test_settings_reach_the_parts_they_are_for(tmp_path: Path) -> None:
    settings = load_settings(
        data_dir=tmp_path,
        mau_window_days=7,
        mau_budget_total=2.0,
        series_share=0.5,
        w_bound_mau=6,
        lateness_hours=3,
        budget_period="quarter",
        timezone="Asia/Tokyo",
    )
    with build(settings, clock=FakeClock(datetime(2025, 2, 1, 17, tzinfo=UTC))) as app:
        assert app.calendar.today().isoformat() == "2025-02-02"
        assert app.budget_of(Metric.MAU).period == "2025-Q1"
        plan = app.plan(Metric.MAU, "2025-Q1")
        assert (plan.days, plan.epsilon) == (90, 1.0)
        assert app.release(Metric.MAU, app.calendar.last_closed_day()).window_days == 7


def test_a_database_without_its_driver_is_refused_with_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [each for each in sys.modules if each.startswith("dpdau.store.postgres")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "psycopg", None)
    settings = load_settings(data_dir=tmp_path, service_database_url="postgresql://somewhere/db")
    with pytest.raises(ExtraMissingError, match=r"pip install 'dpdau\[postgres\]'"):
        open_store(settings)
