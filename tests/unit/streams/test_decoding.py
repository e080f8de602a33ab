import gzip
import json
from datetime import date
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpdau.formats import EventRules
from dpdau.model.events import EventColumns
from dpdau.streams.decoding import Decoding, decode_messages
from dpdau.streams.messages import Message
from support import Event
from support.streams import as_json, messages

RULES = EventRules(
    ZoneInfo("UTC"), date(2025, 1, 1), date(2025, 12, 31), erase_by_default=False, max_events=3
)
DAY = date(2025, 11, 20)
EVENT = as_json(Event("ada", DAY))
NOT_ONE_LINE = {"content_type": "application/json; charset=utf-8"}


def decode(*given: Message) -> Decoding:
    return decode_messages(given, RULES, 10_000)


def rows(events: EventColumns) -> list[tuple[str, int, bool, bool]]:
    return list(
        zip(
            events.user_ids,
            events.days.tolist(),
            events.adds.tolist(),
            events.whole_user.tolist(),
            strict=True,
        )
    )


def reason(body: bytes, **headers: str) -> str:
    decoding = decode(Message(1, body, **headers))
    (poison,) = decoding.poison
    assert len(decoding.events) == 0
    return poison.reason


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (EVENT, {}),
        (b" " + EVENT + b" ", {}),
        (json.dumps(json.loads(EVENT), indent=2).encode(), {}),
        (b'{"events":[' + EVENT + b"]}", {}),
        (EVENT, {"content_type": "application/x-ndjson"}),
        (EVENT + b"\n", {"content_type": "application/jsonl"}),
        (b"user_id,op,day\nada,+,2025-11-20\n", {"content_type": "text/csv"}),
        (gzip.compress(EVENT, mtime=0), {"content_encoding": "gzip"}),
    ],
)
def test_a_message_is_one_event_or_a_body_as_http_takes_it(
    body: bytes, headers: dict[str, str]
) -> None:
    decoding = decode(Message(1, body, **headers))
    assert rows(decoding.events) == [("ada", DAY.toordinal(), True, False)]
    assert not decoding.poison


a_good_body = st.builds(
    Event, st.sampled_from("abc"), st.just(DAY), st.booleans(), st.booleans()
).map(as_json)
a_bad_body = st.sampled_from(
    [
        *(b"", b"\xff", b"{", b"null", b"[]", b"\n", b'{"op":"+"}', b"\xef\xbb\xbf"),
        *(EVENT + EVENT, EVENT + b"\n" + EVENT, EVENT + b',"events":[', b'{"events":[]'),
        EVENT.replace(b"2025", b"1925"),
    ]
)


@given(st.lists(st.one_of(a_good_body, a_good_body, a_bad_body), min_size=1, max_size=8))
def test_decoding_messages_together_gives_what_each_gives_alone(bodies: list[bytes]) -> None:
    together = decode_messages(messages(bodies), RULES, 10_000)
    events: list[tuple[str, int, bool, bool]] = []
    poison: list[tuple[int, str]] = []
    for message in messages(bodies):
        # With a charset, a message is never decoded together with others.
        named = Message(message.position, message.body, **NOT_ONE_LINE)
        alone = decode(named)
        events += rows(alone.events)
        poison += [(each.message.position, each.reason) for each in alone.poison]
    assert rows(together.events) == events
    assert [(each.message.position, each.reason) for each in together.poison] == poison


def test_a_bad_message_leaves_those_around_it_in_order() -> None:
    left = as_json(Event("ada", DAY, add=False))
    decoding = decode(Message(1, EVENT), Message(2, b"garbage"), Message(3, left))
    assert [add for _, _, add, _ in rows(decoding.events)] == [True, False]
    assert [each.message.position for each in decoding.poison] == [2]


@pytest.mark.parametrize(
    ("body", "headers", "expected"),
    [
        (b"garbage", {}, "not valid JSON"),
        (EVENT.replace(b"2025", b"1925"), {}, "event 0: day 1925-11-20"),
        (b'{"user_id":"ada","op":"+","day":"2025-11-20","who":1}', {}, "unknown field"),
        (EVENT, {"content_type": "text/plain"}, "Content-Type is 'text/plain'"),
        (EVENT, {"content_encoding": "br"}, "Content-Encoding is 'br'"),
        (EVENT, {"content_encoding": "gzip"}, "damaged"),
        (b" " * 10_001, {}, "10,001 bytes"),
        (
            gzip.compress(b" " * 10_001, mtime=0),
            {"content_encoding": "gzip"},
            "more than 10,000 bytes",
        ),
        (b'{"events":[' + b",".join([EVENT] * 4) + b"]}", {}, "the limit is 3"),
    ],
)
def test_a_poison_message_has_a_reason(body: bytes, headers: dict[str, str], expected: str) -> None:
    assert expected in reason(body, **headers)


def test_a_reason_is_one_line_of_ascii_and_never_quotes_the_body() -> None:
    body = (
        b'{"events":[' + b",".join([b'{"user_id":"ada@example.com","op":"\xc3\xa9"}'] * 3) + b"]}"
    )
    for found in (reason(body), reason(EVENT, content_type="text/\nλ" * 200)):
        assert "ada" not in found
        assert found.isascii()
        assert found.isprintable()
        assert len(found) <= 500


def test_what_is_bad_beyond_the_third_event_is_counted() -> None:
    rules = EventRules(ZoneInfo("UTC"), DAY, DAY, erase_by_default=False)
    body = b'{"events":[' + b",".join([b"{}"] * 5) + b"]}"
    (poison,) = decode_messages([Message(1, body)], rules, 10_000).poison
    assert poison.reason.endswith("(and 2 more)")
