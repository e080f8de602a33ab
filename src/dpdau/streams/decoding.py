"""From messages to events, and to the reasons why others are poison.

A message is what a body of `POST /event` may be, with the same headers, or one event as a JSON
object. It is taken whole or not at all, as a request is.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import msgspec

from dpdau.errors import EventsRefusedError, InputError
from dpdau.formats import EventRules, decode_body, decode_ndjson, decompress, require_all
from dpdau.model.events import EventColumns
from dpdau.streams.messages import Message

__all__ = ["Decoding", "Poison", "decode_messages"]

_JSON = "application/json"
_SHOWN_REFUSALS = 3
_MAX_REASON_CHARACTERS = 500
_decode_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


@dataclass(frozen=True, slots=True)
class Poison:
    """A message that can never be taken.

    Attributes:
        message: which one.
        reason: why, without any value that stood in its body.
    """

    message: Message
    reason: str


@dataclass(frozen=True, slots=True)
class Decoding:
    """What is in some messages.

    Attributes:
        events: of all messages that are taken, in order.
        poison: the other messages.
    """

    events: EventColumns
    poison: tuple[Poison, ...]


def decode_messages(messages: Sequence[Message], rules: EventRules, max_bytes: int) -> Decoding:
    """Decode messages, in order.

    Args:
        messages: at least one.
        rules: what an event may be now, and how many one message may hold.
        max_bytes: the most bytes that one message may have, before and after decompression.
    """
    events = _plain_events(messages, rules)
    if events is not None:
        return Decoding(events, ())
    taken: list[EventColumns] = []
    poison: list[Poison] = []
    for message in messages:
        try:
            taken.append(_events(message, rules, max_bytes))
        except InputError as error:
            poison.append(Poison(message, _reason(error)))
    return Decoding(EventColumns.concatenate(taken), tuple(poison))


def _plain_events(messages: Sequence[Message], rules: EventRules) -> EventColumns | None:
    """The events, if each message is one good event on one line; decoded at once, that is faster.

    A line holds one event and nothing else, so no message can pass for two or hide another.
    """
    if any(_is_not_plain(message) for message in messages):
        return None
    lines = b"\n".join(message.body for message in messages)
    decoded = decode_ndjson(lines, replace(rules, max_events=None))
    if decoded.refusals or len(decoded.events) != len(messages):
        return None
    return decoded.events


def _is_not_plain(message: Message) -> bool:
    return bool(
        message.content_encoding
        or message.content_type not in {None, "", _JSON}
        or b"\n" in message.body
    )


def _events(message: Message, rules: EventRules, max_bytes: int) -> EventColumns:
    body = decompress(message.body, message.content_encoding, max_bytes)
    if _is_json(message.content_type) and _is_single(body):
        body = b'{"events":[' + body + b"]}"
    return require_all(decode_body(message.content_type or None, body, rules))


def _is_json(content_type: str | None) -> bool:
    return (content_type or _JSON).partition(";")[0].strip().lower() == _JSON


def _is_single(body: bytes) -> bool:
    """Whether a document is one event, and not a batch, nor anything else."""
    try:
        return "events" not in _decode_object(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False


def _reason(error: InputError) -> str:
    """Why a message is refused, in a form that every broker's headers carry."""
    reason = error.message
    if isinstance(error, EventsRefusedError):
        first = error.refusals[:_SHOWN_REFUSALS]
        shown = "; ".join(f"event {index}: {why}" for index, why in first)
        more = len(error.refusals) - len(first)
        reason = shown + (f" (and {more:,} more)" if more else "")
    printable = "".join(letter if letter.isprintable() else " " for letter in reason)
    plain = printable.encode("ascii", "replace").decode()
    return plain[:_MAX_REASON_CHARACTERS]
