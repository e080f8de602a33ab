"""Where the store's file is, for what can only be done to a file."""

from pathlib import Path

from dpdau.bootstrap import database_of
from dpdau.config import Settings
from dpdau.errors import BackupError

__all__ = ["require_file"]


def require_file(settings: Settings) -> Path:
    """The file of the store, whether it exists or not.

    Raises:
        BackupError: if the store is in a database.
    """
    path = database_of(settings)
    if settings.service_database_url is not None:
        raise BackupError(
            path,
            "the store is not in this file but where SERVICE_DATABASE_URL says; back up and put "
            "back the database by its own means (docs/scaling.md)",
        )
    return path
