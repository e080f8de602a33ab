"""The HTTP service on a real socket, in a thread of the test, with a clock that stands still."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from socket import AF_INET, SOCK_STREAM, socket
from typing import Any

import uvicorn

from dpdau.application import Application
from dpdau.bootstrap import build
from dpdau.config import load_settings
from dpdau.service import create_app, server_config
from dpdau.simulation import SyntheticActivity
from dpdau.store import MemoryStore
from support.builders import FakeClock, columns
from support.oracle import Event

__all__ = ["Live", "live_service"]


@dataclass(frozen=True)
class Live:
    """A service that listens."""

    url: str
    application: Application
    clock: FakeClock

    def fill(self, days: int, daily_users: int) -> None:
        """Ingest made-up activity of the days before the current one and publish it."""
        last = self.application.calendar.last_closed_day()
        activity = SyntheticActivity(
            days=days, daily_users=daily_users, delete_rate=0, end=last, seed=7
        )
        events = [
            Event(f"user-{user}", date.fromordinal(arrivals.day))
            for arrivals in activity.arrivals()
            for user in arrivals.users
        ]
        ingestor = self.application.ingestor
        ingestor.apply(ingestor.pseudonymize(columns(events)))
        for _ in self.application.publish(last, last - timedelta(days=days - 1)):
            pass


@contextmanager
def live_service(data_dir: Path, **settings: Any) -> Iterator[Live]:
    """Serve on a free port of this machine until the end of the block."""
    clock = FakeClock()
    configured = load_settings(data_dir=data_dir, **{"lateness_hours": 0, **settings})
    with (
        build(configured, store=MemoryStore(), clock=clock) as application,
        socket(AF_INET, SOCK_STREAM) as listening,
    ):
        listening.bind(("127.0.0.1", 0))
        app = create_app(application, configured, upkeep_seconds=3_600)
        server = uvicorn.Server(server_config(app, configured))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        # Connections made before the server accepts wait in the socket's queue.
        listening.listen()
        thread.start()
        try:
            yield Live(f"http://127.0.0.1:{listening.getsockname()[1]}", application, clock)
        finally:
            server.should_exit = True
            thread.join()
