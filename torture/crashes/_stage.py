"""Where a run takes place: a data directory, its settings and clock, and how its processes die."""

import signal
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import Random  # noqa: TID251 - a seeded choice of what breaks next, no noise
from typing import Any

import httpx

from _deaths import Death
from _interpose import Action, Interposer
from _launch import now, set_clock
from _newborn import Cradle, DiedAtBirthError, Newborn
from _power import Kept, cut_power
from dpdau.config import Settings, load_settings

__all__ = ["KILLED", "Stage", "WrongError", "good"]

KILLED = -signal.SIGKILL
_FIRST_GUESS = 12
_NOON = datetime(2031, 5, 5, 12, tzinfo=UTC)
_MANNERS = {
    Action.DIE_BEFORE: "before the call",
    Action.DIE_AFTER: "after the call",
    Action.DIE_TORN: "within the write",
}

_ALWAYS = {"LATENESS_HOURS": "0", "RATE_LIMIT_PER_MINUTE": "0", "MAU_WINDOW_DAYS": "3"}
_KINDS: Mapping[str, Mapping[str, str]] = {
    "continual": {"W_BOUND_MAU": "unbounded"},
    "limited": {"W_BOUND_MAU": "2"},
    "exact": {
        "MECHANISM_DAU": "laplace",
        "MECHANISM_MAU": "laplace",
        "EPSILON_DAU": "1e6",
        "EPSILON_MAU": "1e6",
        "DAU_BUDGET_TOTAL": "1e12",
        "MAU_BUDGET_TOTAL": "1e12",
    },
}


class WrongError(Exception):
    """Something was found wrong; its arguments are sentences."""


@dataclass
class Stage:
    """A data directory and what decides about its processes.

    Attributes:
        cradle: where processes come from.
        folder: for everything; the data is in it.
        seed: decides everything but what the clocks of threads decide.
        reach: how many calls an operation makes, as far as seen, shared by all runs.
        power: how likely a death is one of the power.
        syncs_lie: whether no fsync does anything, to see that it is found out.
        within_calls: whether processes die at calls too, and not between them only.
        deaths: all so far.
    """

    cradle: Cradle
    folder: Path
    seed: str
    reach: dict[str, int]
    power: float = 0.35
    syncs_lie: bool = False
    within_calls: bool = True
    deaths: list[Death] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._random = random = Random(self.seed)
        self._disk = self.folder / "disk"
        self._disk.mkdir(parents=True, mode=0o700)
        self._data = self._disk / "data"
        self._undo = self.folder / "undo"
        self._clock = self.folder / "clock"
        self._kind = random.choice(tuple(_KINDS))
        self._secrets = [f"the first secret of run {self.seed}"]
        self._given = {**_ALWAYS, **_KINDS[self._kind]}
        self._moment = _NOON + timedelta(days=random.randrange(28))
        self._service = Interposer(self.folder / "service", self._disk, undo=self._undo)
        self._command = Interposer(self.folder / "command", self._disk, undo=self._undo)
        for each in (self._service, self._command):
            each.syncs_lie = self.syncs_lie
        self._logs = 0
        self._set_clock()

    def close(self) -> None:
        """Let go of the processes' controls."""
        self._service.close()
        self._command.close()

    def _serve(self, environment: Mapping[str, str]) -> Newborn:
        given = {**self._environment(), **environment}
        try:
            return self.cradle.serve(given, clock=self._clock, folder=self._disk, log=self._log())
        except DiedAtBirthError as error:
            if not environment:
                raise WrongError(f"the service {error}") from error
            raise

    def _bear(self, *arguments: str) -> Newborn:
        """Start a command that has a control of its own."""
        given = {**self._environment(), **self._command.environment}
        return self.cradle.bear(
            arguments, given, clock=self._clock, folder=self._disk, log=self._log()
        )

    def _died(
        self,
        operation: str,
        interposer: Interposer | None,
        place: str = "",
        *,
        is_cut: bool | None = None,
    ) -> None:
        """Note a death, and let the power fail if it does."""
        manner = "SIGKILL"
        if interposer is not None and interposer.hit is not None:
            manner, place = _MANNERS[interposer.action], str(interposer.hit)
        if is_cut is None:
            is_cut = self._random.random() < self.power
        kept = self._random.choice(tuple(Kept)) if is_cut else ""
        self.deaths.append(Death(operation, manner, place, kept))
        if isinstance(kept, Kept):
            cut_power(self._disk, self._undo, self._random, kept)
        self._service.reset()
        self._command.reset()

    def _arm(self, interposer: Interposer, operation: str) -> None:
        interposer.reset()
        if not self.within_calls:
            return
        action = self._random.choice(tuple(_MANNERS))
        first = self._random.randint(1, self.reach.get(operation, _FIRST_GUESS) + 1)
        interposer.arm(action, first=first)

    def _require(self, faults: Iterable[str]) -> None:
        found = list(faults)
        if found:
            raise WrongError(*found)

    def _learn(self, interposer: Interposer, operation: str) -> None:
        """How many calls an operation makes that was not hit."""
        if interposer.hit is None and interposer.matched:
            self.reach[operation] = max(self.reach.get(operation, 0), interposer.matched)
        interposer.reset()

    def _environment(self) -> dict[str, str]:
        secrets = dict(
            zip(("HASH_SALT_SECRET", "HASH_SALT_SECRET_PREVIOUS"), self._secrets, strict=False)
        )
        return {**self._given, **secrets, "DATA_DIR": str(self._data)}

    def _settings(self) -> Settings:
        return load_settings(**{name.lower(): value for name, value in self._environment().items()})

    def _log(self) -> Path:
        self._logs += 1
        return self.folder / f"{self._logs}.log"

    def _set_clock(self) -> None:
        set_clock(self._clock, self._moment - datetime.now(UTC))

    def _now(self) -> datetime:
        return now(self._clock)

    @property
    def _today(self) -> date:
        return self._now().date()


def good(response: httpx.Response) -> Any:
    """What a request was answered; anything but success is wrong."""
    if response.status_code not in {200, 202}:
        path = response.request.url.path
        raise WrongError(f"{path}: {response.status_code} {response.text}")
    return response.json()
