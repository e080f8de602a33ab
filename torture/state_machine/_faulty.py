"""Faults that the product does not have, to show that the machine would find them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap

from dpdau.maintenance import restore
from dpdau.model.pairs import Pairs, pairs_of
from dpdau.pipeline import erase, ingest, rekeying, series
from dpdau.pipeline.budget import Budget
from dpdau.pipeline.ports import Tombstones
from dpdau.pipeline.publish import Publisher
from dpdau.pipeline.restoring import Remains
from dpdau.store.sqlite.transaction import SqliteTransaction

__all__ = ["FAULTS", "Fault", "introduce"]


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that a product might get wrong.

    Attributes:
        variant: of the machine, which finds it.
        introduce: gives it to this process.
    """

    variant: str
    introduce: Callable[[], None]


def _retractions_are_ignored() -> None:
    def ignoring(
        days: NDArray[np.int32], indices: NDArray[np.int64], active: NDArray[np.bool_]
    ) -> Pairs:
        return pairs_of(days[active], indices[active], active[active])

    _put(ingest, "pairs_of", ignoring)


def _tombstones_are_ignored() -> None:
    apply = ingest._apply_days  # noqa: SLF001 - it is to be broken

    def ignoring(transaction: SqliteTransaction, events: Any) -> int:
        find = transaction.tombstones
        nobody = Tombstones.merged([])
        _put(transaction, "tombstones", lambda _=None: nobody)
        try:
            return apply(transaction, events)
        finally:
            _put(transaction, "tombstones", find)

    _put(ingest, "_apply_days", ignoring)


def _answers_are_measured_again() -> None:
    release = Publisher.release

    def again(self: Publisher, metric: Any, day: Any, window_days: Any = None) -> Any:
        first = release(self, metric, day, window_days)
        return first if first.plan_id else self.revise(metric, day, window_days)

    _put(Publisher, "release", again)


def _nobody_is_limited() -> None:
    limited = series._limited  # noqa: SLF001 - it is to be broken
    _put(
        series, "_limited", lambda plan, state, present: (present, limited(plan, state, present)[1])
    )


def _restored_erasures_are_forgotten() -> None:
    _put(restore, "reapply", lambda *_: None)


def _restored_series_begin_anew() -> None:
    hand_over = Remains.hand_over

    def forgetting(self: Remains, transaction: Any) -> int:
        kept = {key: transaction.series_state(key) for key in transaction.series_keys()}
        added = hand_over(self, transaction)
        for key, state in kept.items():
            transaction.put_series_state(key, state)
        return added

    _put(Remains, "hand_over", forgetting)


def _returning_people_have_new_limits() -> None:
    bury = erase.erase_pseudonyms

    def without_index(transaction: Any, *arguments: Any) -> Any:
        tombstones, touched = bury(transaction, *arguments)
        tombstones.user_indices.fill(-1)
        transaction.put_tombstones(tombstones)
        return tombstones, touched

    for module in (erase, ingest):
        _put(module, "erase_pseudonyms", without_index)


def _nobody_moves_to_a_new_secret() -> None:
    _put(rekeying, "_move", lambda *_: None)


def _request_keys_are_forgotten() -> None:
    _put(SqliteTransaction, "erasure_of", lambda *_: None)


def _budgets_never_end() -> None:
    def generous(self: Budget, reader: Any, metric: Any, period: Any, *_: Any) -> float:
        return self.cap(reader, metric, period.name)

    _put(Budget, "require", generous)


def _windows_are_a_day_short() -> None:
    from dpdau.pipeline import count, ondemand  # noqa: PLC0415 - the only fault that needs them

    whole = count.present_users

    def short(reader: Any, day: Any, window_days: int) -> BitMap:
        return whole(reader, day, max(window_days - 1, 1))

    for module in (ondemand, series):
        _put(module, "present_users", short)


def _last_erasure_of_a_batch_keeps_its_day() -> None:
    bury = erase.erase_pseudonyms

    def too_early(transaction: Any, pseudonyms: Any, erased_on: Any, recorded_on: Any) -> Any:
        return bury(transaction, pseudonyms, erased_on - np.int32(1), recorded_on)

    for module in (erase, ingest):
        _put(module, "erase_pseudonyms", too_early)


def introduce(fault: str) -> None:
    """Give this process one of `FAULTS`."""
    FAULTS[fault].introduce()


def _put(owner: object, name: str, value: object) -> None:
    setattr(owner, name, value)


FAULTS: Final[Mapping[str, Fault]] = MappingProxyType(
    {
        "retractions are ignored": Fault("exact", _retractions_are_ignored),
        "tombstones are ignored": Fault("exact", _tombstones_are_ignored),
        "tombstones are a day early": Fault("exact", _last_erasure_of_a_batch_keeps_its_day),
        "answers are measured again": Fault("exact", _answers_are_measured_again),
        "windows are a day short": Fault("exact", _windows_are_a_day_short),
        "budgets never end": Fault("exact", _budgets_never_end),
        "request keys are forgotten": Fault("exact", _request_keys_are_forgotten),
        "restored erasures are forgotten": Fault("exact", _restored_erasures_are_forgotten),
        "nobody moves to a new secret": Fault("exact", _nobody_moves_to_a_new_secret),
        "nobody is limited": Fault("continual", _nobody_is_limited),
        "returning people have new limits": Fault("continual", _returning_people_have_new_limits),
        "restored series begin anew": Fault("continual", _restored_series_begin_anew),
    }
)
