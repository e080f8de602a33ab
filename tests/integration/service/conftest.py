from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from dpdau.pipeline.ports import Store
from support.service import Service


@pytest.fixture
def open_service(tmp_path: Path) -> Iterator[Callable[..., Service]]:
    with ExitStack() as opened:

        def start(store: Store | None = None, **settings: Any) -> Service:
            given = {} if store is None else {"store": store}
            return opened.enter_context(Service(tmp_path, settings, **given))

        yield start


@pytest.fixture
def service(open_service: Callable[..., Service]) -> Service:
    return open_service()
