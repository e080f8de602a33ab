"""SQL from the files beside this package: named queries and numbered migrations, by database."""

import re
from collections.abc import Mapping
from functools import cache
from importlib import resources

__all__ = ["migration_scripts", "named_queries"]

_FOLDER = resources.files("dpdau.store") / "sql"
_QUERY_NAME = re.compile(r"^-- (\w+) --$", re.MULTILINE)
_MIGRATION_NAME = re.compile(r"^(\d{4})_\w+\.sql$")


@cache
def named_queries(database: str) -> Mapping[str, str]:
    """Every query for a database, such as `sqlite`, by name."""
    text = (_FOLDER / database / "queries.sql").read_text("utf-8")
    _, *named = _QUERY_NAME.split(text)
    return {name: body.strip() for name, body in zip(named[::2], named[1::2], strict=True)}


@cache
def migration_scripts(database: str) -> Mapping[int, str]:
    """Every step of a database's schema, by the version that it leads to, from 1 on."""
    steps = {
        int(matched[1]): file.read_text("utf-8")
        for file in (_FOLDER / database).iterdir()
        if (matched := _MIGRATION_NAME.match(file.name))
    }
    return dict(sorted(steps.items()))
