"""What whoever replays a log of activity needs: a clock to move, and the truth beside a value."""

from dataclasses import dataclass
from datetime import datetime

from dpdau.model.releases import Release

__all__ = ["Clock", "Published"]


@dataclass(slots=True)
class Clock:
    """A clock that moves only when told to."""

    now: datetime

    def __call__(self) -> datetime:
        """The time."""
        return self.now


@dataclass(frozen=True, slots=True)
class Published:
    """A release beside the truth at the time when it was made, which no reader can see."""

    release: Release
    true_count: int

    @property
    def is_covered(self) -> bool:
        """Whether the 95 % interval holds the truth."""
        return self.release.lower_95 <= self.true_count <= self.release.upper_95
