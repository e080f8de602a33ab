"""Rules, queries and the example configuration, judged by Prometheus' own tool."""

import shutil
import subprocess
from collections import defaultdict
from pathlib import Path

import pytest
import yaml

from support.installed import installed
from support.monitoring import ALERT_TESTS, ALERTS, PROMETHEUS, alerts, expressions


@pytest.fixture(scope="module")
def promtool() -> str:
    """Where the tool is; without it these tests are skipped, but not in CI."""
    return installed("promtool", advice="install the package prometheus to test the alerts")


def run(promtool: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - the tool under test
        [promtool, *map(str, arguments)], check=False, capture_output=True, text=True, timeout=120
    )


def test_the_rules_are_valid(promtool: str) -> None:
    result = run(promtool, "check", "rules", "--lint=all", "--lint-fatal", ALERTS)
    assert result.returncode == 0, result.stderr + result.stdout


def test_the_example_configuration_is_valid_and_loads_the_rules(promtool: str) -> None:
    # The key's file is made by whoever sets it up.
    result = run(promtool, "check", "config", "--syntax-only", PROMETHEUS)
    assert result.returncode == 0, result.stderr + result.stdout
    configured = yaml.safe_load(PROMETHEUS.read_text(encoding="utf-8"))
    assert configured["rule_files"] == [ALERTS.name]


def test_every_alert_fires_when_it_should_and_only_then(promtool: str) -> None:
    result = run(promtool, "test", "rules", ALERT_TESTS)
    assert result.returncode == 0, result.stderr + result.stdout


def test_every_alert_has_a_test_that_it_fires_and_one_that_it_does_not() -> None:
    tried: dict[str, set[bool]] = defaultdict(set)
    for test in yaml.safe_load(ALERT_TESTS.read_text(encoding="utf-8"))["tests"]:
        for each in test["alert_rule_test"]:
            tried[each["alertname"]].add(bool(each["exp_alerts"]))
    assert tried == {alert.name: {True, False} for alert in alerts()}


@pytest.mark.parametrize("always", ["vector(1)", "vector(1) > 2"])
def test_the_tests_notice_an_alert_that_always_or_never_fires(
    promtool: str, tmp_path: Path, always: str
) -> None:
    rules = yaml.safe_load(ALERTS.read_text(encoding="utf-8"))
    for rule in rules["groups"][0]["rules"]:
        rule["expr"] = always
    (tmp_path / ALERTS.name).write_text(yaml.safe_dump(rules))
    tests = shutil.copy(ALERT_TESTS, tmp_path)
    result = run(promtool, "test", "rules", tests)
    assert result.returncode == 1
    output = result.stderr + result.stdout
    assert [alert.name for alert in alerts() if f"alertname: {alert.name}," not in output] == []


def test_every_query_of_the_dashboard_is_valid(promtool: str, tmp_path: Path) -> None:
    queries = list(expressions())
    rules = [
        {"record": f"panel:query:{number}", "expr": query} for number, query in enumerate(queries)
    ]
    path = tmp_path / "queries.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    result = run(promtool, "check", "rules", path)
    assert result.returncode == 0, result.stderr + result.stdout
    assert f"{len(queries)} rules found" in result.stdout
