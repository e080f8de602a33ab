"""The product as the machine meets it: a service over HTTP, commands, and its files."""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from _newborn import Newborn
from _terms import Grave
from _warm import Ended, WarmInstallation
from dpdau.bootstrap import database_of
from dpdau.config import load_settings
from dpdau.hashing import Pseudonymizer
from dpdau.store.sqlite.inspection import inspecting

__all__ = ["KEYS", "Found", "Product", "Tally"]

KEYS = {scope: f"the-{scope}-key-of-the-machine" for scope in ("ingest", "read", "admin")}
_PATIENCE_SECONDS = 60.0


@dataclass
class Tally:
    """What was done, over all examples.

    Attributes:
        rules: how often each rule was carried out.
        statuses: how often each answer came, by route or command and status.
        examples: how many examples were begun.
    """

    rules: Counter[str] = field(default_factory=Counter)
    statuses: Counter[tuple[str, str]] = field(default_factory=Counter)
    examples: int = 0


@dataclass(frozen=True, slots=True)
class Found:
    """What the files of a store hold, by the names of people.

    Attributes:
        active: who is active on which day; days without anybody are left out.
        graves: who was erased.
        totals: by metric and period, the private totals of running series.
    """

    active: Mapping[date, frozenset[str]]
    graves: Mapping[str, Grave]
    totals: Mapping[tuple[str, str], tuple[int, ...]]


class Product:
    """One installation and, most of the time, its running service."""

    def __init__(self, installation: WarmInstallation, tally: Tally) -> None:
        self._installation = installation
        self._tally = tally
        self._service: Newborn | None = None
        self._client: httpx.Client | None = None
        self._secrets: list[str] = []

    @property
    def folder(self) -> Path:
        """Where everything is."""
        return self._installation.folder

    @property
    def data_dir(self) -> Path:
        """Where the data is."""
        return self._installation.data_dir

    @property
    def is_running(self) -> bool:
        """Whether a service runs."""
        return self._service is not None

    def set_clock(self, moment: datetime) -> None:
        """Set the time."""
        self._installation.set_clock(moment)

    def set_secret(self, number: int, *, with_previous: bool) -> None:
        """Choose the secret of processes that start from now on.

        Args:
            number: 1 for the first.
            with_previous: whether the one before is set too.
        """
        self._secrets = [f"secret number {each} of the machine" for each in (number, number - 1)]
        settings = self._installation.settings
        settings["HASH_SALT_SECRET"] = self._secrets[0]
        settings.pop("HASH_SALT_SECRET_PREVIOUS", None)
        if with_previous:
            settings["HASH_SALT_SECRET_PREVIOUS"] = self._secrets[1]

    # --- processes ------------------------------------------------------------------------

    def start(self) -> Ended | None:
        """Start the service; returns how it ended if it does not run."""
        started = self._installation.serve()
        if isinstance(started, Ended):
            self._tally.statuses["serve", str(started.status)] += 1
            return started
        self._tally.statuses["serve", "listens"] += 1
        self._service = started
        self._client = httpx.Client(base_url=started.url, timeout=_PATIENCE_SECONDS)
        return None

    def stop(self, *, kill: bool) -> None:
        """End the service if it runs."""
        if self._service is None or self._client is None:
            return
        self._client.close()
        if kill:
            self._service.kill()
        elif status := self._service.stop():
            message = f"The service ended with {status}:\n{self._service.printed}"
            raise AssertionError(message)
        self._service = self._client = None

    def upkeep(self) -> None:
        """Let a round of upkeep happen."""
        if self._service is None:
            message = "no service runs"
            raise RuntimeError(message)
        self._installation.upkeep(self._service)

    def command(self, name: str, *arguments: str) -> Ended:
        """Run a command to its end."""
        ended = self._installation.run(name, *arguments)
        self._tally.statuses[name, str(ended.status)] += 1
        return ended

    # --- HTTP -----------------------------------------------------------------------------

    def get(self, scope: str, path: str, **query: str | int | None) -> httpx.Response:
        """Ask."""
        return self._send("GET", scope, path, params=_given(query))

    def post(self, scope: str, path: str, body: Any = None, **query: str | None) -> httpx.Response:
        """Tell, in JSON."""
        return self._send("POST", scope, path, params=_given(query), json=body)

    def post_bytes(
        self, scope: str, path: str, body: bytes, headers: Mapping[str, str], **query: str | None
    ) -> httpx.Response:
        """Tell, in any form."""
        return self._send(
            "POST", scope, path, params=_given(query), content=body, headers=dict(headers)
        )

    def _send(
        self, method: str, scope: str, path: str, headers: Any = None, **request: Any
    ) -> httpx.Response:
        if self._client is None:
            message = "no service runs"
            raise RuntimeError(message)
        headers = {**(headers or {}), "X-API-Key": KEYS[scope]}
        response = self._client.request(method, path, headers=headers, **request)
        route = f"{method} /{path.split('/')[1]}"
        kind = response.json()["type"] if response.is_error else ""
        self._tally.statuses[route, f"{response.status_code} {kind}".strip()] += 1
        return response

    def finished_erasure(self, erasure_id: str) -> dict[str, Any]:
        """The record of an erasure, once it is done."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while True:
            found: dict[str, Any] = self.get("ingest", f"/erasure/{erasure_id}").json()
            if found["state"] != "received":
                return found
            if time.monotonic() > deadline:
                message = f"an erasure is never done: {found}"
                raise AssertionError(message)

    # --- files ----------------------------------------------------------------------------

    def found(self, users: Sequence[str], first_day: date, last_day: date) -> Found:
        """What the store's files hold, read without the product's help."""
        settings = load_settings(data_dir=self.data_dir)
        names: dict[int, str] = {}
        graves: dict[str, Grave] = {}
        with inspecting(database_of(settings), _PATIENCE_SECONDS) as inspection:
            reader = inspection.reader
            for secret in self._secrets:
                pseudonyms = Pseudonymizer(secret).pseudonyms(users)
                indices = reader.user_indices(pseudonyms)
                for user, index in zip(users, indices.tolist(), strict=True):
                    if index < 0:
                        continue
                    if user in names.values() or index in names:
                        message = f"{user} or index {index} is known twice"
                        raise AssertionError(message)
                    names[index] = user
                kept = reader.tombstones(np.sort(pseudonyms))
                of = dict(zip(pseudonyms.tolist(), users, strict=True))
                rows = zip(
                    kept.pseudonyms.tolist(),
                    kept.erased_on.tolist(),
                    kept.recorded_on.tolist(),
                    strict=True,
                )
                for pseudonym, erased_on, recorded_on in rows:
                    grave = Grave(date.fromordinal(erased_on), date.fromordinal(recorded_on))
                    graves[of[pseudonym]] = grave.deeper(graves.get(of[pseudonym]))
            days = range(first_day.toordinal(), last_day.toordinal() + 1)
            active = {
                date.fromordinal(day): frozenset(
                    names.get(index, f"nobody at index {index}") for index in members
                )
                for day in days
                if (members := reader.members(day, day))
            }
            states = {key: reader.series_state(key) for key in reader.series_keys()}
            totals = {
                (str(key.metric), key.period): state.totals
                for key, state in states.items()
                if state is not None
            }
        return Found(active, graves, totals)


def _given(query: Mapping[str, str | int | None]) -> dict[str, str | int]:
    return {name: value for name, value in query.items() if value is not None}
