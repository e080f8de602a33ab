"""The stores that the suite in this folder runs against."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from dpdau.pipeline.ports import Store
from support.stores import OPENERS


@pytest.fixture(params=OPENERS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    opened = OPENERS[request.param](tmp_path)
    yield opened
    opened.close()
