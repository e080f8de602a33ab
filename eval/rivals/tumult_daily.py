"""Distinct users by day as a user of Tumult Analytics writes it; run with a Python that has it.

python tumult_daily.py REQUEST, where REQUEST is JSON as `_libraries.py` writes it.
"""

import json
import sys
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from tmlt.analytics import (
    AddRowsWithID,
    KeySet,
    MaxGroupsPerID,
    MaxRowsPerGroupPerID,
    PureDPBudget,
    QueryBuilder,
    RhoZCDPBudget,
    Session,
)


def main(request: dict[str, Any]) -> None:
    """Write the estimates of every trial, day by day."""
    spark = SparkSession.builder.master("local[2]").config("spark.sql.shuffle.partitions", 2)
    spark = spark.config("spark.sql.warehouse.dir", request["scratch"])
    pairs = spark.config("spark.ui.enabled", "false").getOrCreate().read.parquet(request["pairs"])
    estimates = [estimate(pairs, request) for _ in range(request["trials"])]
    Path(request["estimates"]).write_text(json.dumps(estimates), encoding="utf-8")


def estimate(pairs: DataFrame, request: dict[str, Any]) -> list[float]:
    """One release of all days; Gaussian noise is to be had for a zCDP budget only."""
    is_gaussian = request["noise"] == "gaussian"
    budget = RhoZCDPBudget(request["rho"]) if is_gaussian else PureDPBudget(request["epsilon"])
    session = Session.from_dataframe(
        privacy_budget=budget,
        source_id="pairs",
        dataframe=pairs,
        protected_change=AddRowsWithID(id_column="user"),
    )
    days = list(range(request["days"]))
    query = (
        QueryBuilder("pairs")
        .enforce(MaxGroupsPerID("day", request["bound"]))
        .enforce(MaxRowsPerGroupPerID("day", 1))
        .groupby(KeySet.from_dict({"day": days}))
        .count(name="users")
    )
    found = {row["day"]: row["users"] for row in session.evaluate(query, budget).collect()}
    return [float(found[day]) for day in days]


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
