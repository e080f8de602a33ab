"""Requests as bytes, for what no client library would send."""

import re
import socket
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Self

__all__ = ["HOST", "Said", "Wire", "said"]

HOST = b"Host: localhost\r\n"
_STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")


@dataclass(frozen=True)
class Said:
    """What came back until the other side closed, or until it was quiet for too long."""

    content: bytes
    is_closed: bool

    @property
    def statuses(self) -> list[int]:
        return [int(status) for status in _STATUS.findall(self.content)]

    @property
    def body(self) -> bytes:
        return self.content.rpartition(b"\r\n\r\n")[2]


class Wire:
    """A connection."""

    def __init__(self, url: str) -> None:
        host, _, port = url.removeprefix("http://").partition(":")
        self.socket = socket.create_connection((host, int(port)))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, content: bytes) -> None:
        with suppress(BrokenPipeError, ConnectionResetError):
            self.socket.sendall(content)

    def hear(self, seconds: float = 10, enough: bytes | None = None) -> Said:
        """Read until the end, until there is enough, or for so long."""
        content = b""
        deadline = time.monotonic() + seconds
        try:
            while enough is None or enough not in content:
                self.socket.settimeout(max(deadline - time.monotonic(), 0.001))
                piece = self.socket.recv(65_536)
                if not piece:
                    return Said(content, is_closed=True)
                content += piece
        except TimeoutError:
            pass
        except ConnectionResetError:
            return Said(content, is_closed=True)
        return Said(content, is_closed=False)


def said(url: str, content: bytes, seconds: float = 10, enough: bytes | None = None) -> Said:
    """What a service says to some bytes on a connection of their own."""
    with Wire(url) as wire:
        wire.send(content)
        return wire.hear(seconds, enough)
