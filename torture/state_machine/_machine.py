"""The machine: every way to use the product, in any order, beside the model."""

from _operators import OperatorRules
from _people import PeopleRules
from _values import ValueRules

__all__ = ["PRESENCES", "ProductMachine"]

PRESENCES = [f"{runs}:{days}" for runs in (0, 1, 2) for days in (28, 29, 30, 31)]
"""Whose strategies continual series may need, as `Nursery` takes them."""


class ProductMachine(PeopleRules, ValueRules, OperatorRules):
    """All rules together; see `Beside` for what a subclass may choose."""
