"""The search for what must not leak finds everything that is planted, in whatever form."""

import base64
from datetime import date
from pathlib import Path

import pytest

from dpdau.hashing import Pseudonymizer
from support.builders import EXACT
from support.service import Service, event
from support.telltales import Telltales, encodings

SECRET = "a salt that nobody else may know"
STEM = 'hüsh/hush "person" '
IDS = [f"{STEM}{number:05d}" for number in range(10_093)]
SEARCHED = Telltales(
    {10_093: "users of a day"}, STEM, (SECRET,), Pseudonymizer(SECRET).pseudonyms(IDS)
)

# Of the upper half of all, so that it has another number with a sign.
PSEUDONYM = int(SEARCHED.pseudonyms.max())
STORED = PSEUDONYM.to_bytes(8, "little")


@pytest.mark.parametrize(
    "text",
    [
        *("10093", '{"users":10093}', "10,093 people", "10 093", "10_093", "1.0093e4"),
        *("10093.0", "day,1,10093,2", "(10093)", "0x276d", '"276D"', "rows=10093", "-10093"),
        *("<td>10\u202f093</td>", "x-total: 10093", "1 of 10093."),
    ],
)
def test_a_count_is_found_however_it_is_written(text: str) -> None:
    assert [each.kind for each in SEARCHED.search(text)][:1] == ["count"]


@pytest.mark.parametrize("text", ["110093", "10093.25", "2031-06-01T10:00:00.010093", "a10093b"])
def test_another_number_is_not(text: str) -> None:
    assert SEARCHED.search(text) == []


@pytest.mark.parametrize("before", ["", "a", "ab"])
@pytest.mark.parametrize("form", sorted(encodings(STEM)))
def test_an_id_is_found_in_every_encoding(form: str, before: str) -> None:
    assert {each.kind for each in SEARCHED.search(f"{before}{form}00017")} == {"id"}


@pytest.mark.parametrize("form", sorted(encodings(SECRET)))
def test_a_secret_is_found_in_every_encoding(form: str) -> None:
    assert {each.kind for each in SEARCHED.search(f"key={form};")} == {"key"}


@pytest.mark.parametrize(
    "text",
    [
        str(PSEUDONYM),
        str(PSEUDONYM - 2**64),
        f"{PSEUDONYM:016x}",
        f"0x{PSEUDONYM:016X}",
        STORED.hex(),
        f"00ff{STORED.hex()}ab",
        base64.b64encode(STORED).decode(),
        base64.urlsafe_b64encode(STORED[::-1]).decode().rstrip("="),
    ],
)
def test_a_pseudonym_is_found_in_every_encoding(text: str) -> None:
    assert "pseudonym" in {each.kind for each in SEARCHED.search(f'{{"user": "{text}"}}')}


def test_what_a_service_without_noise_publishes_is_found(tmp_path: Path) -> None:
    yesterday = date(2025, 11, 19)
    with Service(tmp_path, EXACT) as service:
        users = [event(each, yesterday) for each in IDS]
        assert service.send(*users).is_success
        answer = service.client.get(f"/dau/{yesterday}")
    assert "count" in {each.kind for each in SEARCHED.search(answer.content)}
