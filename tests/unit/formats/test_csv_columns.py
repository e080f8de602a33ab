"""Long pieces of CSV, split as arrays, hold the same rows as short ones, split as texts."""

import csv
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dpdau.formats import EventRules
from dpdau.formats.columns import RawColumns, Rows, judge
from dpdau.formats.csv_columns import split_columns
from dpdau.formats.csv_events import csv_rows
from dpdau.formats.pieces import cut, pieces_of
from dpdau.formats.rules import MAX_LINE_BYTES
from dpdau.model.texts import FoldedColumn, TextColumn

NAMES = ["user_id", "op", "day"]
CELLS = [
    b"ann", "büb".encode(), b" ann ", b"", b"+", b"-", b" +", b"2026-01-31", b"2026-02-30", b"x" * 300,
    b"\0", b"\xff", b"\xef\xbb\xbf", b"a\rb", b"\r", b'"q"', b'"a,b"', b'"a""b"', b'"two\nlines"', b'"',
    b"user", b"1769850000", b"2026-01-31T10:00:00Z",
]  # fmt: skip
HOSTILE_ROWS = st.lists(st.sampled_from(CELLS), max_size=6).map(b",".join) | st.binary(max_size=12)
HEADERS = [
    b"user_id,op,day",
    b"day,op,scope,user_id",
    b"op,metadata.x,user_id,ts",
    b"ts,scope,day,op,user_id",
]


def plain_row(header: bytes, number: int) -> bytes:
    cells = {
        b"user_id": b"user %d" % number,
        b"op": b"+-"[number % 2 :][:1],
        b"day": b"2026-01-%02d" % (number % 31 + 1),
        b"ts": b"",
        b"scope": [b"", b"", b"", b"day"][number % 4],
    }
    if b"day" not in header.split(b","):
        cells[b"ts"] = b"%d" % (1_769_850_000 + number)
    return b",".join(cells.get(name, b"note") for name in header.split(b","))


def read(pieces: Iterable[bytes], rules: EventRules) -> list[Any]:
    """All rows: the events, and of what is refused line, text and reason."""
    rows: list[Rows] = list(csv_rows(pieces))
    found: list[Any] = [rows[-1].lines_read if rows else None]
    for each in rows:
        decoded = judge(each.columns, rules)
        refused = {refusal.index: refusal.reason for refusal in decoded.refusals}
        events = decoded.events
        good = iter(zip(events.user_ids, events.days, events.adds, events.whole_user, strict=True))
        for row, number in enumerate(each.line_numbers):
            what = refused[row] if row in refused else next(good)
            found.append((number, each.text_of(row), what))
    return found


@given(
    header=st.sampled_from(HEADERS),
    hostile=st.lists(st.tuples(st.integers(0, 5_500), HOSTILE_ROWS), max_size=4),
    line_feed=st.sampled_from([b"\n", b"\r\n"]),
    erase_by_default=st.booleans(),
)
@settings(max_examples=40)
def test_whatever_stands_between_plain_rows_is_read_as_in_short_pieces(
    header: bytes,
    hostile: list[tuple[int, bytes]],
    line_feed: bytes,
    erase_by_default: bool,  # noqa: FBT001
    rules: EventRules,
) -> None:
    rules = replace(rules, erase_by_default=erase_by_default)
    lines = [plain_row(header, number) for number in range(5_500)]
    for place, row in hostile:
        lines.insert(place, row)
    text = line_feed.join([header, *lines])
    expected = read(cut(text, 300), rules)
    for max_lines in (5_400, 100_000):
        assert read(cut(text, max_lines), rules) == expected


def columns_of(text: bytes) -> RawColumns:
    (rows,) = csv_rows(pieces_of([text], 100_000))
    return rows.columns


@pytest.mark.parametrize("line_feed", [b"\n", b"\r\n"])
def test_long_pieces_without_quotes_become_arrays(line_feed: bytes) -> None:
    text = line_feed.join([HEADERS[1], *(plain_row(HEADERS[1], n) for n in range(6_000))])
    columns = columns_of(text + line_feed)
    assert isinstance(columns.user_ids, TextColumn)
    for column in (columns.ops, columns.days, columns.scopes):
        assert isinstance(column, FoldedColumn)
    assert columns.scopes is not None
    assert list(columns.scopes[:4]) == [None, None, None, "day"]


def test_a_quote_concerns_its_long_piece_only() -> None:
    rows = [plain_row(HEADERS[0], number) for number in range(20_000)]
    rows[12_345] = b'"user, 12345",+,2026-01-31'
    parts = list(csv_rows(cut(b"\n".join([HEADERS[0], *rows]), 7_000)))
    kinds = [type(part.columns.user_ids) for part in parts]
    assert kinds == [TextColumn, list, list, TextColumn]
    assert [name for part in parts for name in part.columns.user_ids][12_345] == "user, 12345"


def split(text: bytes, names: Sequence[str] = NAMES) -> list[tuple[str, ...]] | None:
    columns = split_columns(text, names)
    if columns is None:
        return None
    assert list(columns) == list(names)
    return list(zip(*(columns[name] for name in NAMES), strict=True))


@given(st.lists(st.sampled_from(CELLS), max_size=9).map(b",".join) | st.binary(max_size=9))
def test_what_is_split_is_what_csv_finds(line: bytes) -> None:
    for text in (line, b"a,+,x\n" + line, line + b"\na,+,x"):
        found = split(text)
        if found is not None:
            assert found == [
                tuple(row) for row in csv.reader(text.decode().splitlines(keepends=True))
            ]


def test_rows_are_split_into_the_cells_of_known_columns() -> None:
    assert split(b"ann,+,x\r\n,-,\r") == [("ann", "+", "x"), ("", "-", "")]
    names = ["metadata.a", *NAMES, "metadata"]
    assert split(b"1,ann,+,x,2\n,b,-,y,", names) == [("ann", "+", "x"), ("b", "-", "y")]


@pytest.mark.parametrize(
    "text",
    [
        b"ann,+\nb,-,x,y",
        b"ann,+,x,b\n-,x",
        b"ann,+,x\n",
        b"ann,+,x\n\nb,-,x",
        b'"ann",+,x',
        b"a\rnn,+,x",
        b"ann,+,x\r\r\nb,-,x",
        b"\xff,+,x",
        b"x" * (csv.field_size_limit() + 1) + b",+,x",
        (b"x" * 100_000 + b",") * 12,
    ],
)
def test_what_may_be_something_else_is_left(text: bytes) -> None:
    assert (
        split(text, NAMES if text.count(b",") < 12 else [f"metadata.{n}" for n in range(13)])
        is None
    )


@pytest.mark.parametrize(("spare", "is_split"), [(1, True), (0, False)])
def test_lines_that_may_be_too_long_with_their_carriage_return_are_left(
    spare: int,
    is_split: bool,  # noqa: FBT001
) -> None:
    cells = [b"x" * 100_000] * 10
    size = MAX_LINE_BYTES - spare - sum(map(len, cells)) - len(cells)
    text = b",".join([*cells, b"x" * size])
    assert len(text) == MAX_LINE_BYTES - spare
    assert (split_columns(text, ["user_id"] * 11) is not None) == is_split
