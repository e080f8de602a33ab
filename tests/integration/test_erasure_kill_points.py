"""A process that dies at each step of an erasure: untouched, or complete after a restart."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dpdau.bootstrap import build
from dpdau.config import load_settings
from dpdau.store import JournalFile
from support import Event, columns

DAY = datetime.now(UTC).date() - timedelta(days=3)
KILLED = 137
# Where the process dies, and whether the erasure had been committed by then.
STEPS = {
    "people are looked up": ("dpdau.pipeline.erase.erase_pseudonyms", "before", False),
    "the record is written": ("dpdau.pipeline.erase.record_erasure", "after", False),
    "the commit is done": ("dpdau.pipeline.journal.JournalKeeper.committed", "before", True),
    "the log is emptied": ("dpdau.store.sqlite.store.SqliteStore.purge", "before", True),
    "the purge is over": ("dpdau.store.sqlite.store.SqliteStore.purge", "after", True),
    "the journal is written": ("dpdau.store.journal._Head.encoded", "before", True),
    "the journal is synced": ("dpdau.store.journal.JournalFile.append", "after", True),
    "it is marked done": ("dpdau.pipeline.erase._complete", "after", True),
}
VICTIM = f"""
import os, pkgutil, sys
from unittest.mock import patch
from dpdau.bootstrap import build
from dpdau.config import load_settings

with build(load_settings(data_dir=sys.argv[1])) as app:
    app.erase(["eve"])
    real = pkgutil.resolve_name(sys.argv[2])

    def die(*arguments, **named):
        if sys.argv[3] == "after":
            real(*arguments, **named)
        os._exit({KILLED})

    if sys.argv[2].endswith("encoded"):
        # Reading checks the head too: only the one that is to be written counts.
        die_at_once, calls = die, []
        def die(*arguments, **named):
            calls.append(1)
            return die_at_once() if len(calls) == 2 else real(*arguments, **named)

    owner, _, attribute = sys.argv[2].rpartition(".")
    with patch.object(pkgutil.resolve_name(owner), attribute, die):
        print(app.erase(["ada", "bob"], "the key").state, flush=True)
"""


@pytest.mark.parametrize("step", STEPS)
def test_an_erasure_that_dies_is_untouched_or_completed_after_a_restart(
    tmp_path: Path, step: str
) -> None:
    name, moment, is_committed = STEPS[step]
    settings = load_settings(data_dir=tmp_path)
    with build(settings) as app:
        people = [Event(user, DAY) for user in ("ada", "bob", "eve", "joe")]
        app.ingestor.apply(app.ingestor.pseudonymize(columns(people)))
        names = app.ingestor._pseudonymizer.pseudonyms(["ada", "bob"]).tolist()  # noqa: SLF001
    died = subprocess.run(  # noqa: S603 - this interpreter on this file's own text
        [sys.executable, "-c", VICTIM, str(tmp_path), name, moment],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (died.returncode, died.stdout) == (KILLED, ""), died.stderr

    with build(settings) as app:
        assert app.upkeep.run().waiting_erasures == 0
        with app.store.read() as reader:
            left = len(reader.members(DAY.toordinal(), DAY.toordinal()))
            kept = set(reader.tombstones().pseudonyms.tolist())
        journal = set(JournalFile(tmp_path / "erasures.journal").read().pseudonyms.tolist())
        assert journal == kept
        assert (left, journal >= set(names)) == ((1, True) if is_committed else (3, False))
        # Asked again under its key, it is done either way, and only once.
        erasure = app.erase(["ada", "bob"], "the key")
        assert erasure.state == "done"
        assert app.receipt(erasure.erasure_id).days_touched == 2
