"""Requests that no document describes: words of other kinds, damaged bodies, odd headers."""

import random  # noqa: TID251 - what is sent next carries no privacy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPMethod
from time import monotonic
from urllib.parse import quote

import httpx

from _all_targets import TARGETS
from _watching import Tally

__all__ = ["HostileRequest", "hostile_requests", "mutated", "send_hostile"]

_ANSWER_SECONDS = 120.0
_MOST_BYTES = 10_000
_WORDS = (
    *("2025-10-07", "2025-10", "2025-Q4", "2025", "dau", "mau", "30", "1%", "true", "json", "csv"),
    *(
        "0",
        "-1",
        "1e999",
        "nan",
        "9" * 400,
        "",
        " ",
        "null",
        "[]",
        "{}",
        "%",
        "..",
        "\0",
        "\x1b[2J",
    ),
    *("\N{ARABIC-INDIC DIGIT ZERO}" * 4, "\N{FULLWIDTH DIGIT TWO}025-10", "9999-12-31", "0001-01"),
    *(
        "10000-01-01",
        "2025-02-30",
        "-2025-01-01",
        "\N{ZERO WIDTH SPACE}",
        "\ud800",
        "'",
        '"',
        "a" * 3_000,
    ),
    *(
        "../../etc/passwd",
        "<script>",
        "${7*7}",
        "{{7*7}}",
        "dau-1d-2025-10-07",
        "mau-30d-2025-10-07",
    ),
)
_TOKENS = (
    *(b"{", b"}", b"[", b"]", b'"', b",", b":", b"\n", b"\r", b"\0", b"\xff", b"\\ud800", b"1e999"),
    *(b"null", b"true", b"9" * 40, b"user_id", b"events", b"day", b"ts", b"-", b"\xef\xbb\xbf"),
)
_HEADERS: Mapping[str, Sequence[bytes]] = {
    "Content-Type": (
        *(b"application/json", b"application/x-ndjson", b"text/csv", b"application/jsonl"),
        *(b"application/vnd.apache.arrow.stream", b"text/plain", b"", b"\xff/\xff", b";;;"),
    ),
    "Content-Encoding": (b"gzip", b"zstd", b"identity", b"gzip, gzip", b"br", b"\xe9"),
    "Accept": (b"text/csv", b"application/json", b"*/*", b"\xff"),
    "Authorization": (b"Bearer", b"Bearer x", b"Basic eDp4", b"\xff", b"Bearer \xff\xff"),
    "X-API-Key": (b"\xff", b"x" * 5_000, b""),
    "X-Request-ID": (b"a-good-one", b"\xff", b"x" * 200, b"<script>"),
    "X-Forwarded-For": (b"1.2.3.4", b"unknown", b"\xff", b"::1, 10.0.0.1"),
    "Idempotency-Key": (b"once", b'"twice"', b'"', b'"\\"', b"\xff", b"x" * 300, b"\t"),
    "Host": (b"localhost", b"example.org", b"[::1", b"\xff", b"127.0.0.1:99999999"),
    "Origin": (b"null", b"http://localhost", b"https://example.org", b"\xff"),
    "Sec-Fetch-Site": (b"cross-site", b"none"),
    "Range": (b"bytes=0-1", b"bytes=-"),
    "If-None-Match": (b"*", b'"x"'),
    "Accept-Encoding": (b"gzip", b"br;q=2"),
}
_PARAMETERS = (
    *("day", "start", "end", "from", "through", "window", "metric", "period", "format", "publish"),
    *("partial", "users", "target_error", "epsilon", "unknown", "start", "\ud800"),
)


@dataclass(frozen=True)
class HostileRequest:
    """A request that need not make sense.

    Attributes:
        operation: its method and the template of its path.
        method: as it is sent.
        target: path and query, percent-encoded.
        headers: names and values.
        body: any bytes.
    """

    operation: str
    method: str
    target: bytes
    headers: list[tuple[str, bytes]]
    body: bytes

    def to(self, url: httpx.URL) -> httpx.Request:
        """The request to a service at this address.

        Raises:
            httpx.InvalidURL: if httpx cannot send it.
        """
        headers = [(name.encode(), value) for name, value in self.headers]
        address = url.copy_with(raw_path=self.target)
        return httpx.Request(self.method, address, headers=headers, content=self.body)


def mutated(seed: bytes, chance: random.Random) -> bytes:
    """Bytes with a few of them replaced, inserted, removed or repeated."""
    data = bytearray(seed)
    for _ in range(chance.randint(0, 4)):
        start = chance.randint(0, len(data))
        end = start + chance.choice([0, 0, 1, 4, 64])
        data[start:end] = chance.choice([*_TOKENS, chance.randbytes(4), bytes(data[:start][-64:])])
    return bytes(data)


def send_hostile(
    url: str,
    paths: Mapping[str, Sequence[str]],
    tally: Tally,
    seconds: float,
    *,
    seed: int,
    header: tuple[str, str] | None = None,
) -> None:
    """Ask a service in ways that it does not describe.

    Args:
        url: where it listens.
        paths: the templates of its paths, with the methods of each.
        tally: notes the answers.
        seconds: for how long.
        seed: makes the same requests again.
        header: sent with each, such as a key.
    """
    end = monotonic() + seconds
    with httpx.Client(base_url=url, timeout=_ANSWER_SECONDS) as client:
        for request in hostile_requests(paths, seed):
            if monotonic() > end:
                return
            if header is not None:
                request.headers.append((header[0], header[1].encode()))
            sent = request.target + repr(request.headers).encode() + request.body
            try:
                answer = client.send(request.to(client.base_url))
            except (httpx.LocalProtocolError, httpx.InvalidURL):
                continue  # not even this client would send it
            except httpx.TransportError as error:
                tally.found(f"{request.operation} gave no answer ({error!r}) to {sent[:2_000]!r}")
                return
            received = b"".join(b"%s: %s\r\n" % each for each in answer.headers.raw)
            tally.note(request.operation, answer.status_code, received + answer.content, sent)


def hostile_requests(paths: Mapping[str, Sequence[str]], seed: int) -> Iterator[HostileRequest]:
    """Requests without end, the same for the same seed.

    Args:
        paths: the templates of a service's paths, with the methods of each.
        seed: any number.
    """
    chance = random.Random(seed)
    seeds = [each for target in TARGETS for each in target.seeds() if len(each) < _MOST_BYTES]
    while True:
        yield _made(chance, paths, seeds)


def _made(
    chance: random.Random, paths: Mapping[str, Sequence[str]], seeds: Sequence[bytes]
) -> HostileRequest:
    template = chance.choice(list(paths))
    method = chance.choice(paths[template]).upper()
    if chance.random() < 0.05:  # noqa: PLR2004 - now and then
        method = chance.choice([*(each.value for each in HTTPMethod), "BREW", "get"])
    words = iter(lambda: quote(_word(chance).encode("utf-8", "surrogatepass"), safe=""), None)
    path = "/".join(next(words) if part.startswith("{") else part for part in template.split("/"))
    query = "&".join(
        f"{quote(chance.choice(_PARAMETERS).encode('utf-8', 'surrogatepass'))}={next(words)}"
        for _ in range(chance.choice([0, 0, 1, 2, 3]))
    )
    target = path + ("?" + query if query else "")
    names = chance.sample(list(_HEADERS), chance.choice([0, 1, 1, 2, 3]))
    headers = [(name, chance.choice(_HEADERS[name])) for name in names]
    body = b""
    if method not in {"GET", "HEAD"} or chance.random() < 0.02:  # noqa: PLR2004 - now and then
        seed = chance.choice(seeds)
        body = mutated(seed[chance.choice([0, 1]) :], chance)
    return HostileRequest(f"{method} {template}", method, target.encode("ascii"), headers, body)


def _word(chance: random.Random) -> str:
    word = chance.choice(_WORDS)
    if word and chance.random() < 0.3:  # noqa: PLR2004 - now and then
        position = chance.randrange(len(word))
        word = (
            word[:position]
            + chr(chance.choice([0, 9, 37, 0x660, 0xD800, 0x1F600]))
            + word[position + 1 :]
        )
    return word
