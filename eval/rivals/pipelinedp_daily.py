"""Distinct users by day as a user of PipelineDP writes it; run with a Python that has it.

python pipelinedp_daily.py REQUEST, where REQUEST is JSON as `_libraries.py` writes it.
"""

import json
import sys
from pathlib import Path
from typing import Any

import pipeline_dp
import pyarrow.parquet as pq


def main(request: dict[str, Any]) -> None:
    """Write the estimates of every trial, day by day."""
    table = pq.read_table(request["pairs"])
    pairs = list(zip(table["user"].to_pylist(), table["day"].to_pylist(), strict=True))
    estimates = [estimate(pairs, request) for _ in range(request["trials"])]
    Path(request["estimates"]).write_text(json.dumps(estimates), encoding="utf-8")


def estimate(pairs: list[tuple[int, int]], request: dict[str, Any]) -> list[float]:
    """One release of all days."""
    delta = request["delta"] if request["noise"] == "gaussian" else 0.0
    accountant = pipeline_dp.NaiveBudgetAccountant(request["epsilon"], delta)
    engine = pipeline_dp.DPEngine(accountant, pipeline_dp.LocalBackend())
    parameters = pipeline_dp.AggregateParams(
        metrics=[pipeline_dp.Metrics.PRIVACY_ID_COUNT],
        noise_kind=pipeline_dp.NoiseKind(request["noise"]),
        max_partitions_contributed=request["bound"],
        max_contributions_per_partition=1,
    )
    extractors = pipeline_dp.DataExtractors(
        privacy_id_extractor=lambda pair: pair[0],
        partition_extractor=lambda pair: pair[1],
        value_extractor=lambda _: 0,
    )
    days = list(range(request["days"]))
    result = engine.aggregate(pairs, parameters, extractors, public_partitions=days)
    accountant.compute_budgets()
    found = {day: metrics.privacy_id_count for day, metrics in result}
    return [float(found[day]) for day in days]


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
