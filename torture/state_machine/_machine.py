"""The machine: every way to use the product, in any order, beside the model."""

from _stories import StoryRules

__all__ = ["PRESENCES", "ProductMachine"]

PRESENCES = [f"{runs}:{days}" for runs in (0, 1, 2) for days in (28, 29, 30, 31)]
"""Whose strategies continual series may need, as `nursery` takes them."""


class ProductMachine(StoryRules):
    """All rules together; see `Beside` for what a subclass may choose."""
