"""Where the activity is that a store's values are counted from."""

from enum import StrEnum

__all__ = ["ActivitySource"]


class ActivitySource(StrEnum):
    """Who counts the users of a store's series."""

    STORE = "store"
    SPARK = "spark"
