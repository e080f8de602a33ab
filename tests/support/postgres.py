"""A PostgreSQL server of the tests' own, on a socket that only they know."""

import os
import pwd
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psycopg

from _harness import free_port

__all__ = ["PostgresServer", "postgres_programs", "postgres_server", "shared_server"]

_USERS = ("postgres", "nobody")
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "max_connections": "60",
    "shared_buffers": "32MB",
    # So that what was deleted is gone from the log too; see docs/scaling.md.
    "wal_recycle": "off",
    "min_wal_size": "2MB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "autovacuum": "off",
}


def postgres_programs() -> Path | None:
    """Where `initdb` and `pg_ctl` are; None if PostgreSQL's server is not installed."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    found = shutil.which("initdb")
    return next(
        (
            each
            for each in [*folders, *([Path(found).parent] if found else [])]
            if (each / "initdb").exists()
        ),
        None,
    )


@dataclass(frozen=True)
class PostgresServer:
    """A server that may be stopped and started again.

    Attributes:
        folder: its data and its socket.
        programs: where the server's programs are.
        port: where it listens.
    """

    folder: Path
    programs: Path
    port: int

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def url(self, schema: str | None = None, *, user: str = "tests", password: str = "") -> str:
        """Where a schema is; by default the one that is always there."""
        named = f"{user}:{quote(password)}" if password else user
        options = "" if schema is None else "?options=" + quote(f"-csearch_path={schema}")
        return f"postgresql://{named}@127.0.0.1:{self.port}/postgres{options}"

    def new_schema(self) -> str:
        """The URL of a schema that nothing is in."""
        name = f"s{uuid.uuid4().hex}"
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f"CREATE SCHEMA {name}".encode())
        return self.url(name)

    def start(self) -> None:
        self._control("start", "--wait", "--log", str(self.folder / "log"))

    def stop(self, mode: str = "immediate") -> None:
        """End it: `immediate` as a crash would, `fast` as an operator would."""
        self._control("stop", "--wait", "--mode", mode)

    def configure(self, **settings: str) -> None:
        """Change settings of a server that is stopped."""
        with (self.data / "postgresql.auto.conf").open("a") as file:
            file.writelines(f"{name} = '{value}'\n" for name, value in settings.items())

    def _control(self, *arguments: str) -> None:
        _run([str(self.programs / "pg_ctl"), "--pgdata", str(self.data), "--silent", *arguments])


_shared: list[PostgresServer] = []


@contextmanager
def shared_server() -> Iterator[None]:
    """Until the context ends, `postgres_server` gives one and the same, also in forks."""
    with postgres_server() as server:
        _shared.append(server)
        try:
            yield
        finally:
            _shared.remove(server)


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """A server until the context ends, with a superuser called `tests`."""
    if _shared:
        yield _shared[0]
        return
    programs = postgres_programs()
    assert programs is not None
    folder, port = Path(tempfile.mkdtemp(prefix="dpdau-postgres-")), free_port()
    server = PostgresServer(folder, programs, port)
    try:
        if os.geteuid() == 0:
            shutil.chown(folder, _user())
        initdb = [str(programs / "initdb"), "--pgdata", str(server.data), "--username", "tests"]
        _run(
            [
                *initdb,
                "--auth",
                "trust",
                "--encoding",
                "UTF8",
                "--locale",
                "C",
                "--no-sync",
                "--wal-segsize",
                "1",
            ]
        )
        settings = {**_SETTINGS, "port": str(port), "unix_socket_directories": str(folder)}
        server.configure(**settings)
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _user() -> str:
    """Whom the server runs as, since it refuses to run as root."""
    return next(name for name in _USERS if _is_known(name))


def _is_known(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


def _run(command: list[str]) -> None:
    subprocess.run(  # noqa: S603 - the server's own programs
        command,
        check=True,
        user=_user() if os.geteuid() == 0 else None,
        cwd="/tmp",  # noqa: S108 - a folder that the other user may enter
        stdout=subprocess.DEVNULL,
        timeout=120,
    )
