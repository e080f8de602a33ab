"""Write `docs/metrics.md` from the service's registry, or check that it is fresh.

python tools/metrics_reference.py            # writes the file
python tools/metrics_reference.py --check    # fails, with the difference, if it is stale
"""

import re
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import yaml
from prometheus_client.core import Metric

from dpdau.bootstrap import build
from dpdau.config import load_settings
from dpdau.service.metrics import ServiceMetrics
from dpdau.service.verification import LedgerVerifier
from dpdau.store import MemoryStore
from generated import write_or_check

ROOT = Path(__file__).parents[1]
REFERENCE = ROOT / "docs" / "metrics.md"
ALERTS = ROOT / "deploy" / "prometheus" / "alerts.yml"

_PREFACE = """\
<!-- Written by `make references` from the service's registry; edit src/dpdau/service there. -->

# Metrics

`GET /metrics` answers with these in Prometheus' text format. It needs the admin scope wherever keys
are set: these are true figures about the service, and not private. None has a label that names a
person, a path or a key. [monitoring.md](monitoring.md) says how to collect them; the last column
names the alerts that look at a metric, which [runbook.md](runbook.md) explains.

Names are stable: a metric that is renamed or goes is in the changelog. Counters and histograms
start at 0 with the process. A gauge that cannot be read, because the store or the disk does not
answer, is left out of that answer and the others are there all the same. On Linux there are also
the usual `process_*` figures: memory, processor time, open files.
"""
_NAME = re.compile(r"\bdp_\w+")
# Everything that is labelled needs one value to show its labels.
_ROUTE, _REASON = "/healthz", "malformed-body"


def main(arguments: Sequence[str], path: Path = REFERENCE) -> int:
    """Run the command; returns its exit code."""
    description = "Write or check docs/metrics.md"
    return write_or_check(arguments, description, path, reference(exposed(), alerts_by_metric()))


def exposed() -> list[Metric]:
    """Every metric of a service that has answered a request of each kind."""
    with tempfile.TemporaryDirectory() as folder:
        settings = load_settings(data_dir=Path(folder))
        with build(settings, store=MemoryStore()) as application:
            metrics = ServiceMetrics(application, settings, LedgerVerifier(application))
            metrics.request(_ROUTE, "GET", 200, 1.0)
            metrics.rejected_request(_REASON)
            metrics.refused_erasure(_REASON)
            return list(metrics.families())


def alerts_by_metric(path: Path = ALERTS) -> dict[str, list[str]]:
    """The names in the rules' expressions, and the alerts with each."""
    found: dict[str, list[str]] = {}
    for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]:
        for rule in group["rules"]:
            for name in sorted(set(_NAME.findall(rule["expr"]))):
                found.setdefault(name, []).append(rule["alert"])
    return found


def reference(families: Iterable[Metric], alerts: dict[str, list[str]]) -> str:
    """The whole document."""
    return "\n".join([_PREFACE, *_table(families, alerts)]) + "\n"


def _table(families: Iterable[Metric], alerts: dict[str, list[str]]) -> Iterator[str]:
    yield "| name | type | labels | meaning | alerts |"
    yield "|---|---|---|---|---|"
    for family in families:
        if family.name.startswith("dp_"):
            name = f"{family.name}_total" if family.type == "counter" else family.name
            labels = ", ".join(f"`{label}`" for label in _labels(family))
            links = ", ".join(
                f"[{each}](runbook.md#{each.lower()})" for each in alerts.get(name, [])
            )
            cells = (f"`{name}`", family.type, labels, family.documentation, links)
            yield f"| {' | '.join(cells)} |"


def _labels(family: Metric) -> list[str]:
    names = {label for sample in family.samples for label in sample.labels}
    return sorted(names - {"le"})


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
