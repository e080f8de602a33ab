"""A store with many people in it, for the benchmarks that ask what that costs."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap

from _harness import SECRET
from dpdau.application import Application
from dpdau.bootstrap import build
from dpdau.config import load_settings
from dpdau.hashing import Pseudonymizer
from dpdau.model.bitmaps import bitmap_of
from dpdau.pipeline.ports import Store

__all__ = ["Population", "activity", "fill", "fill_store", "opened", "user_ids"]

_BATCH_USERS = 100_000


@dataclass(frozen=True, slots=True)
class Population:
    """Who there is; everyone is active on each day with the same probability.

    Attributes:
        users: how many people.
        days: how many days, up to yesterday.
        share: the probability of being active on a day.
    """

    users: int
    days: int
    share: float = 0.3

    @property
    def last_day(self) -> date:
        """The newest day that is over everywhere."""
        return datetime.now(UTC).date() - timedelta(days=1)

    @property
    def first_day(self) -> date:
        """The oldest day."""
        return self.last_day - timedelta(days=self.days - 1)

    @property
    def pairs(self) -> float:
        """How many (user, day) pairs are to be expected."""
        return self.users * self.days * self.share


def user_ids(numbers: NDArray[np.int64]) -> list[str]:
    """The ids of people by their number."""
    return [f"user-{number:08d}" for number in numbers.tolist()]


def activity(population: Population, day: int) -> NDArray[np.uint32]:
    """The numbers of those active on a day, counted from 0; the same at every call."""
    draws = np.random.default_rng(day).random(population.users, dtype=np.float32)  # noqa: TID251
    return np.flatnonzero(draws < population.share).astype(np.uint32)


def opened(data_dir: Path) -> Application:
    """The product on a folder, as the command line opens it."""
    return build(load_settings(data_dir=data_dir, hash_salt_secret=SECRET, lateness_hours=0))


def fill(data_dir: Path, population: Population) -> None:
    """Put a population into a new store; a person's number becomes their user index."""
    with opened(data_dir) as application:
        fill_store(application.store, population)


def fill_store(store: Store, population: Population) -> None:
    """The same for a store that is open."""
    pseudonymizer = Pseudonymizer(SECRET)
    for start in range(0, population.users, _BATCH_USERS):
        numbers = np.arange(start, min(start + _BATCH_USERS, population.users))
        with store.write() as transaction:
            transaction.allot_indices(pseudonymizer.pseudonyms(user_ids(numbers)))
    for day in range(population.days):
        active = bitmap_of(activity(population, day))
        with store.write() as transaction:
            ordinal = population.first_day.toordinal() + day
            transaction.update_members(ordinal, active, BitMap())
    store.purge()
