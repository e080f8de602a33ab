"""The distribution of a small HyperLogLog's registers, in exact rational numbers."""

from fractions import Fraction
from itertools import combinations_with_replacement, product

__all__ = ["largest_loss", "probability"]


def probability(state: tuple[int, ...], users: int, kept: Fraction) -> Fraction:
    """P(registers = state) after this many users, each kept with a probability.

    The registers are at most r componentwise if no user falls on one with a larger rank, which a
    user does with probability kept/m·Σ 2^−r; inclusion and exclusion give the mass.
    """
    total = Fraction(0)
    for lowered in product((0, 1), repeat=len(state)):
        if any(rank < less for rank, less in zip(state, lowered, strict=True)):
            continue
        tails = sum(Fraction(1, 2 ** (r - less)) for r, less in zip(state, lowered, strict=True))
        total += (-1) ** sum(lowered) * (1 - kept * tails / len(state)) ** users
    return total


def largest_loss(registers: int, users: int, kept: Fraction, ranks: int) -> Fraction | None:
    """The largest ratio, either way, that one more user makes; None if it is infinite.

    Args:
        registers: m.
        users: of the smaller set.
        kept: the probability with which each is kept.
        ranks: states with larger ranks are left out; they only get likelier with more users.
    """
    largest = Fraction(1)
    # All registers are alike, so the order within a state does not matter.
    for state in combinations_with_replacement(range(ranks + 1), registers):
        without, with_one = (probability(state, each, kept) for each in (users, users + 1))
        if not without or not with_one:
            if without != with_one:
                return None
            continue
        largest = max(largest, without / with_one, with_one / without)
    return largest
