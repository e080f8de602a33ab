"""What alerts, dashboard and runbook ask for is there."""

import re
import shlex
from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest
import typer.main
from prometheus_client.parser import text_string_to_metric_families

from dpdau.cli import app
from support.monitoring import (
    ROOT,
    Alert,
    alerts,
    dashboard,
    expressions,
    names_in,
    panels,
    sections,
)
from support.service import Service, event

YESTERDAY = date(2025, 11, 19)
DOCUMENTS = ("docs/runbook.md", "docs/monitoring.md", "docs/logs.md")
PARTS = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}
ASPECTS = ("**Users notice**", "**Look**", "**Do**", "**Escalate**")
SHORTER = {"DpdauDiskFilling": {"**Do**"}}

each_alert = pytest.mark.parametrize("alert", alerts(), ids=lambda alert: alert.name)


@pytest.fixture
def exposed(service: Service) -> set[str]:
    """The names that a service answers with."""
    service.send(event("ada", YESTERDAY), event("bob", "soon"), partial=True)
    answer = service.client.get("/metrics")
    families = list(text_string_to_metric_families(answer.text))
    return {family.name + part for family in families for part in PARTS.get(family.type, ("",))} | {
        sample.name for family in families for sample in family.samples
    }


def test_every_metric_of_the_alerts_is_exposed(exposed: set[str]) -> None:
    asked = set[str]().union(*(names_in(alert.expression) for alert in alerts()))
    assert len(asked) > 15
    assert asked <= exposed


def test_every_metric_of_the_dashboard_is_exposed(exposed: set[str]) -> None:
    asked = set[str]().union(*map(names_in, expressions()))
    assert len(asked) > 25
    assert asked <= exposed


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_metric_that_a_document_names_is_exposed(exposed: set[str], document: str) -> None:
    # What a search pattern names may be the beginning of a name.
    assert [
        name
        for name in names_in(text_of(document))
        if not any(each.startswith(name) for each in exposed)
    ] == []


@each_alert
def test_an_alert_says_how_bad_it_is_what_is_so_and_where_to_read_on(alert: Alert) -> None:
    assert alert.severity in {"critical", "warning"}
    assert alert.annotations.keys() == {"summary", "description", "runbook_url"}
    assert alert.annotations["runbook_url"] == f"docs/runbook.md#{alert.name.lower()}"
    assert "$labels.instance" in alert.annotations["description"]


def test_the_runbook_has_a_section_for_every_alert_and_no_other() -> None:
    assert list(sections()) == [alert.name for alert in alerts()]


@each_alert
def test_a_section_says_what_users_notice_how_to_look_and_what_to_do(alert: Alert) -> None:
    text = sections()[alert.name]
    assert text.strip().startswith(f"*{alert.severity}.*")
    shorter = SHORTER.get(alert.name, set())
    assert [each for each in ASPECTS if each not in text and each not in shorter] == []


def typed(document: str) -> Iterator[list[str]]:
    """The commands of dpdau in the blocks of a document."""
    for block in re.findall(r"^ *```sh\n(.*?)^ *```", text_of(document), re.DOTALL | re.MULTILINE):
        for line in block.splitlines():
            if line.strip().startswith("dpdau "):
                yield shlex.split(line, comments=True)[1:]


def mentioned(document: str) -> Iterator[list[str]]:
    """Those within sentences, which may lack what has to be decided."""
    for command in re.findall(r"`dpdau ([^`\n]+)`", text_of(document)):
        yield shlex.split(command)


def text_of(document: str) -> str:
    return (ROOT / document).read_text(encoding="utf-8")


def test_commands_are_found_in_blocks_and_sentences() -> None:
    assert ["publish", "--url", "$URL"] in list(typed("docs/runbook.md"))
    assert ["doctor"] in list(typed("docs/runbook.md"))
    assert ["backup", "--keep", "7"] in list(mentioned("docs/runbook.md"))


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_command_that_is_to_be_typed_is_understood(document: str) -> None:
    group: Any = typer.main.get_command(app)
    for name, *arguments in typed(document):
        group.commands[name].make_context(name, arguments)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_command_that_is_mentioned_exists_with_its_options(document: str) -> None:
    group: Any = typer.main.get_command(app)
    for name, *arguments in mentioned(document):
        known = {option for each in group.commands[name].params for option in each.opts}
        assert {each for each in arguments if each.startswith("-")} <= known, (name, arguments)


def anchors(text: str) -> set[str]:
    """What headings are linked by."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in headings}


@pytest.mark.parametrize("document", [*DOCUMENTS, "docs/metrics.md"])
def test_every_link_leads_somewhere(document: str) -> None:
    for link in re.findall(r"\]\(([^)]+)\)", text_of(document)):
        path, _, anchor = link.partition("#")
        target = (ROOT / document).parent / path if path else ROOT / document
        assert target.exists(), link
        assert not anchor or anchor in anchors(target.read_text(encoding="utf-8")), link


def test_the_data_source_and_the_service_are_chosen_on_the_dashboard() -> None:
    variables = {each["name"]: each for each in dashboard()["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource"
    assert variables.keys() == {"datasource", "job", "instance"}
    for panel in panels():
        for source in (panel, *panel["targets"]):
            assert source["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        for target in panel["targets"]:
            assert 'job="$job", instance=~"$instance"' in target["expr"]


def test_every_panel_has_a_title_a_description_a_unit_and_an_id_of_its_own() -> None:
    drawn = panels()
    assert len({panel["id"] for panel in dashboard()["panels"]}) == len(dashboard()["panels"])
    for panel in drawn:
        assert panel["title"]
        assert panel["description"].endswith(".")
        assert panel["fieldConfig"]["defaults"]["unit"]


def test_panels_stand_in_rows_and_cover_each_other_nowhere() -> None:
    rows = [panel["title"] for panel in dashboard()["panels"] if panel["type"] == "row"]
    assert rows == [
        "Traffic",
        "Latency",
        "Ingestion",
        "Writer",
        "Publication and budget",
        "Erasures",
        "Integrity",
        "Machine and backups",
    ]
    taken: set[tuple[int, int]] = set()
    for panel in dashboard()["panels"]:
        place = panel["gridPos"]
        cells = {
            (place["x"] + column, place["y"] + line)
            for column in range(place["w"])
            for line in range(place["h"])
        }
        assert max(column for column, _ in cells) < 24
        assert not cells & taken
        taken |= cells


def test_every_alert_that_a_panel_speaks_of_exists() -> None:
    known = {alert.name for alert in alerts()}
    for panel in panels():
        assert set(re.findall(r"\bDpdau\w+", panel["description"])) <= known
