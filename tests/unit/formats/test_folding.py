import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpdau.formats import folding
from dpdau.formats.folding import folded
from support.texts import text_column

DAYS = [f"2026-{month:02d}-{day:02d}" for month in range(1, 13) for day in range(1, 32)]


@given(st.lists(st.text(max_size=4), min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_short_texts_are_the_same_folded_and_each_is_held_once(
    texts: list[str], order: object
) -> None:
    rows = texts * 100
    order.shuffle(rows)  # type: ignore[attr-defined]
    column = folded(text_column(rows))
    assert column is not None
    assert list(column) == rows
    assert sorted(column.values) == sorted(set(texts))


def test_texts_that_differ_in_length_or_in_their_last_byte_alone_are_told_apart() -> None:
    rows = [
        "",
        "\0",
        "\0\0",
        "a",
        "a\0",
        "12345678",
        "123456789",
        "123456789012345\0",
        "1234567890123456",
    ]
    column = folded(text_column(rows * 16))
    assert column is not None
    assert list(column) == rows * 16


def test_all_days_of_a_year_are_folded() -> None:
    column = folded(text_column(DAYS * 20))
    assert column is not None
    assert list(column) == DAYS * 20
    assert len(column.values) == len(DAYS)


@pytest.mark.parametrize("bits", [1, 4, 6])
def test_texts_that_share_a_slot_are_told_apart_or_not_folded(
    bits: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folding, "_SLOT_BITS", bits)
    few, many = DAYS[:4] * 100, DAYS * 20
    column = folded(text_column(few))
    assert column is not None
    assert list(column) == few
    assert folded(text_column(many)) is None


@pytest.mark.parametrize(
    "rows",
    [
        ["x" * 17] * 100,
        [*(["x"] * 1_000), "x" * 17],
        [str(number) for number in range(1_000)],
        ["a", "b"],
    ],
)
def test_long_texts_and_those_that_hardly_repeat_are_left(rows: list[str]) -> None:
    assert folded(text_column(rows)) is None


def test_no_texts_are_folded_into_none() -> None:
    column = folded(text_column([]))
    assert column is not None
    assert list(column) == []
