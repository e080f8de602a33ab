"""A process that works on a database at the same time as others, and that a test may kill.

Run as `python child.py ROLE FOLDER URL [ARGUMENT ...]`; what it prints has been committed.
"""

import sys
from datetime import date
from pathlib import Path

from dpdau.application import Application
from dpdau.bootstrap import build
from dpdau.config import load_settings
from dpdau.errors import DpdauError
from dpdau.model.releases import Metric
from support import Event, columns

SECRET = "a secret that all processes have"
SETTINGS = {"hash_salt_secret": SECRET, "lateness_hours": 0, "w_bound_mau": "unbounded"}


def say(text: object) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def ingest(app: Application, name: str, day: str, batches: str) -> None:
    """Batches of people of one's own and of people whom all processes send, toggled."""
    for number in range(int(batches)):
        events = [Event(f"{name}-{number}-{each}", date.fromisoformat(day)) for each in range(20)]
        events += [Event(f"shared-{number}-{each}", date.fromisoformat(day)) for each in range(20)]
        events += [Event(f"{name}-{number}-0", date.fromisoformat(day), add=False)]
        app.ingestor.apply(app.ingestor.pseudonymize(columns(events)))
        say(number)


def publish(app: Application, first: str, last: str) -> None:
    try:
        for release in app.publish(date.fromisoformat(last), date.fromisoformat(first)):
            say(release.release_id)
    except DpdauError as error:
        say(f"{type(error).__name__}: {error.message}")


def erase(app: Application, *user_ids: str) -> None:
    say(app.erase(list(user_ids)).state)


def release(app: Application, day: str) -> None:
    say(app.release(Metric.DAU, date.fromisoformat(day)).estimate_raw)


ROLES = {each.__name__: each for each in (ingest, publish, erase, release)}

if __name__ == "__main__":
    role, folder, url, *arguments = sys.argv[1:]
    settings = load_settings(data_dir=Path(folder), service_database_url=url, **SETTINGS)
    with build(settings) as app:
        say("ready")
        sys.stdin.readline()
        ROLES[role](app, *arguments)  # type: ignore[operator]
