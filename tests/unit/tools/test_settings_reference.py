from pathlib import Path

import settings_reference
from dpdau.config import describe_settings


def test_every_setting_has_one_row_with_what_it_declares() -> None:
    rows = settings_reference.reference(describe_settings()).splitlines()
    for setting in describe_settings():
        (row,) = [row for row in rows if f"`{setting.name}` |" in row]
        assert row.count("|") == 6
        assert setting.unit in row
        assert setting.expected in row
        assert setting.meaning in row


def test_the_reference_among_the_documents_is_fresh() -> None:
    assert settings_reference.main(["--check"]) == 0


def test_a_reference_that_lacks_a_setting_is_stale(tmp_path: Path) -> None:
    path = tmp_path / "configuration.md"
    path.write_text(settings_reference.reference(describe_settings()[1:]))
    assert settings_reference.main(["--check"], path) == 1
    assert settings_reference.main([], path) == 0
    assert settings_reference.main(["--check"], path) == 0
