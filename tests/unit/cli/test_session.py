import io
from pathlib import Path

import pytest
from rich.console import Console

from dpdau.cli.rejected import RejectedLines
from dpdau.cli.session import Session
from dpdau.errors import InvalidValueError
from dpdau.formats import RefusedLine


@pytest.mark.parametrize(
    ("is_terminal", "as_json", "seen"),
    [(True, False, True), (False, False, False), (True, True, False)],
)
def test_waiting_is_shown_on_a_terminal_only(is_terminal: bool, as_json: bool, seen: bool) -> None:  # noqa: FBT001 - cases
    written = io.StringIO()
    console = Console(file=written, force_terminal=is_terminal)
    with Session(as_json=as_json, err=console).waiting("Publishing"):
        pass

    assert ("Publishing …" in written.getvalue()) is seen


def test_a_message_is_printed_as_it_is() -> None:
    written = io.StringIO()
    Session(err=Console(file=written, width=10)).warn("[bold]a long message[/bold]")

    assert written.getvalue() == "[bold]a long message[/bold]\n"


def test_lines_that_cannot_be_kept_stop_the_ingestion(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    with RejectedLines(folder / "e.jsonl") as rejected:
        folder.rmdir()
        with pytest.raises(InvalidValueError, match=r"e\.jsonl\.rejected\.jsonl can be written"):
            rejected.add(RefusedLine(1, "is bad", "x"))

    assert rejected.count == 0
