"""User ids replaced by the store's pseudonyms, inside Spark's workers.

The key travels in the code that is sent to the workers, never as a value in a query: plans are shown
in Spark's web pages and written to its event logs. What is moved between machines is 8 bytes a user.
"""

from collections.abc import Callable, Iterator
from typing import TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame

from dpdau.hashing import Pseudonymizer, Sampler

__all__ = ["as_signed", "pseudonymous", "replacing"]

Batches: TypeAlias = Iterator[pa.RecordBatch]

_COLUMNS = "pseudonym bigint, day int, add boolean, whole_user boolean, arrival bigint"


def pseudonymous(
    events: DataFrame, pseudonymizer: Pseudonymizer, sampler: Sampler | None
) -> DataFrame:
    """Events with a pseudonym in place of the user id; those outside of the sample end here.

    Args:
        events: columns user_id, day, add, whole_user, arrival.
        pseudonymizer: makes the pseudonyms.
        sampler: says whose events are kept; None for everyone's.
    """
    return events.mapInArrow(replacing(pseudonymizer, sampler), _COLUMNS)


def replacing(
    pseudonymizer: Pseudonymizer, sampler: Sampler | None
) -> Callable[[Batches], Batches]:
    """What does it for batches of rows; the user id is their first column."""

    def replace(batches: Batches) -> Batches:
        for batch in batches:
            user_ids = batch.column(0).to_pylist()
            others = batch.columns[1:]
            if sampler is not None:
                kept = sampler.sampled(user_ids)
                user_ids = [user_id for user_id, keep in zip(user_ids, kept, strict=True) if keep]
                others = [column.filter(pa.array(kept)) for column in others]
            pseudonyms = as_signed(pseudonymizer.pseudonyms(user_ids))
            names = ["pseudonym", *batch.schema.names[1:]]
            yield pa.RecordBatch.from_arrays([pa.array(pseudonyms), *others], names=names)

    return replace


def as_signed(pseudonyms: NDArray[np.uint64]) -> NDArray[np.int64]:
    """The same 64 bits as integers that Spark has."""
    return pseudonyms.view(np.int64)
