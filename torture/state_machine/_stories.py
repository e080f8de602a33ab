"""Whole stories, whose parts chance alone would seldom put in their order."""

from datetime import timedelta
from math import ceil

from hypothesis import strategies as st
from hypothesis.stateful import rule

from _beside import USERS
from _model import month_end
from _operators import OperatorRules
from _people import PeopleRules
from _terms import Fact, Question
from _values import ValueRules

__all__ = ["StoryRules"]

_HOUR = timedelta(hours=1)
_user = st.sampled_from(USERS)
_metric = st.sampled_from(["dau", "mau"])
# A day that is counted may close two days later, and a return begins with two of them.
_DAYS_OF_A_RETURN = 5
_REVISIONS = 5


class StoryRules(PeopleRules, ValueRules, OperatorRules):
    """What takes several steps; what is done in between is looked at too."""

    @rule(
        user=_user,
        leaves=st.sampled_from(["in silence", "by request", "by event"]),
        returns=st.sampled_from([1, 1, 2]),
    )
    def leave_and_return(self, user: str, leaves: str, returns: int) -> None:
        """Someone is counted, is gone on a day that is counted, and is active again."""
        self._begin_month_if_late(_DAYS_OF_A_RETURN * returns)
        self.be_active([user], back=0, days=1)
        self._count_today()
        for _ in range(returns):
            self._leave(user, leaves)
            self._count_today()
            self.be_active([user], back=0, days=1)
            self._count_today()

    def _leave(self, user: str, how: str) -> None:
        if how == "in silence":
            return
        if how == "by request":
            self.erase(users=[user], key=None, as_lines=False)
        else:
            self._did("leave by event", is_silent=True)
            leaving = Fact(user, self.model.today, add=False, whole=True)
            self._send([leaving], scope="user")
        # Sent once more, what came before counts no more.
        self.be_active([user], back=2, days=2)
        self.product_and_model_agree()

    @rule(user=_user, is_erased=st.booleans(), kill=st.booleans())
    def go_back(self, user: str, *, is_erased: bool, kill: bool) -> None:
        """Put a backup back that is a counted day old, or an erasure."""
        self.be_active([user], back=0, days=2)
        self._count_today()
        self.back_up(elsewhere=True, keep=None)
        made = self.backups[-1]
        if is_erased:
            self.erase(users=[user], key=None, as_lines=False)
        else:
            self._count_today()
        self._did("restore", is_silent=True)
        self._put_back(made, kill=kill)

    @rule(
        user=_user,
        other=st.one_of(st.none(), _user),
        key=st.sampled_from(["key 1", "key 2"]),
        as_lines=st.booleans(),
    )
    def erase_twice(self, *, user: str, other: str | None, key: str, as_lines: bool) -> None:
        """Send a request's key once more, for the same person, who came back, or for another."""
        self.erase(users=[user], key=key, as_lines=as_lines)
        self.be_active([user], back=0, days=1)
        self.erase(users=[other or user], key=key, as_lines=as_lines)

    @rule(metric=_metric)
    def spend_all(self, metric: str) -> None:
        """Measure a day again and again, until its budget ends if that is small."""
        day, window = self.model.last_closed, self.model.window(metric, None)
        back = (self.model.today - day).days
        if metric == "dau":
            self.ask_dau(back)
        else:
            self.ask_mau(back, None)
        for _ in range(_REVISIONS):
            self._did("revise")
            self._revise(Question(metric, window, day))

    @rule(user=_user, window=st.sampled_from([None, None, 2, 7, 30]))
    def ask_at_an_edge(self, user: str, window: int | None) -> None:
        """Ask for a window on whose first day somebody was active who was not since."""
        day, days = self.model.last_closed, self.model.window("mau", window)
        back = (self.model.today - day).days
        since = self.model.present(day, days - 1) | self.model.graves.keys()
        chosen = next((each for each in (user, *USERS) if each not in since), user)
        self.be_active([chosen], back=back + days - 1, days=1)
        self.ask_mau(back, window)

    def _count_today(self) -> None:
        """Let today close, and ask for its values."""
        day = self.model.today
        self._wait(ceil((self.model.closes_at(day) - self.model.now) / _HOUR))
        back = (self.model.today - day).days
        self.ask_dau(back)
        self.ask_mau(back, None)
        self.product_and_model_agree()

    def _begin_month_if_late(self, days: int) -> None:
        """Let a month begin if the present one has fewer days left."""
        today = self.model.today
        left = (month_end(today) - today).days
        if left < days:
            self._wait(24 * (left + 1))

    def _wait(self, hours: int) -> None:
        self.time_passes(hours, is_kept_up=False)
