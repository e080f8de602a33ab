from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpdau.model.texts import FoldedColumn, TextColumn, concatenated, taken
from support.texts import text_column

TEXTS = ["ann", "", "böb", "x" * 30, "ann"]
FOLDED = FoldedColumn(["a", "b"], np.array([1, 0, 0, 1], dtype=np.int8))


@given(st.lists(st.text()), st.integers(-6, 6), st.integers(-6, 6))
def test_a_column_of_texts_is_a_sequence_of_strings(texts: list[str], start: int, end: int) -> None:
    column = text_column(texts)
    assert len(column) == len(texts)
    assert list(column) == [column[row] for row in range(len(texts))] == texts
    assert list(column[start:end]) == texts[start:end]


def test_a_folded_column_is_a_sequence_of_its_values() -> None:
    assert list(FOLDED) == [FOLDED[row] for row in range(4)] == ["b", "a", "a", "b"]
    assert list(FOLDED[1:]) == ["a", "a", "b"]


def test_a_part_of_a_folded_column_has_no_other_values_than_its_rows() -> None:
    assert FOLDED[1:3].values == ["a"]
    assert FOLDED[:0].values == []
    column = FoldedColumn(text_column(TEXTS), np.array([4, 2, 2, 4]))[1:3]
    assert isinstance(column.values, TextColumn)
    assert list(column.values) == ["böb"]
    assert list(column) == ["böb", "böb"]


@pytest.mark.parametrize(
    "column", [text_column(TEXTS), FoldedColumn(TEXTS, np.arange(5)), TEXTS, [None, 1, 2, 3, 4.5]]
)
def test_what_is_taken_of_a_column_stays_of_its_kind(column: Sequence[Any]) -> None:
    for positions in ([4, 0, 0, 2], [], [3]):
        part = taken(column, np.array(positions, dtype=np.int64))
        assert type(part) is type(column)
        assert list(part) == [column[position] for position in positions]


def test_parts_of_one_buffer_are_joined_without_another() -> None:
    column = text_column(TEXTS)
    joined = concatenated([column[3:], column[:1]])
    assert isinstance(joined, TextColumn)
    assert joined.octets is column.octets
    assert list(joined) == ["x" * 30, "ann", "ann"]


def test_places_that_there_are_not_have_no_value() -> None:
    for column in (text_column(TEXTS), FOLDED):
        with pytest.raises(IndexError):
            column[len(column)]


def test_words_are_the_bytes_from_each_place_on_and_zeros_behind_the_end() -> None:
    words = text_column(["abcdefgh", "i"]).words()
    expected = [b",abcdefgh,i"[place:][:8].ljust(8, b"\0") for place in range(20)]
    assert words.astype("<u8").tobytes() == b"".join(expected)


def test_words_of_a_buffer_that_ends_where_memory_does_stay_within_it() -> None:
    whole = np.frombuffer(b"abc" + b"\xff" * 8, dtype=np.uint8)
    column = TextColumn(whole[:3], np.array([0]), np.array([3]))
    assert column.words().tolist()[:4] == [0x636261, 0x6362, 0x63, 0]


@pytest.mark.parametrize(
    "parts",
    [
        [text_column(TEXTS), text_column([]), text_column(["z"])],
        [FOLDED, FOLDED[:0], FoldedColumn([None, "c"], np.array([0, 1, 0]))],
        [
            FoldedColumn(text_column(["a", "b"]), np.array([1, 1])),
            FoldedColumn(text_column(["b"]), np.array([0])),
        ],
        [["a", None], FOLDED, text_column(TEXTS)],
        [("a",)],
        [],
    ],
)
def test_columns_are_joined_in_order(parts: list[Sequence[Any]]) -> None:
    assert list(concatenated(parts)) == [value for part in parts for value in part]


def test_columns_of_one_kind_stay_of_that_kind() -> None:
    assert isinstance(concatenated([text_column(TEXTS)] * 2), TextColumn)
    joined = concatenated([FoldedColumn(text_column(TEXTS), np.array([4]))] * 2)
    assert isinstance(joined, FoldedColumn)
    assert isinstance(joined.values, TextColumn)
    assert isinstance(concatenated([FOLDED, ["a"]]), list)


def test_codes_of_many_parts_do_not_overflow_the_integers_of_one() -> None:
    part = FoldedColumn([str(n) for n in range(100)], np.arange(100, dtype=np.int8))
    assert list(concatenated([part] * 3)) == list(part) * 3
