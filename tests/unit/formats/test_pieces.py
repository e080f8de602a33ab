from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from dpdau.formats import EventRules, decode_csv, decode_ndjson
from dpdau.formats.pieces import cut, pieces_of
from dpdau.formats.rules import MAX_LINE_BYTES, Decoded

TEXTS = st.lists(st.sampled_from([b"a", b"bc", b"\n", b"\n\n", b""]), max_size=20).map(b"".join)


@given(text=TEXTS, max_lines=st.integers(1, 4))
def test_a_text_cut_apart_holds_the_same_lines(text: bytes, max_lines: int) -> None:
    pieces = list(cut(text, max_lines))
    assert b"\n".join(pieces) == text
    assert all(piece.count(b"\n") < max_lines for piece in pieces)


@given(blocks=st.lists(TEXTS, max_size=5), max_lines=st.integers(1, 4))
def test_blocks_cut_anywhere_hold_the_same_lines(blocks: list[bytes], max_lines: int) -> None:
    pieces = list(pieces_of(blocks, max_lines))
    assert b"\n".join(pieces) == b"".join(blocks).removesuffix(b"\n")
    assert all(piece.count(b"\n") < max_lines for piece in pieces)


def test_of_a_line_without_end_only_the_beginning_is_kept() -> None:
    def blocks() -> Iterator[bytes]:
        for _ in range(50):
            yield b"x" * (MAX_LINE_BYTES // 10)
        yield b"\nshort"

    long, short = pieces_of(blocks(), 10)
    assert MAX_LINE_BYTES < len(long) < 2 * MAX_LINE_BYTES
    assert short == b"short"


PARTS = [
    b'{"user_id":"ann","op":"+","day":"2026-01-31"}',
    b'{"user_id":"bob","op":"-","day":"2026-01-31","metadata":{"a":[{}',
    b'{"user_id":"cy","op":"+","metadata":{}',
    b'"day":"2026-01-31"}',
    b",{}]}}",
    b",",
    b" ",
    b"\r",
    b"\n",
    b"\n",
]


def reasons(decoded: Decoded) -> list[str | None]:
    """Why each event was refused; None for a good one."""
    refused = {refusal.index: refusal.reason for refusal in decoded.refusals}
    return [refused.get(index) for index in range(decoded.size)]


@given(parts=st.lists(st.sampled_from(PARTS), max_size=12))
def test_lines_are_judged_together_as_each_is_by_itself(
    parts: list[bytes], rules: EventRules
) -> None:
    body = b"".join(parts)
    one_by_one = [
        reason for line in body.split(b"\n") for reason in reasons(decode_ndjson(line, rules))
    ]
    assert reasons(decode_ndjson(body, rules)) == one_by_one


def test_a_line_feed_within_an_event_ends_its_line(rules: EventRules) -> None:
    halves = b'{"user_id":"ann","op":"+","metadata":{}\n,"day":"2026-01-31"}{"user_id":"bob","op":"+","day":"2026-01-31"}'
    decoded = decode_ndjson(halves, rules)
    assert len(decoded.events) == 0
    assert decoded.size == 2


CELLS = st.sampled_from(
    ["ann", "", "+", "-", "2026-01-31", '"', '"bob"', '"a,b"', '"a\nb"', "\r", " "]
)


@given(rows=st.lists(st.lists(CELLS, min_size=1, max_size=5), max_size=6))
def test_rows_without_quotes_are_read_as_those_of_a_table_with_a_quote(
    rows: list[list[str]], rules: EventRules
) -> None:
    text = "user_id,op,day\n" + "\n".join(",".join(row) for row in rows)
    quick = decode_csv(text.encode(), rules)
    # The quoted cell of the last row keeps the reader from the shorter way.
    slow = decode_csv(f'{text}\n"zoe",+,2026-01-31'.encode(), rules)
    if text.count('"') % 2 == 0:
        assert reasons(slow)[: quick.size] == reasons(quick)


def test_a_cell_may_not_be_longer_than_the_csv_reader_takes(rules: EventRules) -> None:
    body = b"user_id,op,day,metadata.a\nann,+,2026-01-31," + b"x" * 140_000
    (refusal,) = decode_csv(body, rules).refusals
    assert "a cell is longer than 131,072 characters" in refusal.reason
