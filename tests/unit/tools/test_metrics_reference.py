from pathlib import Path

from prometheus_client.core import GaugeMetricFamily

import metrics_reference


def test_every_metric_has_its_row_with_type_labels_and_meaning() -> None:
    rows = metrics_reference.reference(metrics_reference.exposed(), {}).splitlines()

    assert (
        "| `dp_requests_total` | counter | `method`, `route`, `status` | Requests answered. |  |"
        in rows
    )
    assert any(row.startswith("| `dp_request_latency_ms` | histogram | `route` |") for row in rows)
    # One without a value, as there is no backup, is there too.
    assert any(
        row.startswith("| `dp_backup_newest_timestamp_seconds` | gauge |  |") for row in rows
    )


def test_an_alert_is_linked_from_the_metrics_that_it_looks_at() -> None:
    family = GaugeMetricFamily("dp_days_due", "Days.", value=1)
    document = metrics_reference.reference([family], {"dp_days_due": ["DpdauLate", "DpdauStuck"]})

    assert "[DpdauLate](runbook.md#dpdaulate), [DpdauStuck](runbook.md#dpdaustuck) |" in document


def test_alerts_are_found_by_the_names_in_their_expressions(tmp_path: Path) -> None:
    path = tmp_path / "alerts.yml"
    rule = "{alert: A, expr: 'dp_one / dp_two > dp_one', annotations: {summary: dp_three}}"
    path.write_text(f"groups: [{{name: dpdau, rules: [{rule}]}}]")

    assert metrics_reference.alerts_by_metric(path) == {"dp_one": ["A"], "dp_two": ["A"]}


def test_the_reference_among_the_documents_is_fresh() -> None:
    assert metrics_reference.main(["--check"]) == 0


def test_a_stale_reference_is_written_anew(tmp_path: Path) -> None:
    path = tmp_path / "metrics.md"
    path.write_text("old")

    assert metrics_reference.main(["--check"], path) == 1
    assert metrics_reference.main([], path) == 0
    assert metrics_reference.main(["--check"], path) == 0
