"""What Spark's workers do with a batch of rows; in this process, without Spark."""

import numpy as np
import pyarrow as pa
import pytest

from dpdau.hashing import Pseudonymizer, Sampler

pyspark = pytest.importorskip("pyspark")
USERS = [f"user-{number}" for number in range(50)]


def batch() -> pa.RecordBatch:
    size = len(USERS)
    return pa.RecordBatch.from_pydict(
        {
            "user_id": USERS,
            "day": pa.array(np.arange(size), pa.int32()),
            "add": [number % 3 == 0 for number in range(size)],
            "whole_user": [number % 5 == 0 for number in range(size)],
            "arrival": pa.array(np.arange(size), pa.int64()),
        }
    )


def test_ids_become_the_pseudonyms_of_the_store_and_nothing_else_changes() -> None:
    from dpdau.spark.pseudonyms import replacing  # noqa: PLC0415 - an extra

    pseudonymizer = Pseudonymizer("a secret of this test")
    (found,) = replacing(pseudonymizer, None)(iter([batch()]))
    assert found.schema.names == ["pseudonym", "day", "add", "whole_user", "arrival"]
    pseudonyms = found.column(0).to_numpy().view(np.uint64)
    assert pseudonyms.tolist() == pseudonymizer.pseudonyms(USERS).tolist()
    assert pseudonyms.max() > 2**63
    assert found.columns[1:] == batch().columns[1:]


def test_of_a_sample_only_its_users_are_left() -> None:
    from dpdau.spark.pseudonyms import replacing  # noqa: PLC0415 - an extra

    pseudonymizer, sampler = Pseudonymizer("a secret of this test"), Sampler(bytes(16), 1)
    kept = sampler.sampled(USERS)
    (found,) = replacing(pseudonymizer, sampler)(iter([batch()]))
    wanted = [user for user, keep in zip(USERS, kept, strict=True) if keep]
    assert 0 < len(wanted) < len(USERS)
    assert found.column(0).to_numpy().view(np.uint64).tolist() == (
        pseudonymizer.pseudonyms(wanted).tolist()
    )
    assert found.column("day").to_pylist() == np.flatnonzero(kept).tolist()


def test_an_empty_batch_stays_empty() -> None:
    from dpdau.spark.pseudonyms import replacing  # noqa: PLC0415 - an extra

    for sampler in (None, Sampler(bytes(16), 1)):
        replace = replacing(Pseudonymizer("a secret of this test"), sampler)
        (found,) = replace(iter([batch().slice(0, 0)]))
        assert len(found) == 0
