"""The service held against its own OpenAPI document, with requests made from it."""

from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import Case, GenerationMode, Response
from schemathesis.checks import (
    content_type_conformance,
    negative_data_rejection,
    not_a_server_error,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from support.service import Service, event

CHECKS = [
    content_type_conformance,
    not_a_server_error,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
]
OPERATIONS = [
    "POST /event",
    "GET /dau/{day}",
    "GET /mau",
    "GET /series/{metric}",
    "GET /stickiness",
    "GET /releases/{release_id}",
    "GET /releases/{release_id}/explain",
    "GET /plan",
    "GET /plan/{metric}/{period}",
    "GET /budget",
    "GET /budget/{metric}",
    "POST /budget/{metric}/cap",
    "POST /erasure",
    "GET /erasure/{erasure_id}",
    "GET /erasure/{erasure_id}/receipt",
    "POST /publish",
    "POST /revise",
    "GET /ledger",
    "GET /ledger/verify",
    "POST /ledger/acknowledge",
    "GET /rekey",
    "GET /metrics",
    "GET /operations",
    "GET /whoami",
    "GET /",
    "GET /healthz",
    "GET /readyz",
]
WITHOUT_INPUT = {
    "GET /",
    "GET /ledger/verify",
    "GET /rekey",
    "GET /whoami",
    "GET /healthz",
    "GET /readyz",
}
LINKS_FOLLOWED = 5  # at least, of those that the document has
SETTINGS = {"retention_days": 61, "rate_limit_per_minute": 0}
BASE_URL = "http://localhost"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with Service(tmp_path_factory.mktemp("data"), SETTINGS) as opened:
        yield opened


@pytest.fixture(scope="module")
def schema(service: Service) -> Any:
    return schemathesis.openapi.from_dict(service.client.get("/openapi.json").json())


def answered(service: Service, case: Case) -> Any:
    prepared = requests.Request(**case.as_transport_kwargs(base_url=BASE_URL)).prepare()
    headers = {
        name: value.encode("latin-1") if isinstance(value, str) else value
        for name, value in prepared.headers.items()
    }
    return service.client.request(
        str(prepared.method), str(prepared.url), content=prepared.body or b"", headers=headers
    )


def test_every_operation_is_tried(schema: Any) -> None:
    found = {operation.ok().label for operation in schema.get_all_operations()}
    assert found == set(OPERATIONS)


@pytest.mark.parametrize(
    ("label", "mode"),
    [
        (label, mode)
        for label in OPERATIONS
        for mode in GenerationMode
        if mode.is_positive or label not in WITHOUT_INPUT
    ],
)
def test_answers_are_as_documented_and_nothing_breaks(
    service: Service, schema: Any, label: str, mode: GenerationMode
) -> None:
    operation = schema.find_operation_by_label(label)
    checks = list(CHECKS)
    if mode.is_negative and label != "POST /event":  # where partial=true takes bad events
        checks.append(negative_data_rejection)

    @given(operation.as_strategy(generation_mode=mode))
    @settings(
        max_examples=20,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    def try_one(case: Case) -> None:
        case.validate_response(answered(service, case), checks=checks)

    try_one()


def test_what_answers_lead_to_is_as_documented_too(service: Service, schema: Any) -> None:
    followed: set[str] = set()

    class Workflow(schema.as_state_machine()):  # type: ignore[misc]
        def step(self, given: Any) -> Any:
            output = super().step(given)
            if given.transition is not None and given.applied_parameters:
                followed.add(given.transition.id)
            return output

        def call(self, case: Case, **_: Any) -> Response:
            return Response.from_any(answered(service, case))

        def validate_response(self, response: Response, case: Case, **_: Any) -> None:
            case.validate_response(response, checks=CHECKS)

    service.send(*(event(f"user {number}", date(2025, 11, 19)) for number in range(20)))
    Workflow.run(
        settings=settings(
            max_examples=30,
            stateful_step_count=8,
            derandomize=True,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
    )
    assert len(followed) >= LINKS_FOLLOWED, followed
