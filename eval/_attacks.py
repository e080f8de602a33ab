"""Attackers: what each wants, how it goes against a naive service, and how it goes here.

Most play for one bit: a target exists or does not, with equal odds, and everything else is known to
the attacker. Here they play against the real product; the naive services are a few lines each.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.random import Generator  # noqa: TID251 - naive services have seeds

from _games import Arena, Score, allowed_by_budget, allowed_by_plan, direction, projected
from dpdau.config import load_settings
from dpdau.errors import BudgetExhaustedError
from dpdau.model.releases import Metric

__all__ = ["ADVERSARIES", "Adversary", "drained"]

_ASKED = 200
_READERS = 100
_GROUP = 4
_FAKES = 200
_SMALLEST_SHOWN = 50
_SEEN_ON = 10
_LENGTHS = 20
_TARGET = "target"


@dataclass(frozen=True, slots=True)
class Adversary:
    """One attack.

    Attributes:
        name: what it is called.
        goal: what the attacker wants.
        naive: what a naive service does.
        here: what stops it here.
        naive_score: one game against the naive service: (whether the target exists, chance).
        score: one game here: (whether the target exists) -> (score, what the guarantee allows).
    """

    name: str
    goal: str
    naive: str
    here: str
    naive_score: Callable[[bool, Generator], Score]
    score: Callable[[bool], tuple[Score, float]]


# --- averaging -----------------------------------------------------------------------------


def _mean_of_fresh_answers(asked: int, is_present: bool, chance: Generator) -> Score:  # noqa: FBT001 - a world
    epsilon = load_settings().epsilon_dau
    return float((is_present + chance.laplace(scale=1 / epsilon, size=asked)).mean()) - 0.5


def _averaging(is_present: bool) -> tuple[Score, float]:  # noqa: FBT001 - a world
    arena = Arena()
    arena.tell([_TARGET] * is_present, 0)
    arena.close(0)
    values = [arena.release(Metric.DAU, 0).estimate_raw for _ in range(_ASKED)]
    return float(np.mean(values)) - 0.5, allowed_by_plan(arena.plan(Metric.DAU))


# --- differencing --------------------------------------------------------------------------


def _differencing_naive(is_present: bool, chance: Generator) -> Score:  # noqa: FBT001 - a world
    # Noise that is drawn once a day and kept is the same before and after the correction.
    noise = chance.laplace(scale=1 / load_settings().epsilon_dau)
    return (is_present + noise) - (0 + noise) - 0.5


def _differencing(is_present: bool) -> tuple[Score, float]:  # noqa: FBT001 - a world
    arena = Arena()
    arena.tell([_TARGET] * is_present, 0)
    arena.close(0)
    before = arena.release(Metric.DAU, 0)
    arena.application.erase([_TARGET])
    after = arena.application.publisher.revise(Metric.DAU, arena.day(0), None)
    allowed = allowed_by_budget(arena.application, Metric.DAU, arena.day(0))
    return before.estimate_raw - after.estimate_raw - 0.5, allowed


# --- toggling, and leaving to return -------------------------------------------------------


def _every_other_day(arena: Arena) -> list[int]:
    return [1 - index % 2 for index in range(arena.period.days)]


def _toggling_naive(is_present: bool, chance: Generator) -> Score:  # noqa: FBT001 - a world
    # The same noise, for at most four flips, and nobody who sees to it that there are no more.
    arena = Arena()
    _, far = direction(arena.plan(Metric.MAU), _every_other_day(arena))
    return float(is_present * far + chance.normal() - far / 2)


def _toggling(is_present: bool) -> tuple[Score, float]:  # noqa: FBT001 - a world
    arena = Arena()

    def leave(index: int) -> None:
        arena.tell([_TARGET], index - 1, add=False)

    return _in_and_out(arena, leave, is_present=is_present)


def _returning(is_present: bool) -> tuple[Score, float]:  # noqa: FBT001 - a world
    arena = Arena()

    def leave(index: int) -> None:
        arena.erase([_TARGET], index)

    return _in_and_out(arena, leave, is_present=is_present)


def _in_and_out(
    arena: Arena, leave: Callable[[int], None], *, is_present: bool
) -> tuple[Score, float]:
    """A month in which the target comes every other day, and leaves on the next."""
    wanted = _every_other_day(arena)
    releases = []
    for index, comes in enumerate(wanted):
        if is_present and comes:
            arena.tell([_TARGET], index)
        elif is_present:
            leave(index)
        arena.close(index)
        releases.append(arena.release(Metric.MAU, index))
    plan = arena.plan(Metric.MAU)
    # The limiter is public, so the attacker looks where it lets the target be counted.
    counted = [
        comes * (sum(wanted[: index + 1]) <= (plan.presence.runs or 0))
        for index, comes in enumerate(wanted)
    ]
    return projected(releases, plan, counted, [0.0] * len(wanted)), allowed_by_plan(plan)


# --- sliding windows -----------------------------------------------------------------------


def _windows(arena: Arena) -> list[tuple[int, int]]:
    """(end, days) of windows that hold the day on which the target may have been there."""
    ends = range(_SEEN_ON, arena.period.days)
    return [(end, end - _SEEN_ON + more) for more in range(1, _LENGTHS + 1) for end in ends]


def _sliding_naive(is_present: bool, chance: Generator) -> Score:  # noqa: FBT001 - a world
    epsilon = load_settings().epsilon_mau
    asked = (28 - _SEEN_ON) * _LENGTHS
    return float((is_present + chance.laplace(scale=1 / epsilon, size=asked)).sum()) - asked / 2


def _sliding(is_present: bool) -> tuple[Score, float]:  # noqa: FBT001 - a world
    arena = Arena()
    arena.tell([_TARGET] * is_present, _SEEN_ON)
    arena.close(arena.period.days - 1)
    answers = []
    for end, window_days in _windows(arena):
        try:
            answers.append(arena.release(Metric.MAU, end, window_days).estimate_raw)
        except BudgetExhaustedError:
            break
    allowed = allowed_by_budget(arena.application, Metric.MAU, arena.day(0))
    return float(np.sum(answers)) - len(answers) / 2, allowed


# --- colluding -----------------------------------------------------------------------------


def _readers(is_present: bool) -> tuple[Score, float]:  # noqa: FBT001 - a world
    arena = Arena()
    arena.tell([_TARGET] * is_present, 0)
    arena.close(0)
    seen = [arena.application.release(Metric.DAU, arena.day(0)) for _ in range(_READERS)]
    values = [view.estimate_raw for view in seen]
    return float(np.mean(values)) - 0.5, allowed_by_plan(arena.plan(Metric.DAU))


def _group_naive(is_present: bool, chance: Generator) -> Score:  # noqa: FBT001 - a world
    # Every day gets the noise that one day needs, and a month adds up.
    days, epsilon = 28, load_settings().epsilon_dau
    noise = chance.laplace(scale=1 / epsilon, size=days)
    return float((_GROUP * is_present + noise).sum()) - days * _GROUP / 2


def _group(is_present: bool) -> tuple[Score, float]:  # noqa: FBT001 - a world
    names = [f"{_TARGET} {number}" for number in range(_GROUP)] * is_present
    arena = Arena()
    releases = []
    for index in range(arena.period.days):
        arena.tell(names, index)
        arena.close(index)
        releases.append(arena.release(Metric.DAU, index))
    plan, everyone = arena.plan(Metric.DAU), [float(_GROUP)] * arena.period.days
    score = projected(releases, plan, everyone, [0.0] * len(releases))
    return score, allowed_by_plan(plan, _GROUP)


# --- massive deletion ----------------------------------------------------------------------


def _deletion_naive(is_present: bool, _: Generator) -> Score:  # noqa: FBT001 - a world
    # Exact numbers, but none below a threshold: enough fakes lift any number above it.
    fakes = _FAKES // 2
    shown = fakes + is_present if fakes + is_present >= _SMALLEST_SHOWN else 0
    return shown - fakes - 0.5


def _deletion(is_present: bool) -> tuple[Score, float]:  # noqa: FBT001 - a world
    arena = Arena()
    fakes = [f"fake {number}" for number in range(_FAKES)]
    releases, known = [], []
    for index in range(arena.period.days):
        if index and index % 4 == 0:
            # A wave: half of those who are left.
            arena.erase(fakes[len(fakes) // 2 :], index)
            fakes = fakes[: len(fakes) // 2]
        arena.tell([*fakes, *[_TARGET] * is_present], index)
        arena.close(index)
        releases.append(arena.release(Metric.DAU, index))
        known.append(float(len(fakes)))
    plan = arena.plan(Metric.DAU)
    return projected(releases, plan, [1.0] * len(known), known), allowed_by_plan(plan)


# --- draining ------------------------------------------------------------------------------


def drained(_: int) -> tuple[int, int]:
    """Days without a value after someone has asked for all they could: (naive, here)."""
    return _days_refused(Arena(mechanism_mau="laplace")), _days_refused(Arena())


def _days_refused(arena: Arena) -> int:
    """Ask for other windows on the first day, then for every day's MAU."""
    arena.tell([_TARGET], 0)
    arena.close(arena.period.days - 1)
    refused = 0
    for window_days in range(2, arena.period.days):
        _is_refused(arena, 0, window_days)
    for index in range(arena.period.days):
        refused += _is_refused(arena, index, None)
    return refused


def _is_refused(arena: Arena, index: int, window_days: int | None) -> bool:
    try:
        arena.release(Metric.MAU, index, window_days)
    except BudgetExhaustedError:
        return True
    return False


# --- all of them ---------------------------------------------------------------------------


ADVERSARIES = (
    Adversary(
        "averaging",
        f"whether someone was there on a day, by asking {_ASKED} times",
        "draws fresh noise for every question",
        "the value of a day never changes",
        partial(_mean_of_fresh_answers, _ASKED),
        _averaging,
    ),
    Adversary(
        "differencing",
        "whether someone was there, from before and after their erasure",
        "keeps a day's noise for the corrected number",
        "a correction has noise and a price of its own",
        _differencing_naive,
        _differencing,
    ),
    Adversary(
        "toggling",
        "whether someone exists who comes and takes it back every other day",
        "plans for four flips and does not count them",
        "whoever has used up their rises is not counted again",
        _toggling_naive,
        _toggling,
    ),
    Adversary(
        "leaving and returning",
        "whether someone exists who is erased and returns every other day",
        "forgets with the person what they had used up",
        "who returns takes up the index that they had",
        _toggling_naive,
        _returning,
    ),
    Adversary(
        "sliding windows",
        "whether someone was there on a day, from windows of all lengths around it",
        "takes every window for a question of its own",
        "all windows of a period are paid from one budget",
        _sliding_naive,
        _sliding,
    ),
    Adversary(
        "colluding readers",
        f"whether someone was there on a day, with what {_READERS} readers were told",
        "draws noise for every reader",
        "all readers are told the same",
        partial(_mean_of_fresh_answers, _READERS),
        _readers,
    ),
    Adversary(
        "colluding users",
        f"whether a group of {_GROUP} was there for a month",
        "has noise for one day of one person",
        "the noise is for a month, and a group's loss is its size times one's",
        _group_naive,
        _group,
    ),
    Adversary(
        "massive deletion",
        "whether someone is there, with waves that erase half of many fakes",
        f"shows exact numbers of at least {_SMALLEST_SHOWN}",
        "noise does not depend on how many there are",
        _deletion_naive,
        _deletion,
    ),
)
