"""A store as the first version of the schema laid it out, with people in it."""

import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from random import Random  # noqa: TID251 - a seeded choice of who is in it, no noise

import numpy as np
from pyroaring import BitMap

from _world import World
from dpdau.hashing import Pseudonymizer
from dpdau.store.sqlite.connections import APPLICATION_ID
from dpdau.store.sqlite.statements import migrations

__all__ = ["old_store"]


def old_store(path: Path, secret: str, world: World, today: date, random: Random) -> None:
    """Make a store of version 1, and let the world know who is in it."""
    days = [(today - timedelta(days=back)).toordinal() for back in range(4)]
    for client in world.clients:
        for user, person in client.people.items():
            active = frozenset(day for day in days if random.getrandbits(1))
            client.people[user] = replace(person, days=active)
    people = world.people
    pseudonymizer = Pseudonymizer(secret)
    names = pseudonymizer.pseudonyms(list(people)).view(np.int64).tolist()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        path.chmod(0o600)
        run, many = connection.execute, connection.executemany
        run(f"PRAGMA application_id = {APPLICATION_ID}")
        run("PRAGMA journal_mode = WAL")
        run("BEGIN")
        for statement in migrations()[0].statements:
            run(statement)
        many("INSERT INTO users VALUES (?, ?)", [(name, at) for at, name in enumerate(names)])
        run("UPDATE counters SET value = ?", (len(names),))
        for day in days:
            present = BitMap(at for at, each in enumerate(people.values()) if day in each.days)
            if present:
                run("INSERT INTO membership VALUES (?, 0, ?)", (day, present.serialize()))
        run("INSERT INTO meta VALUES ('key_check_value', ?)", (pseudonymizer.key_check_value,))
        run("PRAGMA user_version = 1")
        run("COMMIT")
