"""Events in columns: the form in which they travel from a decoder to the store."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dpdau.model.texts import concatenated

__all__ = ["MAX_USER_ID_BYTES", "EventColumns", "Refusal"]

MAX_USER_ID_BYTES = 256


@dataclass(frozen=True, slots=True)
class EventColumns:
    """A batch of well-formed events, in arrival order, one column a field.

    Attributes:
        user_ids: n opaque names, each 1 to 256 bytes of UTF-8; a decoder of many rows gives them
            as a column of `model.texts`.
        days: n day ordinals (`date.toordinal()`), int32.
        adds: n booleans; True for op "+", False for op "-".
        whole_user: n booleans; True where a "-" erases the whole person and not just the day.
    """

    user_ids: Sequence[str]
    days: NDArray[np.int32]
    adds: NDArray[np.bool_]
    whole_user: NDArray[np.bool_]

    def __post_init__(self) -> None:
        """Check that the columns have one length."""
        lengths = {len(self.user_ids), len(self.days), len(self.adds), len(self.whole_user)}
        if len(lengths) != 1:
            message = f"Expected columns of one length, got {sorted(lengths)}"
            raise ValueError(message)

    def __len__(self) -> int:
        return len(self.user_ids)

    @classmethod
    def concatenate(cls, batches: Sequence["EventColumns"]) -> "EventColumns":
        """Several batches as one, in order."""
        no_days, no_flags = np.empty(0, dtype=np.int32), np.empty(0, dtype=np.bool_)
        return cls(
            concatenated([batch.user_ids for batch in batches]),
            np.concatenate([no_days, *(batch.days for batch in batches)]),
            np.concatenate([no_flags, *(batch.adds for batch in batches)]),
            np.concatenate([no_flags, *(batch.whole_user for batch in batches)]),
        )


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why one event of a batch was not accepted.

    Attributes:
        index: its position in the batch, counted from 0 (in a file: its line, counted from 1).
        reason: what is wrong with it and what was expected.
    """

    index: int
    reason: str
