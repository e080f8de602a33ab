"""A product on a folder, and another machine to restore to."""

from pathlib import Path

import pytest

from support.places import Place


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "data")


@pytest.fixture
def another(tmp_path: Path, place: Place) -> Place:
    return Place(tmp_path / "another", place.clock, place.given)
