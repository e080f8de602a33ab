"""Headers of messages: those that are read, and those of dead letters."""

from collections.abc import Mapping

from dpdau.streams.messages import Message

__all__ = ["dead_headers", "header"]


def header(headers: Mapping[str, str] | None, name: str) -> str | None:
    """A header's value, however its name is written."""
    if not headers:
        return None
    if name in headers:
        return headers[name]
    return next((value for key, value in headers.items() if key.lower() == name.lower()), None)


def dead_headers(message: Message, *, origin: str, reason: str) -> dict[str, str]:
    """What a dead letter says of itself; nothing of it stood in the message's body.

    Args:
        message: what could not be taken.
        origin: the subject, or the topic and partition, that it came from.
        reason: why.
    """
    headers = {
        "Dpdau-Reason": reason,
        "Dpdau-Origin": origin,
        "Dpdau-Position": str(message.position),
    }
    if message.content_type:
        headers["Dpdau-Content-Type"] = message.content_type
    if message.content_encoding:
        headers["Dpdau-Content-Encoding"] = message.content_encoding
    return headers
