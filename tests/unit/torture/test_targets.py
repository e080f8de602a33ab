"""Every reader and decoder, given damaged input; `make fuzz` goes on with these for longer."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from _all_targets import TARGETS
from _event_targets import EVENT_TARGETS
from _targets import FindingError, Target, refusing_clearly, require
from dpdau.errors import DpdauError, InputError, StoreError

NAMES = [target.name for target in TARGETS]
TOKENS = [
    *(b"{", b"}", b"[", b'"', b",", b"\n", b"\r", b"\0", b"\xff", b"\\ud800", b"1e999", b"null"),
    *(b"9" * 40, b"\xff" * 8, b"\0" * 8, "\N{ARABIC-INDIC DIGIT ZERO}".encode()),
]


@st.composite
def damaged(draw: st.DrawFn, seeds: list[bytes]) -> bytes:
    """Something sound with some bytes replaced, inserted, removed or repeated."""
    data = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, len(data)))
        end = start + draw(st.sampled_from([0, 0, 1, 4, 8, 64]))
        data[start:end] = draw(st.binary(max_size=8) | st.sampled_from(TOKENS))
    return bytes(data)


@pytest.mark.parametrize("target", TARGETS, ids=NAMES)
def test_sound_input_keeps_every_promise(target: Target) -> None:
    for seed in target.seeds():
        target.check(seed)


@pytest.mark.parametrize("target", TARGETS, ids=NAMES)
def test_damaged_input_keeps_every_promise_or_is_refused(target: Target) -> None:
    # A ledger and a plan take milliseconds to verify; libFuzzer has more time for them.
    examples = 15 if target.name in {"ledger", "plan", "formats"} else 150

    @settings(max_examples=examples, deadline=None)
    @given(damaged(list(target.seeds())) | st.binary(max_size=64))
    def try_one(data: bytes) -> None:
        target.check(data)

    try_one()


@pytest.mark.parametrize("target", TARGETS, ids=NAMES)
@pytest.mark.parametrize("short", [b"", b"j", b"c", b"\n", b"j\0\n"])
def test_hardly_any_input_is_no_finding(target: Target, short: bytes) -> None:
    target.check(short)


def test_targets_have_names_of_their_own() -> None:
    assert len(set(NAMES)) == len(NAMES) > len(EVENT_TARGETS)


def test_a_broken_promise_is_a_finding() -> None:
    require(bool("something"), "never said")
    with pytest.raises(FindingError, match="as said"):
        require(bool(""), "as said")


@pytest.mark.parametrize("error", [InputError("It is unfit."), StoreError("It is damaged.")])
def test_a_refusal_is_none(error: DpdauError) -> None:
    with refusing_clearly():
        raise error


@pytest.mark.parametrize("error", [DpdauError("Something failed."), InputError(" ")])
def test_a_refusal_that_blames_the_program_or_says_nothing_is(error: DpdauError) -> None:
    with pytest.raises(FindingError), refusing_clearly():
        raise error


def test_another_exception_is_not_taken_for_a_refusal() -> None:
    with pytest.raises(KeyError), refusing_clearly():
        raise KeyError
