"""What most of these tests live by: a clock that stands still, and a store without a file."""

from datetime import timedelta

import pytest

from dpdau.store import MemoryStore
from support import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def leaps_are_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let more than a month pass at once in tests that are about something else."""
    for module in ("leaps", "upkeep"):
        monkeypatch.setattr(f"dpdau.pipeline.{module}.BELIEVED_AFTER", timedelta(0))
