from pathlib import Path

import pytest

import settings_reference
from dpdau.config import describe_settings


def test_every_setting_has_one_row_with_what_it_declares() -> None:
    rows = settings_reference.reference(describe_settings()).splitlines()
    for setting in describe_settings():
        (row,) = [row for row in rows if row.startswith(f"| `{setting.name}` |")]
        assert row.count("|") == 6
        assert setting.unit in row
        assert setting.expected in row
        assert setting.meaning in row


def test_the_reference_in_the_documents_is_fresh() -> None:
    assert settings_reference.main(["--check"]) == 0


def test_what_is_written_is_fresh(tmp_path: Path) -> None:
    path = tmp_path / "configuration.md"
    assert settings_reference.main([], path) == 0
    assert settings_reference.main(["--check"], path) == 0


@pytest.mark.parametrize("written", ["| `DELTA` | `0.1` |\n", None])
def test_a_stale_or_missing_reference_fails_with_the_difference(
    written: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "configuration.md"
    if written is not None:
        path.write_text(written)
    assert settings_reference.main(["--check"], path) == 1
    printed = capsys.readouterr().out
    assert "run `make references`" in printed
    assert "+| `DELTA` | `1e-06` |" in printed
    assert ("-| `DELTA` | `0.1` |" in printed) is (written is not None)
    assert path.exists() is (written is not None)
