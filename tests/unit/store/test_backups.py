"""The folder of backups, whatever files are in it."""

from datetime import UTC, datetime
from pathlib import Path

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from dpdau.store import BackupFolder

MADE = datetime(2025, 10, 7, 3, 15, 30, tzinfo=UTC)
NAMES = st.from_regex(r"(dpdau-)?[0-9TZ.a-z\u0660\u0661-]{0,20}(\.sqlite3)?", fullmatch=True)


@given(st.sets(NAMES.filter(lambda name: name not in {"", ".", ".."}), max_size=6))
@example({"dpdau-99999999T999999Z.sqlite3", "dpdau-.sqlite3", "dpdau-00000000T000000Z.sqlite3"})
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_names_of_another_kind_tell_no_time(tmp_path: Path, names: set[str]) -> None:
    folder = BackupFolder(tmp_path, 0)
    for file in tmp_path.iterdir():
        file.unlink()
    for name in {*names, folder.new_path(MADE).name}:
        (tmp_path / name).touch()
    newest = folder.newest_made_at()
    assert newest is not None
    assert newest >= MADE
    assert folder.new_path(newest) in folder.files() or newest > MADE
