"""Who may work in a folder, and what becomes of half-made files."""

from contextlib import suppress
from pathlib import Path
from unittest.mock import patch

import pytest

from dpdau.errors import StoreFullError, StoreInUseError, StoreReadOnlyError
from dpdau.store.folders import alone, drafting, occupied, put_in_place, taking_turns


def test_several_may_work_in_a_folder_but_nobody_has_it_alone(tmp_path: Path) -> None:
    with occupied(tmp_path), occupied(tmp_path), pytest.raises(StoreInUseError), alone(tmp_path):
        pass
    with alone(tmp_path), pytest.raises(StoreInUseError), occupied(tmp_path):
        pass
    with taking_turns(tmp_path):
        pass


def test_a_folder_is_made_for_its_owner_only(tmp_path: Path) -> None:
    with occupied(tmp_path / "new"):
        assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreReadOnlyError, match="file/new"), occupied(tmp_path / "file" / "new"):
        pass
    full = OSError(28, "No space left on device")
    with patch("os.open", side_effect=full), pytest.raises(StoreFullError), occupied(tmp_path):
        pass


def test_a_draft_takes_its_place_whole_and_leaves_nothing_beside(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("former")
    with drafting(target) as draft:
        draft.write_text("whole")
        assert target.read_text() == "former"
        put_in_place(draft, target)
    assert target.read_text() == "whole"
    assert list(tmp_path.iterdir()) == [target]


def test_a_draft_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("former")
    with suppress(ZeroDivisionError), drafting(target) as draft:
        draft.write_text("half")
        raise ZeroDivisionError
    assert target.read_text() == "former"
    assert list(tmp_path.iterdir()) == [target]


def test_two_processes_do_not_draft_the_same_file(tmp_path: Path) -> None:
    target = tmp_path / "target"
    with drafting(target) as draft:
        draft.write_text("first")
        with pytest.raises(StoreInUseError), drafting(target):
            pass
        assert draft.read_text() == "first"


def test_a_draft_of_a_dead_process_is_replaced(tmp_path: Path) -> None:
    target = tmp_path / "target"
    (tmp_path / "target.draft").mkdir()
    (tmp_path / "target.draft" / "target").write_text("stale")
    with drafting(target) as draft:
        assert not draft.exists()
