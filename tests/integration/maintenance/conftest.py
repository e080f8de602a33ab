"""A product on a folder, and backups of it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from dpdau.application import Application
from dpdau.config import Settings, load_settings
from dpdau.maintenance.backup import Backup, back_up
from dpdau.maintenance.restore import Restored, restore
from support import Event, FakeClock, application, columns

SECRET = "one secret for every store of these tests"


@dataclass
class Place:
    """A data directory, its clock, and what an operator does there."""

    directory: Path
    clock: FakeClock = field(default_factory=FakeClock)
    given: dict[str, Any] = field(
        default_factory=lambda: {
            "mechanism_dau": "laplace",
            "epsilon_dau": 0.3,
            "w_bound_mau": "unbounded",
            "hash_salt_secret": SECRET,
        }
    )

    @property
    def settings(self) -> Settings:
        return load_settings(data_dir=self.directory, **self.given)

    @property
    def database(self) -> Path:
        return self.directory / "dpdau.sqlite3"

    @property
    def today(self) -> date:
        return self.clock.now.date()

    def open(self) -> Application:
        return application(self.directory, clock=self.clock, **self.given)

    def back_up(self, **options: Any) -> Backup:
        return back_up(self.settings, clock=self.clock, **options)

    def restore(self, file: Path, **options: Any) -> Restored:
        return restore(self.settings, file, clock=self.clock, **options)

    def active(self, *users: str, days_ago: int = 1) -> None:
        """Let people be active on a day."""
        day = self.today - timedelta(days=days_ago)
        with self.open() as app:
            send(app, [Event(user, day) for user in users])

    def present(self, days_ago: int = 1) -> int:
        """How many are active on a day, without noise."""
        day = (self.today - timedelta(days=days_ago)).toordinal()
        with self.open() as app, app.store.read() as reader:
            return len(reader.members(day, day))


def send(app: Application, events: list[Event]) -> None:
    app.ingestor.apply(app.ingestor.pseudonymize(columns(events)))


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "data")


@pytest.fixture
def another(tmp_path: Path, place: Place) -> Callable[[], Place]:
    """Another machine with the same clock and settings."""
    return lambda: Place(tmp_path / "another", place.clock, place.given)
