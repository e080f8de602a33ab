"""Put load on a service, and see whether it kept all that it acknowledged.

Without --host a service of its own is started on a free port with data that is deleted at the end.
A service that runs is sent events of made-up people, which count like others: use a copy. Its key
comes from LOAD_API_KEY or SERVICE_API_KEY, never from an argument.

Run: make load-test [LOAD_USERS= LOAD_SPAWN= LOAD_RUNTIME= LOAD_HOST= LOAD_DATA_DIR=]
"""

import argparse
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from _comparison import DayComparison, compare, promises
from _harness import environment_with, serving
from _record import Outcomes, begin, read
from _report import Report, failures_in, routes_in
from _traffic import Traffic
from dpdau.bootstrap import database_of, secret_of
from dpdau.config import Settings, load_settings
from dpdau.errors import DpdauError, FileUnreadableError
from dpdau.hashing import Pseudonymizer
from dpdau.store.sqlite.inspection import inspecting

__all__ = ["held_by", "main"]

_LOCUSTFILE = Path(__file__).with_name("locustfile.py")
_KEY_BYTES = 24
_STOP_SECONDS = 30
_UMASK = 0o077
_NO_FOLDER = "LOAD_DATA_DIR does not say where the service at LOAD_HOST keeps its data."
_SAMPLED = "the store keeps a sample of the users, who cannot be told from those lost."
_NO_KEY = "the store's secret is neither in HASH_SALT_SECRET nor in its folder."


@dataclass(frozen=True, slots=True)
class Target:
    """A service under load.

    Attributes:
        host: its address, with scheme.
        environment: settings for the clients, with its key if that is the test's own.
        settings: where its store is and which secret it has; None if that is not known.
    """

    host: str
    environment: dict[str, Any]
    settings: Settings | None


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the test and print what it found; returns the exit code."""
    options = _parser().parse_args(arguments)
    try:
        settings = load_settings()
        folder = options.reports or settings.data_dir / "reports" / "load"
        report = _tested(options, settings, folder)
    except DpdauError as error:
        print(f"Error: {error.message}", file=sys.stderr)
        return error.exit_code
    except RuntimeError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    summary = folder / "summary.json"
    summary.touch(mode=0o600)
    summary.write_bytes(msgspec.json.format(msgspec.json.encode(report)) + b"\n")
    report.print()
    print(f"Reports are in {folder}: load.html, load_*.csv, summary.json.")
    return 1 if report.faults else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Put load on a service.")
    parser.add_argument("--users", type=_positive, default=50, help="how many clients at once")
    parser.add_argument("--spawn", type=_positive, default=25, help="how many start each second")
    parser.add_argument("--seconds", type=_positive, default=30, help="for how long")
    parser.add_argument("--host", help="a service that runs, such as http://127.0.0.1:8000")
    parser.add_argument("--data-dir", type=Path, help="where the service at --host keeps its data")
    parser.add_argument("--reports", type=Path, help="in place of DATA_DIR/reports/load")
    return parser


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        message = f"{text!r}; expected a whole number of at least 1"
        raise argparse.ArgumentTypeError(message)
    return int(text)


def _tested(options: argparse.Namespace, settings: Settings, folder: Path) -> Report:
    """Run the clients against a service, then look at its store.

    Raises:
        DpdauError: if the store cannot be read.
        RuntimeError: if the service or the clients do not start.
    """
    for each in (folder.parent, folder):
        each.mkdir(parents=True, exist_ok=True, mode=0o700)
    record = folder / "record.txt"
    begin(record, Traffic.until(datetime.now(UTC).date(), settings.load_test_seed))
    with tempfile.TemporaryDirectory() as own:
        with _target(options, Path(own)) as target:
            _run_clients(options, target, folder, record)
        outcomes = read(record)
        days, unchecked = held_by(target.settings, outcomes)
    return Report(
        seed=outcomes.traffic.seed,
        host=target.host,
        routes=routes_in(folder),
        failures=failures_in(folder),
        acknowledged_events=outcomes.acknowledged_events,
        days=days,
        unchecked=unchecked,
        is_own=options.host is None,
    )


@contextmanager
def _target(options: argparse.Namespace, own: Path) -> Iterator[Target]:
    """The service at --host, or one of the test's own until the context ends."""
    if options.host is not None:
        known = None
        if options.data_dir is not None:
            known = load_settings(data_dir=options.data_dir)
            if not database_of(known).exists():
                raise FileUnreadableError(database_of(known), "no store is there")
        yield Target(options.host, {}, known)
        return
    secret, key = secrets.token_urlsafe(_KEY_BYTES), secrets.token_urlsafe(_KEY_BYTES)
    # All clients have one address and one key, so the rate of one client is the rate of all.
    chosen: dict[str, Any] = {
        "service_api_key": key,
        "hash_salt_secret": secret,
        "rate_limit_per_minute": 0,
        "lateness_hours": 0,
        "timezone": "UTC",
        "sketch_impl": "set",
        "mechanism_dau": "continual",
        "mechanism_mau": "continual",
    }
    with serving(own, **chosen) as port:
        settings = load_settings(data_dir=own, hash_salt_secret=secret)
        yield Target(f"http://127.0.0.1:{port}", {"load_api_key": key}, settings)


def _run_clients(options: argparse.Namespace, target: Target, folder: Path, record: Path) -> None:
    for stale in folder.glob("load*"):
        stale.unlink()
    print(f"{options.users} clients on {target.host} for {options.seconds} s …", flush=True)
    load = ["--users", str(options.users), "--spawn-rate", str(options.spawn)]
    times = ["--run-time", f"{options.seconds}s", "--stop-timeout", str(_STOP_SECONDS)]
    reports = ["--csv", str(folder / "load"), "--html", str(folder / "load.html")]
    quiet = ["--headless", "--only-summary", "--loglevel", "WARNING", "--exit-code-on-error", "0"]
    done = subprocess.run(
        [
            *(sys.executable, "-m", "locust", "--locustfile", str(_LOCUSTFILE)),
            *("--host", target.host, "--record", str(record)),
            *(*load, *times, *reports, *quiet),
        ],
        env=environment_with(**target.environment),
        umask=_UMASK,
        check=False,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        message = f"locust ended with {done.returncode}: {done.stderr.strip()[-2_000:]}"
        raise RuntimeError(message)


def held_by(
    settings: Settings | None, outcomes: Outcomes
) -> tuple[list[DayComparison] | None, str]:
    """What the store says of each day, or None and why it cannot be asked."""
    if settings is None:
        return None, _NO_FOLDER
    secret = secret_of(settings)
    if secret is None:
        return None, _NO_KEY
    with inspecting(database_of(settings), settings.store_busy_seconds) as store:
        if store.reader.meta("sample") not in {None, "everyone"}:
            return None, _SAMPLED
        return compare(promises(outcomes), store.reader, Pseudonymizer(secret)), ""


if __name__ == "__main__":
    sys.exit(main())
