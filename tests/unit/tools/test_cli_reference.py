from pathlib import Path

import cli_reference
from dpdau.cli.exit_codes import exit_codes


def test_every_command_has_its_section_and_an_example() -> None:
    sections = cli_reference.reference().split("\n### ")[1:]

    assert {section.split("`")[1] for section in sections} == {
        f"dpdau {name}"
        for name in (
            *(
                "serve",
                "version",
                "ingest",
                "consume",
                "generate-synthetic",
                "simulate",
                "dau",
                "mau",
                "series",
            ),
            *("publish", "revise", "erase", "erasure", "budget", "raise-cap", "ledger", "verify"),
            *(
                "ledger-acknowledge",
                "plan",
                "explain",
                "rekey",
                "backup",
                "restore",
                "doctor",
                "migrate-store",
                "erase-again",
                "sketch export",
                "sketch import",
            ),
            *("spark publish", "spark land", "spark compact", "spark adopt"),
        )
    }
    for section in sections:
        name = section.split("`")[1]
        assert f"\n$ {name}" in section
        assert "| `--json` |" in section


def test_every_exit_code_is_listed() -> None:
    listed = cli_reference.reference().split("## Exit codes")[1]

    for code, titles in exit_codes().items():
        assert f"| {code} | {'; '.join(titles)} |" in listed


def test_the_reference_among_the_documents_is_fresh() -> None:
    assert cli_reference.main(["--check"]) == 0


def test_a_stale_reference_is_written_anew(tmp_path: Path) -> None:
    path = tmp_path / "cli.md"
    path.write_text("old")

    assert cli_reference.main(["--check"], path) == 1
    assert cli_reference.main([], path) == 0
    assert cli_reference.main(["--check"], path) == 0
