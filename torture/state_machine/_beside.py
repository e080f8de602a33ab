"""Product and model side by side: how they begin, what always holds, and how they are compared."""

import json
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any, ClassVar, TypeVar
from zoneinfo import ZoneInfo

import httpx
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant

from _model import DELTA, Model
from _newborn import Cradle
from _product import KEYS, Product, Tally
from _terms import Backup, Fact, Refused, Rules
from _warm import WarmInstallation
from _wire import WireEvent, encoded
from dpdau.cli.exit_codes import PROBLEMS_FOUND
from dpdau.privacy.charges import Charge, GaussianCharge
from dpdau.privacy.gaussian import GaussianMechanism
from dpdau.privacy.laplace import LaplaceMechanism

__all__ = ["EPSILONS", "EVERYONE", "EXACT_EPSILON", "STRANGER", "USERS", "Beside", "Kept"]

_T = TypeVar("_T")

USERS = ("ada", "bob", "Ünal ✓", 'quoted "c", d', "e", "two\nlines", "0", "ada ")
EXACT_EPSILON = 1e6
EPSILONS = {"dau": 0.3, "mau": 0.5}
_SERIES_SHARE = 0.8
# A value of a series further than this from the truth has a chance of 10^-32.
_STANDARD_ERRORS = 12
_TOLERANCE = 1e-9

STRANGER = "never heard of"
EVERYONE = (*USERS, STRANGER)


@dataclass(frozen=True, slots=True)
class Kept:
    """A backup that was made.

    Attributes:
        path: its file.
        content: what it holds.
        rotating: whether a rotation ran.
    """

    path: Path
    content: Backup
    rotating: bool


class Beside(RuleBasedStateMachine):
    """The product beside the model; subclasses say which product, and what is done with it.

    Attributes:
        cradle: what starts its processes.
        tally: what was done.
        continual: whether both metrics are continual series, or released one by one and exact.
        most_runs: of a continual series with a limit.
        mutation: a fault of `_faulty` that the product has; None for the product as it is.
    """

    cradle: ClassVar[Cradle]
    tally: ClassVar[Tally]
    continual: ClassVar[bool] = False
    most_runs: ClassVar[int] = 2
    mutation: ClassVar[str | None] = None

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp(prefix="dpdau-machine-"))
        self.values: dict[str, dict[str, Any]] = {}
        self.requests: dict[str, tuple[frozenset[str], str]] = {}
        self.erased: dict[str, int] = {}
        self.backups: list[Kept] = []
        self.rotating = False
        self.panel: tuple[object, list[object]] | None = None
        self.has_looked, self.is_silent = False, False
        self.tally.examples += 1

    @initialize(
        start=st.sampled_from(
            ["2031-02-25T22:30", "2032-02-27T05:00", "2031-03-30T00:30", "2031-10-30T12:00"]
        ),
        timezone=st.sampled_from(["UTC", "Asia/Kolkata", "America/New_York"]),
        lateness=st.sampled_from([0, 6, 30]),
        window=st.sampled_from([7, 30]),
        longer=st.sampled_from([0, 30]),
        scope=st.sampled_from(["day", "day", "user"]),
        releases=st.sampled_from([4, 25]),
        runs=st.tuples(st.sampled_from([0, 1, 2]), st.sampled_from([1, 2])),
    )
    def begin(
        self,
        *,
        start: str,
        timezone: str,
        lateness: int,
        window: int,
        longer: int,
        scope: str,
        releases: int,
        runs: tuple[int, int],
    ) -> None:
        """Choose the settings and start."""
        retention = window + 31 + longer
        of = dict(zip(EPSILONS, (min(each, self.most_runs) for each in runs), strict=True))
        settings = {
            "TIMEZONE": timezone,
            "LATENESS_HOURS": str(lateness),
            "MAU_WINDOW_DAYS": str(window),
            "RETENTION_DAYS": str(retention),
            "DELETE_SCOPE": scope,
            "LOG_FORMAT": "json",
            "RATE_LIMIT_PER_MINUTE": "0",
            **{f"{name.upper()}_API_KEY": key for name, key in KEYS.items()},
        }
        if self.continual:
            caps = {"dau": 3.0, "mau": 3.5}
            settings |= {
                f"W_BOUND_{metric.upper()}": str(2 * count) if count else "unbounded"
                for metric, count in of.items()
            }
        else:
            caps = dict.fromkeys(EPSILONS, (releases + 0.5) * EXACT_EPSILON)
            for metric in caps:
                settings |= {
                    f"MECHANISM_{metric.upper()}": "laplace",
                    f"EPSILON_{metric.upper()}": str(EXACT_EPSILON),
                    f"{metric.upper()}_BUDGET_TOTAL": str(caps[metric]),
                }
        rules = Rules(
            timezone=ZoneInfo(timezone),
            lateness_hours=lateness,
            retention_days=retention,
            window_days=window,
            erase_by_default=scope == "user",
            continual=self.continual,
            runs={metric: count or None for metric, count in of.items()},
            caps=caps,
            prices={metric: self._price(metric) for metric in caps},
            series_prices=_SeriesPrices(self),
        )
        self.model = Model(rules, datetime.fromisoformat(start).replace(tzinfo=UTC))
        self.product = Product(
            WarmInstallation(self.cradle, self.directory, settings, self.mutation), self.tally
        )
        self.product.set_clock(self.model.now)
        self.product.set_secret(1, with_previous=False)
        self._start()

    def teardown(self) -> None:
        """Look at everything once more, from within and without."""
        try:
            # Otherwise a step has failed, and its own message is the one to see.
            if self.has_looked:
                self._last_look()
        finally:
            if hasattr(self, "product"):
                self.product.stop(kill=True)
            shutil.rmtree(self.directory)

    def _last_look(self) -> None:
        for release_id in self.model.told:
            self._require_told(release_id)
        for metric in Model.METRICS:
            for period in sorted({of[1] for of in self.model.charges}):
                self._require_budget(metric, period)
        assert self.product.get("admin", "/ledger/verify").status_code == HTTPStatus.OK
        for command in ("verify", "doctor"):
            self._examine(command)

    @invariant()
    def product_and_model_agree(self) -> None:
        """What can be known from within and from without."""
        if hasattr(self, "product") and not self.has_looked:
            self._require_store()
            if self.is_silent and self.panel is not None and self.panel[0] == self._published():
                assert self.panel[1] == self._shown_to_readers()
            self.has_looked = True

    def _require_store(self) -> None:
        """The store holds what the model holds: person by person, tombstones, private totals."""
        model = self.model
        found = self.product.found(EVERYONE, model.first_kept, model.today + timedelta(days=2))
        active = {
            day: frozenset(users)
            for day, users in model.active.items()
            if users and day >= model.first_kept
        }
        differing = {
            str(day): (found.active.get(day, frozenset()), active.get(day, frozenset()))
            for day in found.active.keys() | active.keys()
            if found.active.get(day) != active.get(day)
        }
        assert not differing, f"who is active by the store, and by the model: {differing}"
        for user, grave in model.graves.items():
            if grave.recorded_on >= model.first_kept:
                assert found.graves.get(user) == grave, user
        assert set(found.graves) <= set(model.graves)
        for (metric, period), series in model.series.items():
            totals = found.totals.get((metric, period))
            if totals is not None:
                assert list(totals) == series.totals, (metric, period)
            else:
                assert len(series.totals) >= 28 or _is_past(period, model), (metric, period)  # noqa: PLR2004
        assert set(found.totals) <= set(model.series)

    def _published(self) -> object:
        """As long as this is the same, readers must see the same."""
        return len(self.model.told), tuple(sorted(self.model.caps.items())), self.model.now

    def _shown_to_readers(self) -> list[object]:
        model = self.model
        start = (model.today - timedelta(days=40)).isoformat()
        asked: list[tuple[str, dict[str, Any]]] = [
            *(
                (f"/series/{metric}", {"start": start, "publish": "false"})
                for metric in ("dau", "mau")
            ),
            ("/stickiness", {"start": start}),
            ("/budget", {}),
            (f"/dau/{model.today + timedelta(days=1)}", {}),
        ]
        answers: list[object] = []
        for path, query in asked:
            response = self.product.get("read", path, **query)
            shown = response.json()
            shown.pop("request_id", None)
            answers.append((response.status_code, shown))
        return answers

    def _did(self, name: str, *, is_silent: bool = False) -> None:
        """Begin a step.

        Args:
            name: of the step.
            is_silent: whether readers must see nothing of it.
        """
        self.tally.rules[name] += 1
        self.has_looked, self.is_silent = False, is_silent
        if is_silent and (self.panel is None or self.panel[0] != self._published()):
            self.panel = (self._published(), self._shown_to_readers())

    def _send(
        self, facts: Sequence[Fact], media: str = "application/json", scope: str | None = None
    ) -> None:
        """Send good events."""
        events = [
            WireEvent(fact.user, "+" if fact.add else "-", str(fact.day), scope=scope)
            for fact in facts
        ]
        body, headers = encoded(events, media, None)
        response = self.product.post_bytes("ingest", "/event", body, headers)
        assert response.status_code == HTTPStatus.OK, response.text
        self.model.apply(facts)

    def _examine(self, command: str) -> None:
        # Backups from before a rotation are of no use, and the doctor says so.
        is_outdated = any(
            each.content.secrets != self.model.secrets and each.path.suffix == ".sqlite3"
            for each in self.backups
        )
        ended = self.product.command(command, "--json")
        expected = PROBLEMS_FOUND if command == "doctor" and is_outdated else 0
        assert ended.status == expected, ended
        if command == "doctor":
            findings = json.loads(ended.output)["findings"]
            problems = [each["check"] for each in findings if each["state"] == "problem"]
            assert problems == (["backups"] if is_outdated else []), findings

    def _serial(self) -> int:
        return self.tally.rules.total()

    def _day(self, back: int) -> date:
        return self.model.today - timedelta(days=back)

    def _start(self) -> None:
        ended = self.product.start()
        assert ended is None, ended
        self._foresee_upkeep()

    def _foresee_upkeep(self) -> None:
        self._foreseen(self.model.publish)
        # Request keys are forgotten with their time.
        self._forget_requests()

    def _forget_requests(self) -> None:
        for key, (_, erasure_id) in list(self.requests.items()):
            record = self.product.get("ingest", f"/erasure/{erasure_id}").json()
            asked = datetime.fromisoformat(record["requested_at"]).date()
            if asked < self.model.first_kept:
                del self.requests[key]

    def _foreseen(self, foresee: Callable[[], _T]) -> _T | Refused:
        try:
            return foresee()
        except Refused as refused:
            return refused

    def _require_status(self, response: httpx.Response, expected: object) -> None:
        if isinstance(expected, Refused):
            found = (response.status_code, response.json().get("type"))
            assert found == (expected.status, expected.slug), (response.text, expected)
        else:
            assert response.status_code == HTTPStatus.OK, response.text

    def _require_told(self, release_id: str) -> None:
        response = self.product.get("read", f"/releases/{release_id}")
        assert response.status_code == HTTPStatus.OK, response.text
        assert response.json()["release_id"] == release_id
        self._require_release(response.json())

    def _require_release(self, shown: dict[str, Any]) -> None:
        budget = shown.pop("budget")
        self._require_statement(budget)
        assert budget["period"] == shown["day"][:7]
        self._require_value(shown)

    def _require_value(self, shown: dict[str, Any]) -> None:
        """What is shown is what was shown before, and true as far as noise allows."""
        told = self.model.told[shown["release_id"]]
        question = told.question
        assert (shown["metric"], shown["window_days"], shown["day"], shown["revision"]) == (
            question.metric,
            question.window_days,
            str(question.day),
            told.revision,
        )
        cap = self.model.cap(question.metric, question.day.strftime("%Y-%m"))
        # The promise grows with the cap, and nothing else of a value ever changes.
        assert shown.pop("guarantee")["epsilon"] == cap
        assert self.values.setdefault(told.release_id, shown) == shown
        if self.continual:
            error = abs(shown["estimate_raw"] - told.truth)
            assert error <= _STANDARD_ERRORS * shown["std_error"] + 1, (shown, told)
        else:
            assert shown["estimate"] == shown["estimate_raw"] == told.truth, (shown, told)

    def _require_budget(self, metric: str, period: str) -> None:
        response = self.product.get("read", f"/budget/{metric}", day=f"{period}-15")
        assert response.status_code == HTTPStatus.OK, response.text
        assert response.json()["period"] == period
        self._require_statement(response.json())

    def _require_statement(self, budget: dict[str, Any]) -> None:
        model, metric, period = self.model, budget["metric"], budget["period"]
        spent, cap = model.spent(metric, period), model.cap(metric, period)
        assert budget["epsilon_cap"] == cap
        assert abs(budget["epsilon_spent"] - spent) <= _TOLERANCE * cap, (budget, spent)
        assert budget["epsilon_spent"] <= cap * (1 + _TOLERANCE)
        made = sum(
            told.question.metric == metric and told.question.day.strftime("%Y-%m") == period
            for told in model.told.values()
        )
        assert budget["releases"] == made

    def _price(self, metric: str) -> Charge:
        if self.continual:
            return GaussianMechanism.calibrate(EPSILONS[metric], DELTA, 1).charge
        return LaplaceMechanism.calibrate(EXACT_EPSILON, 1).charge


class _SeriesPrices(dict[tuple[str, int], Charge]):
    """What the series of a period costs, as the product's own plan says."""

    def __init__(self, machine: Beside) -> None:
        super().__init__()
        self._machine = machine

    def __missing__(self, key: tuple[str, int]) -> Charge:
        metric, days = key
        # Any month with so many days.
        month = {28: "2031-02", 29: "2032-02", 30: "2031-04", 31: "2031-03"}[days]
        plan = self._machine.product.get("read", f"/plan/{metric}/{month}").json()
        assert (
            plan["epsilon"] <= _SERIES_SHARE * self._machine.model.rules.caps[metric] + _TOLERANCE
        )
        self[key] = GaussianCharge(plan["sigma"], plan["sensitivity_squared"], days)
        return self[key]


def _is_past(period: str, model: Model) -> bool:
    """Whether retention has dropped a period."""
    return f"{model.first_kept:%Y-%m}" > period
