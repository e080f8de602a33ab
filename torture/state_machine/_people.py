"""What people and those who send their events do: be active, take it back, leave, return."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from http import HTTPStatus
from zoneinfo import ZoneInfo

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from _beside import EVERYONE, STRANGER, USERS, Beside
from _model import Model
from _terms import Fact
from _wire import ENCODINGS, MEDIA, WireEvent, encoded, parquet

__all__ = ["PeopleRules"]

_user = st.sampled_from(USERS)
_users = st.lists(_user, min_size=1, max_size=4, unique=True)


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


class PeopleRules(Beside):
    """Events and erasures."""

    @rule(
        good=st.lists(_draft, max_size=8),
        bad=st.one_of(st.just([]), st.lists(st.tuples(_bad_draft, st.integers(0, 8)), max_size=2)),
        partial=st.booleans(),
        media=_media,
        encoding=_encoding,
    )
    def ingest(
        self,
        *,
        good: list[_Draft],
        bad: list[tuple[_Draft, int]],
        partial: bool,
        media: str,
        encoding: str | None,
    ) -> None:
        """Send events."""
        self._did("ingest", is_silent=True)
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
            assert (response.status_code, shown["type"]) == (
                HTTPStatus.UNPROCESSABLE_ENTITY,
                "events-refused",
            ), shown
            assert [each["index"] for each in shown["errors"]] == faulty
            return
        assert response.status_code == HTTPStatus.OK, shown
        assert (shown["accepted"], shown["rejected"]) == (len(facts), len(faulty))
        assert [each["index"] for each in shown["errors"]] == faulty
        self.model.apply(facts)

    @rule(
        users=_users,
        back=st.one_of(st.integers(0, 2), st.integers(0, 30)),
        days=st.one_of(st.just(1), st.integers(1, 8)),
    )
    def be_active(self, users: list[str], back: int, days: int) -> None:
        """Send what an ordinary client sends."""
        self._did("be active", is_silent=True)
        self._send(
            [Fact(user, self._day(back + at), add=True) for user in users for at in range(days)]
        )

    @rule(drafts=st.lists(_draft, min_size=1, max_size=6), kind=st.sampled_from(["csv", "parquet"]))
    def ingest_file(self, drafts: list[_Draft], kind: str) -> None:
        """Read a file with the command line, beside the service."""
        self._did("ingest file", is_silent=True)
        events = [self._event(draft) for draft in drafts]
        file = self.product.folder / f"events.{kind}"
        sent = [event for event, _ in events]
        file.write_bytes(parquet(sent) if kind == "parquet" else MEDIA["text/csv"](sent))
        ended = self.product.command("ingest", "--from", str(file))
        assert ended.status == 0, ended
        self.model.apply([fact for _, fact in events if fact is not None])

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

    @precondition(lambda self: any(self.model.active.values()))
    @rule(data=st.data(), scope=st.sampled_from([None, "day", "user"]), media=_media)
    def take_back(self, data: st.DataObject, scope: str | None, media: str) -> None:
        """Retract what was said, or erase someone by it."""
        self._did("take back", is_silent=True)
        model = self.model
        said = sorted(
            (day, user)
            for day, users in model.active.items()
            for user in users
            if day >= model.first_kept
        )
        if not said:
            return
        day, user = said[data.draw(st.integers(0, len(said) - 1))]
        whole = scope == "user" or (scope is None and model.rules.erase_by_default)
        self._send([Fact(user, day, add=False, whole=whole)], media, scope)

    @precondition(lambda self: self.model.graves)
    @rule(data=st.data(), media=_media)
    def come_back(self, data: st.DataObject, media: str) -> None:
        """Send events of an erased person, dated around the erasure."""
        self._did("come back", is_silent=True)
        model = self.model
        user = data.draw(st.sampled_from(list(model.graves)))
        around = (model.graves[user].erased_on + timedelta(days=at) for at in (-2, -1, 0, 1, 2))
        facts = [Fact(user, day, add=True) for day in around if not model.refuses(day)]
        self._send(facts, media)

    @rule(
        users=st.lists(st.one_of(_user, st.just(STRANGER)), min_size=1, max_size=3),
        key=st.sampled_from([None, None, "key 1", "key 2"]),
        as_lines=st.booleans(),
    )
    def erase(self, *, users: list[str], key: str | None, as_lines: bool) -> None:
        """Ask that people are erased, perhaps under a key that was used before."""
        self._did("erase", is_silent=True)
        if key is not None:
            # While the secret is replaced, keys from before may be known or not.
            key = f"{key} under secret {self.model.secrets}"
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
            assert (response.status_code, shown["type"]) == (
                HTTPStatus.UNPROCESSABLE_ENTITY,
                "request-key-reused",
            ), shown
            return
        assert response.status_code in {HTTPStatus.OK, HTTPStatus.ACCEPTED}, shown
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
        self._did("erase nobody", is_silent=True)
        response = self.product.post("ingest", "/erasure", {"user_ids": named})
        shown = response.json()
        assert (response.status_code, shown["type"]) == (
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "invalid-value",
        ), shown
        self.model.erasures += 1
        record = self.product.get("ingest", f"/erasure/{shown['erasure_id']}").json()
        assert record["state"] == "refused"
        receipt = self.product.get("admin", f"/erasure/{shown['erasure_id']}/receipt")
        assert receipt.status_code == HTTPStatus.CONFLICT

    @precondition(lambda self: self.erased)
    @rule(data=st.data())
    def read_receipt(self, data: st.DataObject) -> None:
        """Ask for the receipt of an erasure, also long after it."""
        self._did("read receipt")
        erasure_id = data.draw(st.sampled_from(list(self.erased)))
        receipt = self.product.get("admin", f"/erasure/{erasure_id}/receipt").json()
        assert receipt["erasure"]["erasure_id"] == erasure_id
        assert receipt["days_touched"] == self.erased[erasure_id]
        rows = len(self.product.get("admin", "/ledger").json()["rows"])
        assert receipt["ledger"]["sequence"] <= rows
        assert self.product.get("ingest", "/erasure/unknown").status_code == HTTPStatus.NOT_FOUND

    def _memberships(self, users: Sequence[str]) -> int:
        """How many (day, person) pairs the store has of people; what retention dropped is gone."""
        found = self.product.found(EVERYONE, date(2000, 1, 1), date(2050, 1, 1))
        return sum(len(active.intersection(users)) for active in found.active.values())


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
