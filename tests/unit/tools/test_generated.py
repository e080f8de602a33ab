from pathlib import Path

import pytest

from generated import write_or_check


def test_what_is_written_is_fresh(tmp_path: Path) -> None:
    path = tmp_path / "document.md"
    assert write_or_check([], "", path, "ε\n") == 0
    assert path.read_text(encoding="utf-8") == "ε\n"
    assert write_or_check(["--check"], "", path, "ε\n") == 0


@pytest.mark.parametrize("written", ["same\nold\n", None])
def test_a_stale_or_missing_document_fails_with_the_difference_and_stays_as_it_is(
    written: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "document.md"
    if written is not None:
        path.write_text(written)
    assert write_or_check(["--check"], "", path, "same\nnew\n") == 1
    printed = capsys.readouterr().out
    assert f"{path} is stale; run `make references`." in printed
    assert "+new" in printed
    assert ("-old" in printed) is (written is not None)
    assert (path.read_text() if path.exists() else None) == written


def test_a_line_ending_alone_makes_a_document_stale(tmp_path: Path) -> None:
    path = tmp_path / "document.md"
    path.write_text("same")
    assert write_or_check(["--check"], "", path, "same\n") == 1
