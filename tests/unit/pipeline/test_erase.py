from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest

from dpdau.errors import ErasureNotFoundError, InvalidValueError
from dpdau.hashing import Pseudonymizer
from dpdau.model.calendar import Calendar, PeriodKind
from dpdau.pipeline.erase import Eraser
from dpdau.store import MemoryStore
from support import FakeClock


@pytest.fixture
def eraser() -> Eraser:
    calendar = Calendar(ZoneInfo("UTC"), timedelta(), 400, PeriodKind.MONTH, FakeClock())
    return Eraser(MemoryStore(), Pseudonymizer("a secret of the tests"), calendar)


@pytest.mark.parametrize("bad", ["", "x" * 257, "é" * 129, "\ud800"])
def test_an_id_that_no_event_can_have_is_refused_without_being_repeated(
    eraser: Eraser, bad: str
) -> None:
    with pytest.raises(InvalidValueError, match=r"user_ids\[1\] is .*1 to 256 bytes") as refusal:
        eraser.erase(["ada", bad])
    assert bad == "" or bad not in str(refusal.value)


def test_nobody_cannot_be_erased(eraser: Eraser) -> None:
    with pytest.raises(InvalidValueError, match="at least one user id"):
        eraser.erase([])


def test_an_erasure_waits_for_its_purge(eraser: Eraser) -> None:
    erasure = eraser.erase(["ada", "ada", "grace"])
    assert erasure.completed_at is None
    assert erasure.users == 2
    assert eraser.finish() == 0
    assert eraser.find(erasure.erasure_id).completed_at is not None
    assert eraser.finish() == 0


def test_an_unknown_record_is_named(eraser: Eraser) -> None:
    with pytest.raises(ErasureNotFoundError, match="'nothing'"):
        eraser.find("nothing")
