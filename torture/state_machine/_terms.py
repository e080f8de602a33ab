"""The words of the model: events, erasures, questions and answers, settings, copies."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from zoneinfo import ZoneInfo

from dpdau.privacy.charges import Charge

__all__ = ["Backup", "Fact", "Grave", "Question", "Refused", "Rules", "Told"]


class Refused(Exception):  # noqa: N818 - what the model foresees is no error
    """The product must refuse.

    Attributes:
        status: with which HTTP status.
        slug: as which problem.
        exit_code: with which code a command ends.
        published: ids of releases made all the same.
    """

    def __init__(
        self, status: int, slug: str, exit_code: int, published: Sequence[str] = ()
    ) -> None:
        super().__init__(slug)
        self.status, self.slug, self.exit_code = status, slug, exit_code
        self.published = list(published)


@dataclass(frozen=True, slots=True)
class Fact:
    """One good event.

    Attributes:
        user: who.
        day: when.
        add: whether active.
        whole: whether the whole person is erased.
    """

    user: str
    day: date
    add: bool
    whole: bool = False


@dataclass(frozen=True, slots=True)
class Grave:
    """What is remembered of an erased person.

    Attributes:
        erased_on: events dated before are refused.
        recorded_on: when that was asked for.
    """

    erased_on: date
    recorded_on: date

    def deeper(self, other: "Grave | None") -> "Grave":
        """Both as one: nothing that either of them protects is lost."""
        if other is None:
            return self
        return Grave(max(self.erased_on, other.erased_on), max(self.recorded_on, other.recorded_on))


@dataclass(frozen=True, slots=True, order=True)
class Question:
    """What a release answers."""

    metric: str
    window_days: int
    day: date

    def release_id(self, revision: int) -> str:
        """The name of its answer."""
        suffix = f"-r{revision}" if revision else ""
        return f"{self.metric}-{self.window_days}d-{self.day}{suffix}"


@dataclass(frozen=True, slots=True)
class Told:
    """A value that was published.

    Attributes:
        question: what it answers.
        revision: how many answers came before.
        truth: how many people were counted.
        in_series: whether it belongs to a continual series.
    """

    question: Question
    revision: int
    truth: int
    in_series: bool

    @property
    def release_id(self) -> str:
        """Its name."""
        return self.question.release_id(self.revision)


@dataclass(frozen=True, slots=True)
class Rules:
    """The settings that matter to the model.

    Attributes:
        timezone: whose midnights separate days.
        lateness_hours: how long a day stays open after its end.
        retention_days: how many days before today are kept.
        window_days: the window of the metric mau.
        erase_by_default: whether a "-" without a scope erases the person.
        continual: whether both metrics are continual series, otherwise released one by one.
        runs: by metric, how many runs of presence a series counts; None for no limit.
        caps: by metric, the configured budget.
        prices: by metric, the charge of one release outside a series.
        series_prices: by metric and days of the period, the charge of a whole series.
    """

    timezone: ZoneInfo
    lateness_hours: int
    retention_days: int
    window_days: int
    erase_by_default: bool
    continual: bool
    runs: Mapping[str, int | None]
    caps: Mapping[str, float]
    prices: Mapping[str, Charge]
    series_prices: Mapping[tuple[str, int], Charge]


@dataclass(frozen=True, slots=True)
class Backup:
    """What a backup holds.

    Attributes:
        active: who was active on which day.
        graves: who was erased.
        erasures: how many erasures there had been.
        made_on: when it was begun.
        secrets: how many secrets there had been.
    """

    active: Mapping[date, frozenset[str]]
    graves: Mapping[str, Grave]
    erasures: int
    made_on: date
    secrets: int
