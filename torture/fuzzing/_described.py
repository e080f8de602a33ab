"""Requests that schemathesis makes from a service's own OpenAPI document, one after another.

The module is loaded into a process that does nothing else, since what it tells schemathesis holds
for the whole process.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import schemathesis
from click.exceptions import Exit
from hypothesis import strategies as st
from schemathesis.cli import schemathesis as command_line

from _all_targets import TARGETS
from _watching import Tally

__all__ = ["LEFT_OUT", "send_described"]

LEFT_OUT = {
    "positive_data_acceptance": "which days are closed and kept depends on the calendar, which no "
    "schema tells",
    "missing_required_header": "no operation needs a header",
    "use_after_free": "nothing can be deleted by its address",
    "object_level_authorization": "keys have scopes and own nothing",
}
"""The checks of schemathesis that do not fit this service, and why."""

_CONFIGURATION = Path(__file__).with_name("schemathesis.toml")
_SEEDS = {target.name: [*target.seeds()] for target in TARGETS}
_BODIES = {
    "application/x-ndjson": _SEEDS["ndjson"],
    "application/jsonl": _SEEDS["ndjson"],
    "text/csv": _SEEDS["csv"],
    "application/vnd.apache.arrow.stream": _SEEDS["arrow"],
}


def _register() -> None:
    for media_type, bodies in _BODIES.items():
        schemathesis.openapi.media_type(media_type, st.sampled_from(bodies) | st.binary())

    @schemathesis.serializer(*_BODIES)
    def as_it_is(context: Any, value: Any) -> bytes:  # noqa: ARG001 - what schemathesis calls
        return value if isinstance(value, bytes) else str(value).encode(errors="replace")


def send_described(
    url: str,
    tally: Tally,
    seconds: int,
    seed: int,
    *,
    key: str | None = None,
    says: Callable[[str], None] = print,
) -> None:
    """Let schemathesis ask a service in every way it knows, along its links too.

    Args:
        url: where the service listens.
        tally: notes the answers; a check that fails is a finding.
        seconds: for how long, in all.
        seed: makes the same requests again, as far as answers are the same.
        key: sent with each request.
        says: is told how it went.
    """
    _TALLIES[:] = [tally]
    left_out = [*LEFT_OUT, *([] if key else ["ignored_auth"])]
    arguments = [
        *("--config-file", str(_CONFIGURATION), "run"),
        *(f"{url}/openapi.json", "--max-time", str(max(seconds, 1)), "--seed", str(seed)),
        *("--phases", "coverage,fuzzing,stateful"),
        *("--checks", "all", "--exclude-checks", ",".join(left_out), "--continue-on-failure"),
        # A machine may be slow; that nothing hangs for ever is all that is asked.
        *("--max-response-time", "120", "--request-timeout", "120"),
        *("--suppress-health-check", "all", "--warnings", "off"),
        *("--generation-database", "none", "--no-color"),
        *(("--header", f"X-API-Key: {key}") if key else ()),
    ]
    code: Any
    try:
        code = command_line(arguments, standalone_mode=False)
    except (SystemExit, Exit) as end:
        code = getattr(end, "exit_code", getattr(end, "code", None))
    if code:
        tally.found(f"schemathesis found faults, as told above (exit code {code})")
    says(f"schemathesis: {tally.requests:,} requests so far")


_TALLIES: list[Tally] = []


@schemathesis.hook
def after_call(context: Any, case: Any, response: Any) -> None:  # noqa: ARG001 - as called
    """Note every answer."""
    request = response.request
    body = request.body if isinstance(request.body, bytes) else str(request.body or "").encode()
    sent = str(request.url).encode(errors="replace") + repr(request.headers).encode() + body
    received = repr(response.headers).encode() + (response.content or b"")
    _TALLIES[0].note(case.operation.label, response.status_code, received, sent)


@schemathesis.hook
def filter_failure(context: Any, failure: Any, case: Any, response: Any) -> bool:  # noqa: ARG001
    """Take for no fault that `partial=true` accepts a batch with bad events: that is its use."""
    is_partial = case.operation.label == "POST /event" and "partial=" in str(response.request.url)
    return not (is_partial and type(failure).__name__ == "AcceptedNegativeData")


_register()
