"""What a soak found: kept as figures, drawn, and written into the documents."""

import math
import os
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
from matplotlib.figure import Figure

from _verdicts import Verdict

__all__ = ["DOCUMENT", "RESULTS", "Soak", "drawn", "table", "write"]

RESULTS = Path(__file__).parents[1] / "results"
DOCUMENT = Path(__file__).parents[2] / "docs" / "reliability.md"
_IMAGE = Path("images") / "soak.svg"
_MARKED = re.compile(r"(?P<begin><!-- table soak -->\n).*?(?P<end><!-- end -->)", re.DOTALL)
_ACCENT, _OTHER, _MUTED = "#0b62a4", "#d55e00", "#6e7781"


class Soak(msgspec.Struct, frozen=True, kw_only=True):
    """A whole run.

    Attributes:
        users: how many people could join at most.
        seconds_a_day: how long each simulated day lasted.
        days: figures of each.
        samples: what was seen of process and files, about once a second.
        verdicts: what follows.
    """

    users: int
    seconds_a_day: float
    days: list[dict[str, Any]]
    samples: list[dict[str, float]]
    verdicts: list[Verdict]

    @property
    def holds(self) -> bool:
        """Whether no verdict says otherwise."""
        return all(each.holds is not False for each in self.verdicts)

    @property
    def events(self) -> int:
        """How many were acknowledged."""
        return round(sum(float(each["events"]) for each in self.days))

    @property
    def events_a_second(self) -> float:
        """Over all days, publication in between left out."""
        return self.events / sum(float(each["seconds"]) for each in self.days)


def write(result: Soak, results: Path, document: Path) -> Iterator[Path]:
    """Keep the figures, and draw and tabulate them where a document has marks for that.

    Args:
        result: of the run.
        results: the folder of figures.
        document: a page in Markdown.

    Yields:
        What was written.
    """
    results.mkdir(parents=True, exist_ok=True)
    machine = {"cores": len(os.sched_getaffinity(0)), "python": sys.version.split()[0]}
    kept = results / "soak.json"
    kept.write_bytes(
        msgspec.json.format(msgspec.json.encode({"machine": machine, "results": result})) + b"\n"
    )
    yield kept
    text = document.read_text(encoding="utf-8") if document.exists() else ""
    if _MARKED.search(text):
        filled = _MARKED.sub(lambda mark: f"{mark['begin']}\n{table(result)}\n\n{mark[2]}", text)
        document.write_text(filled, encoding="utf-8")
        yield document
        image = document.parent / _IMAGE
        image.parent.mkdir(parents=True, exist_ok=True)
        drawn(result).savefig(image, metadata={"Date": None})
        yield image


def table(result: Soak) -> str:
    """The verdicts in Markdown."""
    signs = {True: "yes", False: "**no**", None: "too few days"}
    summary = (
        f"{len(result.days)} days of {result.seconds_a_day:g} s, {result.events:,} events "
        f"acknowledged, {result.events_a_second:,.0f} a second, "
        f"{int(result.days[-1]['known_users']):,} users known at the end."
    )
    return "\n".join(
        [
            summary,
            "",
            "| what | found | allowed | holds |",
            "|---|---|---|---|",
            *(
                f"| {each.what} | {each.found} | {each.allowed} | {signs[each.holds]} |"
                for each in result.verdicts
            ),
        ]
    )


def drawn(result: Soak) -> Figure:
    """Memory and files over the days, and rate and latencies of each."""
    figure = Figure(figsize=(9, 6.4), layout="constrained")
    memory, files, rate, latency = figure.subplots(2, 2, sharex=True).flat
    numbers = list(range(1, len(result.days) + 1))
    when = _moments(result.samples)

    memory.plot(when, _of(result.samples, "resident_mib"), color=_ACCENT, lw=1)
    memory.set_title("Memory of the service, MiB")
    for name, colour in (("store", _ACCENT), ("wal", _OTHER), ("backups", _MUTED)):
        label = {"wal": "write-ahead log"}.get(name, name)
        files.plot(when, _of(result.samples, f"{name}_mib"), color=colour, lw=1, label=label)
    files.set_title("Files, MiB")
    rate.plot(numbers, _of(result.days, "events_a_second"), color=_ACCENT, marker=".")
    rate.set_title("Events a second")
    for name, colour, label in (
        ("p50_ms", _ACCENT, "ingestion, p50"),
        ("p99_ms", _OTHER, "ingestion, p99"),
        ("read_p99_ms", _MUTED, "readers, p99"),
    ):
        # Nothing was read before the first day closed.
        found = [value or math.nan for value in _of(result.days, name)]
        latency.plot(numbers, found, color=colour, marker=".", label=label)
    latency.set_title("Latency, ms")
    for axes in (memory, files, rate, latency):
        axes.set_ylim(bottom=0)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(visible=True, alpha=0.3)
    for axes in (rate, latency):
        axes.set_xlabel("simulated day")
    for axes in (files, latency):
        axes.legend(frameon=False)
    return figure


def _of(rows: Sequence[dict[str, Any]], name: str) -> list[float]:
    return [float(row[name]) for row in rows]


def _moments(samples: Sequence[dict[str, float]]) -> list[float]:
    """When each sample was taken, in simulated days."""
    by_day: dict[float, int] = {}
    for sample in samples:
        by_day[sample["day"]] = by_day.get(sample["day"], 0) + 1
    seen: dict[float, int] = {}
    moments = []
    for sample in samples:
        day = sample["day"]
        moments.append(1 + day + seen.get(day, 0) / by_day[day])
        seen[day] = seen.get(day, 0) + 1
    return moments
