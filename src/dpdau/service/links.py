"""Links of the OpenAPI document: what can be asked next, with values of an answer.

A link holds for every answer that it stands beside, unless its description says when it does.
"""

from typing import Any
from urllib.parse import quote

__all__ = ["OF_PERIOD", "OF_RELEASE", "RECEIPT", "STATE", "linked", "to"]

_RELEASE_ID = "$response.body#/release_id"


def to(
    path: str,
    description: str,
    *,
    method: str = "get",
    body: dict[str, str] | None = None,
    **parameters: str,
) -> dict[str, Any]:
    """A link to an operation.

    Args:
        path: its path template.
        description: what it answers with.
        method: its method.
        body: its body, with runtime expressions as values.
        parameters: its parameters, as runtime expressions.
    """
    pointer = quote(path.replace("~", "~0").replace("/", "~1"))
    link: dict[str, Any] = {"operationRef": f"#/paths/{pointer}/{method}"}
    if parameters:
        link["parameters"] = parameters
    if body is not None:
        link["requestBody"] = body
    return link | {"description": description}


def linked(**links: dict[str, Any]) -> dict[int | str, dict[str, Any]]:
    """What to add to the description of an operation's usual answer: links by name."""
    return {200: {"links": links}}


OF_RELEASE = {
    "release": to("/releases/{release_id}", "The same value, for nothing.", release_id=_RELEASE_ID),
    "explanation": to(
        "/releases/{release_id}/explain", "What it means, in words.", release_id=_RELEASE_ID
    ),
    "budget": to(
        "/budget/{metric}",
        "What the metric has cost in the period of the day.",
        metric="$response.body#/metric",
        day="$response.body#/day",
    ),
    "revision": to(
        "/revise",
        "The day measured again on what is known now, at a price.",
        method="post",
        body={
            "metric": "$response.body#/metric",
            "day": "$response.body#/day",
            "window": "$response.body#/window_days",
        },
    ),
}
"""From an answer that is a release."""
OF_PERIOD = {
    "plan": to(
        "/plan/{metric}/{period}",
        "The plan of the series in this period, if it is a continual one.",
        metric="$response.body#/metric",
        period="$response.body#/period",
    ),
    "rows": to(
        "/ledger",
        "What was recorded for this metric and period.",
        metric="$response.body#/metric",
        period="$response.body#/period",
    ),
}
"""From an answer about a metric in an accounting period."""
_ERASURE_ID = "$response.body#/erasure_id"
STATE = to("/erasure/{erasure_id}", "Whether the last trace is gone.", erasure_id=_ERASURE_ID)
RECEIPT = to(
    "/erasure/{erasure_id}/receipt",
    "What was removed where, once the erasure is done.",
    erasure_id=_ERASURE_ID,
)
