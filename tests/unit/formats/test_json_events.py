import json
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from dpdau.errors import BatchTooLargeError, EventsRefusedError, MalformedBodyError
from dpdau.formats import Decoded, EventRules, decode_json, decode_ndjson, require_all

GOOD = {"user_id": "ann", "op": "+", "day": "2026-01-31"}
Decode = Callable[..., Decoded]


def as_json(*events: Any) -> bytes:
    return json.dumps({"events": events}).encode()


def as_lines(*events: Any) -> bytes:
    return "\n".join(map(json.dumps, events)).encode()


@pytest.fixture(params=["json", "ndjson"])
def decode(request: pytest.FixtureRequest, rules: EventRules) -> Decode:
    """Both formats decode the same events the same way."""

    def decode(*events: Any, rules: EventRules = rules) -> Decoded:
        if request.param == "json":
            return decode_json(as_json(*events), rules)
        return decode_ndjson(as_lines(*events), rules)

    return decode


def reasons(decoded: Decoded) -> dict[int, str]:
    return {refusal.index: refusal.reason for refusal in decoded.refusals}


def test_events_become_columns_in_order(decode: Decode) -> None:
    decoded = decode(GOOD, {"user_id": "bob", "op": "-", "day": "2026-02-01"})
    events = require_all(decoded)
    assert list(events.user_ids) == ["ann", "bob"]
    assert events.days.tolist() == [date(2026, 1, 31).toordinal(), date(2026, 2, 1).toordinal()]
    assert events.adds.tolist() == [True, False]
    assert events.whole_user.tolist() == [False, False]
    assert decoded.size == 2


def test_an_empty_batch_is_a_batch(decode: Decode) -> None:
    assert decode().size == 0


def test_a_timestamp_stands_in_for_a_day(decode: Decode) -> None:
    text = {"user_id": "ann", "op": "+", "ts": "2026-01-31T23:30:00Z"}
    number = {"user_id": "ann", "op": "+", "ts": 1_769_900_400}
    expected = [date(2026, 2, 1).toordinal()] * 2
    assert require_all(decode(text, number)).days.tolist() == expected


def test_days_and_timestamps_may_be_mixed_in_a_batch(decode: Decode) -> None:
    stamped = {"user_id": "bob", "op": "+", "ts": 1_769_900_400.5}
    days = require_all(decode(GOOD, stamped)).days
    assert days.tolist() == [date(2026, 1, 31).toordinal(), date(2026, 2, 1).toordinal()]


def test_scope_user_erases_the_person_and_scope_day_does_not(decode: Decode) -> None:
    gone = {**GOOD, "op": "-", "scope": "user"}
    off = {**GOOD, "op": "-", "scope": "day"}
    bare = {**GOOD, "op": "-"}
    assert require_all(decode(gone, off, bare, GOOD)).whole_user.tolist() == [1, 0, 0, 0]


def test_the_default_scope_counts_where_none_is_given(decode: Decode, rules: EventRules) -> None:
    erasing = replace(rules, erase_by_default=True)
    off = {**GOOD, "op": "-", "scope": "day"}
    bare = {**GOOD, "op": "-"}
    assert require_all(decode(bare, GOOD, rules=erasing)).whole_user.tolist() == [1, 0]
    assert require_all(decode(off, bare, GOOD, rules=erasing)).whole_user.tolist() == [0, 1, 0]
    with_a_fault = decode(off, bare, GOOD, 7, rules=erasing)
    assert with_a_fault.events.whole_user.tolist() == [0, 1, 0]


def test_null_stands_for_an_absent_field(decode: Decode) -> None:
    event = {**GOOD, "ts": None, "scope": None, "metadata": None}
    assert require_all(decode(event)).adds.tolist() == [True]


def test_metadata_is_ignored_whatever_it_holds(decode: Decode) -> None:
    events = [{**GOOD, "metadata": {"a": value}} for value in ([1], 10**400, {}, "x", None)]
    assert len(require_all(decode(*events))) == 5
    assert reasons(decode(*events, 7)).keys() == {5}


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        ({**GOOD, "user_id": 7}, "user_id is a number; expected a string of 1 to 256 bytes"),
        ({**GOOD, "user_id": ["x"]}, "user_id is a list; expected a string of 1 to 256 bytes"),
        ({**GOOD, "user_id": True}, "user_id is a boolean; expected a string of 1 to 256 bytes"),
        ({**GOOD, "user_id": None}, "user_id is missing; expected a string of 1 to 256 bytes"),
        ({**GOOD, "user_id": ""}, "user_id is empty; expected a string of 1 to 256 bytes"),
        (
            {**GOOD, "user_id": "x" * 257},
            "user_id is 257 bytes long; expected a string of 1 to 256 bytes",
        ),
        (
            {**GOOD, "user_id": "ü" * 129},
            "user_id is 258 bytes long; expected a string of 1 to 256 bytes",
        ),
        ({**GOOD, "op": "add"}, 'op is neither "+" nor "-"'),
        ({**GOOD, "op": {}}, 'op is an object; expected "+" or "-"'),
        ({"user_id": "ann", "day": "2026-01-31"}, 'op is missing; expected "+" or "-"'),
        ({**GOOD, "day": "31.1.2026"}, "day is not a calendar day written as YYYY-MM-DD"),
        (
            {**GOOD, "day": 20260131},
            "day is a number; expected a calendar day written as YYYY-MM-DD",
        ),
        ({**GOOD, "ts": 1_769_900_400}, "has both day and ts; expected one of them"),
        ({"user_id": "ann", "op": "+"}, "has neither day nor ts; expected one of them"),
        (
            {"user_id": "ann", "op": "+", "ts": False},
            "ts is a boolean; expected text (RFC 3339) or seconds since 1970",
        ),
        (
            {"user_id": "ann", "op": "+", "ts": "yesterday"},
            (
                "ts is not a time with its offset (such as 2026-01-31T09:30:00Z) or seconds since "
                "1970, in the years 1 to 9999"
            ),
        ),
        ({**GOOD, "op": "-", "scope": "usr"}, 'scope is neither "day" nor "user"'),
        ({**GOOD, "op": "-", "scope": 1}, 'scope is a number; expected "day" or "user"'),
        ({**GOOD, "scope": "user"}, 'scope is given with op "+"; it belongs to "-" only'),
        (
            {**GOOD, "scop": "user"},
            (
                "has an unknown field; known are user_id, op, day, ts, scope, metadata "
                "(which is ignored)"
            ),
        ),
        ({**GOOD, "metadata": "x"}, "metadata is not an object"),
        ("ann", 'is not an object; expected {"user_id": …, "op": …, "day": …}'),
        ([], 'is not an object; expected {"user_id": …, "op": …, "day": …}'),
    ],
)
def test_a_bad_event_is_refused_with_its_reason_and_the_others_are_kept(
    decode: Decode, event: Any, reason: str
) -> None:
    decoded = decode(GOOD, event, GOOD)
    assert reasons(decoded) == {1: reason}
    assert len(decoded.events) == 2
    assert decoded.size == 3


def test_ids_of_256_bytes_and_with_any_character_are_kept(decode: Decode) -> None:
    ids = ["ü" * 128, "x" * 256, "😀" * 64, "\0", " ", "a\nb\r\n", '"', "\ufeff"]
    assert list(require_all(decode(*({**GOOD, "user_id": i} for i in ids))).user_ids) == ids


@pytest.mark.parametrize("number", [b"9" * 5000, b"1e999", b"-1e999"])
def test_a_number_beyond_all_ranges_is_refused(number: bytes, rules: EventRules) -> None:
    event = b'{"user_id":"ann","op":"+","ts":' + number + b"}"
    assert reasons(decode_ndjson(event, rules)) == {
        0: "ts is a number out of range; expected text (RFC 3339) or seconds since 1970"
    }


def test_of_a_field_given_twice_the_last_counts(rules: EventRules) -> None:
    event = b'{"user_id":"ann","user_id":"bob","op":"+","day":"2026-01-31"}'
    assert list(decode_ndjson(event, rules).events.user_ids) == ["bob"]
    assert list(decode_ndjson(event + b"\n7", rules).events.user_ids) == ["bob"]


def test_a_list_of_events_given_twice_counts_once(rules: EventRules) -> None:
    assert decode_json(b'{"events":[{}],"events":[]}', rules).size == 0


def test_a_byte_order_mark_is_skipped(rules: EventRules) -> None:
    assert decode_json(b"\xef\xbb\xbf" + as_json(GOOD), rules).size == 1
    assert decode_ndjson(b"\xef\xbb\xbf" + as_lines(GOOD), rules).size == 1


def test_require_all_refuses_the_whole_batch_with_every_index(decode: Decode) -> None:
    with pytest.raises(EventsRefusedError, match="2 of 3 events") as caught:
        require_all(decode({}, GOOD, {}))
    assert [index for index, _ in caught.value.refusals] == [0, 2]


def test_more_events_than_allowed_are_refused(decode: Decode, rules: EventRules) -> None:
    limited = replace(rules, max_events=2)
    assert decode(GOOD, GOOD, rules=limited).size == 2
    for events in ([GOOD] * 3, [{}] * 3):
        with pytest.raises(BatchTooLargeError, match="3 events; the limit is 2"):
            decode(*events, rules=limited)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "it ends early"),
        (b'{"events":[', "it ends early"),
        (b'{"events":[]} x', r"trailing characters \(byte 15\)"),
        (b'{"events":[{"op":NaN}]}', r"invalid character \(byte 17\)"),
        (b'{"events":[{"user_id":"\\ud800","op":"+"}]}', r"surrogate pair \(byte 29\)"),
        (b'{"events":' + b"[" * 100_000, "nested too deeply"),
        (b"\x1f\x8b\x08", r"invalid character \(byte 0\)"),
        (as_json(GOOD)[10:-1], r"it is a bare list; expected \{\"events\""),
        (b' [{"user_id":"ann"}]', "it is a bare list; expected"),
        (json.dumps(GOOD).encode(), "its shape differs; expected"),
        (b'{"events":7}', "its shape differs; expected"),
        (b'{"events":[],"partial":true}', "its shape differs; expected"),
        (b"7", "its shape differs; expected"),
    ],
)
def test_a_body_that_is_not_the_format_is_malformed(
    body: bytes, reason: str, rules: EventRules
) -> None:
    with pytest.raises(MalformedBodyError, match=reason):
        decode_json(body, rules)


def test_text_that_is_no_utf_8_refuses_one_event(rules: EventRules) -> None:
    good = json.dumps(GOOD).encode()
    bad = good.replace(b"ann", b"\xff")
    broken = good.replace(b"user_id", b"user\xff")
    expected = {
        0: "user_id is not UTF-8 text; expected a string of 1 to 256 bytes",
        2: "is not valid JSON: it is not UTF-8 text",
    }
    document = b'{"events":[' + b",".join([bad, good, broken]) + b"]}"
    assert reasons(decode_json(document, rules)) == expected
    assert reasons(decode_ndjson(b"\n".join([bad, good, broken]), rules)) == expected


def test_a_line_that_is_no_json_is_refused_and_the_others_are_kept(rules: EventRules) -> None:
    good = json.dumps(GOOD).encode()
    lines = [
        b"{",
        good,
        good + good,
        b'{"user_id":' + b"[" * 100_000,
        good[:20],
        good[20:],
        b"\\ud800",
    ]
    decoded = decode_ndjson(b"\n".join(lines), rules)
    assert list(reasons(decoded)) == [0, 2, 3, 4, 5, 6]
    assert reasons(decoded)[0] == "is not valid JSON: it ends early"
    assert reasons(decoded)[3] == "is not valid JSON: it is nested too deeply"


def test_blank_lines_are_neither_events_nor_counted(rules: EventRules) -> None:
    good = json.dumps(GOOD).encode()
    decoded = decode_ndjson(b"\n \r\n" + good + b"\r\n\n\t\n7\n\n", rules)
    assert decoded.size == 2
    assert list(reasons(decoded)) == [1]


def test_a_line_of_more_than_a_mebibyte_is_refused(rules: EventRules) -> None:
    long = json.dumps({**GOOD, "metadata": "x" * (1 << 20)}).encode()
    decoded = decode_ndjson(long + b"\n" + json.dumps(GOOD).encode(), rules)
    assert reasons(decoded) == {0: "is longer than 1,048,576 bytes"}
    assert len(decoded.events) == 1


def test_no_reason_and_no_error_holds_a_value_that_may_be_a_user_id(decode: Decode) -> None:
    secret = "ann@example.org"
    events = [
        {"user_id": secret * 30, "op": "+", "day": "2026-01-31"},
        {"user_id": "x", "op": secret, "day": "2026-01-31"},
        {"user_id": "x", "op": "+", "day": secret},
        {"user_id": "x", "op": "+", "ts": secret},
        {"user_id": "x", "op": "-", "day": "2026-01-31", "scope": secret},
        {secret: "x"},
        secret,
    ]
    decoded = decode(*events)
    assert len(decoded.refusals) == len(events)
    assert secret not in repr(decoded)
    with pytest.raises(EventsRefusedError) as caught:
        require_all(decoded)
    assert secret not in caught.value.message


PIECES = 5_001  # one more than is decoded together


@pytest.mark.parametrize(
    ("odd", "day", "whole_user"),
    [
        ({"scope": "user"}, "2026-01-31", True),
        ({"scope": "day"}, "2026-01-31", False),
        ({"day": None, "ts": "2026-02-01T12:00:00Z"}, "2026-02-01", False),
    ],
    ids=["user", "day", "ts"],
)
@pytest.mark.parametrize("position", [0, PIECES - 1], ids=["first", "last"])
def test_a_field_that_few_of_many_lines_have_concerns_these_alone(
    rules: EventRules, odd: dict[str, Any], day: str, position: int, *, whole_user: bool
) -> None:
    plain = {"user_id": "ann", "op": "-", "day": "2026-01-31"}
    lines: list[dict[str, Any]] = [plain] * PIECES
    lines[position] = plain | odd
    events = require_all(decode_ndjson(as_lines(*lines), rules))
    assert events.days[position] == date.fromisoformat(day).toordinal()
    assert events.whole_user[position] == whole_user
    assert events.whole_user.sum() == whole_user
    assert len(set(events.days.tolist())) == len({day, plain["day"]})


def test_a_removal_that_is_named_as_such_turns_no_other_from_an_erasure_into_one(
    rules: EventRules,
) -> None:
    plain = {"user_id": "ann", "op": "-", "day": "2026-01-31"}
    body = as_lines(*[plain] * (PIECES - 1), plain | {"scope": "day"})
    events = require_all(decode_ndjson(body, replace(rules, erase_by_default=True)))
    assert events.whole_user.tolist() == [True] * (PIECES - 1) + [False]


def test_lines_that_are_no_events_keep_their_number_among_thousands(rules: EventRules) -> None:
    lines = [json.dumps({**GOOD, "user_id": str(number)}).encode() for number in range(3_500)]
    bad = [0, 1_000, 2_345, 3_499]
    for number in bad:
        lines[number] = b"{"
    decoded = decode_ndjson(b"\n".join(lines), rules)
    assert [refusal.index for refusal in decoded.refusals] == bad
    assert [int(each) for each in decoded.events.user_ids] == sorted(set(range(3_500)) - set(bad))
