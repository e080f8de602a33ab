"""The command line and a server, both in this process."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import uvicorn

from dpdau.bootstrap import build
from dpdau.config import Settings
from dpdau.service import create_app, server_config


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str

    @property
    def answer(self) -> Any:
        assert self.code == 0, self.err
        return json.loads(self.out)

    @property
    def problem(self) -> Any:
        assert self.out == ""
        return json.loads(self.err)


Run = Callable[..., Result]


@contextmanager
def serving(settings: Settings) -> Iterator[str]:
    """A server in a thread, on a free port; gives its address."""
    with build(settings) as application:
        config = server_config(create_app(application, settings), settings)
        config.port = 0
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        try:
            while not server.started:
                thread.join(0.01)
                assert thread.is_alive()
            host, port = server.servers[0].sockets[0].getsockname()
            yield f"http://{host}:{port}"
        finally:
            server.should_exit = True
            thread.join()
