"""What a soak must show, computed from what was seen. Nothing here looks at a service.

Each verdict says what is allowed and what was found. One that needs more days than there were is
not judged.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

__all__ = [
    "BYTES_A_USER",
    "Verdict",
    "bounded",
    "flat_memory",
    "level",
    "no_drift",
    "noise_of_scale",
    "steady",
]

BYTES_A_USER = 256
"""What one more known user may cost in memory: page, index, bitmaps, and room to grow them."""

_LEAST_DAYS = 9
_WARM_SHARE = 1 / 3
_FALSE_ALARM = 1e-6
_A_FEW = 4
_FLAT_SHARE_A_DAY = 0.002
_FLAT_MIB_A_DAY = 0.5

Series = Sequence[float]


@dataclass(frozen=True, slots=True)
class Verdict:
    """One question and its answer.

    Attributes:
        what: is asked.
        holds: whether it does; None if too few days were lived to tell.
        allowed: the bound, in words.
        found: the figure, in words.
    """

    what: str
    holds: bool | None
    allowed: str
    found: str


def flat_memory(what: str, daily_mib: Series, daily_users: Series) -> Verdict:
    """Whether memory grows by no more than the users who join account for.

    The slope is Theil's and Sen's, the median of the slopes between all pairs of days, over the
    days after the first third, in which caches fill.

    Args:
        what: kind of memory.
        daily_mib: its median on each day.
        daily_users: how many were known at the end of each day.
    """
    if len(daily_mib) < _LEAST_DAYS:
        return _unjudged(what)
    warm = int(len(daily_mib) * _WARM_SHARE)
    grown, users = np.asarray(daily_mib[warm:]), np.asarray(daily_users[warm:])
    days = np.arange(len(grown))
    slope = float(stats.theilslopes(grown, days).slope)
    joined = max(float(stats.theilslopes(users, days).slope), 0.0)
    tolerance = max(_FLAT_MIB_A_DAY, _FLAT_SHARE_A_DAY * float(np.median(grown)))
    allowed = joined * BYTES_A_USER / 2**20 + tolerance
    return Verdict(
        what,
        slope <= allowed,
        f"at most {allowed:.2f} MiB a day ({joined:,.0f} users more × {BYTES_A_USER} bytes + "
        f"{tolerance:.2f})",
        f"{slope:+.2f} MiB a day, {float(np.median(grown)):,.0f} MiB",
    )


def bounded(what: str, daily: Series, most: float, unit: str) -> Verdict:
    """Whether what comes and goes stays below a bound, by its highest figure of any day."""
    highest = max(daily, default=0.0)
    return Verdict(
        what, highest <= most, f"at most {most:,.0f} {unit}", f"{highest:,.1f} {unit} at most"
    )


def level(what: str, daily: Series) -> Verdict:
    """Whether a number of files or threads is no higher at the end than after the first third.

    Connections come and go between two looks, which a few more allow for.
    """
    if len(daily) < _LEAST_DAYS:
        return _unjudged(what)
    third = len(daily) // 3
    before, after = float(np.median(daily[third : 2 * third])), float(np.median(daily[-third:]))
    most = before + _A_FEW
    return Verdict(what, after <= most, f"at most {most:g}", f"{after:g} in the last third")


def steady(what: str, daily: Series, *, most_ratio: float, slack: float, rises: bool) -> Verdict:
    """Whether the last third of the days is as the first third, but for a ratio and a slack.

    Args:
        what: was measured, with its unit.
        daily: a figure of each day.
        most_ratio: by how much the median may be worse.
        slack: what a difference of no importance is, in the unit.
        rises: whether a larger figure is worse.
    """
    # What happens on the first day, such as designing the plans, happens once.
    daily = daily[1:]
    if len(daily) < _LEAST_DAYS - 1:
        return _unjudged(what)
    third = len(daily) // 3
    first, last = float(np.median(daily[:third])), float(np.median(daily[-third:]))
    bound = first * most_ratio + slack if rises else first / most_ratio - slack
    return Verdict(
        what,
        last <= bound if rises else last >= bound,
        f"{'at most' if rises else 'at least'} {bound:,.1f} in the last third",
        f"{first:,.1f} in the first third, {last:,.1f} in the last",
    )


def no_drift(what: str, wrong: Mapping[str, int], compared: int) -> Verdict:
    """Whether nothing at all differs from what must be.

    Args:
        what: was compared.
        wrong: how many differ, by what they belong to.
        compared: how many were.
    """
    total = sum(wrong.values())
    named = ", ".join(f"{name}: {count}" for name, count in wrong.items() if count)
    found = f"{compared:,} compared, {total:,} differ" + (f" ({named[:200]})" if named else "")
    return Verdict(what, total == 0 and compared > 0, "none differs", found)


def noise_of_scale(what: str, standardised: Series) -> Verdict:
    """Whether noise divided by its σ is standard normal: χ² from both sides, 10⁻⁶ in all.

    Args:
        what: the measurements.
        standardised: independent values.
    """
    count = len(standardised)
    if not count:
        return Verdict(what, None, "some values", "none")
    square = math.fsum(each * each for each in standardised)
    low, high = stats.chi2.ppf((_FALSE_ALARM / 2, 1 - _FALSE_ALARM / 2), count)
    return Verdict(
        what,
        bool(low <= square <= high),
        f"χ² from {low:.1f} to {high:.1f}",
        f"χ² = {square:.1f} of {count} measurements",
    )


def _unjudged(what: str) -> Verdict:
    return Verdict(what, None, f"needs {_LEAST_DAYS} days", "too few days")
