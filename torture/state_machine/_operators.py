"""What operators do: restart, back up, restore, replace the secret, look for faults."""

import json
from datetime import UTC
from pathlib import Path

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from _beside import USERS, Beside, Kept
from _terms import Fact, Refused
from _warm import Ended
from dpdau.errors import BackupError, WrongSecretError

__all__ = ["OperatorRules"]


class OperatorRules(Beside):
    """The life of the service and its files."""

    @rule(kill=st.booleans())
    def restart(self, *, kill: bool) -> None:
        """End the service in one way or the other, and start it."""
        self._did("restart by kill" if kill else "restart", is_silent=True)
        self.product.stop(kill=kill)
        self._start()

    @rule(elsewhere=st.booleans(), keep=st.sampled_from([None, None, 2]))
    def back_up(self, *, elsewhere: bool, keep: int | None) -> None:
        """Make a backup beside the running service."""
        self._did("back up", is_silent=True)
        options = ["--json"]
        if elsewhere:
            options += ["--to", str(self.directory / f"backup-{self._serial()}")]
        elif keep is not None:
            options += ["--keep", str(keep)]
        ended = self.product.command("backup", *options)
        name = f"dpdau-{self.model.now.astimezone(UTC):%Y%m%dT%H%M%SZ}.sqlite3"
        if not elsewhere and any(each.path.name == name for each in self.backups):
            assert ended.status == BackupError.exit_code, ended
            return
        assert ended.status == 0, ended
        made = json.loads(ended.output)
        self.backups.append(Kept(Path(made["path"]), self.model.back_up(), self.rotating))
        self.backups = [each for each in self.backups if each.path.exists()]

    @precondition(lambda self: self.backups)
    @rule(data=st.data(), kill=st.booleans())
    def restore(self, *, data: st.DataObject, kill: bool) -> None:
        """Put a backup back, perhaps a very old one."""
        self._did("restore", is_silent=True)
        oldest = self.model.first_kept
        kept = [each for each in self.backups if each.content.made_on >= oldest]
        if not kept:
            return
        self._put_back(kept[data.draw(st.integers(0, len(kept) - 1))], kill=kill)

    def _put_back(self, chosen: Kept, *, kill: bool) -> None:
        self.product.stop(kill=kill)
        expected = self._foreseen(lambda: self.model.restore(chosen.content))
        ended = self.product.command("restore", str(chosen.path))
        if isinstance(expected, Refused):
            assert ended.status == expected.exit_code, ended
        else:
            assert ended.status == 0, ended
            if chosen.rotating and not self.rotating:
                # The backup has people of the former secret.
                self.rotating = True
                self.product.set_secret(self.model.secrets, with_previous=True)
        self._start()

    @precondition(lambda self: self.backups)
    @rule(data=st.data())
    def restore_under_a_service(self, data: st.DataObject) -> None:
        """Try to put a backup back while the service has the store."""
        self._did("restore under a service", is_silent=True)
        chosen = self.backups[data.draw(st.integers(0, len(self.backups) - 1))]
        ended = self.product.command("restore", str(chosen.path))
        assert ended.status == BackupError.exit_code, ended

    @precondition(lambda self: not self.rotating)
    @rule()
    def rotate(self) -> None:
        """Replace the secret."""
        self._did("rotate", is_silent=True)
        self.product.stop(kill=False)
        self.model.secrets += 1
        self.rotating = True
        self.product.set_secret(self.model.secrets, with_previous=True)
        self._start()

    @precondition(lambda self: self.rotating)
    @rule(everyone=st.booleans())
    def end_rotation(self, *, everyone: bool) -> None:
        """Drop the previous secret, which works once nobody is known by it any more."""
        self._did("end rotation", is_silent=True)
        if everyone:
            today = self.model.today
            self._send([Fact(user, today, add=True) for user in USERS])
        ended = self.product.command("rekey", "--status", "--json")
        status = json.loads(ended.output)
        assert status == self.product.get("admin", "/rekey").json()
        self.product.stop(kill=False)
        self.product.set_secret(self.model.secrets, with_previous=False)
        if status["state"] == "complete":
            self.rotating = False
            self._start()
            return
        assert status["users_remaining"] + status["tombstones_remaining"] > 0
        refused = self.product.start()
        assert isinstance(refused, Ended), "a rotation ended too early"
        assert refused.status == WrongSecretError.exit_code, refused
        self.product.set_secret(self.model.secrets, with_previous=True)
        self._start()

    @rule(command=st.sampled_from(["verify", "doctor"]))
    def examine(self, command: str) -> None:
        """Let the product look at itself."""
        self._did(command, is_silent=True)
        self._examine(command)
