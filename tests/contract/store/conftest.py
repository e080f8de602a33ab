"""The stores that the suite in this folder runs against."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from dpdau.pipeline.ports import Store
from dpdau.store.postgres import PostgresStore
from support.stores import OPENERS


@pytest.fixture(params=[*OPENERS, "postgres"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    if request.param == "postgres":
        opened: Store = PostgresStore(request.getfixturevalue("database"), busy_timeout_seconds=1)
    else:
        opened = OPENERS[request.param](tmp_path)
    yield opened
    opened.close()
