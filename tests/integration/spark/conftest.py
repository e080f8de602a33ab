"""One Spark for all tests of a process, and places to work in."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.places import SECRET, Place
from support.spark import java_or_skip, local_spark

SETTINGS = {
    "activity_source": "spark",
    "lateness_hours": 0,
    "w_bound_mau": 2,
    "w_bound_dau": 4,
    "mau_window_days": 3,
    "hash_salt_secret": SECRET,
}


@pytest.fixture(scope="session")
def event_log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where the session logs its events; starts it."""
    java_or_skip()
    with local_spark(tmp_path_factory.mktemp("spark")) as events:
        yield events


@pytest.fixture
def place(tmp_path: Path, event_log: Path) -> Place:  # noqa: ARG001 - starts Spark
    """A new store whose values Spark counts."""
    return Place(tmp_path / "data", given=dict(SETTINGS))
