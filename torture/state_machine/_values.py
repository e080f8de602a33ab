"""What readers and publishers do: time passes, values are published, asked for and paid."""

from collections.abc import Callable
from datetime import date, timedelta
from http import HTTPStatus

import httpx
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from _beside import EPSILONS, EXACT_EPSILON, Beside
from _terms import Question, Refused

__all__ = ["ValueRules"]

_metric = st.sampled_from(["dau", "mau"])
_days_back = st.one_of(st.integers(-1, 3), st.integers(1, 6), st.integers(-3, 75))
_hours = st.sampled_from([0, 1, 3, 7, 24, 24, 25, 48, 24 * 5, 24 * 12, 24 * 33])


class ValueRules(Beside):
    """Publications and budgets."""

    @rule(hours=_hours, is_kept_up=st.booleans())
    def time_passes(self, hours: int, *, is_kept_up: bool) -> None:
        """Let days close, periods end and retention move on; perhaps the service notices."""
        self._did("time passes")
        self.model.now += timedelta(hours=hours)
        self.product.set_clock(self.model.now)
        if is_kept_up:
            self.product.upkeep()
            self._foresee_upkeep()

    @rule(
        by_command=st.booleans(),
        start=st.one_of(st.none(), _days_back),
        through=st.one_of(st.none(), _days_back),
    )
    def publish(self, *, by_command: bool, start: int | None, through: int | None) -> None:
        """Publish what is due, or a range."""
        self._did("publish")
        first = None if start is None else self._day(start)
        last = None if through is None else self._day(through)
        expected = self._foreseen(lambda: self.model.publish(last, first))
        if by_command:
            options = [
                word
                for option, day in (("--from", first), ("--through", last))
                if day is not None
                for word in (option, str(day))
            ]
            ended = self.product.command("publish", *options)
            assert ended.status == (expected.exit_code if isinstance(expected, Refused) else 0), (
                ended
            )
            return
        response = self.product.post(
            "admin",
            "/publish",
            {
                name: str(day)
                for name, day in (("from", first), ("through", last))
                if day is not None
            },
        )
        published = expected.published if isinstance(expected, Refused) else expected
        self._require_status(response, expected)
        assert response.json()["published"] == published

    @rule(back=_days_back)
    def ask_dau(self, back: int) -> None:
        """Ask for a day's value."""
        self._did("ask dau")
        day = self._day(back)
        self._ask("dau", day, None, lambda: self.product.get("read", f"/dau/{day}"))

    @rule(
        back=st.one_of(st.none(), _days_back),
        window=st.sampled_from([None, None, 1, 2, 7, 30, 400]),
    )
    def ask_mau(self, back: int | None, window: int | None) -> None:
        """Ask for a window's value."""
        self._did("ask mau")
        day = self.model.last_closed if back is None else self._day(back)
        end = None if back is None else str(day)
        self._ask(
            "mau", day, window, lambda: self.product.get("read", "/mau", end=end, window=window)
        )

    @rule(data=st.data(), metric=_metric, back=_days_back, is_known=st.booleans())
    def revise(self, data: st.DataObject, metric: str, back: int, *, is_known: bool) -> None:
        """Measure a day again, one that was published or perhaps never was."""
        self._did("revise")
        window = 1 if metric == "dau" else self.model.rules.window_days
        question = Question(metric, window, self._day(back))
        if is_known and self.model.newest:
            question = data.draw(st.sampled_from(sorted(self.model.newest)))
        self._revise(question)

    @rule(metric=_metric, back=_days_back, days=st.integers(-1, 40), publish=st.booleans())
    def read_series(self, *, metric: str, back: int, days: int, publish: bool) -> None:
        """Ask for many days at once."""
        self._did("read series")
        end = self._day(back)
        start = end - timedelta(days=days)

        def foresee() -> tuple[list[str], list[date]]:
            if start > end:
                raise Refused(422, "invalid-value", 3)
            if publish and self.model.rules.continual:
                for _ in self.model.publish_range(metric, start, end):
                    pass
            return self.model.look(metric, start, end)

        expected = self._foreseen(foresee)
        response = self.product.get(
            "read",
            f"/series/{metric}",
            start=str(start),
            end=str(end),
            publish=None if publish else "false",
        )
        self._require_status(response, expected)
        if isinstance(expected, Refused):
            return
        shown = response.json()
        for value in shown["releases"]:
            self._require_value(value)
        assert [value["release_id"] for value in shown["releases"]] == expected[0]
        assert shown["unpublished"] == [str(day) for day in expected[1]]

    @rule(back=_days_back, days=st.integers(0, 20))
    def read_stickiness(self, back: int, days: int) -> None:
        """Ask for DAU by MAU, which costs nothing."""
        self._did("read stickiness")
        model, end = self.model, self._day(back)
        start = end - timedelta(days=days)
        response = self.product.get("read", "/stickiness", start=str(start), end=str(end))
        assert response.status_code == HTTPStatus.OK, response.text
        shown = response.json()
        both = [
            day
            for day in (start + timedelta(days=at) for at in range(days + 1))
            if Question("dau", 1, day) in model.newest
            and Question("mau", model.rules.window_days, day) in model.newest
        ]
        assert [value["day"] for value in shown["values"]] == [str(day) for day in both]
        if model.rules.continual:
            return
        for value in shown["values"]:
            daily, monthly = (
                model.told[value[f"{metric}_release_id"]].truth for metric in ("dau", "mau")
            )
            assert value["stickiness"] == (min(daily / monthly, 1.0) if monthly else None)

    @precondition(lambda self: self.model.told)
    @rule(data=st.data())
    def look_up(self, data: st.DataObject) -> None:
        """Ask for a value by its name, and what it means."""
        self._did("look up")
        release_id = data.draw(st.sampled_from(sorted(self.model.told)))
        self._require_told(release_id)
        response = self.product.get("read", f"/releases/{release_id}/explain")
        assert response.status_code == HTTPStatus.OK, response.text
        unknown = self.product.get("read", f"/releases/{release_id}9")
        assert unknown.status_code == HTTPStatus.NOT_FOUND

    @rule(metric=_metric, back=_days_back)
    def read_budget(self, metric: str, back: int) -> None:
        """Ask what is spent."""
        self._did("read budget")
        self._require_budget(metric, self._day(back).strftime("%Y-%m"))

    @rule(metric=_metric, back=st.integers(0, 31), more=st.sampled_from([-1, 0, 1, 3]))
    def raise_cap(self, metric: str, back: int, more: int) -> None:
        """Allow more, or try to allow less."""
        self._did("raise cap")
        period = self._day(back).strftime("%Y-%m")
        unit = EPSILONS[metric] if self.continual else EXACT_EPSILON
        to = self.model.cap(metric, period) + more * unit
        expected = self._foreseen(lambda: self.model.raise_cap(metric, period, to))
        response = self.product.post(
            "admin",
            f"/budget/{metric}/cap",
            {"period": period, "to": to, "who": "the machine", "why": "to see what happens"},
        )
        self._require_status(response, expected)

    def _ask(
        self, metric: str, day: date, window: int | None, get: Callable[[], httpx.Response]
    ) -> None:
        expected = self._foreseen(lambda: self.model.release(metric, day, window))
        response = get()
        self._require_status(response, expected)
        if not isinstance(expected, Refused):
            assert response.json()["release_id"] == expected.release_id
            self._require_release(response.json())

    def _revise(self, question: Question) -> None:
        expected = self._foreseen(
            lambda: self.model.revise(question.metric, question.day, question.window_days)
        )
        response = self.product.post(
            "admin",
            "/revise",
            {
                "metric": question.metric,
                "day": str(question.day),
                "window": question.window_days,
            },
        )
        self._require_status(response, expected)
        if not isinstance(expected, Refused):
            assert response.json()["release_id"] == expected.release_id
            self._require_release(response.json())
