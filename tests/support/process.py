"""The service as a process of its own, with what it logs."""

import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Server", "server"]


@dataclass
class Server:
    """The service as a process of its own."""

    process: subprocess.Popen[str]
    url: str
    log: list[str]
    reader: threading.Thread

    def stop(self, how: signal.Signals) -> int:
        self.process.send_signal(how)
        status = self.process.wait(60)
        self.reader.join()
        return status


@contextmanager
def server(data_dir: Path, **settings: str) -> Iterator[Server]:
    """The service with these settings alone, until the end of the block; killed if still there."""
    process = subprocess.Popen(
        [sys.executable, "-m", "dpdau", "serve"],
        env={"DATA_DIR": str(data_dir), "SERVICE_PORT": "0", **settings},
        cwd=data_dir,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    log: list[str] = []
    with process.stderr:
        try:
            url = next(
                found[0]
                for line in process.stderr
                if log.append(line) or (found := re.search(r"http://127\.0\.0\.1:\d+", line))
            )
            reader = threading.Thread(target=log.extend, args=(process.stderr,))
            reader.start()
            yield Server(process, url, log, reader)
        finally:
            process.kill()
            process.wait(60)
            reader.join()
