"""The lives and deaths of the processes that use one data directory."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from random import Random  # noqa: TID251 - a seeded choice of what breaks next, no noise
from threading import Event as Flag

import httpx

from _clients import ADMINISTRATION, OPERATIONS, Administrator, Sender, Traffic, Trap
from _inquest import Inquest
from _newborn import DiedAtBirthError, Newborn
from _old_store import old_store
from _stage import KILLED, Stage, WrongError, good
from _world import NOBODY, Client, Person, World, restored
from dpdau.bootstrap import backups_of

__all__ = ["Run"]

_CLIENTS = 3
_USERS = 8
_LIVES = 8
_LOOK_SECONDS = 0.002
_LONGEST_LIFE_SECONDS = 5.0
_LONGEST_START_SECONDS = 40.0
_LONGEST_MOMENT_SECONDS = 0.3
# How likely something happens in a life, or to a directory.
_OLD, _ROTATED, _RESTORED = 0.15, 0.08, 0.25
_BACKED_UP, _BACKED_UP_IN_TRAFFIC, _PUBLISHED = 0.2, 0.12, 0.2
_DIES_AT_START, _DIES_AT_CHANGE, _DIES_IN_COMMAND, _DIES_AT_ANY_MOMENT = 0.25, 0.5, 0.6, 0.2
# What is worth more deaths than the rest.
_OFTEN = ("events", "events", "erasing event", "erasure", "keyed erasure", "revise", "revise")
# What the service logs once it has done all that is due.
_SETTLED = "ledger verified"


@dataclass
class Run(Stage):
    """A data directory from its birth on.

    Attributes:
        operations: what clients die in, if they do not at any moment.
        requests: how many were answered.
        life: the number of the present one, from 1.
    """

    operations: Sequence[str] = (*OPERATIONS, *_OFTEN)
    requests: int = 0
    life: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        users = [
            [f"run {self.seed}, {number}-{n}" for n in range(_USERS)] for number in range(_CLIENTS)
        ]
        self._world = World([Client(dict.fromkeys(own, NOBODY)) for own in users])
        self._copies: dict[Path, tuple[Mapping[str, Person], int]] = {}
        self._starting = "start"
        self._made = 0
        if self._random.random() < _OLD:
            self._data.mkdir(mode=0o700)
            old_store(
                self._data / "dpdau.sqlite3",
                self._secrets[0],
                self._world,
                self._today,
                self._random,
            )
            self._starting = "migration"
        self._inquest = Inquest(
            self._settings(), self._secrets, self._now, self._world, self._kind == "continual"
        )

    def lives(self) -> int:
        """Let the service live and die until this directory has seen enough.

        Raises:
            WrongError: naming what is wrong.
        """
        for self.life in range(1, _LIVES + 1):
            self._live()
        service = self._serve({})
        try:
            self._settles(service)
            self._examine(service)
        finally:
            service.kill()
        return len(self.deaths)

    # --- one life --------------------------------------------------------------------------

    def _live(self) -> None:
        draw = self._random
        self._moment += timedelta(minutes=1, days=draw.choice((0, 0, 1, 1, 2)))
        self._set_clock()
        service = self._born()
        if service is None:
            return
        try:
            self._examine(service)
            is_backed_up = draw.random() < _BACKED_UP
            if is_backed_up:
                self._back_up_at_rest()
            if draw.random() < _PUBLISHED:
                self._publish_or_die(service)
            if service.ended() is None:
                self._die_in_traffic(
                    service, with_backup=not is_backed_up and draw.random() < _BACKED_UP_IN_TRAFFIC
                )
        finally:
            service.kill()
        if self._copies and draw.random() < _RESTORED:
            self._restore()
        elif len(self._secrets) == 1 and draw.random() < _ROTATED:
            self._rotate()

    def _born(self) -> Newborn | None:
        """A service that listens; None if it died before."""
        draw, operation = self._random, self._starting
        if draw.random() < (_DIES_AT_START if operation == "start" else _DIES_AT_CHANGE):
            self._arm(self._service, operation)
        try:
            service = self._serve(self._service.environment)
        except DiedAtBirthError as error:
            if error.status != KILLED or self._service.hit is None:
                raise WrongError(f"the service {error}") from error
            self._died(operation, self._service)
            return None
        self._starting = "start"
        if not self._settles(service):
            self._died("upkeep", self._service)
            return None
        self._learn(self._service, operation)
        return service

    def _settles(self, service: Newborn) -> bool:
        """Wait until the first round of upkeep is over; says whether the service survives it."""
        latest = time.monotonic() + _LONGEST_START_SECONDS
        while service.ended() is None:
            if _SETTLED in service.printed:
                return True
            if time.monotonic() > latest:
                service.kill()
                raise WrongError(f"the service never verified its ledger:\n{service.printed}")
            time.sleep(_LOOK_SECONDS)
        if service.ended() != KILLED or self._service.hit is None:
            raise WrongError(f"the service ended with {service.ended()}:\n{service.printed}")
        return False

    def _publish_or_die(self, service: Newborn) -> None:
        """Close a day while nobody sends, and publish it, with death on the way."""
        self._moment += timedelta(days=1)
        self._set_clock()
        self._arm(self._service, "publish")
        with httpx.Client(base_url=service.url, timeout=60) as http:
            try:
                self._world.published.update(good(http.post("/publish", json={}))["published"])
            except httpx.TransportError:
                if service.wait() != KILLED:
                    raise WrongError(f"the service ended:\n{service.printed}") from None
                self._inquest.may_have_counted(self._today - timedelta(days=1))
                self._died("publish", self._service)
                return
            self._learn(self._service, "publish")
            self._publish(http)
        # Seen now, before traffic changes what was counted.
        self._require(self._inquest.ledger())

    def _die_in_traffic(self, service: Newborn, *, with_backup: bool) -> None:
        draw = self._random
        is_timed = draw.random() < _DIES_AT_ANY_MOMENT
        operation = draw.choice(self.operations)
        is_for_administrator = operation in ADMINISTRATION
        sender = -1 if is_for_administrator else draw.randrange(_CLIENTS)
        trap = Trap(
            operation,
            draw.randrange(8),
            lambda: self._arm(self._service, operation),
            Flag(),
        )
        own = None if is_timed else trap
        today = self._today
        traffic = Traffic(
            [
                Sender(
                    f"client {number}",
                    Random(draw.getrandbits(64)),
                    own if number == sender else None,
                    world=self._world,
                    number=number,
                    today=today,
                )
                for number in range(_CLIENTS)
            ]
            + [
                Administrator(
                    "administrator",
                    Random(draw.getrandbits(64)),
                    own if is_for_administrator else None,
                    world=self._world,
                    today=today,
                )
            ]
        )
        backup = self._begin("backup") if with_backup else None
        traffic.start(service.url)
        if is_timed:
            time.sleep(draw.random() * _LONGEST_MOMENT_SECONDS)
        else:
            deadline = time.monotonic() + _LONGEST_LIFE_SECONDS
            while not trap.passed.is_set() and time.monotonic() < deadline:
                time.sleep(_LOOK_SECONDS)
        is_killed = not is_timed and service.ended() is not None
        service.kill()
        faults = traffic.join()
        self.requests += traffic.requests
        is_cut = draw.random() < self.power
        if backup is not None:
            self._end_backup(backup, kill=is_cut)
        if is_killed and service.ended() != KILLED:
            raise WrongError(f"the service ended with {service.ended()}:\n{service.printed}")
        if faults:
            raise WrongError(*faults, service.printed[-3_000:])
        if is_killed:
            self._died(operation, self._service, is_cut=is_cut)
        else:
            self._learn(self._service, operation)
            what = "traffic" if is_timed else operation
            self._died(
                what, None, "at any moment" if is_timed else "after the answer", is_cut=is_cut
            )

    # --- what operators do -------------------------------------------------------------------

    def _begin(self, *arguments: str) -> Newborn:
        if self._random.random() < _DIES_IN_COMMAND:
            self._arm(self._command, arguments[0])
        return self._bear(*arguments)

    def _ended(self, command: Newborn, operation: str) -> bool:
        """Wait for a command; says whether it did its work."""
        status = command.wait()
        if status == KILLED and self._command.hit is not None:
            return False
        if status:
            raise WrongError(f"dpdau {operation} ended with {status}:\n{command.printed}")
        self._learn(self._command, operation)
        return True

    def _end_backup(self, backup: Newborn, *, kill: bool) -> None:
        if kill:
            backup.kill()
        status = backup.wait()
        if not status:
            self._made += 1
        if status == KILLED:
            if not kill:
                self._died("backup", self._command, is_cut=False)
        elif status:
            raise WrongError(f"dpdau backup ended with {status}:\n{backup.printed}")

    def _back_up_at_rest(self) -> None:
        """Make a backup while nobody sends, so that what it holds is known."""
        folder = backups_of(self._settings())
        before = set(folder.files())
        is_done = self._ended(self._begin("backup"), "backup")
        made = set(folder.files()) - before
        if is_done and len(made) != 1:
            raise WrongError(f"a backup was made, and there are {len(made)} more")
        self._made += is_done
        for file in made:
            self._copies[file] = (self._world.people, self._today.toordinal())
        if not is_done:
            self._died("backup", self._command, is_cut=False)

    def _restore(self) -> None:
        """Put a backup back, of which it is known what it holds."""
        # What a killed service had written and not synced is seen, and may yet go with the power.
        in_doubt = self._world.doubts()
        self._require(self._inquest.people())
        before = self._world.people
        present = [file for file in self._copies if file.exists()]
        if not present:
            return
        file = self._random.choice(present)
        former, copied_on = self._copies[file]
        then = restored(before, former, copied_on)
        is_done = self._ended(self._begin("restore", str(file)), "restore")
        if not is_done:
            self._died("restore", self._command)
            self._world.doubt(in_doubt)
            if not list(self._inquest.people()):
                return
        self._world.become(self._inquest.without_taken_out(then))
        self._require(self._inquest.people())

    def _rotate(self) -> None:
        """Let the next start be one with another secret."""
        self._secrets.insert(0, f"the second secret of run {self.seed}")
        self._inquest.settings = self._settings()
        self._inquest.former_backups.update(backups_of(self._settings()).files())
        self._copies.clear()
        self._starting = "rotation"

    # --- afterwards --------------------------------------------------------------------------

    def _examine(self, service: Newborn) -> None:
        """Look at everything while nobody sends."""
        self._require(self._inquest.people())
        with httpx.Client(base_url=service.url, timeout=60) as http:
            self._publish(http)
            self._erase_nobody(http)
            self._ask_again(http)
        self._require(self._inquest.people())
        self._require(self._inquest.ledger())
        self._require(self._inquest.erasures())
        self._require(self._inquest.traces())
        found = len(backups_of(self._settings()).files())
        if found < self._made:
            raise WrongError(f"{self._made} backups were made, and {found} are there")
        self._require(self._inquest.doctor(is_rotating=len(self._secrets) > 1))

    def _publish(self, http: httpx.Client) -> None:
        """Release what has closed before anything more is sent about it."""
        yesterday = self._today - timedelta(days=1)
        good(http.get(f"/dau/{yesterday}"))
        good(http.get("/mau", params={"end": f"{yesterday}"}))
        if self._kind == "exact":
            revised = good(http.post("/revise", json={"metric": "dau", "day": f"{yesterday}"}))
            counted = self._inquest.active(yesterday)
            if revised["estimate"] != counted:
                raise WrongError(f"{revised['release_id']} is {revised['estimate']}, not {counted}")

    def _erase_nobody(self, http: httpx.Client) -> None:
        """Have every erasure completed that waits."""
        for _ in range(5):
            answer = good(http.post("/erasure", json={"user_id": f"nobody {self.life}"}))
            if answer["state"] == "done":
                return
        raise WrongError("an erasure was not done while nobody read")

    def _ask_again(self, http: httpx.Client) -> None:
        names = sorted(self._world.told)
        for name in self._random.sample(names, min(len(names), 2)):
            found = good(http.get(f"/releases/{name}"))
            told = self._world.told[name]
            if any(found[field] != value for field, value in told.items()):
                raise WrongError(f"{name} was {told} and is {found}")
