"""Distinct users by day as a user of OpenDP writes it; run with a Python that has `opendp[polars]`.

python opendp_daily.py REQUEST, where REQUEST is JSON as `_libraries.py` writes it.
"""

import json
import sys
from pathlib import Path
from typing import Any

import opendp.prelude as dp
import polars as pl

dp.enable_features("contrib")


def main(request: dict[str, Any]) -> None:
    """Write the estimates of every trial, day by day."""
    pairs = pl.scan_parquet(request["pairs"])
    estimates = [estimate(pairs, request) for _ in range(request["trials"])]
    Path(request["estimates"]).write_text(json.dumps(estimates), encoding="utf-8")


def estimate(pairs: pl.LazyFrame, request: dict[str, Any]) -> list[float]:
    """One release of all days."""
    is_gaussian = request["noise"] == "gaussian"
    loss = dp.loss_of(rho=request["rho"]) if is_gaussian else dp.loss_of(epsilon=request["epsilon"])
    context = dp.Context.compositor(
        data=pairs,
        privacy_unit=dp.unit_of(contributions=1, identifier="user"),
        privacy_loss=loss,
        split_evenly_over=1,
    )
    days = list(range(request["days"]))
    # Other ways to keep days than the first, by hash, fail with a single grouping column.
    query = (
        context.query()
        .truncate_per_group(1, by=["day"])
        .truncate_num_groups(request["bound"], by=["day"], keep="first")
        .group_by("day")
        .agg(dp.len(signed=True).alias("users"))
        .with_keys(pl.LazyFrame({"day": days}, schema={"day": pl.Int32}))
    )
    found = dict(query.release().collect().select("day", "users").iter_rows())
    return [float(found[day]) for day in days]


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
