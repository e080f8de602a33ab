"""The tables of docs/evaluation.md: each takes rows of result tables and gives Markdown."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

__all__ = ["TABLES"]

Rows = Sequence[Mapping[str, Any]]

_MECHANISMS = ("continual", "gaussian", "laplace", "intrinsic")
_EXACT = "set"
_COVERED = 0.95
_SKETCHES = {
    ("set", "continual"): "everybody is counted",
    ("theta", "continual"): "one in sixteen is kept, and one person moves a count by sixteen",
    ("hllpp", "intrinsic"): "a fresh sketch for each day, private by itself",
}


def _error_by_epsilon(rows: Rows) -> str:
    """Exact counts of the first log: a row a metric and mechanism, a column an ε."""
    found = _exact(row for row in rows if row["activity"] == rows[0]["activity"])
    epsilons = sorted({row["epsilon"] for row in found})
    head = [f"{rows[0]['activity']}, exact sets", *(f"ε = {each:g}" for each in epsilons)]
    ways = list(dict.fromkeys((row["metric"], row["mechanism"]) for row in found))
    cells = [
        [
            f"{metric.upper()}, `{mechanism}`",
            *(
                _error(_only(found, metric=metric, mechanism=mechanism, epsilon=e))
                for e in epsilons
            ),
        ]
        for metric, mechanism in ways
    ]
    return _table(head, cells)


def _error_by_log(rows: Rows) -> str:
    """Exact counts at the largest ε: a row a log and metric, a column a mechanism."""
    largest = max(row["epsilon"] for row in rows)
    found = _exact(row for row in rows if row["epsilon"] == largest)
    mechanisms = [each for each in _MECHANISMS if any(row["mechanism"] == each for row in found)]
    head = [f"exact sets, ε = {largest:g}", "people a day", *(f"`{each}`" for each in mechanisms)]
    cells = []
    for log, metric in dict.fromkeys((row["activity"], row["metric"]) for row in found):
        each = [_only(found, activity=log, metric=metric, mechanism=name) for name in mechanisms]
        users = next(row["users"] for row in each if row)
        cells.append([f"{log}, {metric.upper()}", f"{users:,.0f}", *map(_error, each)])
    return _table(head, cells)


def _facts(rows: Rows) -> str:
    """What holds of all cases together."""
    found = _exact(rows)
    values = sum(row["values"] for row in found)
    covered = sum(row["coverage"] * row["values"] for row in found) / values
    biased = sum(not row["bias_noise_low"] <= 0 <= row["bias_noise_high"] for row in found)
    limited = sum(row["bias_limiter"] != 0 for row in found)
    dearest = max(row["composed_epsilon"] / row["epsilon"] for row in rows)
    return _table(
        ["of all cases", "measured", "expected"],
        [
            [
                f"{values:,} values on exact sets within their interval",
                _percent(covered, 1),
                "95 %",
            ],
            [
                f"cases of {len(found)} whose noise has a bias: its 95 % interval misses zero",
                str(biased),
                f"about {len(found) * (1 - _COVERED):.0f}, by chance",
            ],
            ["cases in which the limiter leaves anyone out", str(limited), "0"],
            [
                "price that the ledger composes, of the one asked for",
                _percent(dearest, 2),
                "≤ 100 %",
            ],
        ],
    )


def _sketches(rows: Rows) -> str:
    """What each way to count costs in accuracy, for the first log's DAU at the largest ε."""
    largest = max(row["epsilon"] for row in rows)
    same = {"activity": rows[0]["activity"], "metric": "dau", "epsilon": largest}
    cells = []
    for (sketch, mechanism), what in _SKETCHES.items():
        row = _only(rows, sketch=sketch, mechanism=mechanism, **same)
        if row is not None:
            cells.append([f"`{sketch}`, {mechanism}", _error(row), _coverage(row), what])
    return _table([f"DAU, ε = {largest:g}", "error in users", "covered", ""], cells)


def _baselines(rows: Rows) -> str:
    """A table a log and metric, the smallest error first."""
    parts = []
    for log, metric in dict.fromkeys((row["activity"], row["metric"]) for row in rows):
        found = [row for row in rows if (row["activity"], row["metric"]) == (log, metric)]
        run = sorted((row for row in found if row["ratio"]), key=lambda row: float(row["ratio"]))
        head = [
            f"{log}, {metric.upper()}, ε = {found[0]['epsilon']:g}",
            "error in users",
            "of its noise",
            "ours = 1",
        ]
        cells = [
            [
                _baseline(row),
                _error(row),
                "" if row["std_error_computed"] is None else f"{row['std_error_computed']:.1f}",
                f"{row['ratio']:.2f}",
            ]
            for row in run
        ]
        parts.append(_table(head, cells))
        reasons: dict[str, list[str]] = {}
        for row in found:
            if row["reason"]:
                reasons.setdefault(row["reason"], []).append(row["baseline"])
        parts += [f"Not run: {'; '.join(names)}: {why}." for why, names in reasons.items()]
    return "\n\n".join(parts)


def _baseline(row: Mapping[str, Any]) -> str:
    name = f"**{row['baseline']}**" if row["ratio"] == 1 else str(row["baseline"])
    return name if row["days_bound"] is None else f"{name}, {row['days_bound']} days a person"


def _adversaries(rows: Rows) -> str:
    """A row an attacker."""
    cells = []
    for row in rows:
        if row["unit"] == "share":
            shares = [
                _percent(row["naive_success"], 0),
                _share(row),
                _percent(row["bound"], 1),
            ]
        else:
            shares = [
                f"{row[name]:.0f} {row['unit']}" for name in ("naive_success", "success", "bound")
            ]
        cells.append([row["adversary"], row["goal"], row["naive"], *shares])
    head = ["attacker", "wants to know", "naive service", "right there", "right here", "allowed"]
    return _table(head, cells)


def _audit(rows: Rows) -> str:
    """A row a metric, sketch and mechanism, honest and halved noise side by side."""
    cells = []
    for row in rows:
        if row["noise_scale"] != 1:
            continue
        same = {name: row[name] for name in ("metric", "sketch", "mechanism")}
        halved = [
            each for each in rows if each["noise_scale"] != 1 and same.items() <= each.items()
        ]
        cells.append(
            [
                f"{row['metric'].upper()}, `{row['sketch']}`, `{row['mechanism']}`",
                _loss(row, "claimed"),
                _loss(row, "lower"),
                _percent(row["power"], 0),
                f"{_loss(halved[0], 'lower')}, {halved[0]['verdict'].lower()}" if halved else "–",
            ]
        )
    return _table(
        [
            "metric, sketch, mechanism",
            "claimed",
            "proven, honest noise",
            "of the claim",
            "proven, half of the noise",
        ],
        cells,
    )


def _certificates(rows: Rows) -> str:
    """The largest gap of each kind of plan, over lengths of the month."""
    largest: dict[tuple[str, Any], float] = {}
    for row in rows:
        key = row["metric"], row["w"]
        largest[key] = max(largest.get(key, 0.0), row["gap"])
    cells = [
        [metric.upper(), "unbounded" if flips is None else str(flips), _percent(gap, 3)]
        for (metric, flips), gap in largest.items()
    ]
    return _table(["plan", "flips counted", "at most this far from the best possible"], cells)


TABLES: dict[str, tuple[str, Callable[[Rows], str]]] = {
    "error-by-epsilon": ("accuracy", _error_by_epsilon),
    "error-by-log": ("accuracy", _error_by_log),
    "facts": ("accuracy", _facts),
    "sketches": ("accuracy", _sketches),
    "certificates": ("certificate", _certificates),
    "baselines": ("baselines", _baselines),
    "adversaries": ("adversaries", _adversaries),
    "audit": ("audit", _audit),
}
"""Name of a Markdown table -> the results that it is made of, and how."""


def _exact(rows: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [row for row in rows if row["sketch"] == _EXACT]


def _only(rows: Rows, **wanted: Any) -> Mapping[str, Any] | None:
    """The row that has these values, if there is one."""
    return next((row for row in rows if wanted.items() <= row.items()), None)


def _error(row: Mapping[str, Any] | None) -> str:
    if row is None:
        return "–"
    digits = 0 if row["rmse"] >= 20 else 1  # noqa: PLR2004 - about three significant digits
    low, high = (f"{row[name]:,.{digits}f}" for name in ("rmse_low", "rmse_high"))
    return f"{row['rmse']:,.{digits}f} ({low}–{high})"


def _coverage(row: Mapping[str, Any]) -> str:
    return _between(row, "coverage", "coverage_low", "coverage_high")


def _share(row: Mapping[str, Any]) -> str:
    return _between(row, "success", "low", "high")


def _between(row: Mapping[str, Any], *names: str) -> str:
    """A share and its interval."""
    share, low, high = (_percent(row[name], 1) for name in names)
    return f"{share} ({low.removesuffix(' %')}–{high})"


def _percent(share: float, digits: int) -> str:
    return f"{100 * share:.{digits}f} %"


def _loss(row: Mapping[str, Any], which: str) -> str:
    if row["claimed_mu"] is None:
        return f"ε {row[f'{which}_epsilon']:.2f}"
    return f"µ {row[f'{which}_mu']:.2f}"


def _table(head: Sequence[str], cells: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *cells]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
