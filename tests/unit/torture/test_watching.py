"""What the fuzzers look for in answers and in processes."""

import os

import pytest

from _watching import Memory, Tally, revealed


@pytest.mark.parametrize(
    "answer",
    [
        b'{"detail": "Traceback (most recent call last)"}',
        b'File "/app/server.py", line 3',
        b"KeyError: 'day'",
        b"unable to open database file /var/lib/dpdau/dpdau.sqlite3",
        b"no such table, sqlite3",
    ],
)
def test_an_answer_that_tells_of_the_inside_is_noticed(answer: bytes) -> None:
    assert revealed(answer, b"GET /dau/2025-10-07") is not None
    tally = Tally()
    tally.note("GET /dau/{day}", 404, answer, b"")
    assert len(tally.findings) == 1


@pytest.mark.parametrize(
    ("answer", "sent"),
    [
        (b'{"type": "invalid-value", "title": "Invalid value"}', b""),
        (b"day is '/etc/passwd'; expected a day", b"GET /dau/%2Fetc%2Fpasswd"),
        (b"the metric KeyError is unknown", b"GET /budget/KeyError"),
    ],
)
def test_one_that_repeats_what_was_sent_is_not(answer: bytes, sent: bytes) -> None:
    assert revealed(answer, sent) is None


def test_a_fault_of_the_server_is_a_finding_whatever_it_says() -> None:
    tally = Tally()
    tally.note("GET /", 200, b"", b"")
    tally.note("GET /", 500, b"{}", b"")
    assert tally.statuses() == {"GET /": {200: 1, 500: 1}}
    assert (tally.requests, len(tally.findings)) == (2, 1)


def test_findings_are_not_kept_without_end() -> None:
    tally = Tally()
    for number in range(1_000):
        tally.found(str(number))
    assert 0 < len(tally.findings) < 100


@pytest.mark.parametrize(
    ("samples", "is_level"),
    [
        ([], True),
        ([100.0] * 9, True),
        ([100.0, 150.0, 170.0, 190.0, 200.0, 205.0, 208.0, 210.0], True),
        ([float(sample) for sample in range(100, 200)], False),
        ([100.0, 100.0, 100.0, 117.0], False),
    ],
)
def test_memory_levels_off_or_does_not(samples: list[float], *, is_level: bool) -> None:
    assert Memory(0, samples).levels_off() == is_level


def test_the_memory_of_a_process_is_read_while_it_runs() -> None:
    memory = Memory(os.getpid())
    with memory.watched():
        while not memory.samples:
            pass
    # The system rounds the two differently.
    assert 0 < memory.samples[0] <= memory.highest * 1.01


def test_a_process_that_is_gone_has_none() -> None:
    assert Memory(2**22 + 1).highest == 0
