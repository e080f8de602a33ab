"""The one place where events are judged, whatever format they came in.

Decoders bring the fields in columns, as they found them. Columns without a fault are converted
whole; only if there is a fault somewhere is every row around it judged by itself, to find all reasons.

A reason names the field and what was expected, and never quotes a value that was not
understood: columns get mixed up, and then the value may be a user id.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from dpdau.errors import MalformedBodyError
from dpdau.formats.days import DayReader, day_reader
from dpdau.formats.rules import Decoded, EventRules
from dpdau.model.events import MAX_USER_ID_BYTES, EventColumns, Refusal
from dpdau.model.texts import FoldedColumn, TextColumn, concatenated, taken

__all__ = [
    "FIELDS",
    "UNKNOWN_FIELD",
    "Field",
    "Misfit",
    "RawColumns",
    "Rows",
    "joined",
    "judge",
    "require_columns",
]

FIELDS = ("user_id", "op", "day", "ts", "scope", "metadata")
UNKNOWN_FIELD = f"has an unknown field; known are {', '.join(FIELDS)} (which is ignored)"
_KNOWN_COLUMNS = f"known columns are {', '.join(FIELDS)} and metadata.*"

_OPS = frozenset({"+", "-"})
_SCOPES = frozenset({None, "day", "user"})
_EXPECTED_USER_ID = f"expected a string of 1 to {MAX_USER_ID_BYTES} bytes"
_MAX_BYTES_PER_CHARACTER = 4
_PLUS = ord("+")
_PART_ROWS = 1_000  # how many are judged by themselves where one is at fault

Scalar = TypeVar("Scalar", bound=np.generic)


@dataclass(frozen=True, slots=True)
class Misfit:
    """Stands for a value that no field may have.

    Attributes:
        description: what it is: "an object", "a boolean", "not UTF-8 text".
    """

    description: str


Field: TypeAlias = str | float | Misfit | None
"""What a decoder found for a field; None where it found nothing. `float` includes `int`."""


@dataclass(frozen=True, slots=True)
class RawColumns:
    """Events as a decoder found them, one column a field, all of one length.

    Columns of `model.texts` are judged as arrays, and of what is folded each value once.

    Attributes:
        user_ids: field "user_id".
        ops: field "op".
        days: field "day"; None if no event has it.
        timestamps: field "ts"; None if no event has it.
        scopes: field "scope"; None if no event has it.
        faults: why the rows of these positions are no events at all; their fields are ignored.
    """

    user_ids: Sequence[Field]
    ops: Sequence[Field]
    days: Sequence[Field] | None
    timestamps: Sequence[Field] | None = None
    scopes: Sequence[Field] | None = None
    faults: Mapping[int, str] = field(default_factory=dict)

    def part(self, start: int, end: int) -> "RawColumns":
        """The rows from one position to another."""
        return RawColumns(
            self.user_ids[start:end],
            self.ops[start:end],
            None if self.days is None else self.days[start:end],
            None if self.timestamps is None else self.timestamps[start:end],
            None if self.scopes is None else self.scopes[start:end],
            {at - start: self.faults[at] for at in range(start, end) if at in self.faults},
        )


@dataclass(frozen=True, slots=True)
class Rows:
    """Consecutive rows of a file.

    Attributes:
        columns: their n fields.
        line_numbers: the n lines on which they begin, counted from 1.
        text_of: gives a row, counted from 0, as it stood in the file.
        lines_read: how many lines of the file have been read by now.
        share_read: which share of the file that is, or None if the file's position tells it.
    """

    columns: RawColumns
    line_numbers: Sequence[int]
    text_of: Callable[[int], str]
    lines_read: int
    share_read: float | None = None


def require_columns(names: Sequence[str], expected_format: str) -> None:
    """Pass if a table whose columns have these names is one of events.

    Raises:
        MalformedBodyError: saying which is missing, or the position of one that is unknown or
            there twice; its name is not repeated, since a table without a header has a user id
            in its place.
    """
    seen: set[str] = set()
    for position, name in enumerate(names, start=1):
        if name not in FIELDS and not name.startswith("metadata."):
            reason = f"the name of column {position} is unknown; {_KNOWN_COLUMNS}"
            raise MalformedBodyError(expected_format, reason)
        if name in seen:
            raise MalformedBodyError(expected_format, f"column {position} is there twice")
        seen.add(name)
    for name in ("user_id", "op"):
        if name not in seen:
            reason = f"there is no column {name}; {_KNOWN_COLUMNS}"
            raise MalformedBodyError(expected_format, reason)
    if seen.isdisjoint({"day", "ts"}):
        reason = f"there is neither a column day nor a column ts; {_KNOWN_COLUMNS}"
        raise MalformedBodyError(expected_format, reason)


def joined(parts: Sequence[RawColumns]) -> RawColumns:
    """Consecutive parts of one table as one; what only some have is absent in the others."""
    if len(parts) == 1:
        return parts[0]
    sizes = [len(part.user_ids) for part in parts]
    starts = accumulate(sizes, initial=0)
    return RawColumns(
        user_ids=concatenated([part.user_ids for part in parts]),
        ops=concatenated([part.ops for part in parts]),
        days=_joined_or_none([part.days for part in parts], sizes),
        timestamps=_joined_or_none([part.timestamps for part in parts], sizes),
        scopes=_joined_or_none([part.scopes for part in parts], sizes),
        faults={
            start + index: reason
            for start, part in zip(starts, parts, strict=False)
            for index, reason in part.faults.items()
        },
    )


def _joined_or_none(
    parts: Sequence[Sequence[Field] | None], sizes: Sequence[int]
) -> Sequence[Field] | None:
    if all(part is None for part in parts):
        return None
    filled = zip(parts, sizes, strict=True)
    return concatenated([(None,) * size if part is None else part for part, size in filled])


def judge(columns: RawColumns, rules: EventRules) -> Decoded:
    """Sort events into good and bad."""
    reader = day_reader(rules)
    events = None if columns.faults else _whole(columns, reader, rules)
    if events is not None:
        return Decoded(events, ())
    rows = len(columns.user_ids)
    if rows > _PART_ROWS:
        starts = range(0, rows, _PART_ROWS)
        return _joined([judge(columns.part(at, at + _PART_ROWS), rules) for at in starts])
    return _row_by_row(columns, reader, rules)


def _joined(parts: Sequence[Decoded]) -> Decoded:
    starts = accumulate((part.size for part in parts), initial=0)
    return Decoded(
        EventColumns.concatenate([part.events for part in parts]),
        tuple(
            Refusal(start + refusal.index, refusal.reason)
            for start, part in zip(starts, parts, strict=False)
            for refusal in part.refusals
        ),
    )


# --- all at once ---------------------------------------------------------------------------


def _whole(columns: RawColumns, reader: DayReader, rules: EventRules) -> EventColumns | None:
    """The columns converted, or None if there may be a fault in them."""
    ops = _distinct(columns.ops)
    if not _are_user_ids(columns.user_ids) or not _OPS.issuperset(ops):
        return None
    days = _whole_days(columns, reader)
    # Each op is one character by now.
    signs = np.frombuffer("".join(ops).encode(), dtype=np.uint8)  # type: ignore[arg-type]
    adds = _of_rows(columns.ops, signs == _PLUS)
    whole_user = _whole_scopes(columns.scopes, adds, erase_by_default=rules.erase_by_default)
    if days is None or whole_user is None:
        return None
    return EventColumns(columns.user_ids, days, adds, whole_user)  # type: ignore[arg-type]


def _distinct(values: Sequence[Field]) -> Sequence[Field]:
    """The values without the repetitions of a folded column."""
    return values.values if isinstance(values, FoldedColumn) else values


def _of_rows(values: Sequence[Field], found: NDArray[Scalar]) -> NDArray[Scalar]:
    """For each row, what was found for the one of the distinct values that it has."""
    return found[values.codes] if isinstance(values, FoldedColumn) else found


def _are_user_ids(values: Sequence[Field]) -> bool:
    if isinstance(values, FoldedColumn):
        return _are_user_ids(values.values)
    if isinstance(values, TextColumn):
        sizes = values.lengths
        return bool(sizes.min(initial=1) >= 1 and sizes.max(initial=1) <= MAX_USER_ID_BYTES)
    try:
        lengths = set(map(len, values))  # type: ignore[arg-type]
    except TypeError:  # only text has a length
        return False
    if 0 in lengths:
        return False
    if max(lengths, default=0) * _MAX_BYTES_PER_CHARACTER <= MAX_USER_ID_BYTES:
        return True
    return all(_user_id_fault(value) is None for value in values)


def _whole_days(columns: RawColumns, reader: DayReader) -> NDArray[np.int32] | None:
    """The ordinals, if all events have a good day or all have a good timestamp."""
    days, timestamps = columns.days, columns.timestamps
    ordinals: Iterable[int | str]
    if days is not None and _are_absent(timestamps):
        given = days
        ordinals = map(reader.days.__getitem__, _distinct(days))  # type: ignore[arg-type]
    elif timestamps is not None and _are_absent(days):
        given = timestamps
        if not {str, int, float}.issuperset(map(type, _distinct(timestamps))):
            return None
        ordinals = map(reader.of_timestamp, _distinct(timestamps))  # type: ignore[arg-type]
    else:
        return None
    try:
        found = np.fromiter(ordinals, dtype=np.int32, count=len(_distinct(given)))
    except (TypeError, ValueError):  # something is no text, or there is a reason among them
        return None
    return _of_rows(given, found)


def _are_absent(values: Sequence[Field] | None) -> bool:
    distinct = () if values is None else _distinct(values)
    return distinct.count(None) == len(distinct)


def _whole_scopes(
    scopes: Sequence[Field] | None, adds: NDArray[np.bool_], *, erase_by_default: bool
) -> NDArray[np.bool_] | None:
    if scopes is None or _are_absent(scopes):
        return ~adds if erase_by_default else np.zeros(len(adds), dtype=np.bool_)
    distinct = _distinct(scopes)
    if not _SCOPES.issuperset(distinct):
        return None
    given = _of_rows(scopes, np.array([scope is not None for scope in distinct], dtype=np.bool_))
    if (given & adds).any():
        return None
    named = _of_rows(scopes, np.array([scope == "user" for scope in distinct], dtype=np.bool_))
    return named | (~adds & ~given) if erase_by_default else named


# --- one by one ----------------------------------------------------------------------------


def _row_by_row(columns: RawColumns, reader: DayReader, rules: EventRules) -> Decoded:
    good: list[tuple[int, int, bool, bool]] = []
    refusals = []
    absent = (None,) * len(columns.user_ids)
    rows = zip(
        columns.user_ids,
        columns.ops,
        columns.days or absent,
        columns.timestamps or absent,
        columns.scopes or absent,
        strict=True,
    )
    for index, (user_id, op, day, timestamp, scope) in enumerate(rows):
        ordinal = _ordinal(day, timestamp, reader)
        reason = (
            columns.faults.get(index)
            or _user_id_fault(user_id)
            or _choice_fault("op", op, '"+" or "-"', _OPS)
            or (ordinal if isinstance(ordinal, str) else None)
            or _scope_fault(scope, op)
        )
        if reason is not None:
            refusals.append(Refusal(index, reason))
            continue
        whole_user = op == "-" and (scope == "user" or (scope is None and rules.erase_by_default))
        good.append((index, ordinal, op == "+", whole_user))  # type: ignore[arg-type]
    kept, days, adds, whole_users = zip(*good, strict=True) if good else ((), (), (), ())
    events = EventColumns(
        taken(columns.user_ids, np.array(kept, dtype=np.int64)),  # type: ignore[arg-type]
        np.array(days, dtype=np.int32),
        np.array(adds, dtype=np.bool_),
        np.array(whole_users, dtype=np.bool_),
    )
    return Decoded(events, tuple(refusals))


def _user_id_fault(value: Field) -> str | None:
    if not isinstance(value, str):
        return f"user_id is {_described(value)}; {_EXPECTED_USER_ID}"
    size = len(value.encode())
    if size == 0:
        return f"user_id is empty; {_EXPECTED_USER_ID}"
    if size > MAX_USER_ID_BYTES:
        return f"user_id is {size:,} bytes long; {_EXPECTED_USER_ID}"
    return None


def _choice_fault(
    name: str, value: Field, expected: str, choices: frozenset[str | None]
) -> str | None:
    if not isinstance(value, str):
        return f"{name} is {_described(value)}; expected {expected}"
    return None if value in choices else f"{name} is neither {expected.replace('or', 'nor')}"


def _ordinal(day: Field, timestamp: Field, reader: DayReader) -> int | str:
    if day is not None and timestamp is not None:
        return "has both day and ts; expected one of them"
    if day is None and timestamp is None:
        return "has neither day nor ts; expected one of them"
    if day is not None:
        if isinstance(day, str):
            return reader.days[day]
        return f"day is {_described(day)}; expected a calendar day written as YYYY-MM-DD"
    if timestamp is None or isinstance(timestamp, Misfit):
        return f"ts is {_described(timestamp)}; expected text (RFC 3339) or seconds since 1970"
    return reader.of_timestamp(timestamp)


def _scope_fault(scope: Field, op: Field) -> str | None:
    if scope is None:
        return None
    if op == "+":
        return 'scope is given with op "+"; it belongs to "-" only'
    return _choice_fault("scope", scope, '"day" or "user"', _SCOPES)


def _described(value: Field) -> str:
    if value is None:
        return "missing"
    return value.description if isinstance(value, Misfit) else "a number"
