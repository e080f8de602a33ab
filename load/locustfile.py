"""The clients: each sends the steps of its traffic, one after another, as fast as they are answered.

`make load-test` starts it. By hand, on a record that was begun:
locust --locustfile load/locustfile.py --headless --host URL --csv PREFIX --record FILE
"""

import csv
import itertools
import json
from argparse import Namespace
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any, cast

from locust import FastHttpUser, events, task
from locust.argument_parser import LocustArgumentParser
from locust.env import Environment
from locust.stats import PERCENTILES_TO_REPORT, StatsCSV

from _record import Outcome, Recorder
from _traffic import Batch, Question, Step
from dpdau.config import load_settings

_ANSWER_SECONDS = 60.0
# Problems with a status of 5xx which say that the batch was not taken.
_NOT_BEGUN = {"overloaded", "too-many-at-once"}


@events.init_command_line_parser.add_listener  # type: ignore[untyped-decorator] # locust's
def _add_options(parser: LocustArgumentParser) -> None:
    parser.add_argument("--record", required=True, help="the record, begun with the traffic")


@events.test_start.add_listener  # type: ignore[untyped-decorator] # locust's
def _open_record(environment: Environment, **_: Any) -> None:
    Client.recorder = Recorder(Path(_options(environment).record))
    settings = load_settings()
    key = settings.load_api_key or settings.service_api_key
    Client.headers = {} if key is None else {"X-API-Key": key.get_secret_value()}


@events.quitting.add_listener  # type: ignore[untyped-decorator] # locust's
def _write_tables(environment: Environment, **_: Any) -> None:
    """Write them whole: what locust writes once a second lacks the last one."""
    Client.recorder.close()
    tables = StatsCSV(environment, PERCENTILES_TO_REPORT)
    for name, write in (("stats", tables.requests_csv), ("failures", tables.failures_csv)):
        path = Path(f"{_options(environment).csv_prefix}_{name}.csv")
        with path.open("w", encoding="utf-8", newline="") as file:
            write(csv.writer(file))


def _options(environment: Environment) -> Namespace:
    return cast("Namespace", environment.parsed_options)


class Client(FastHttpUser):
    """One connection, with people of its own."""

    connection_timeout = network_timeout = _ANSWER_SECONDS
    recorder: Recorder
    headers: dict[str, str]
    _numbers = itertools.count()

    def on_start(self) -> None:
        """Begin its traffic."""
        self.number = next(Client._numbers)
        self.steps: Iterator[Step] = self.recorder.traffic.steps(self.number)

    @task
    def step(self) -> None:
        """Send the next request."""
        match next(self.steps):
            case Batch() as batch:
                self._send(batch)
            case Question(path, route):
                with self.client.get(
                    path, name=route, headers=self.headers, catch_response=True
                ) as response:
                    _judge(response)

    def _send(self, batch: Batch) -> None:
        self.recorder.note(self.number, batch.number, Outcome.SENT)
        with self.client.post(
            "/event",
            data=batch.body(),
            headers={**self.headers, "Content-Type": "application/json"},
            catch_response=True,
        ) as response:
            if not _judge(response):
                if _is_refused(response):
                    self.recorder.note(self.number, batch.number, Outcome.REFUSED)
            elif response.json() == {"accepted": len(batch), "rejected": 0, "errors": []}:
                self.recorder.note(self.number, batch.number, Outcome.ACKNOWLEDGED)
            else:
                response.failure("200 not the whole batch")


def _is_refused(response: Any) -> bool:
    """Whether it is certain that nothing was stored: the service said so, or was not reached."""
    if response.status_code:
        is_fault = response.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR
        return not is_fault or _kind_of(response) in _NOT_BEGUN
    return isinstance(response.error, ConnectionRefusedError)


def _judge(response: Any) -> bool:
    """Whether the answer is 200; any other is a failure with its status and kind."""
    if response.status_code == HTTPStatus.OK:
        return True
    response.failure(f"{response.status_code} {_kind_of(response)}")
    return False


def _kind_of(response: Any) -> str:
    """The problem's type, or why there is no answer."""
    if response.status_code:
        try:
            return str(json.loads(response.text)["type"])
        except (ValueError, KeyError, TypeError):
            return "no problem object"
    return type(response.error).__name__
