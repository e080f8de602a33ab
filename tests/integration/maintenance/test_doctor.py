"""What the doctor says of a sound installation, and of everything that is wrong with one."""

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from dpdau.config import Settings
from dpdau.maintenance.doctor import Finding, State, examine
from support.places import Place

LARGE = (10**12, 0, 10**12)
SMALL = (10**12, 0, 10**6)


@pytest.fixture(autouse=True)
def room(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever disk the tests run on."""
    monkeypatch.setattr("shutil.disk_usage", lambda _: shutil._ntuple_diskusage(*LARGE))  # noqa: SLF001 - what it returns


@pytest.fixture
def sound(place: Place) -> Place:
    """As good as one disk allows."""
    place.given["service_api_key"] = "a-key-of-the-service"
    place.active("ada", "bob")
    place.publish()
    place.back_up()
    return place


def findings(place: Place) -> dict[str, Finding]:
    return {each.check: each for each in examine(place.settings, clock=place.clock)}


def states(place: Place) -> dict[str, str]:
    return {check: str(each.state) for check, each in findings(place).items()}


def test_of_a_sound_installation_only_the_one_disk_is_remarked(sound: Place) -> None:
    found = states(sound)
    assert found.pop("ledger head") == "warning"
    assert set(found.values()) == {"ok"}
    assert set(found) == {
        *("secret", "keys", "permissions", "free space", "store", "schema", "ledger"),
        *("rollback", "erasures", "clock", "journal", "backups"),
    }


def test_it_changes_nothing(sound: Place) -> None:
    def seen() -> dict[str, tuple[bytes, float]]:
        kept = [file for file in sound.directory.rglob("*") if file.is_file()]
        return {str(file): (file.read_bytes(), file.stat().st_mtime) for file in kept}

    before = seen()
    findings(sound)
    assert seen() == before


def test_it_reads_a_store_that_is_in_use(sound: Place) -> None:
    with sound.open() as app:
        app.erase(["ada"])
        assert states(sound)["store"] == "ok"


def test_before_the_first_start_it_says_so(place: Place) -> None:
    found = states(place)
    assert found["store"] == "warning"
    assert "ledger" not in found
    assert not place.directory.exists()


def test_no_finding_tells_how_many_people_there_are(place: Place) -> None:
    place.active(*(f"user-{number}" for number in range(1_234)))
    place.erase(*(f"user-{number}" for number in range(777)))
    text = " ".join(each.found + each.remedy for each in findings(place).values())
    assert not any(number in text for number in ("1,234", "1234", "777", "457"))


def test_a_secret_beside_the_data_is_remarked_and_a_missing_one_is_a_problem(sound: Place) -> None:
    secret = sound.given.pop("hash_salt_secret")
    assert states(sound)["secret"] == "problem"
    # It is not said to be another one as well.
    assert "secret of the store" not in states(sound)
    (sound.directory / "secret").write_text(secret)
    (sound.directory / "secret").chmod(0o600)
    found = states(sound)
    assert found["secret"] == "warning"
    assert "secret of the store" not in found


def test_another_secret_is_a_problem(sound: Place) -> None:
    sound.given["hash_salt_secret"] = "quite another secret than before"
    found = findings(sound)
    assert found["secret of the store"].state is State.PROBLEM
    assert found["backups"].state is State.PROBLEM
    assert "another secret" in found["backups"].found


def test_a_service_without_a_key_is_remarked(sound: Place) -> None:
    del sound.given["service_api_key"]
    assert states(sound)["keys"] == "warning"


def test_a_head_on_another_disk_is_fine(sound: Place, tmp_path: Path) -> None:
    sound.given["ledger_head_path"] = tmp_path / "elsewhere" / "ledger.head"
    assert states(sound)["ledger head"] == "warning"
    real = Path.stat

    def stat(self: Path, **options: Any) -> os.stat_result:
        found = list(real(self, **options))
        if self == tmp_path:
            found[2] += 1
        return os.stat_result(found)

    with patch.object(Path, "stat", stat):
        assert states(sound)["ledger head"] == "ok"


def test_files_that_others_may_read_are_a_problem(sound: Place) -> None:
    sound.directory.chmod(0o755)
    assert states(sound)["permissions"] == "warning"
    sound.database.chmod(0o644)
    found = findings(sound)["permissions"]
    assert found.state is State.PROBLEM
    assert str(sound.database) in found.found
    sound.directory.chmod(0o700)
    assert states(sound)["permissions"] == "ok"


def test_folders_that_others_may_write_to_are_a_problem(sound: Place, tmp_path: Path) -> None:
    sound.directory.chmod(0o730)
    assert f"others may put files of theirs into {sound.directory}" in told(sound)
    sound.directory.chmod(0o700)
    outside = tmp_path / "elsewhere"
    outside.mkdir()
    outside.chmod(0o777)
    sound.given["ledger_head_path"] = outside / "ledger.head"
    assert f"others may put files of theirs into {outside}" in told(sound)
    outside.chmod(0o1777)  # there nobody can replace what is another's
    assert states(sound)["permissions"] == "ok"


def test_files_that_are_kept_elsewhere_are_looked_at_too(
    sound: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = tmp_path / "elsewhere"
    outside.mkdir(mode=0o755)
    sound.given["ledger_head_path"] = outside / "ledger.head"
    sound.open().close()
    assert states(sound)["permissions"] == "ok"
    (outside / "erasures.journal").chmod(0o640)
    assert f"others may read {outside / 'erasures.journal'}" in told(sound)
    (outside / "erasures.journal").chmod(0o600)
    env_file = outside / ".env"
    env_file.write_text("SERVICE_API_KEY=a-key-of-sixteen-characters\n")
    env_file.chmod(0o644)
    monkeypatch.setitem(Settings.model_config, "env_file", str(env_file))
    assert f"others may read {env_file}" in told(sound)
    env_file.chmod(0o600)
    assert states(sound)["permissions"] == "ok"


def told(place: Place) -> str:
    found = findings(place)["permissions"]
    assert found.state is State.PROBLEM
    return found.found


def test_a_disk_that_is_nearly_full_is_remarked(
    sound: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: shutil._ntuple_diskusage(*SMALL))  # noqa: SLF001 - as above
    assert states(sound)["free space"] == "warning"


def test_a_damaged_file_is_a_problem(sound: Place) -> None:
    with sound.database.open("r+b") as file:
        file.seek(4_096)
        file.write(b"\xff" * 60_000)
    assert states(sound)["store"] == "problem"


def test_an_older_schema_is_remarked_and_looked_at_no_further(sound: Place) -> None:
    with closing(sqlite3.connect(sound.database)) as connection:
        connection.execute("PRAGMA user_version = 1")
    found = states(sound)
    assert (found["store"], found["schema"]) == ("ok", "warning")
    assert "ledger" not in found


def test_a_ledger_that_is_not_true_is_a_problem(sound: Place) -> None:
    with closing(sqlite3.connect(sound.database)) as connection, connection:
        connection.execute("DROP TRIGGER ledger_is_never_changed")
        connection.execute("UPDATE ledger SET period = '2025-12'")
    assert states(sound)["ledger"] == "problem"


def test_a_store_that_was_rolled_back_is_a_problem(sound: Place) -> None:
    older = sound.database.read_bytes()
    sound.publish(days_ago=2)
    sound.database.write_bytes(older)
    assert states(sound)["rollback"] == "problem"


def test_an_erasure_that_is_not_done_is_remarked(sound: Place) -> None:
    with sound.open() as app:
        app.eraser.erase(["ada"])
    assert states(sound)["erasures"] == "warning"


def test_a_clock_that_was_set_back_is_a_problem(sound: Place) -> None:
    sound.clock.advance(days=-40)
    assert states(sound)["clock"] == "problem"


def test_backups_that_are_missing_old_or_broken_are_told(sound: Place) -> None:
    (file,) = (sound.directory / "backups").iterdir()
    sound.clock.advance(days=8)
    assert "8 days old" in findings(sound)["backups"].found
    newer = sound.back_up().path
    assert states(sound)["backups"] == "ok"
    newer.write_bytes(b"no database" * 1_000)
    assert states(sound)["backups"] == "problem"
    newer.unlink()
    file.unlink()
    assert states(sound)["backups"] == "warning"


def test_a_journal_that_is_missing_or_damaged_is_told(sound: Place) -> None:
    journal = sound.directory / "erasures.journal"
    journal.write_bytes(b"not what was written")
    assert states(sound)["journal"] == "problem"
    journal.unlink()
    assert states(sound)["journal"] == "warning"
