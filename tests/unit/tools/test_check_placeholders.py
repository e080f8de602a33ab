from pathlib import Path

import pytest

import check_placeholders


def test_every_placeholder_of_the_documents_names_a_setting() -> None:
    assert check_placeholders.main() == 0


def test_the_documents_are_the_markdown_files_of_the_checkout() -> None:
    root = check_placeholders.ROOT
    found = {str(path.relative_to(root)) for path in check_placeholders.documents(root)}
    assert {"README.md", "CONTRIBUTING.md", "docs/Placeholders.md"} <= found
    assert not [name for name in found if name.startswith(".venv")]


def test_a_placeholder_that_names_no_setting_is_found_with_its_line() -> None:
    text = "{{DELTA}} and {{ DATA_DIR }}\n\nnot {{EPSILON_DUA}}, not {{delta}}, but {{.Format}}\n"
    found = check_placeholders.unknown_placeholders(text, ["DELTA", "DATA_DIR"])
    assert list(found) == [(3, "EPSILON_DUA"), (3, "delta")]


def test_a_wrong_document_fails_with_file_and_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "README.md").write_text("fine: {{DELTA}}\n")
    (tmp_path / "docs" / "guide.md").write_text("first\nsecond {{DELTAS}}\n")
    assert check_placeholders.main(tmp_path) == 1
    assert capsys.readouterr().out == "docs/guide.md:2: {{DELTAS}} names no setting\n"
