"""Which presence vectors one user can have in a period: the set V of the mathematics."""

import math
from dataclasses import dataclass
from typing import Any, Literal, Self

from dpdau.errors import InvalidPlanError, InvalidValueError

__all__ = ["Presence"]


@dataclass(frozen=True, slots=True)
class Presence:
    """The set V of presence vectors that one user can have, whatever they do.

    Attributes:
        kind: `runs`, binary vectors with at most `runs` runs of ones; or `unbounded`, all
            binary vectors.
        runs: the most runs, at least 1; None if unbounded.
    """

    kind: Literal["runs", "unbounded"]
    runs: int | None = None

    def __post_init__(self) -> None:
        """Refuse what is no presence set.

        Raises:
            InvalidValueError: an unknown kind, or a number of runs that does not go with it.
        """
        if self.kind == "unbounded":
            if self.runs is not None:
                raise InvalidValueError("runs", self.runs, "none, since presence is unbounded")
        elif self.kind == "runs":
            if not isinstance(self.runs, int) or isinstance(self.runs, bool) or self.runs < 1:
                raise InvalidValueError("runs", self.runs, "an integer, at least 1")
        else:
            raise InvalidValueError("kind", self.kind, "runs or unbounded")

    @classmethod
    def of(cls, days: int, runs: int | None) -> Self:
        """At most that many runs; unbounded if None, or if no vector of that length has more.

        Args:
            days: the length of the vectors.
            runs: a flippancy bound of w flips, counted from absence before the first day, is
                kept by at most ⌊w/2⌋ runs (Jain et al., NeurIPS 2023).

        Raises:
            InvalidValueError: no runs at all, which would count nobody.
        """
        presence = cls("unbounded") if runs is None else cls("runs", runs)
        return cls("unbounded") if presence.is_everything(days) else presence

    def most_runs(self, days: int) -> int:
        """The most runs of any vector of the set over that many days."""
        most = (days + 1) // 2
        return most if self.runs is None else min(self.runs, most)

    def is_everything(self, days: int) -> bool:
        """Whether the set holds every binary vector of that many days."""
        return self.most_runs(days) == (days + 1) // 2

    def count(self, days: int) -> int:
        """The number of vectors with at least one run: Σ over k ≥ 1 of C(days + 1, 2k)."""
        return sum(math.comb(days + 1, 2 * k) for k in range(1, self.most_runs(days) + 1))

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {"kind": self.kind, "runs": self.runs}

    @classmethod
    def from_dict(cls, data: Any) -> Self:
        """Read what `to_dict` wrote.

        Raises:
            InvalidPlanError: the values are no presence set.
        """
        if not isinstance(data, dict) or set(data) != {"kind", "runs"}:
            message = f"presence is {data!r:.80}; expected an object with kind and runs."
            raise InvalidPlanError(message)
        try:
            return cls(data["kind"], data["runs"])
        except InvalidValueError as error:
            raise InvalidPlanError(f"presence: {error.message}") from None
