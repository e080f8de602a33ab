"""An older copy of the store was put back by other means: who was erased since goes again."""

import shutil
from datetime import timedelta
from pathlib import Path

import numpy as np

from dpdau.application import Application
from dpdau.hashing import Pseudonymizer
from support import Event, FakeClock, application, columns

CLOCK = FakeClock()
DAY = CLOCK.now.date() - timedelta(days=5)
SECRET = "a secret of all of these"


def opened(folder: Path) -> Application:
    return application(folder, clock=CLOCK, lateness_hours=0, hash_salt_secret=SECRET)


def send(app: Application, *events: Event) -> None:
    app.ingestor.apply(app.ingestor.pseudonymize(columns(events)))


def active(app: Application) -> set[str]:
    user_ids = ["ada", "bob", "eve", "joe"]
    with app.store.read() as reader:
        indices = reader.user_indices(Pseudonymizer(SECRET).pseudonyms(user_ids))
        members = reader.members(DAY.toordinal(), DAY.toordinal())
    found = [index >= 0 and int(index) in members for index in indices]
    return set(np.array(user_ids)[found].tolist())


def test_those_erased_since_are_erased_again_and_nobody_else(tmp_path: Path) -> None:
    folder, copy = tmp_path / "data", tmp_path / "copy.sqlite3"
    with opened(folder) as app:
        send(app, *(Event(user, DAY) for user in ("ada", "bob", "eve", "joe")))
        app.erase(["ada"])
        send(app, Event("ada", CLOCK.now.date()))
    shutil.copyfile(folder / "dpdau.sqlite3", copy)
    CLOCK.advance(days=1)
    since = CLOCK.now.date()
    with opened(folder) as app:
        app.erase(["bob", "nobody"])
        CLOCK.advance(days=1)
        app.erase(["eve"])
    shutil.copyfile(copy, folder / "dpdau.sqlite3")
    with opened(folder) as app:
        assert active(app) == {"bob", "eve", "joe"}
        erasure = app.erase_again(since)
        assert (erasure.state, erasure.users) == ("done", 3)
        assert app.receipt(erasure.erasure_id).days_touched == 2
        assert active(app) == {"joe"}
        # What is dated before stays refused, and who had returned before is still there.
        send(app, Event("bob", DAY), Event("joe", DAY))
        assert active(app) == {"joe"}
        with app.store.read() as reader:
            assert len(reader.known_users()) == 2
        assert app.erase_again(since).state == "done"
        assert active(app) == {"joe"}
    CLOCK.advance(days=-2)
