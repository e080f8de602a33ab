"""What must reach nobody but the operator, and a search that finds it in whatever form it leaks.

Numbers are compared as numbers, token by token: 12,345 and 12345.0 and 0x3039 are one. Ids are
found by a stem that all of them share, in every encoding that a web service may give it.
"""

import base64
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from html import escape
from itertools import chain
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

__all__ = ["Find", "Telltales", "encodings"]

# A moment and a random id tell nothing, and their digits would coincide with counts now and then.
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?")
_RANDOM_ID = re.compile(r"\b[0-9a-f]{32}\b")
_SEPARATORS = r"[,_'\u00a0\u2009\u202f ]"
# Neighbours in a line of CSV look like groups of digits, so a number is read in both ways.
_NUMBERS = (
    re.compile(r"(?<![\w.])\d+(?:\.\d+)?(?:[eE][-+]?\d+)?"),
    re.compile(rf"(?<![\w.])\d{{1,3}}(?:{_SEPARATORS}\d{{3}})+(?!\d)(?:\.\d+)?"),
)
_HEX = re.compile(r"(?<![0-9A-Za-z])(?:0[xX])?([0-9A-Fa-f]{3,})(?![0-9A-Za-z])")
_LONG_HEX = re.compile(r"[0-9A-Fa-f]{16,}")
_LONG_BASE64 = re.compile(r"[0-9A-Za-z+/_-]{11,}")
_LONG_DECIMAL = re.compile(r"-?\d{10,}")
_PSEUDONYM_HEX = 16
# Ten characters are 60 of a pseudonym's 64 bits; the eleventh holds what follows it too.
_PSEUDONYM_BASE64 = 10


@dataclass(frozen=True, order=True)
class Find:
    """Something that was found.

    Attributes:
        kind: of the secret: count, id, pseudonym or key.
        what: which one, as the searcher knows it.
        around: where it stands.
    """

    kind: str
    what: str
    around: str


@dataclass(frozen=True)
class Telltales:
    """Everything to look for.

    Attributes:
        counts: exact numbers and what they are.
        stem: part of every user id.
        secrets: texts such as the secret of the pseudonyms and keys.
        pseudonyms: n keyed hashes.
    """

    counts: Mapping[int, str]
    stem: str
    secrets: tuple[str, ...]
    pseudonyms: NDArray[np.uint64]
    _texts: list[tuple[str, str, str]] = field(init=False, default_factory=list, repr=False)
    _words: dict[str, set[str]] = field(init=False, default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        for kind, text in (("id", self.stem), *(("key", each) for each in self.secrets)):
            self._texts.extend((kind, text, form.lower()) for form in encodings(text))
        stored = [self.pseudonyms.astype(order).tobytes() for order in (">u8", "<u8")]
        raw = [each[at : at + 8] for each in stored for at in range(0, len(each), 8)]
        coded = [base64.b64encode(each).decode() for each in raw]
        urlsafe = [each.replace("+", "-").replace("/", "_") for each in coded]
        signed = self.pseudonyms.view(np.int64).tolist()
        self._words["decimal"] = set(map(str, (*self.pseudonyms.tolist(), *signed)))
        self._words["hex"] = {each.hex() for each in raw}
        self._words["base64"] = {each[:_PSEUDONYM_BASE64] for each in (*coded, *urlsafe)}

    def search(self, told: bytes | str) -> list[Find]:
        """Every telltale in what somebody was told."""
        text = told if isinstance(told, str) else told.decode("utf-8", "backslashreplace")
        return sorted({*self._numbers(text), *self._forms(text), *self._hashes(text)})

    def _numbers(self, text: str) -> Iterator[Find]:
        plain = _RANDOM_ID.sub(" ; ", _MOMENT.sub(" ; ", text))
        for found in chain.from_iterable(each.finditer(plain) for each in _NUMBERS):
            value = float(re.sub(_SEPARATORS, "", found[0]))
            if value in self.counts:
                yield Find("count", self.counts[int(value)], _around(plain, found))
        for found in _HEX.finditer(plain):
            if not found[0].isdecimal() and int(found[1], 16) in self.counts:
                yield Find("count", self.counts[int(found[1], 16)], _around(plain, found))

    def _forms(self, text: str) -> Iterator[Find]:
        lowered = text.lower()
        for kind, what, form in self._texts:
            at = lowered.find(form)
            if at >= 0:
                yield Find(kind, what, text[max(at - 60, 0) : at + 60])

    def _hashes(self, text: str) -> Iterator[Find]:
        decimal, hexadecimal, base = (self._words[each] for each in ("decimal", "hex", "base64"))
        for found in _LONG_DECIMAL.finditer(text):
            if found[0] in decimal:
                yield Find("pseudonym", found[0], _around(text, found))
        for pattern, known, size in (
            (_LONG_HEX, hexadecimal, _PSEUDONYM_HEX),
            (_LONG_BASE64, base, _PSEUDONYM_BASE64),
        ):
            for found in pattern.finditer(text):
                word = found[0].lower() if pattern is _LONG_HEX else found[0]
                for at in range(len(word) - size + 1):
                    if word[at : at + size] in known:
                        yield Find("pseudonym", word[at : at + size], _around(text, found))


def encodings(text: str) -> Iterable[str]:
    """A text in the forms in which it may stand in an answer."""
    raw = text.encode()
    forms = {
        text,
        quote(text, safe=""),
        json.dumps(text)[1:-1],
        escape(text),
        repr(text)[1:-1],
        "".join(f"&#{ord(each)};" if ord(each) > 127 else each for each in text),
        raw.hex(),
        raw.decode("latin-1"),
        raw.decode("ascii", "backslashreplace"),
    }
    # What stands before a text shifts its base64; the ends hold bits of the neighbours.
    for shift in range(3):
        coded = base64.b64encode(b"\0" * shift + raw).decode()
        whole = coded[-(-8 * shift // 6) : (8 * (shift + len(raw))) // 6]
        forms |= {whole, whole.replace("+", "-").replace("/", "_")}
    return forms


def _around(text: str, found: re.Match[str]) -> str:
    return text[max(found.start() - 60, 0) : found.end() + 30]
