"""What holds for every test: how Hypothesis searches, and no settings but the test's own."""

import os
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import Phase, settings

from dpdau.config import Settings, describe_settings
from support.postgres import PostgresServer, postgres_programs, postgres_server
from support.scheduling import Together

# `make test` always tries the same examples; run by hand, pytest looks for new ones.
settings.register_profile("ci", derandomize=True, deadline=None, print_blob=True)
settings.register_profile("dev", deadline=None)
settings.register_profile("thorough", deadline=None, max_examples=5_000)
# For `make mutants`, which runs every test many times.
settings.register_profile(
    "mutation",
    database=None,
    deadline=None,
    derandomize=True,
    max_examples=10,
    phases=[Phase.explicit, Phase.generate],
)
settings.load_profile("dev")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Together:
    return Together(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest, so that no process is left with it at the end."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@pytest.fixture(autouse=True, scope="session")
def _no_settings_from_outside() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for setting in describe_settings():
            patch.delenv(setting.name, raising=False)
        patch.setitem(Settings.model_config, "env_file", None)
        yield


@pytest.fixture(scope="session")
def database_server() -> Iterator[PostgresServer]:
    """One server for all tests of a process; without its programs they are skipped, not in CI."""
    if postgres_programs() is None:
        message = "No PostgreSQL server: install the package postgresql."
        if os.environ.get("CI"):  # noqa: TID251 - no setting of the product
            pytest.fail(message)
        pytest.skip(message)
    with postgres_server() as server:
        yield server


@pytest.fixture
def database(database_server: PostgresServer) -> str:
    """The URL of an empty schema."""
    return database_server.new_schema()


@pytest.fixture
def merging_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each transaction write into the shards what it changes, and leave no delta."""
    monkeypatch.setattr("dpdau.store.sqlite.deltas._MOST_DELTAS", 0)


@pytest.fixture
def anyio_backend() -> str:
    """The event loop of asynchronous tests."""
    return "asyncio"
