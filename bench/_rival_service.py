"""The service as it is usually built: one row per day and user, upserted, in grouped commits.

Run as a process of its own: python bench/_rival_service.py rows|models|nothing

`rows` is this product's service with only the storage replaced: the same server, decoder, keyed
hash and grouping. `models` takes bodies as FastAPI's documentation shows, by pydantic models,
and shares the storage and the grouping. Both count active users of a day at GET /exact/{day}.
`nothing` is no rival: this product's service with no storage at all, which forgets every event, so
that one can see what the best store could add to.
"""

import asyncio
import sqlite3
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Literal

import numpy as np
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict, Field

from dpdau.application import Application
from dpdau.bootstrap import build
from dpdau.config import load_settings
from dpdau.hashing import Pseudonymizer
from dpdau.logs import configure_logs
from dpdau.model.events import EventColumns
from dpdau.pipeline.ingest import Ingestor, IngestOutcome, PseudonymousEvents
from dpdau.pipeline.positions import Advance
from dpdau.pipeline.writer import GroupCommitter
from dpdau.service.app import create_app
from dpdau.service.waiting import answer_on_their_loops

_PSEUDONYMIZER = Pseudonymizer("a secret of the rival")

_SCHEMA = """
CREATE TABLE IF NOT EXISTS activity (
    day INTEGER, user INTEGER, active INTEGER, PRIMARY KEY (day, user)
) WITHOUT ROWID
"""
_UPSERT = """
INSERT INTO activity VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET active = excluded.active
"""
_COUNT = "SELECT count(*) FROM activity WHERE day = ? AND active"


class RowIngestor(Ingestor):
    """Applies events row by row; as durable as the product's store."""

    def __init__(self, path: Path, application: Application) -> None:
        super().__init__(application.store, _PSEUDONYMIZER, application.calendar)
        self._path = path
        self._connection = self._connect()
        self._connection.execute(_SCHEMA)

    def apply(self, events: PseudonymousEvents, advance: Advance | None = None) -> IngestOutcome:
        """Store events in one transaction."""
        del advance
        users = events.pseudonyms.view(np.int64).tolist()
        rows = zip(events.days.tolist(), users, events.adds.tolist(), strict=True)
        self._connection.execute("BEGIN IMMEDIATE")
        self._connection.executemany(_UPSERT, rows)
        self._connection.execute("COMMIT")
        return IngestOutcome(len(events), 0, 0)

    def count(self, day: date) -> int:
        """Active users of a day."""
        connection = self._connect()
        (users,) = connection.execute(_COUNT, (day.toordinal(),)).fetchone()
        connection.close()
        return int(users)

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        return connection


class ForgetfulIngestor(Ingestor):
    """Applies nothing."""

    def apply(self, events: PseudonymousEvents, advance: Advance | None = None) -> IngestOutcome:
        """Say that events are stored, which is not true."""
        del advance
        return IngestOutcome(len(events), 0, 0)


class Event(BaseModel):
    """An event, as FastAPI reads it."""

    model_config = ConfigDict(extra="forbid")

    user_id: str = Field(min_length=1, max_length=256)
    op: Literal["+", "-"]
    day: date


class Batch(BaseModel):
    """A body of events."""

    events: list[Event]


def model_app(ingestor: RowIngestor) -> FastAPI:
    """The usual service."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        with GroupCommitter[asyncio.Future[None]](
            ingestor, max_waiting_events=1_000_000, answer=answer_on_their_loops
        ) as writer:
            app.state.writer = writer
            yield

    app = FastAPI(lifespan=lifespan)

    @app.post("/event")
    async def add(batch: Batch) -> dict[str, int]:
        events = batch.events
        columns = EventColumns(
            [event.user_id for event in events],
            np.array([event.day.toordinal() for event in events], dtype=np.int32),
            np.array([event.op == "+" for event in events], dtype=np.bool_),
            np.zeros(len(events), dtype=np.bool_),
        )
        stored: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        app.state.writer.submit(columns, stored)
        await stored
        return {"accepted": len(events)}

    @app.get("/readyz")
    async def ready() -> None:
        pass

    return app


def add_count(app: FastAPI, count: Callable[[date], int]) -> None:
    """Answer GET /exact/{day}."""

    @app.get("/exact/{day}")
    def exact(day: date) -> int:
        return count(day)


def main() -> None:
    """Serve until stopped."""
    settings = load_settings()
    configure_logs(settings)
    with build(settings) as application:
        rows = RowIngestor(settings.data_dir / "rows.sqlite3", application)
        nothing = ForgetfulIngestor(application.store, _PSEUDONYMIZER, application.calendar)
        apps: dict[str, Callable[[], FastAPI]] = {
            "rows": lambda: create_app(replace(application, ingestor=rows), settings),
            "models": lambda: model_app(rows),
            "nothing": lambda: create_app(replace(application, ingestor=nothing), settings),
        }
        app = apps[sys.argv[1]]()
        add_count(app, rows.count)
        uvicorn.run(app, port=settings.service_port, log_config=None, access_log=False)


if __name__ == "__main__":
    main()
