"""Several processes on one database: nothing lost, nothing twice, one budget."""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dpdau.application import Application
from dpdau.bootstrap import build
from dpdau.config import load_settings
from dpdau.hashing import Pseudonymizer
from dpdau.model.ledger import LedgerKind
from dpdau.model.releases import Metric
from support.postgres import PostgresServer

from .child import SECRET, SETTINGS
from .conftest import Child

TODAY = datetime.now(UTC).date()
DAY = TODAY - timedelta(days=2)
LAST = TODAY.replace(day=1) - timedelta(days=1)
FIRST = LAST.replace(day=1)

Start = Callable[..., Child]


def opened(folder: Path, url: str) -> Application:
    return build(load_settings(data_dir=folder, service_database_url=url, **SETTINGS))


def people(name: str, batches: int) -> set[str]:
    """Whom a child's whole batches make active, but for those that all children send."""
    return {f"{name}-{number}-{each}" for number in range(batches) for each in range(1, 20)}


def active(app: Application, user_ids: set[str]) -> int:
    """How many of these are active on the day."""
    pseudonyms = Pseudonymizer(SECRET).pseudonyms(sorted(user_ids))
    with app.store.read() as reader:
        members = reader.members(DAY.toordinal(), DAY.toordinal())
        return sum(
            index >= 0 and index in members for index in reader.user_indices(pseudonyms).tolist()
        )


@pytest.mark.slow
def test_processes_that_ingest_side_by_side_lose_no_update_and_never_wait_for_each_other_in_vain(
    child: Start, tmp_path: Path, database: str
) -> None:
    names, batches = ["a", "b", "c"], 15
    children = [child("ingest", name, str(DAY), str(batches)) for name in names]
    for each in children:
        each.begin()
    for each in children:
        assert each.rest() == [str(number) for number in range(batches)]
        assert each.process.returncode == 0
    shared = {f"shared-{number}-{each}" for number in range(batches) for each in range(20)}
    with opened(tmp_path / "own", database) as app:
        expected = shared.union(*(people(name, batches) for name in names))
        assert active(app, expected) == len(expected)
        with app.store.read() as reader:
            assert len(reader.members(DAY.toordinal(), DAY.toordinal())) == len(expected)
            # Each has one index, also where several processes gave one at the same time.
            assert len(reader.known_users()) == len(expected)


@pytest.mark.slow
def test_a_process_killed_while_it_writes_leaves_whole_batches_and_stops_nobody(
    child: Start, tmp_path: Path, database: str
) -> None:
    acknowledged = {}
    for name, lines in (("a", 1), ("b", 4), ("c", 9)):
        writer = child("ingest", name, str(DAY), "1000")
        writer.begin()
        acknowledged[name] = [int(writer.line()) for _ in range(lines)][-1] + 1
        writer.kill()
    with opened(tmp_path / "own", database) as app:
        for name, batches in acknowledged.items():
            assert active(app, people(name, batches)) == len(people(name, batches))
            # What came after is there as a whole batch, or not at all.
            for number in range(batches, batches + 50):
                later = {f"{name}-{number}-{each}" for each in range(1, 20)}
                assert active(app, later) in {0, 19}
        assert app.erase(["a-0-1"]).state == "done"


@pytest.mark.slow
def test_publishers_on_machines_of_their_own_publish_each_day_exactly_once(
    child: Start, tmp_path: Path, database: str
) -> None:
    racing = [child("publish", str(FIRST), str(LAST)) for _ in range(3)]
    racing[0].begin()
    racing[0].line()
    racing[0].kill()
    for each in racing[1:]:
        each.begin()
    said = [line for each in racing[1:] for line in each.rest()]
    assert not [line for line in said if "Error" in line]
    with opened(tmp_path / "own", database) as app:
        app.verify()
        for metric in Metric:
            rows = app.ledger(metric)
            counted = Counter(row.subject for row in rows if row.kind is LedgerKind.RELEASE)
            assert set(counted.values()) == {1}
            assert len(counted) == (LAST - FIRST).days + 1
            assert sum(row.kind is LedgerKind.SERIES for row in rows) == 1
            budget = app.budget_of(metric, FIRST)
            assert budget.epsilon_spent <= budget.epsilon_cap


@pytest.mark.slow
def test_a_value_that_one_process_published_is_what_all_others_tell(
    child: Start, tmp_path: Path, database: str
) -> None:
    with opened(tmp_path / "own", database) as app:
        value = app.release(Metric.DAU, DAY).estimate_raw
        for _ in range(2):
            other = child("release", str(DAY))
            other.begin()
            assert float(other.line()) == value
        app.verify()


@pytest.mark.slow
def test_a_server_that_crashes_and_comes_back_is_used_again_with_all_that_was_acknowledged(
    child: Start, tmp_path: Path, database: str, database_server: PostgresServer
) -> None:
    writer = child("ingest", "a", str(DAY), "1000")
    with opened(tmp_path / "own", database) as app:
        writer.begin()
        acknowledged = [int(writer.line()) for _ in range(5)]
        database_server.stop("immediate")
        rest = [line for line in writer.rest() if line]
        assert writer.process.returncode != 0
        database_server.start()
        batches = len(acknowledged) + len(rest)
        # The same process goes on: what its pool held is replaced.
        assert active(app, people("a", batches)) == len(people("a", batches))
        assert app.erase(["a-0-1"]).state == "done"
        assert active(app, people("a", batches)) == len(people("a", batches)) - 1
