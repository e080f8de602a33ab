"""The machine: every way to use the product, in any order, beside the model."""

import json
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar, TypeVar
from zoneinfo import ZoneInfo

import httpx
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from _model import DELTA, Backup, Fact, Model, Question, Refused, Rules
from _product import KEYS, Product, Tally
from _warm import Ended, Nursery, WarmInstallation
from _wire import ENCODINGS, MEDIA, WireEvent, encoded, parquet
from dpdau.privacy.charges import Charge, GaussianCharge
from dpdau.privacy.gaussian import GaussianMechanism
from dpdau.privacy.laplace import LaplaceMechanism

__all__ = ["PRESENCES", "USERS", "ProductMachine"]

_T = TypeVar("_T")

USERS = ("ada", "bob", "Ünal ✓", 'quoted "c", d', "e", "two\nlines", "0", "ada ")
PRESENCES = [f"{runs}:{days}" for runs in (0, 1, 2) for days in (28, 29, 30, 31)]
_EXACT_EPSILON = 1e6
_EPSILONS = {"dau": 0.3, "mau": 0.5}
_SERIES_SHARE = 0.8
# A value of a series further than this from the truth has a chance of 10^-32.
_STANDARD_ERRORS = 12
_TOLERANCE = 1e-9

_STRANGER = "never heard of"
_EVERYONE = (*USERS, _STRANGER)

_user = st.sampled_from(USERS)
_users = st.lists(_user, min_size=1, max_size=4, unique=True)
_metric = st.sampled_from(["dau", "mau"])
_days_back = st.one_of(st.integers(-1, 4), st.integers(-3, 75))
_hours = st.sampled_from([1, 3, 7, 24, 24, 25, 48, 24 * 5, 24 * 12, 24 * 33])


@dataclass(frozen=True, slots=True)
class _Draft:
    """An event whose day is not known yet.

    Attributes:
        user: who.
        back: how many days ago.
        op: "+" or "-".
        scope: "day", "user" or None.
        hour: at which hour, for an event with a time in place of a day.
        fault: what is wrong with it; None for a good one.
    """

    user: str
    back: int
    op: str
    scope: str | None
    hour: int | None
    fault: str | None


_draft = st.builds(
    _Draft,
    user=_user,
    back=st.one_of(st.integers(-1, 3), st.integers(-1, 38)),
    op=st.sampled_from("+++-"),
    scope=st.sampled_from([None, None, None, "day", "user"]),
    hour=st.sampled_from([None, None, 0, 12, 23]),
    fault=st.none(),
)
_FAULTS = ("future", "ancient", "empty", "long", "op", "both", "neither", "scope", "no day")
_bad_draft = st.builds(
    _Draft,
    user=_user,
    back=st.just(0),
    op=st.just("+"),
    scope=st.none(),
    hour=st.none(),
    fault=st.sampled_from(_FAULTS),
)
_media = st.sampled_from(sorted(MEDIA))
_encoding = st.sampled_from([None, *sorted(ENCODINGS)])


@dataclass(frozen=True, slots=True)
class _Kept:
    """A backup that was made.

    Attributes:
        path: its file.
        content: what it holds.
        rotating: whether a rotation ran.
    """

    path: Path
    content: Backup
    rotating: bool


class ProductMachine(RuleBasedStateMachine):
    """The product beside the model; subclasses say which product.

    Attributes:
        nursery: what starts its processes.
        tally: what was done.
        continual: whether both metrics are continual series, or released one by one and exact.
        most_runs: of a continual series with a limit.
        mutation: a fault of `_faulty` that the product has; None for the product as it is.
    """

    nursery: ClassVar[Nursery]
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
        self.backups: list[_Kept] = []
        self.rotating = False
        self.panel: tuple[object, list[object]] | None = None
        self.has_looked = False
        self.tally.examples += 1

    # --- beginning and end -----------------------------------------------------------------

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
        of = dict(zip(_EPSILONS, (min(each, self.most_runs) for each in runs), strict=True))
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
            caps = dict.fromkeys(_EPSILONS, (releases + 0.5) * _EXACT_EPSILON)
            for metric in caps:
                settings |= {
                    f"MECHANISM_{metric.upper()}": "laplace",
                    f"EPSILON_{metric.upper()}": str(_EXACT_EPSILON),
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
            WarmInstallation(self.nursery, self.directory, settings, self.mutation), self.tally
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
        assert self.product.get("admin", "/ledger/verify").status_code == 200
        for command in ("verify", "doctor"):
            self._examine(command)

    # --- what always holds -----------------------------------------------------------------

    @invariant()
    def product_and_model_agree(self) -> None:
        """What can be known from within and from without."""
        if hasattr(self, "product") and not self.has_looked:
            self._require_store()
            self._require_silence()
            self.has_looked = True

    def _require_store(self) -> None:
        """The store holds what the model holds: person by person, tombstones, private totals."""
        model = self.model
        found = self.product.found(_EVERYONE, model.first_kept, model.today + timedelta(days=2))
        active = {
            day: frozenset(users)
            for day, users in model.active.items()
            if users and day >= model.first_kept
        }
        assert found.active == active
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

    def _require_silence(self) -> None:
        """As long as nothing is published, and time stands still, readers see the same."""
        model = self.model
        moment = (len(model.told), tuple(sorted(model.caps.items())), model.now)
        start = (model.today - timedelta(days=40)).isoformat()
        asked: list[tuple[str, dict[str, Any]]] = [
            *((f"/series/{metric}", {"start": start, "publish": "false"}) for metric in ("dau", "mau")),
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
        if self.panel is not None and self.panel[0] == moment:
            assert self.panel[1] == answers
        self.panel = (moment, answers)

    # --- events ----------------------------------------------------------------------------

    @rule(
        good=st.lists(_draft, max_size=8),
        bad=st.one_of(st.just([]), st.lists(st.tuples(_bad_draft, st.integers(0, 8)), max_size=2)),
        partial=st.booleans(),
        media=_media,
        encoding=_encoding,
    )
    def ingest(
        self,
        good: list[_Draft],
        bad: list[tuple[_Draft, int]],
        partial: bool,  # noqa: FBT001 - Hypothesis gives it by name
        media: str,
        encoding: str | None,
    ) -> None:
        """Send events."""
        self._did("ingest")
        drafts = list(good)
        for draft, position in bad:
            drafts.insert(position, draft)
        events = [self._event(draft) for draft in drafts]
        faulty = [at for at, (_, fact) in enumerate(events) if fact is None]
        facts = [fact for _, fact in events if fact is not None]
        body, headers = encoded([event for event, _ in events], media, encoding)
        response = self.product.post_bytes(
            "ingest", "/event", body, headers, partial="true" if partial else None
        )
        shown = response.json()
        if faulty and not partial:
            assert (response.status_code, shown["type"]) == (422, "events-refused"), shown
            assert [each["index"] for each in shown["errors"]] == faulty
            return
        assert response.status_code == 200, shown
        assert (shown["accepted"], shown["rejected"]) == (len(facts), len(faulty))
        assert [each["index"] for each in shown["errors"]] == faulty
        self.model.apply(facts)

    @rule(users=_users, back=st.integers(0, 2), days=st.integers(1, 10))
    def be_active(self, users: list[str], back: int, days: int) -> None:
        """Send what an ordinary client sends."""
        self._did("be active")
        self._send([Fact(user, self._day(back + at), add=True) for user in users for at in range(days)])

    @rule(drafts=st.lists(_draft, min_size=1, max_size=6), kind=st.sampled_from(["csv", "parquet"]))
    def ingest_file(self, drafts: list[_Draft], kind: str) -> None:
        """Read a file with the command line, beside the service."""
        self._did("ingest file")
        events = [self._event(draft) for draft in drafts]
        file = self.product.folder / f"events.{kind}"
        sent = [event for event, _ in events]
        file.write_bytes(parquet(sent) if kind == "parquet" else MEDIA["text/csv"](sent))
        ended = self.product.command("ingest", "--from", str(file))
        assert ended.status == 0, ended
        self.model.apply([fact for _, fact in events if fact is not None])

    def _send(self, facts: Sequence[Fact]) -> None:
        events = [WireEvent(fact.user, "+", str(fact.day)) for fact in facts]
        body, headers = encoded(events, "application/json", None)
        response = self.product.post_bytes("ingest", "/event", body, headers)
        assert response.status_code == 200, response.text
        self.model.apply(facts)

    def _event(self, draft: _Draft) -> tuple[WireEvent, Fact | None]:
        """What is sent, and what it says; None if it is bad."""
        model = self.model
        day = max(self._day(draft.back), model.first_kept)
        event = WireEvent(draft.user, draft.op, str(day))
        if draft.fault is not None:
            return _spoilt(event, draft.fault, model), None
        scope = draft.scope if draft.op == "-" else None
        whole = draft.op == "-" and (
            scope == "user" or (scope is None and model.rules.erase_by_default)
        )
        if draft.hour is None:
            event = WireEvent(draft.user, draft.op, str(day), scope=scope)
        else:
            moment = datetime(
                day.year, day.month, day.day, draft.hour, 30, tzinfo=model.rules.timezone
            )
            # Sent in another zone, so that the day has to be found.
            moment = moment.astimezone(ZoneInfo("Pacific/Auckland"))
            event = WireEvent(draft.user, draft.op, ts=moment.isoformat(), scope=scope)
        return event, Fact(draft.user, day, add=draft.op == "+", whole=whole)

    # --- erasure ---------------------------------------------------------------------------

    @rule(
        users=st.lists(st.one_of(_user, st.just(_STRANGER)), min_size=1, max_size=3),
        key=st.sampled_from([None, None, "key 1", "key 2"]),
        as_lines=st.booleans(),
    )
    def erase(self, users: list[str], key: str | None, as_lines: bool) -> None:  # noqa: FBT001
        """Ask that people are erased, perhaps under a key that was used before."""
        self._did("erase")
        headers = {} if key is None else {"Idempotency-Key": f'"{key}"'}
        if as_lines:
            body = "".join(json.dumps(user) + "\n" for user in users).encode()
            headers["Content-Type"] = "application/x-ndjson"
        else:
            body = json.dumps({"user_ids": users}).encode()
            headers["Content-Type"] = "application/json"
        touched = self._memberships(users)
        response = self.product.post_bytes("ingest", "/erasure", body, headers)
        shown = response.json()
        former = self.requests.get(key or "")
        if former is not None and former[0] != frozenset(users):
            assert (response.status_code, shown["type"]) == (422, "request-key-reused"), shown
            return
        assert response.status_code in {200, 202}, shown
        done = self.product.finished_erasure(shown["erasure_id"])
        assert done["state"] == "done", done
        if former is not None:
            assert shown["erasure_id"] == former[1]
            return
        assert shown["erasure_id"] not in self.erased
        assert done["users"] == len(set(users))
        self.model.erase(users)
        if key is not None:
            self.requests[key] = (frozenset(users), shown["erasure_id"])
        self.erased[shown["erasure_id"]] = touched

    @rule(named=st.sampled_from([[], ["ada", ""], ["f" * 257]]))
    def erase_nobody(self, named: list[str]) -> None:
        """Ask for what cannot be done; a record says why."""
        self._did("erase nobody")
        response = self.product.post("ingest", "/erasure", {"user_ids": named})
        shown = response.json()
        assert (response.status_code, shown["type"]) == (422, "invalid-value"), shown
        self.model.erasures += 1
        record = self.product.get("ingest", f"/erasure/{shown['erasure_id']}").json()
        assert record["state"] == "refused"
        receipt = self.product.get("admin", f"/erasure/{shown['erasure_id']}/receipt")
        assert receipt.status_code == 409

    @precondition(lambda self: self.erased)
    @rule(data=st.data())
    def read_receipt(self, data: st.DataObject) -> None:
        """Ask for the receipt of an erasure, also long after it."""
        self._did("read receipt")
        erasure_id = data.draw(st.sampled_from(sorted(self.erased)))
        receipt = self.product.get("admin", f"/erasure/{erasure_id}/receipt").json()
        assert receipt["erasure"]["erasure_id"] == erasure_id
        assert receipt["days_touched"] == self.erased[erasure_id]
        rows = len(self.product.get("admin", "/ledger").json()["rows"])
        assert receipt["ledger"]["sequence"] <= rows
        assert self.product.get("ingest", "/erasure/unknown").status_code == 404

    def _memberships(self, users: Sequence[str]) -> int:
        """How many (day, person) pairs the store has of people; what retention dropped is gone."""
        found = self.product.found(_EVERYONE, date(2000, 1, 1), date(2050, 1, 1))
        return sum(len(active.intersection(users)) for active in found.active.values())

    # --- time and publication ----------------------------------------------------------------

    @rule(hours=_hours)
    def time_passes(self, hours: int) -> None:
        """Let days close, periods end, and retention move on."""
        self._did("time passes")
        self.model.now += timedelta(hours=hours)
        self.product.set_clock(self.model.now)

    @rule()
    def upkeep(self) -> None:
        """Let the service do what it does by itself."""
        self._did("upkeep")
        self.product.upkeep()
        self._foresee_upkeep()

    @rule(by_command=st.booleans(), start=st.one_of(st.none(), _days_back), through=st.one_of(st.none(), _days_back))
    def publish(self, by_command: bool, start: int | None, through: int | None) -> None:  # noqa: FBT001
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
            assert ended.status == (expected.exit_code if isinstance(expected, Refused) else 0), ended
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

    @rule(back=st.one_of(st.none(), _days_back), window=st.sampled_from([None, None, 1, 7, 30, 400]))
    def ask_mau(self, back: int | None, window: int | None) -> None:
        """Ask for a window's value."""
        self._did("ask mau")
        day = self.model.last_closed if back is None else self._day(back)
        end = None if back is None else str(day)
        self._ask(
            "mau", day, window, lambda: self.product.get("read", "/mau", end=end, window=window)
        )

    @precondition(lambda self: self.model.newest)
    @rule(data=st.data())
    def revise(self, data: st.DataObject) -> None:
        """Measure a published day again."""
        self._did("revise")
        question = data.draw(st.sampled_from(sorted(self.model.newest)))
        self._revise(question)

    @rule(metric=_metric, back=_days_back)
    def revise_any(self, metric: str, back: int) -> None:
        """Measure a day again that perhaps never was."""
        self._did("revise any")
        window = 1 if metric == "dau" else self.model.rules.window_days
        self._revise(Question(metric, window, self._day(back)))

    @rule(metric=_metric, back=_days_back, days=st.integers(-1, 40), publish=st.booleans())
    def read_series(self, metric: str, back: int, days: int, publish: bool) -> None:  # noqa: FBT001
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
        assert response.status_code == 200, response.text
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
        assert response.status_code == 200, response.text
        unknown = self.product.get("read", f"/releases/{release_id}9")
        assert unknown.status_code == 404

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
        unit = _EPSILONS[metric] if self.continual else _EXACT_EPSILON
        to = self.model.cap(metric, period) + more * unit
        expected = self._foreseen(lambda: self.model.raise_cap(metric, period, to))
        response = self.product.post(
            "admin",
            f"/budget/{metric}/cap",
            {"period": period, "to": to, "who": "the machine", "why": "to see what happens"},
        )
        self._require_status(response, expected)

    # --- operators ---------------------------------------------------------------------------

    @rule(kill=st.booleans())
    def restart(self, kill: bool) -> None:  # noqa: FBT001
        """End the service in one way or the other, and start it."""
        self._did("restart by kill" if kill else "restart")
        self.product.stop(kill=kill)
        self._start()

    @rule(elsewhere=st.booleans(), keep=st.sampled_from([None, None, 2]))
    def back_up(self, elsewhere: bool, keep: int | None) -> None:  # noqa: FBT001
        """Make a backup beside the running service."""
        self._did("back up")
        options = ["--json"]
        if elsewhere:
            options += ["--to", str(self.directory / f"backup-{self._serial()}")]
        elif keep is not None:
            options += ["--keep", str(keep)]
        ended = self.product.command("backup", *options)
        name = f"dpdau-{self.model.now.astimezone(UTC):%Y%m%dT%H%M%SZ}.sqlite3"
        if not elsewhere and any(each.path.name == name for each in self.backups):
            assert ended.status == 10, ended
            return
        assert ended.status == 0, ended
        made = json.loads(ended.output)
        self.backups.append(_Kept(Path(made["path"]), self.model.back_up(), self.rotating))
        self.backups = [each for each in self.backups if each.path.exists()]

    @precondition(lambda self: self.backups)
    @rule(data=st.data(), kill=st.booleans())
    def restore(self, data: st.DataObject, kill: bool) -> None:  # noqa: FBT001
        """Put a backup back, perhaps a very old one."""
        self._did("restore")
        oldest = self.model.first_kept
        kept = [each for each in self.backups if each.content.made_on >= oldest]
        if not kept:
            return
        chosen = kept[data.draw(st.integers(0, len(kept) - 1))]
        self.product.stop(kill=kill)
        expected = self._foreseen(lambda: self.model.restore(chosen.content))
        ended = self.product.command("restore", str(chosen.path))
        if isinstance(expected, Refused):
            assert ended.status == expected.exit_code, ended
        else:
            assert ended.status == 0, ended
            if chosen.rotating and not self.rotating:
                # The backup has people of the former secret.
                self.rotating = True
                self.product.set_secret(self.model.secrets, with_previous=True)
        self._start()

    @precondition(lambda self: self.backups)
    @rule(data=st.data())
    def restore_under_a_service(self, data: st.DataObject) -> None:
        """Try to put a backup back while the service has the store."""
        self._did("restore under a service")
        chosen = self.backups[data.draw(st.integers(0, len(self.backups) - 1))]
        ended = self.product.command("restore", str(chosen.path))
        assert ended.status == 10, ended

    @precondition(lambda self: not self.rotating)
    @rule()
    def rotate(self) -> None:
        """Replace the secret."""
        self._did("rotate")
        self.product.stop(kill=False)
        self.model.secrets += 1
        self.rotating = True
        # What a request was called is hashed with the secret too.
        self.requests.clear()
        self.product.set_secret(self.model.secrets, with_previous=True)
        self._start()

    @precondition(lambda self: self.rotating)
    @rule(everyone=st.booleans())
    def end_rotation(self, everyone: bool) -> None:  # noqa: FBT001
        """Drop the previous secret, which works once nobody is known by it any more."""
        self._did("end rotation")
        if everyone:
            today = self.model.today
            self._send([Fact(user, today, add=True) for user in USERS])
        ended = self.product.command("rekey", "--status", "--json")
        status = json.loads(ended.output)
        assert status == self.product.get("admin", "/rekey").json()
        self.product.stop(kill=False)
        self.product.set_secret(self.model.secrets, with_previous=False)
        if status["state"] == "complete":
            self.rotating = False
            self._start()
            return
        assert status["users_remaining"] + status["tombstones_remaining"] > 0
        refused = self.product.start()
        assert isinstance(refused, Ended), "a rotation ended too early"
        assert refused.status == 2, refused
        self.product.set_secret(self.model.secrets, with_previous=True)
        self._start()

    @rule(command=st.sampled_from(["verify", "doctor"]))
    def examine(self, command: str) -> None:
        """Let the product look at itself."""
        self._did(command)
        self._examine(command)

    # --- what rules share --------------------------------------------------------------------

    def _did(self, name: str) -> None:
        self.tally.rules[name] += 1
        self.has_looked = False

    def _examine(self, command: str) -> None:
        # Backups from before a rotation are of no use, and the doctor says so.
        is_outdated = any(
            each.content.secrets != self.model.secrets and each.path.suffix == ".sqlite3"
            for each in self.backups
        )
        ended = self.product.command(command, "--json")
        expected = 11 if command == "doctor" and is_outdated else 0
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
            found = (response.status_code, response.json()["type"])
            assert found == (expected.status, expected.slug), response.text
        else:
            assert response.status_code == 200, response.text

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

    def _require_told(self, release_id: str) -> None:
        response = self.product.get("read", f"/releases/{release_id}")
        assert response.status_code == 200, response.text
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
        assert response.status_code == 200, response.text
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
            return GaussianMechanism.calibrate(_EPSILONS[metric], DELTA, 1).charge
        return LaplaceMechanism.calibrate(_EXACT_EPSILON, 1).charge


class _SeriesPrices(dict[tuple[str, int], Charge]):
    """What the series of a period costs, as the product's own plan says."""

    def __init__(self, machine: ProductMachine) -> None:
        super().__init__()
        self._machine = machine

    def __missing__(self, key: tuple[str, int]) -> Charge:
        metric, days = key
        # Any month with so many days.
        month = {28: "2031-02", 29: "2032-02", 30: "2031-04", 31: "2031-03"}[days]
        plan = self._machine.product.get("read", f"/plan/{metric}/{month}").json()
        assert plan["epsilon"] <= _SERIES_SHARE * self._machine.model.rules.caps[metric] + _TOLERANCE
        self[key] = GaussianCharge(plan["sigma"], plan["sensitivity_squared"], days)
        return self[key]


def _spoilt(event: WireEvent, fault: str, model: Model) -> WireEvent:
    """A good event with something wrong."""
    values: dict[str, dict[str, str | None]] = {
        "future": {"day": str(model.today + timedelta(days=2))},
        "ancient": {"day": str(model.first_kept - timedelta(days=1))},
        "empty": {"user_id": ""},
        "long": {"user_id": "f" * 257},
        "op": {"op": "x"},
        "both": {"ts": "2031-01-01T00:00:00Z"},
        "neither": {"day": None},
        "scope": {"scope": "user"},
        "no day": {"day": "2031-02-30"},
    }
    fields = {name: getattr(event, name) for name in ("user_id", "op", "day", "ts", "scope")}
    return WireEvent(**{**fields, **values[fault]})


def _is_past(period: str, model: Model) -> bool:
    """Whether retention has dropped a period."""
    return f"{model.first_kept:%Y-%m}" > period
