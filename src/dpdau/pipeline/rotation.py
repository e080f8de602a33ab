"""Rotation: replacing the secret of the pseudonyms while the store goes on counting.

When a rotation starts, every known user is marked as outdated: known by a pseudonym that was made
with the previous secret. `pipeline.rekeying` moves each of them when they are next heard of; those
who are not are forgotten with their last activity. No user changes index, so no count changes.
"""

from collections import Counter
from dataclasses import dataclass
from datetime import date, timedelta

import msgspec
import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap

from dpdau.errors import StoreError, WrongSecretError
from dpdau.model.calendar import Calendar
from dpdau.pipeline.ports import OUTDATED, Reader, Store, Transaction

__all__ = ["KEY_CHECK", "Rotation", "RotationStatus", "join_rotation", "rotation_status"]

KEY_CHECK = "key_check_value"

_ROTATION = "rotation"


class Rotation(msgspec.Struct, frozen=True):
    """What the store keeps about the newest rotation.

    Attributes:
        previous_key_check: the key-check value of the secret that was replaced.
        started_on: the day on which it was replaced.
        users: how many were known on that day.
        tombstones: how many tombstones are still under the previous secret, by the ordinal of
            the day that their retention counts from.
    """

    previous_key_check: str
    started_on: date
    users: int
    tombstones: dict[int, int]

    @classmethod
    def of(cls, reader: Reader) -> "Rotation | None":
        """The newest rotation; None if the store has its first secret.

        Raises:
            StoreError: if what is kept of it cannot be read.
        """
        kept = reader.meta(_ROTATION)
        try:
            return None if kept is None else msgspec.json.decode(kept, type=cls)
        except msgspec.MsgspecError as error:
            message = "What the store keeps of its rotation is damaged. Restore a backup."
            raise StoreError(message) from error

    def keep(self, transaction: Transaction) -> None:
        """Write it."""
        transaction.put_meta(_ROTATION, msgspec.json.encode(self).decode())

    def without(self, recorded_on: NDArray[np.int32]) -> "Rotation":
        """It, after outdated tombstones that were recorded on these days have moved."""
        remaining = Counter(self.tombstones)
        remaining.subtract(recorded_on.tolist())
        return msgspec.structs.replace(self, tombstones=dict(+remaining))


@dataclass(frozen=True, slots=True)
class RotationStatus:
    """How far a rotation is; for operators only.

    Attributes:
        started_on: the day on which the secret was replaced.
        users: how many were known on that day.
        users_remaining: how many of them are known by their former pseudonym only.
        tombstones_remaining: how many erased people are.
        ends_by: the day on which retention has dropped the last of both, as long as closed days
            are published.
    """

    started_on: date
    users: int
    users_remaining: int
    tombstones_remaining: int
    ends_by: date

    @property
    def is_complete(self) -> bool:
        """Whether the previous secret is needed no more."""
        return not self.users_remaining and not self.tombstones_remaining


def rotation_status(reader: Reader, calendar: Calendar) -> RotationStatus | None:
    """How far the newest rotation is; None if there was none."""
    rotation = Rotation.of(reader)
    if rotation is None:
        return None
    first_kept = calendar.accepted_days()[0].toordinal()
    # Tombstones past their retention protect nothing, whether or not they were dropped yet.
    tombstones = sum(count for day, count in rotation.tombstones.items() if day >= first_kept)
    return RotationStatus(
        started_on=rotation.started_on,
        users=rotation.users,
        users_remaining=len(reader.members(OUTDATED, OUTDATED)),
        tombstones_remaining=tombstones,
        # Events of the day after were accepted on that day, and are kept for the retention.
        ends_by=rotation.started_on + timedelta(days=calendar.retention_days + 2),
    )


def join_rotation(store: Store, key_check: str, previous: str | None, calendar: Calendar) -> bool:
    """Check the secrets of a store that has one, and start a rotation if it is due.

    Several processes may do so at once: the first one starts the rotation, the others join it.
    Those that were started before, with the previous secret only, can write no more.

    Args:
        store: the store, which has a key-check value.
        key_check: the key-check value of the secret in force.
        previous: that of the previous secret; None if none is set.
        calendar: what time it is.

    Returns:
        Whether a rotation runs, so that people have to be looked up under both secrets.

    Raises:
        WrongSecretError: if the secrets are not those of the store; nothing was changed.
    """
    if key_check == previous:
        raise WrongSecretError(
            "HASH_SALT_SECRET_PREVIOUS is the secret in force, not the one before it. Set "
            "HASH_SALT_SECRET to the new secret, or unset HASH_SALT_SECRET_PREVIOUS."
        )
    with store.read() as reader:
        if reader.meta(KEY_CHECK) == key_check:
            return _is_running(reader, previous, calendar)
    with store.write() as transaction:
        # Another process may have started it since.
        if transaction.meta(KEY_CHECK) != key_check:
            _start(transaction, key_check, previous, calendar)
        return _is_running(transaction, previous, calendar)


def _is_running(reader: Reader, previous: str | None, calendar: Calendar) -> bool:
    """Whether the previous secret is needed, and pass if it is the right one."""
    rotation = Rotation.of(reader)
    if previous is not None and (rotation is None or previous != rotation.previous_key_check):
        raise WrongSecretError(
            "HASH_SALT_SECRET is the secret of this store, but HASH_SALT_SECRET_PREVIOUS is not "
            "the one that it had before. Set the right one, or unset it if "
            "`dpdau rekey --status` shows no rotation that runs; to start a rotation, set "
            "HASH_SALT_SECRET to the new secret."
        )
    status = rotation_status(reader, calendar)
    is_running = status is not None and not status.is_complete
    if is_running and previous is None:
        raise WrongSecretError(
            "A rotation of HASH_SALT_SECRET is not complete: people are still known by "
            "pseudonyms made with the secret before. Set HASH_SALT_SECRET_PREVIOUS to that one "
            "again until `dpdau rekey --status` says that the rotation is complete."
        )
    return is_running


def _start(
    transaction: Transaction, key_check: str, previous: str | None, calendar: Calendar
) -> None:
    """Make all that is known outdated, if the store's secret is the previous one."""
    if previous is None:
        raise WrongSecretError
    known = transaction.meta(KEY_CHECK)
    if known is None:
        raise WrongSecretError(
            "The store in DATA_DIR is new and had no secret before this one. Unset "
            "HASH_SALT_SECRET_PREVIOUS, or set DATA_DIR to the store that is to be rotated."
        )
    if known != previous:
        raise WrongSecretError(
            "Neither HASH_SALT_SECRET nor HASH_SALT_SECRET_PREVIOUS is the secret of this store. "
            "To rotate it, set HASH_SALT_SECRET_PREVIOUS to the secret that worked last and "
            "HASH_SALT_SECRET to the new one."
        )
    status = rotation_status(transaction, calendar)
    if status is not None and not status.is_complete:
        raise WrongSecretError(
            "A rotation of HASH_SALT_SECRET is not complete, so another one cannot start. Set "
            "HASH_SALT_SECRET and HASH_SALT_SECRET_PREVIOUS back to what they were until "
            "`dpdau rekey --status` says that the rotation is complete."
        )
    users = transaction.known_users()
    days, counts = np.unique(transaction.tombstones().recorded_on, return_counts=True)
    transaction.update_members(OUTDATED, users, BitMap())
    Rotation(
        previous_key_check=previous,
        started_on=calendar.today(),
        users=len(users),
        tombstones=dict(zip(days.tolist(), counts.tolist(), strict=True)),
    ).keep(transaction)
    transaction.put_meta(KEY_CHECK, key_check)
