from datetime import date
from zoneinfo import ZoneInfo

import pytest

from dpdau.formats import EventRules


@pytest.fixture(scope="session")
def rules() -> EventRules:
    return EventRules(
        timezone=ZoneInfo("Europe/Berlin"),
        first_day=date(2025, 1, 1),
        last_day=date(2026, 12, 31),
        erase_by_default=False,
    )
