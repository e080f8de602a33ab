"""The stores that the suite in this folder runs against."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from dpdau.pipeline.ports import Store
from dpdau.store.postgres import PostgresStore
from dpdau.store.sqlite import deltas
from support.stores import OPENERS

# How many deltas SQLite's store keeps before it merges them; by default a test has not so many.
MERGING = {"sqlite, merging at once": 0, "sqlite, merging at times": 2}


@pytest.fixture(params=[*OPENERS, *MERGING, "postgres"])
def store(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Store]:
    if request.param == "postgres":
        opened: Store = PostgresStore(request.getfixturevalue("database"), busy_timeout_seconds=1)
    else:
        if request.param in MERGING:
            monkeypatch.setattr(deltas, "_MOST_DELTAS", MERGING[request.param])
        opened = OPENERS[request.param.partition(",")[0]](tmp_path)
    yield opened
    opened.close()
