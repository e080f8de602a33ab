"""The figures of the evaluation: each takes rows of result tables and gives one figure."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, PercentFormatter
from numpy.typing import NDArray

__all__ = [
    "adversaries",
    "audit",
    "baselines",
    "budget",
    "certificate",
    "error_by_epsilon",
    "error_by_flips",
    "error_by_population",
    "month",
    "styled",
]

Rows = Sequence[Mapping[str, Any]]

_WIDTH = 9.0
_HEIGHT = 3.8
_ROW_HEIGHT = 0.34
_INK = "#24292f"
_MUTED = "#6e7781"
_ACCENT = "#0b62a4"
# Okabe and Ito's colours, which colour-blind readers tell apart; each name keeps its own.
_COLOURS = {
    "continual": _ACCENT,
    "gaussian": "#d55e00",
    "laplace": "#009e73",
    "intrinsic": "#cc79a7",
    "set": _ACCENT,
    "theta": "#e69f00",
    "hllpp": "#cc79a7",
}
_METRIC_NAMES = {"dau": "daily active users", "mau": "30-day active users"}
_STYLE: Any = {
    "axes.axisbelow": True,
    "axes.edgecolor": _MUTED,
    "axes.grid": True,
    "axes.labelcolor": _INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "figure.dpi": 150,
    "figure.facecolor": "white",
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "grid.color": "#e4e7ea",
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "svg.fonttype": "none",
    # Otherwise every run would write another file.
    "svg.hashsalt": "dpdau",
    "xtick.color": _MUTED,
    "ytick.color": _MUTED,
}


@contextmanager
def styled() -> Iterator[None]:
    """The look that all figures share; they are made and saved within."""
    with mpl.rc_context(_STYLE):
        yield


def error_by_epsilon(rows: Rows) -> Figure:
    """Root-mean-square error against the period's ε, from the table `accuracy`."""
    log = rows[0]["activity"]
    rows = [row for row in rows if row["sketch"] == "set" and row["activity"] == log]
    epsilons = sorted({row["epsilon"] for row in rows})
    figure, panels = _by_metric(rows)
    for metric, axes in panels.items():
        for mechanism, points in _grouped(_of(rows, metric), "mechanism").items():
            _interval_line(axes, points, "epsilon", "rmse", label=mechanism)
        _log_axes(
            axes, "ε of everything published in the month", "error in users (root mean square)"
        )
        axes.set_xticks(epsilons, [f"{epsilon:g}" for epsilon in epsilons], minor=False)
        axes.minorticks_off()
        axes.set_title(_METRIC_NAMES[metric])
        axes.legend()
    return figure


def error_by_population(rows: Rows) -> Figure:
    """Relative error against the number of people counted, from the table `population`."""
    figure, panels = _by_metric(rows)
    for metric, axes in panels.items():
        for mechanism, points in _grouped(_of(rows, metric), "mechanism").items():
            _interval_line(axes, points, "users", "relative_error", label=mechanism)
        _log_axes(axes, "people counted on a day", "relative error")
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g} %"))
        axes.set_title(_METRIC_NAMES[metric])
        axes.legend()
    return figure


def error_by_flips(rows: Rows) -> Figure:
    """What a bound on flips buys in noise and costs in people not counted, from `flips`."""
    figure, panels = _by_metric(rows)
    for metric, axes in panels.items():
        found = sorted(_of(rows, metric), key=lambda row: _bound_order(row["w"]))
        positions = range(len(found))
        noise = [row["std_error"] for row in found]
        bias = [row["limiter_bias"] for row in found]
        axes.bar([at - 0.2 for at in positions], noise, 0.4, color=_ACCENT, label="noise")
        axes.bar(
            [at + 0.2 for at in positions],
            bias,
            0.4,
            color="#d55e00",
            label="not counted by the limit",
        )
        axes.set_xticks(list(positions), [_bound_name(row["w"]) for row in found])
        axes.set_xlabel("flips counted per person and month (w)")
        axes.set_yscale("symlog", linthresh=10)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        axes.set_ylabel("users")
        axes.grid(visible=False, axis="x")
        axes.set_title(_METRIC_NAMES[metric])
    handles, names = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=2)
    return figure


def month(rows: Rows) -> Figure:
    """What is published over the truth, and its error within 95 % intervals, from `month`."""
    rows = [row for row in rows if row["mechanism"] == "continual"]
    metrics = sorted({row["metric"] for row in rows})
    figure = Figure(figsize=(_WIDTH, 1.6 * _HEIGHT), layout="constrained")
    grid = figure.subplots(2, len(metrics), squeeze=False, sharex="col", height_ratios=[3, 2])
    for column, metric in enumerate(metrics):
        found = sorted(_of(rows, metric), key=lambda row: row["day"])
        days, truth = _days(found), _column(found, "true_count")
        above, below = grid[0][column], grid[1][column]
        for axes, zero in ((above, np.zeros(len(found))), (below, truth)):
            axes.fill_between(
                days,
                _column(found, "lower_95") - zero,
                _column(found, "upper_95") - zero,
                color=_ACCENT,
                alpha=0.22,
                linewidth=0,
                label="95 % interval",
            )
            axes.plot(days, _column(found, "estimate") - zero, color=_ACCENT, label="published")
            axes.plot(days, truth - zero, ".", color=_INK, markersize=4, label="truth")
            axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        above.set_title(_METRIC_NAMES[metric])
        above.set_ylabel("users")
        below.set_ylabel("off by (users)")
        _date_axis(below)
        above.legend()
    return figure


def budget(rows: Rows) -> Figure:
    """What has been spent of each month's budget by day, from the table `budget`."""
    figure, panels = _by_metric(rows)
    for metric, axes in panels.items():
        for mechanism, found in _grouped(_of(rows, metric), "mechanism").items():
            for number, points in enumerate(_grouped(found, "period").values()):
                points = sorted(points, key=lambda row: row["day"])  # noqa: PLW2901 - in order
                axes.step(
                    _days(points),
                    [row["epsilon_spent"] for row in points],
                    where="post",
                    color=_colour(mechanism),
                    label=None if number else mechanism,
                )
        cap = max(row["epsilon_cap"] for row in _of(rows, metric))
        axes.axhline(cap, color=_MUTED, linestyle="--", linewidth=1.2, label="cap")
        axes.set_ylim(0, cap * 1.15)
        _date_axis(axes)
        axes.set_title(_METRIC_NAMES[metric])
        axes.set_ylabel("ε spent")
        axes.legend()
    return figure


def certificate(rows: Rows) -> Figure:
    """How far a plan may be from the best possible one, from the table `certificate`."""
    figure = Figure(figsize=(_WIDTH, 1.2 + _ROW_HEIGHT * len(rows)), layout="constrained")
    axes = figure.subplots()
    ordered = sorted(rows, key=lambda row: (row["metric"], row["days"], _bound_order(row["w"])))
    names = [
        f"{row['metric'].upper()}, {row['days']} days, w {_bound_name(row['w'])}" for row in ordered
    ]
    gaps = [row["gap"] for row in ordered]
    axes.barh(names, gaps, 0.6, color=_ACCENT)
    for position, gap in enumerate(gaps):
        axes.annotate(f" {gap:.4%}", (gap, position), va="center", color=_INK, fontsize=8)
    axes.margins(x=0.15)
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=None))
    axes.set_xlabel("error above the proven lower bound")
    axes.set_title("No strategy of this kind can be better by more")
    return figure


def baselines(rows: Rows) -> Figure:
    """Errors of what one would otherwise use, ours = 1, from the table `baselines`."""
    rows = [row for row in rows if row["ratio"] is not None]
    panels = list(_grouped([{**row, "panel": _panel_name(row)} for row in rows], "panel").items())
    height = 1.1 + _ROW_HEIGHT * max(len(found) for _, found in panels)
    figure = Figure(figsize=(_WIDTH, height * -(-len(panels) // 2)), layout="constrained")
    grid = list(figure.subplots(-(-len(panels) // 2), min(2, len(panels)), squeeze=False).flat)
    for axes in grid:
        axes.set_visible(False)
    for axes, (name, found) in zip(grid, panels, strict=False):
        axes.set_visible(True)
        ordered = sorted(found, key=lambda row: row["ratio"])
        names = [_baseline_name(row) for row in ordered]
        ratios = [row["ratio"] for row in ordered]
        # A table begins with what the others are compared with.
        ours = found[0]["baseline"]
        colours = [_ACCENT if row["baseline"] == ours else _MUTED for row in ordered]
        axes.barh(range(len(names)), ratios, 0.6, color=colours)
        axes.set_yticks(range(len(names)), names, fontsize=8)
        for position, ratio in enumerate(ratios):
            axes.annotate(f" {ratio:.2f}", (ratio, position), va="center", color=_INK, fontsize=8)
        axes.margins(x=0.2)
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
        axes.set_title(name, fontsize=9)
        axes.set_xlabel("error, ours = 1")
    return figure


def adversaries(rows: Rows) -> Figure:
    """How often attacks succeed on a naive service and here, from the table `adversaries`."""
    rows = [row for row in rows if row["unit"] == "share"]
    figure = Figure(figsize=(_WIDTH, 1.4 + 1.3 * _ROW_HEIGHT * len(rows)), layout="constrained")
    axes = figure.subplots()
    for position, row in enumerate(rows):
        naive = {"colour": "#d55e00", "value": row["naive_success"]}
        _whisker(axes, position - 0.15, row["naive_low"], row["naive_high"], **naive)
        _whisker(
            axes, position + 0.15, row["low"], row["high"], colour=_ACCENT, value=row["success"]
        )
        axes.plot([row["bound"]] * 2, [position - 0.35, position + 0.35], color=_INK, linewidth=1.6)
    axes.axvline(rows[0]["guessing"], color=_MUTED, linestyle="--", linewidth=1.2)
    axes.set_yticks(range(len(rows)), [row["adversary"] for row in rows])
    axes.invert_yaxis()
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.set_xlabel("how often the attacker is right")
    axes.set_title("Attacks on a naive service, and the same ones here")
    marks = [
        Line2D([], [], color="#d55e00", marker="o", linestyle="none", label="naive service"),
        Line2D([], [], color=_ACCENT, marker="o", linestyle="none", label="here"),
        Line2D([], [], color=_INK, label="what the guarantee allows"),
        Line2D([], [], color=_MUTED, linestyle="--", label="guessing"),
    ]
    figure.legend(handles=marks, loc="outside lower center", ncols=4)
    return figure


def audit(rows: Rows) -> Figure:
    """The measured loss beside the claimed one, from the table `audit`."""
    figure = Figure(figsize=(_WIDTH, 1.4 + _ROW_HEIGHT * len(rows)), layout="constrained")
    axes = figure.subplots()
    for position, row in enumerate(rows):
        halved = row["noise_scale"] < 1
        colour = "#d55e00" if halved else _ACCENT
        axes.barh(position, _loss(row), 0.55, color=colour)
        axes.annotate(f" {_loss(row):.0%}", (_loss(row), position), va="center", fontsize=8)
    axes.axvline(1, color=_INK, linewidth=1.6)
    names = [
        f"{row['metric'].upper()}, {row['mechanism']}, {row['sketch']}"
        + ("" if row["noise_scale"] == 1 else ", noise halved")
        for row in rows
    ]
    axes.set_yticks(range(len(rows)), names)
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.set_title("What an auditor can prove of the loss that is claimed")
    axes.set_xlabel("proven lower bound on the loss (95 % confidence), of what is claimed")
    return figure


# --- parts ---------------------------------------------------------------------------------


def _by_metric(rows: Rows) -> tuple[Figure, dict[str, Axes]]:
    """A figure with a panel a metric."""
    metrics = sorted({row["metric"] for row in rows})
    figure = Figure(figsize=(_WIDTH, _HEIGHT), layout="constrained")
    grid = figure.subplots(1, len(metrics), squeeze=False)
    return figure, dict(zip(metrics, grid[0], strict=True))


def _of(rows: Rows, metric: str) -> list[Mapping[str, Any]]:
    return [row for row in rows if row["metric"] == metric]


def _grouped(rows: Iterable[Mapping[str, Any]], key: str) -> dict[str, list[Mapping[str, Any]]]:
    groups: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        groups[row[key]].append(row)
    return dict(groups)


def _colour(name: str) -> str:
    return _COLOURS.get(name, _MUTED)


def _interval_line(axes: Axes, rows: Rows, across: str, value: str, *, label: str) -> None:
    """A line with 95 % intervals at its points."""
    ordered = sorted(rows, key=lambda row: row[across])
    values = [row[value] for row in ordered]
    below = [max(0.0, row[value] - row[f"{value}_low"]) for row in ordered]
    above = [max(0.0, row[f"{value}_high"] - row[value]) for row in ordered]
    axes.errorbar(
        [row[across] for row in ordered],
        values,
        yerr=[below, above],
        marker="o",
        markersize=4,
        capsize=3,
        color=_colour(label),
        label=label,
    )


def _log_axes(axes: Axes, across: str, up: str) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    plain = FuncFormatter(lambda value, _: f"{value:,g}")
    axes.xaxis.set_major_formatter(plain)
    axes.yaxis.set_major_formatter(plain)
    axes.set_xlabel(across)
    axes.set_ylabel(up)


def _whisker(axes: Axes, at: float, low: float, high: float, *, colour: str, value: float) -> None:
    axes.plot([low, high], [at, at], color=colour, linewidth=1.4)
    axes.plot([value], [at], "o", color=colour, markersize=5)


def _date_axis(axes: Axes) -> None:
    locator = AutoDateLocator(maxticks=7)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(
        ConciseDateFormatter(locator)  # type: ignore[no-untyped-call]
    )


def _column(rows: Rows, name: str) -> NDArray[np.float64]:
    return np.array([row[name] for row in rows], dtype=float)


def _days(rows: Rows) -> NDArray[np.datetime64]:
    return np.array([row["day"] for row in rows], dtype="datetime64[D]")


def _bound_order(flips: int | None) -> float:
    return float("inf") if flips is None else flips


def _bound_name(flips: int | None) -> str:
    return "unbounded" if flips is None else str(flips)


def _panel_name(row: Mapping[str, Any]) -> str:
    return f"{row['metric'].upper()}, {row['activity']}, ε = {row['epsilon']:g}"


def _baseline_name(row: Mapping[str, Any]) -> str:
    bound = row["days_bound"]
    return row["baseline"] if bound is None else f"{row['baseline']} ({bound} days)"


def _loss(row: Mapping[str, Any]) -> float:
    """The measured share of the claim: of µ where there is one, of ε otherwise."""
    if row["claimed_mu"] is not None:
        return float(row["lower_mu"] / row["claimed_mu"])
    return float(row["lower_epsilon"] / row["claimed_epsilon"])
