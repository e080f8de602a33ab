from dataclasses import replace
from datetime import date

import pytest

from dpdau.errors import BatchTooLargeError, MalformedBodyError
from dpdau.formats import Decoded, EventRules, decode_csv, require_all

DAY = date(2026, 1, 31).toordinal()


def reasons(decoded: Decoded) -> dict[int, str]:
    return {refusal.index: refusal.reason for refusal in decoded.refusals}


@pytest.mark.parametrize(
    "body",
    [
        "user_id,op,day\nann,+,2026-01-31\nbob,-,2026-01-31",
        "user_id,op,day\r\nann,+,2026-01-31\r\nbob,-,2026-01-31\r\n",
        "\ufeffuser_id,op,day\nann,+,2026-01-31\nbob,-,2026-01-31\n",
        "day, op , user_id\n2026-01-31,+,ann\n2026-01-31,-,bob\n",
        '"user_id","op","day"\n"ann","+","2026-01-31"\nbob,-,2026-01-31\n',
        "user_id,op,day,ts,scope\nann,+,2026-01-31,,\nbob,-,2026-01-31,,\n",
        "user_id,op,ts\nann,+,2026-01-31T10:00:00Z\nbob,-,1769850000\n",
        "user_id,op,day,ts\nann,+,,1769850000.5\nbob,-,2026-01-31,\n",
        "user_id,metadata.country,op,metadata,day\nann,de,+,x,2026-01-31\nbob,,-,,2026-01-31\n",
        "user_id,op,day\n\nann,+,2026-01-31\n  \nbob,-,2026-01-31\n\n",
    ],
)
def test_the_same_events_in_many_spellings(body: str, rules: EventRules) -> None:
    events = require_all(decode_csv(body.encode(), rules))
    assert list(events.user_ids) == ["ann", "bob"]
    assert events.days.tolist() == [DAY, DAY]
    assert events.adds.tolist() == [True, False]
    assert events.whole_user.tolist() == [False, False]


def test_scope_user_erases(rules: EventRules) -> None:
    body = b"user_id,op,day,scope\nann,-,2026-01-31,user\nbob,-,2026-01-31,\n"
    assert require_all(decode_csv(body, rules)).whole_user.tolist() == [True, False]


def test_quoted_cells_may_hold_separators_quotes_and_line_breaks(rules: EventRules) -> None:
    body = b'user_id,op,day\n"a,b",+,2026-01-31\n"a""b",+,2026-01-31\n"a\nb\r\nc",+,2026-01-31\n'
    assert list(require_all(decode_csv(body, rules)).user_ids) == ["a,b", 'a"b', "a\nb\r\nc"]


def test_user_ids_keep_their_spaces(rules: EventRules) -> None:
    body = b"user_id,op,day\n ann ,+,2026-01-31\n"
    assert list(require_all(decode_csv(body, rules)).user_ids) == [" ann "]


def test_a_header_alone_is_an_empty_batch(rules: EventRules) -> None:
    assert decode_csv(b"user_id,op,day", rules).size == 0
    assert decode_csv(b"user_id,op,day\n\n \n", rules).size == 0


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (b"ann,+", "has 2 cells; the header has 3"),
        (b"ann,+,2026-01-31,", "has 4 cells; the header has 3"),
        (b",+,2026-01-31", "user_id is empty; expected a string of 1 to 256 bytes"),
        (b"ann,,2026-01-31", 'op is neither "+" nor "-"'),
        (b"ann,+,", "has neither day nor ts; expected one of them"),
        (b"ann,+, 2026-01-31", "day is not a calendar day written as YYYY-MM-DD"),
        (
            b"\xff,+,2026-01-31",
            "user_id is not UTF-8 text; expected a string of 1 to 256 bytes",
        ),
        (
            b"\xed\xa0\x80,+,2026-01-31",
            "user_id is not UTF-8 text; expected a string of 1 to 256 bytes",
        ),
        (b"ann,+,\xff", "day is not a calendar day written as YYYY-MM-DD"),
        (b'"a"n,+,2026-01-31', "is not valid CSV"),
        (b"a\rn,+,2026-01-31", "is not valid CSV"),
        (b"x" * (1 << 20) + b",+,2026-01-31", "is longer than 1,048,576 bytes"),
        (b"x" * 200_000 + b",+,2026-01-31", "is not valid CSV"),
    ],
)
def test_a_bad_row_is_refused_with_its_reason_and_the_others_are_kept(
    row: bytes, reason: str, rules: EventRules
) -> None:
    good = b"bob,+,2026-01-31"
    decoded = decode_csv(b"\n".join([b"user_id,op,day", good, row, good]), rules)
    assert list(decoded.events.user_ids) == ["bob", "bob"]
    assert list(reasons(decoded)) == [1]
    assert reasons(decoded)[1].startswith(reason)


def test_what_is_no_utf_8_in_ignored_columns_does_not_matter(rules: EventRules) -> None:
    body = b"user_id,op,day,metadata.x\nann,+,2026-01-31,\xff\nb\xc3\xbcb,+,2026-01-31,\n"
    assert list(require_all(decode_csv(body, rules)).user_ids) == ["ann", "büb"]


def test_a_quote_that_is_never_closed_refuses_what_follows_it(rules: EventRules) -> None:
    decoded = decode_csv(b'user_id,op,day\nann,+,2026-01-31\n"bob,+,2026-01-31\nx', rules)
    assert list(decoded.events.user_ids) == ["ann"]
    assert list(reasons(decoded)) == [1]


@pytest.mark.parametrize("number", ["1e999", "nan", "inf", "0x10", "1_000", "9" * 21, "1.5.2"])
def test_a_number_that_is_no_time_is_refused(number: str, rules: EventRules) -> None:
    decoded = decode_csv(f"user_id,op,ts\nann,+,{number}\n".encode(), rules)
    assert reasons(decoded)[0].startswith("ts is not a time with its offset")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "there is no column user_id; known columns are user_id, op, day"),
        (b"user_id,day\n", "there is no column op"),
        (b"user_id,op\n", "there is neither a column day nor a column ts"),
        (b"user_id,op,day,op\n", "column 4 is there twice"),
        (b"user_id,op,day,source\n", "the name of column 4 is unknown"),
        (b"user_id;op;day\n", "the name of column 1 is unknown"),
        (b"USER_ID,op,day\n", "the name of column 1 is unknown"),
        (b'"user_id,op,day\n', "the header on its first line is unreadable"),
        (b"\xff\xfeu\0s\0e\0r\0", "the header on its first line is unreadable"),
    ],
)
def test_a_body_without_the_header_is_malformed(
    body: bytes, reason: str, rules: EventRules
) -> None:
    with pytest.raises(MalformedBodyError, match=reason):
        decode_csv(body, rules)


def test_a_missing_header_does_not_put_a_user_id_into_the_error(rules: EventRules) -> None:
    with pytest.raises(MalformedBodyError) as caught:
        decode_csv(b"ann@example.org,+,2026-01-31\n", rules)
    assert "ann" not in caught.value.message


def test_more_events_than_allowed_are_refused(rules: EventRules) -> None:
    body = b"user_id,op,day\n" + b"ann,+,2026-01-31\n" * 3
    assert decode_csv(body, replace(rules, max_events=3)).size == 3
    with pytest.raises(BatchTooLargeError, match="more than 2 events; the limit is 2"):
        decode_csv(body, replace(rules, max_events=2))
