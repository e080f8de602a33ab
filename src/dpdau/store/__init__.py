"""Where everything is kept: in one SQLite file, or in memory for tests."""

from dpdau.store.backups import BackupFolder
from dpdau.store.head import KEPT, HeadFile, MemoryHead
from dpdau.store.journal import JournalFile, MemoryJournal
from dpdau.store.memory import MemoryStore
from dpdau.store.sqlite import SqliteStore

__all__ = [
    "KEPT",
    "BackupFolder",
    "HeadFile",
    "JournalFile",
    "MemoryHead",
    "MemoryJournal",
    "MemoryStore",
    "SqliteStore",
]
