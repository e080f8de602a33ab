"""The links of the OpenAPI document lead where they say, with what stands in an answer."""

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

import pytest

from support.service import Service, event

SETTINGS = {
    "mechanism_dau": "continual",
    "epsilon_dau": 0.3,
    "dau_budget_total": 3.0,
    "retention_days": 61,
}
DAY = "2025-11-19"
RELEASE = "mau-30d-2025-11-19"
REQUESTS: dict[str, tuple[str, dict[str, Any] | None]] = {
    "GET /dau/{day}": (f"/dau/{DAY}", None),
    "GET /mau": ("/mau", None),
    "GET /series/{metric}": (f"/series/dau?start={DAY}&end={DAY}", None),
    "GET /releases/{release_id}": (f"/releases/{RELEASE}", None),
    "GET /releases/{release_id}/explain": (f"/releases/{RELEASE}/explain", None),
    "GET /plan": ("/plan?users=1000&period=2025-11", None),
    "GET /budget/{metric}": ("/budget/dau", None),
    "POST /budget/{metric}/cap": (
        "/budget/dau/cap",
        {"period": "2025-11", "to": 9.0, "who": "ada", "why": "a test"},
    ),
    "POST /erasure": ("/erasure", {"user_id": "ada"}),
    "GET /erasure/{erasure_id}": ("/erasure/{erasure_id}", None),
    "POST /publish": ("/publish", {"from": "2025-11-18"}),
    "POST /revise": ("/revise", {"metric": "mau", "day": DAY}),
}
# Its answer needs a rollback, and its link nothing of the answer.
WITHOUT_EXAMPLE = {"POST /ledger/acknowledge"}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with Service(tmp_path_factory.mktemp("data"), SETTINGS) as opened:
        opened.send(event("ada", DAY), event("bob", DAY))
        assert opened.client.get(f"/mau?end={DAY}").json()["release_id"] == RELEASE
        yield opened


@pytest.fixture(scope="module")
def document(service: Service) -> Any:
    return service.client.get("/openapi.json").json()


def links(document: Any) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """The operation, the status and the link of each."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            for status, response in operation["responses"].items():
                for link in response.get("links", {}).values():
                    yield f"{method.upper()} {path}", status, link


def target(link: dict[str, Any]) -> tuple[str, str]:
    *_, path, method = link["operationRef"].split("/")
    return unquote(path).replace("~1", "/").replace("~0", "~"), method


def evaluated(expression: str, answer: Any) -> Any:
    """A runtime expression of OpenAPI."""
    pointer = re.fullmatch(r"\$response\.body#/(.*)", expression)
    assert pointer is not None
    for part in pointer[1].split("/"):
        answer = answer[int(part) if part.isdecimal() else part]
    return answer


def test_every_link_is_of_an_operation_and_to_one_that_has_its_parameters(document: Any) -> None:
    for _, _, link in links(document):
        path, method = target(link)
        operation = document["paths"][path][method]
        named = {each["name"] for each in operation.get("parameters", [])}
        assert link.get("parameters", {}).keys() <= named
        assert link["description"].endswith(".")
    assert {source for source, _, _ in links(document)} == {*REQUESTS, *WITHOUT_EXAMPLE}


@pytest.mark.parametrize("source", REQUESTS)
def test_links_lead_where_they_say(service: Service, document: Any, source: str) -> None:
    asked, body = REQUESTS[source]
    if "{erasure_id}" in asked:
        made = service.client.post("/erasure", json={"user_id": "bob"}).json()
        asked = asked.format(**made)
    answer = service.client.request(source.split(" ", maxsplit=1)[0], asked, json=body)
    assert answer.status_code == 200, answer.text
    followed = 0
    for operation, status, link in links(document):
        if operation == source and status == "200":
            path, method = target(link)
            given = {
                name: evaluated(expression, answer.json())
                for name, expression in link.get("parameters", {}).items()
            }
            query = {name: value for name, value in given.items() if f"{{{name}}}" not in path}
            sent = {
                name: evaluated(expression, answer.json())
                for name, expression in link.get("requestBody", {}).items()
            }
            reached = service.client.request(
                method.upper(), path.format(**given), params=query, json=sent or None
            )
            assert reached.status_code == 200, (link, reached.text)
            followed += 1
    assert followed > 0
