"""How figures are put into words, the same wherever they are shown."""

import math

__all__ = ["chance", "count", "left", "odds", "odds_factor", "pair", "promise", "rounded", "span"]

_LARGEST_MEANINGFUL_EPSILON = 20.0


def count(number: int, one: str, many: str = "") -> str:
    """A number of things: `1 day`, `3 days`, `2 people`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def span(lower: float, upper: float, between: str = "to") -> str:
    """A range of counts."""
    return f"{lower:,.0f} {between} {upper:,.0f}"


def rounded(value: float) -> str:
    """An ε, to four digits."""
    return f"{value:.4g}"


def pair(epsilon: float, delta: float) -> str:
    """ε, and δ unless it is zero."""
    return f"ε = {rounded(epsilon)}" + (f", δ = {delta:.2g}" if delta else "")


def left(remaining: float, cap: float, period: str) -> str:
    """What remains of a budget."""
    return f"ε = {rounded(remaining)} of {rounded(cap)} for {period}"


def odds_factor(epsilon: float) -> float | None:
    """e^ε, or None if ε is so large that it promises nothing."""
    return None if epsilon > _LARGEST_MEANINGFUL_EPSILON else math.exp(epsilon)


def odds(epsilon: float) -> str:
    """What ε means for someone who draws conclusions."""
    factor = odds_factor(epsilon)
    if factor is None:
        return "an ε this large promises nothing"
    shown = f"{factor:.3g}" if factor < 1000 else f"{factor:,.0f}"  # noqa: PLR2004 - no e+03
    return (
        "the odds of any conclusion about them change by at most a factor of "
        f"{shown}, whether they are in the data or not"
    )


def chance(delta: float) -> str:
    """What δ means."""
    return f"but for a chance of one in {1 / delta:,.0f}"


def promise(metric: str, period: str, epsilon: float, delta: float) -> str:
    """The guarantee for everything that is published of a metric for a period."""
    return (
        f"all that is published of {metric.upper()} for {period}, seen together, is "
        f"{pair(epsilon, delta)} private for every person: {odds(epsilon)}"
    )
