"""What `deploy/` and the runbook say, read for tests."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

__all__ = [
    "ALERTS",
    "ALERT_TESTS",
    "PROMETHEUS",
    "ROOT",
    "Alert",
    "alerts",
    "dashboard",
    "expressions",
    "names_in",
    "panels",
    "sections",
]

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT / "deploy" / "prometheus" / "prometheus.yml"
ALERTS = ROOT / "deploy" / "prometheus" / "alerts.yml"
ALERT_TESTS = ROOT / "deploy" / "prometheus" / "alerts.test.yml"

_DASHBOARD = ROOT / "deploy" / "grafana" / "dpdau.json"
_RUNBOOK = ROOT / "docs" / "runbook.md"


@dataclass(frozen=True)
class Alert:
    """One rule."""

    name: str
    expression: str
    severity: str
    annotations: dict[str, str]


def alerts() -> list[Alert]:
    """Every rule, in order."""
    rules = yaml.safe_load(ALERTS.read_text(encoding="utf-8"))
    return [
        Alert(rule["alert"], rule["expr"], rule["labels"]["severity"], rule["annotations"])
        for group in rules["groups"]
        for rule in group["rules"]
    ]


def dashboard() -> Any:
    """The dashboard as Grafana imports it."""
    return json.loads(_DASHBOARD.read_text(encoding="utf-8"))


def panels() -> list[Any]:
    """The panels that draw something."""
    return [panel for panel in dashboard()["panels"] if panel["type"] != "row"]


def expressions() -> Iterator[str]:
    """The queries of every panel, with variables replaced by values."""
    for panel in panels():
        for target in panel["targets"]:
            yield (
                target["expr"]
                .replace("$__rate_interval", "1m")
                .replace("$job", "dpdau")
                .replace("$instance", ".*")
            )


def names_in(expression: str) -> set[str]:
    """The metrics of dpdau, and of its process, that a query asks for."""
    return set(re.findall(r"\b(?:dp|process)_\w+", expression))


def sections() -> dict[str, str]:
    """The runbook's text by heading."""
    parts = re.split(r"^## (.+)\n", _RUNBOOK.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))
