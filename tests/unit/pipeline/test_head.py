"""What the copy of the ledger's head remembers, of whatever bytes are found in its place."""

import msgspec
import pytest

from dpdau.model.ledger import GENESIS_HASH
from dpdau.pipeline.head import NOTHING, Head, remembered_in

SOUND = (
    b'{"version":1,"sequence":3,"hash":"ab","budgets":[{"metric":"dau","period":"2025-10",'
    b'"sequence":3,"hash":"ab","charges":[{"charge":{"kind":"pure","epsilon":0.5},"count":2}]}],'
    b'"series":{},"closed_through":{"mau":"2025-10-31"}}'
)
CHARGE = b'{"kind":"pure","epsilon":0.5}'


def test_a_head_is_read_as_it_was_written() -> None:
    head = remembered_in(SOUND)
    assert isinstance(head, Head)
    assert remembered_in(msgspec.json.encode(head)) == head
    assert remembered_in(msgspec.json.encode(NOTHING)) == NOTHING
    assert NOTHING.hash == GENESIS_HASH


@pytest.mark.parametrize(
    "content",
    [
        None,
        b"",
        SOUND[:-1],
        SOUND.replace(b'"ab"', b'"\xff"'),
        SOUND.replace(CHARGE, b'{"a":' * 100_000 + b"1" + b"}" * 100_000),
        SOUND.replace(b"pure", b"purr"),
        SOUND.replace(b"0.5", b"-0.5"),
        SOUND.replace(b"2025-10", b"2025-13"),
    ],
    ids=["missing", "empty", "cut", "no text", "deep", "no charge", "a gain", "no period"],
)
def test_a_head_that_cannot_be_understood_or_charged_is_none(content: bytes | None) -> None:
    assert remembered_in(content) is None
