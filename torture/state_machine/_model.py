"""The product as plain sets: who is active when, what was published, what it cost.

It shares no code with the product but the accountant, by which alone prices can be added up, and
says of each request which status it must get. It never forgets what retention lets go, so compare
it on days that are kept.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

from _terms import Backup, Fact, Grave, Question, Refused, Rules, Told
from dpdau.privacy.accountant import compose
from dpdau.privacy.charges import Charge

__all__ = ["DELTA", "Model", "month_end"]

DELTA = 1e-6
_ADVANCED_DELTA = 1e-7
_ORDERS = (2.0, 4.0, 8.0, 16.0, 32.0)
_ROUNDING = 1e-9


@dataclass
class _Series:
    """A continual series of one period."""

    counted: set[str] = field(default_factory=set)
    rises: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    totals: list[int] = field(default_factory=list)


class Model:
    """What must be true."""

    METRICS = ("dau", "mau")

    def __init__(self, rules: Rules, now: datetime) -> None:
        self.rules = rules
        self.now = now
        self.created_on = self.today
        self.active: dict[date, set[str]] = defaultdict(set)
        self.graves: dict[str, Grave] = {}
        self.erasures = 0
        self.secrets = 1
        self.told: dict[str, Told] = {}
        self.newest: dict[Question, Told] = {}
        self.charges: dict[tuple[str, str], list[Charge]] = defaultdict(list)
        self.caps: dict[tuple[str, str], float] = {}
        self.series: dict[tuple[str, str], _Series] = {}

    # --- time -----------------------------------------------------------------------------

    @property
    def today(self) -> date:
        """The day in the configured zone."""
        return self.now.astimezone(self.rules.timezone).date()

    @property
    def first_kept(self) -> date:
        """The oldest day that is kept."""
        return self.today - timedelta(days=self.rules.retention_days)

    def closes_at(self, day: date) -> datetime:
        """When all events of a day have come."""
        midnight = datetime.combine(
            day + timedelta(days=1), datetime.min.time(), self.rules.timezone
        )
        return midnight.astimezone(UTC) + timedelta(hours=self.rules.lateness_hours)

    def is_open(self, day: date) -> bool:
        """Whether events may still be on their way."""
        return self.now < self.closes_at(day)

    @property
    def last_closed(self) -> date:
        """The newest day that is not open."""
        return next(
            day
            for day in (self.today - timedelta(days=back) for back in range(99))
            if not self.is_open(day)
        )

    # --- people ---------------------------------------------------------------------------

    def refuses(self, day: date) -> bool:
        """Whether an event may not carry a day."""
        return not self.first_kept <= day <= self.today + timedelta(days=1)

    def apply(self, facts: Iterable[Fact]) -> None:
        """Take in good events, one after another."""
        facts = list(facts)
        for fact in facts:
            grave = self.graves.get(fact.user)
            if fact.whole and not fact.add:
                self._bury(fact.user, fact.day)
            elif grave is not None and fact.day < grave.erased_on:
                continue
            elif fact.add:
                self.active[fact.day].add(fact.user)
            else:
                self.active[fact.day].discard(fact.user)
        self.erasures += any(fact.whole and not fact.add for fact in facts)

    def erase(self, users: Iterable[str]) -> None:
        """Take people out of everything."""
        for user in users:
            self._bury(user, self.today)
        self.erasures += 1

    def present(self, day: date, window_days: int) -> set[str]:
        """Who was active in a window."""
        days = (day - timedelta(days=back) for back in range(window_days))
        return set().union(*(self.active.get(each, set()) for each in days))

    def _bury(self, user: str, day: date) -> None:
        for users in self.active.values():
            users.discard(user)
        self.graves[user] = Grave(day, self.today).deeper(self.graves.get(user))

    # --- copies ---------------------------------------------------------------------------

    def back_up(self) -> Backup:
        """What a backup made now holds."""
        return Backup(
            {day: frozenset(users) for day, users in self.active.items()},
            dict(self.graves),
            self.erasures,
            self.today,
            self.secrets,
        )

    def restore(self, backup: Backup) -> None:
        """Put a backup in place: activity goes back, erasures and publications do not.

        Tombstones tell days and no times, so whoever was erased on the day of the backup, and came
        back before it was made, is taken out again if there were erasures since.
        """
        if backup.secrets != self.secrets:
            raise Refused(503, "backup-refused", 10)
        since = {
            user
            for user, grave in self.graves.items()
            if grave != backup.graves.get(user)
            or (self.erasures > backup.erasures and grave.recorded_on >= backup.made_on)
        }
        self.active = defaultdict(set)
        for day, users in backup.active.items():
            self.active[day] = set(users) - since

    # --- publications ---------------------------------------------------------------------

    def window(self, metric: str, window_days: int | None) -> int:
        """The window of a question."""
        if window_days is None:
            return self._own_window(metric)
        if not 1 <= window_days <= (1 if metric == "dau" else self.rules.retention_days):
            raise Refused(422, "invalid-value", 3)
        return window_days

    def release(self, metric: str, day: date, window_days: int | None) -> Told:
        """The answer to a question."""
        question = Question(metric, self.window(metric, window_days), day)
        if question in self.newest:
            return self.newest[question]
        if self.is_open(day):
            raise Refused(409, "day-open", 7)
        if self._is_series(question):
            self._require_kept(day.replace(day=1), question.window_days)
            for _ in self.publish_period(metric, day):
                pass
            return self.newest[question]
        self._require_kept(day, question.window_days)
        return self._measure(question)

    def revise(self, metric: str, day: date, window_days: int | None) -> Told:
        """A new measurement of an old answer."""
        question = Question(metric, self.window(metric, window_days), day)
        if question not in self.newest:
            raise Refused(404, "release-not-found", 7)
        self._require_kept(day, question.window_days)
        return self._measure(question)

    def publish(self, through: date | None = None, start: date | None = None) -> list[str]:
        """What an operator, or the service by itself, publishes; gives the new ids."""
        end = min(through or self.last_closed, self.last_closed)
        published: list[str] = []
        refused: Refused | None = None
        for metric in self.METRICS:
            try:
                for told in self._publish_metric(metric, start, end):
                    published.append(told.release_id)  # noqa: PERF401 - what came before counts
            except Refused as error:
                refused = refused or error
        if refused is not None:
            raise Refused(refused.status, refused.slug, refused.exit_code, published)
        return published

    def look(self, metric: str, start: date, end: date) -> tuple[list[str], list[date]]:
        """The ids of a range's values, and its days without one."""
        days = [start + timedelta(days=offset) for offset in range((end - start).days + 1)]
        found = {
            day: self.newest.get(Question(metric, self._own_window(metric), day)) for day in days
        }
        return (
            [told.release_id for told in found.values() if told is not None],
            [day for day, told in found.items() if told is None],
        )

    def publish_range(self, metric: str, start: date, end: date) -> Iterator[Told]:
        """Publish the series of every period that a range touches."""
        end = min(end, self.last_closed)
        while start <= end:
            last = month_end(start)
            if self._is_kept(start.replace(day=1), self._own_window(metric)):
                yield from self.publish_period(metric, min(end, last))
            start = last + timedelta(days=1)

    def publish_period(self, metric: str, through: date) -> Iterator[Told]:
        """Publish the missing rows of a series up to a day of its period."""
        period, days = through.strftime("%Y-%m"), month_end(through).day
        while True:
            series = self.series.get((metric, period))
            row = 0 if series is None else len(series.totals)
            if row >= through.day:
                return
            if series is None:
                self._pay(metric, period, self.rules.series_prices[metric, days])
                series = self.series.setdefault((metric, period), _Series())
            yield self._advance(
                series, Question(metric, self._own_window(metric), through.replace(day=row + 1))
            )

    def _publish_metric(self, metric: str, start: date | None, end: date) -> Iterator[Told]:
        if start is not None:
            start = max(start, self.first_kept)
        if self.rules.continual:
            if start is None:
                yield from self._publish_due(metric, end)
            else:
                yield from self.publish_range(metric, start, end)
        elif start is not None:
            for offset in range((end - start).days + 1):
                question = Question(
                    metric, self._own_window(metric), start + timedelta(days=offset)
                )
                if question not in self.newest and self._is_kept(
                    question.day, question.window_days
                ):
                    yield self._measure(question)

    def _publish_due(self, metric: str, end: date) -> Iterator[Told]:
        firsts = {
            date.fromisoformat(f"{period}-01")
            for (of, period), series in self.series.items()
            if of == metric
            and len(series.totals) < month_end(date.fromisoformat(f"{period}-01")).day
        }
        first = self.created_on.replace(day=1)
        while self.created_on <= end and first <= end:
            firsts.add(first)
            first = month_end(first) + timedelta(days=1)
        for first in sorted(firsts):
            if self._is_kept(first, self._own_window(metric)):
                through = min(end, month_end(first))
                if through >= first:
                    yield from self.publish_period(metric, through)

    def _advance(self, series: _Series, question: Question) -> Told:
        present = self.present(question.day, question.window_days)
        runs = self.rules.runs[question.metric]
        falls = series.counted - present
        rises = {
            user for user in present - series.counted if runs is None or series.rises[user] < runs
        }
        for user in rises:
            series.rises[user] += 1
        series.counted = (series.counted - falls) | rises
        series.totals.append(len(series.counted))
        return self._tell(Told(question, 0, len(series.counted), in_series=True))

    def _measure(self, question: Question) -> Told:
        period = question.day.strftime("%Y-%m")
        kept = None
        if (
            self.rules.continual
            and (question.metric, period) not in self.series
            and self._is_kept(question.day.replace(day=1), self._own_window(question.metric))
        ):
            kept = self.rules.series_prices[question.metric, month_end(question.day).day]
        self._pay(question.metric, period, self.rules.prices[question.metric], kept)
        former = self.newest.get(question)
        revision = 0 if former is None else former.revision + 1
        truth = len(self.present(question.day, question.window_days))
        return self._tell(Told(question, revision, truth, in_series=False))

    def _tell(self, told: Told) -> Told:
        self.told[told.release_id] = told
        self.newest[told.question] = told
        return told

    def _own_window(self, metric: str) -> int:
        return 1 if metric == "dau" else self.rules.window_days

    def _is_series(self, question: Question) -> bool:
        return self.rules.continual and question.window_days == self._own_window(question.metric)

    def _is_kept(self, day: date, window_days: int) -> bool:
        return day - timedelta(days=window_days - 1) >= self.first_kept

    def _require_kept(self, day: date, window_days: int) -> None:
        if not self._is_kept(day, window_days):
            raise Refused(404, "day-out-of-range", 7)

    # --- budgets --------------------------------------------------------------------------

    def cap(self, metric: str, period: str) -> float:
        """What a period may cost."""
        return self.caps.get((metric, period), self.rules.caps[metric])

    def raise_cap(self, metric: str, period: str, to: float) -> None:
        """Let it cost more."""
        if to <= self.cap(metric, period):
            raise Refused(422, "invalid-value", 3)
        self.caps[metric, period] = to

    def spent(self, metric: str, period: str, *more: Charge) -> float:
        """What a period has cost, or would with further charges."""
        return _epsilon((*self.charges.get((metric, period), ()), *more))

    def _pay(self, metric: str, period: str, price: Charge, kept: Charge | None = None) -> None:
        room = self.cap(metric, period) * (1 + _ROUNDING)
        needed = [self.spent(metric, period, price)]
        if kept is not None and self.spent(metric, period, kept) <= room:
            needed.append(self.spent(metric, period, price, kept))
        if max(needed) > room:
            raise Refused(429, "budget-exhausted", 8)
        self.charges[metric, period].append(price)


_known: dict[tuple[Charge, ...], float] = {}


def _epsilon(charges: tuple[Charge, ...]) -> float:
    if charges not in _known:
        composed = compose(charges, delta=DELTA, advanced_delta=_ADVANCED_DELTA, rdp_orders=_ORDERS)
        _known[charges] = composed.tight.epsilon
    return _known[charges]


def month_end(day: date) -> date:
    """The last day of a day's month."""
    following = day.replace(day=28) + timedelta(days=4)
    return following.replace(day=1) - timedelta(days=1)
