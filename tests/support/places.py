"""A product on a folder, and backups of it."""

from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dpdau.application import Application
from dpdau.bootstrap import backups_of
from dpdau.config import Settings, load_settings
from dpdau.hashing import Pseudonymizer
from dpdau.maintenance.backup import Backup, back_up
from dpdau.maintenance.restore import Restored, restore
from dpdau.model.releases import Metric
from dpdau.pipeline.ports import Tombstones
from support.builders import FakeClock, application, columns
from support.oracle import Event

__all__ = ["SECRET", "Place", "gone", "pseudonym_of", "send"]

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

    def reach_backups(self, tombstones: Tombstones) -> int:
        """Take people out of the backups in the data directory."""
        key_check = Pseudonymizer(SECRET).key_check_value
        return backups_of(self.settings).erase(tombstones, key_check)

    def active(self, *users: str, days_ago: int = 1) -> None:
        """Let people be active on a day."""
        day = self.today - timedelta(days=days_ago)
        with self.open() as app:
            send(app, [Event(user, day) for user in users])

    def erase(self, *users: str) -> None:
        with self.open() as app:
            app.erase(users)

    def publish(self, metric: Metric = Metric.DAU, days_ago: int = 1) -> int:
        """Release a day; gives the estimate."""
        with self.open() as app:
            return app.release(metric, self.today - timedelta(days=days_ago)).estimate

    def rows(self) -> list[str]:
        """What the ledger records, verified."""
        with self.open() as app:
            app.verify()
            return [row.subject for row in app.ledger()]

    def present(self, days_ago: int = 1) -> int:
        """How many are active on a day, without noise."""
        day = (self.today - timedelta(days=days_ago)).toordinal()
        with self.open() as app, app.store.read() as reader:
            return len(reader.members(day, day))


def pseudonym_of(user: str) -> NDArray[np.uint64]:
    return Pseudonymizer(SECRET).pseudonyms([user])


def gone(user: str, on: date, index: int = -1) -> Tombstones:
    """The tombstone of someone who was erased on a day."""
    ordinal = np.array([on.toordinal()], dtype=np.int32)
    return Tombstones(pseudonym_of(user), ordinal, ordinal, np.array([index], dtype=np.int64))


def send(app: Application, events: list[Event]) -> None:
    app.ingestor.apply(app.ingestor.pseudonymize(columns(events)))
