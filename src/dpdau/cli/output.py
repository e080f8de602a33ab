"""Answers as tables that a newcomer understands; made from the same JSON that `--json` prints."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from dpdau.cli.backend import Answer
from dpdau.model import wording

__all__ = [
    "budget",
    "budgets",
    "checked_plan",
    "consumed",
    "erasure",
    "facts",
    "ingested",
    "ledger",
    "marked",
    "plan",
    "published",
    "receipt",
    "release",
    "sentence",
    "series",
    "sketches",
    "titled_table",
]

_METHODS = {
    "naive": "adding up",
    "advanced": "advanced composition",
    "rdp": "Rényi composition",
    "gaussian": "the curve of Gaussian noise",
    "pld": "privacy loss distributions",
}
_NOT_COMPLETED = {"received": "not yet: pages are being purged", "refused": "never"}
_ERASURE_MEANS = {
    "done": "Values published from now on exclude them, and nothing of them is left on disk.",
    "received": "Values published from now on exclude them. Ask `dpdau erasure` whether it is done.",
}
_WIDTH_OF_ALL_COLUMNS = 60
_NAMES = {"dau": "Daily active users", "mau": "Monthly active users"}


def facts(title: str, rows: Iterable[tuple[str, str]], closing: str = "") -> RenderableType:
    """A headline, lines of name and value, and a closing remark."""
    grid = Table.grid(padding=(0, 2), pad_edge=True)
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in rows:
        grid.add_row(name, Text(value))
    parts: list[RenderableType] = [Text(title, style="bold"), grid]
    if closing:
        parts.append(Text(closing, style="dim"))
    return Group(*parts)


def sentence(text: str) -> RenderableType:
    """One line."""
    return Text(text)


def marked(text: str, style: str) -> RenderableType:
    """A word that is to be seen first."""
    return Text(text, style=style)


def release(answer: Answer) -> RenderableType:
    """One value: how many, how sure, what it cost and what is promised."""
    budget_of_period = answer["budget"]
    revision = f" (revision {answer['revision']})" if answer["revision"] else ""
    rows = [
        ("estimate", f"{answer['estimate']:,} users{revision}"),
        ("95 % interval", f"{wording.span(answer['lower_95'], answer['upper_95'])} users"),
        ("standard error", f"{answer['std_error']:,.1f} users"),
        ("cost", _cost(answer)),
        ("budget left", _left(budget_of_period)),
    ]
    return facts(_question(answer), rows, _promise(answer["metric"], answer["guarantee"]))


def sketches(answer: Answer) -> RenderableType:
    """What sketch files hold, one line each, and together."""
    table = titled_table("")
    table.add_column("file", overflow="fold")
    for name in ("users in it", "sampled at", "estimate"):
        table.add_column(name, justify="right")
    for each in [*answer["sketches"], {"file": "all together", **answer["union"]}]:
        cells = f"{each['hashes']:,}", f"{each['rate']:g}", f"{each['estimate']:,.0f}"
        table.add_row(each["file"], *cells)
    return table


def series(answer: Answer) -> RenderableType:
    """The values of a range of days, one line each."""
    parts: list[RenderableType] = []
    if answer["releases"]:
        parts.append(_SeriesTable(answer))
    parts += [Text(f"Budget left: {_left(each)}") for each in answer["budgets"]]
    if answer["unpublished"]:
        parts.append(Text(_unpublished(answer["unpublished"])))
    return Group(*parts)


def budget(answer: Answer) -> RenderableType:
    """What a metric has cost in a period, by each way of adding up."""
    rows = [
        ("spent", f"ε = {wording.rounded(answer['epsilon_spent'])} by {_words(answer['method'])}"),
        ("left", _left(answer)),
        ("values published", f"{answer['releases']:,}"),
        ("adding up", wording.pair(answer["naive"], answer["naive_delta"])),
        ("advanced composition", wording.pair(**answer["advanced"])),
        ("Rényi composition", _renyi(answer["rdp"])),
    ]
    closing = (
        "ε is the most that everything published of the metric for the period can tell about one "
        f"person, at δ = {answer['delta']:g}."
    )
    return facts(f"Budget of {answer['metric'].upper()} for {answer['period']}", rows, closing)


def budgets(answer: Answer) -> RenderableType:
    """What everything has cost: per period and metric, and together."""
    if not answer["periods"]:
        return Text("Nothing has been published, so nothing has been spent.")
    table = titled_table("Privacy budgets: ε per person")
    for name in ("period", "metric"):
        table.add_column(name, no_wrap=True)
    for name in ("spent", "left", "cap", "values"):
        table.add_column(name, justify="right", overflow="fold")
    for each in answer["periods"]:
        spent, left, cap = (
            wording.rounded(each[name])
            for name in ("epsilon_spent", "epsilon_remaining", "epsilon_cap")
        )
        table.add_row(each["period"], each["metric"], spent, left, cap, f"{each['releases']:,}")
    parts: list[RenderableType] = [table]
    parts += [
        Text(f"{period}, all metrics together: {wording.pair(joint['epsilon'], joint['delta'])}")
        for period, joint in answer["joint"].items()
    ]
    lifetime = answer["lifetime"]
    parts.append(
        Text(f"Everything ever published: {wording.pair(lifetime['epsilon'], lifetime['delta'])}")
    )
    return Group(*parts)


def erasure(answer: Answer) -> RenderableType:
    """The state of an erasure."""
    state = answer["state"]
    rows = [
        ("id", answer["erasure_id"]),
        ("named", wording.count(answer["users"], "person", "people")),
        ("requested", answer["requested_at"]),
        ("completed", answer["completed_at"] or _NOT_COMPLETED[state]),
    ]
    closing = answer["refusal"] or _ERASURE_MEANS[state]
    return facts(f"Erasure {state}", rows, closing)


def receipt(answer: Answer) -> RenderableType:
    """What an erasure did."""
    erased, position = answer["erasure"], answer["ledger"]
    rows = [
        ("id", erased["erasure_id"]),
        ("named", wording.count(erased["users"], "person", "people")),
        ("requested", erased["requested_at"]),
        ("completed", erased["completed_at"]),
        ("ledger", f"row {position['sequence']:,}, {position['hash'][:16]}…"),
        ("memberships", f"{answer['days_touched']:,} removed"),
    ]
    rows += [("removed", f"{each['place']}: {each['how']}") for each in answer["removed"]]
    rows += [("kept", f"{each['place']}{_until(each)}: {each['what']}") for each in answer["kept"]]
    rows += [("not reached", each) for each in answer["not_reached"]]
    return facts(
        "Receipt of an erasure", rows, f"Issued {answer['issued_at']} by {answer['program']}."
    )


def ingested(answer: Answer) -> RenderableType:
    """What became of the events of files."""
    rows = [
        ("accepted", wording.count(answer["accepted"], "event")),
        ("rejected", wording.count(answer["rejected"], "line")),
        ("time", f"{answer['seconds']:.1f} s ({answer['events_per_second']:,} events per second)"),
    ]
    rows += [
        ("reasons in", file["rejected_file"]) for file in answer["files"] if file["rejected_file"]
    ]
    return facts("Ingested " + ", ".join(file["file"] for file in answer["files"]), rows)


def consumed(answer: Answer) -> RenderableType:
    """What was read from a broker."""
    rows = [
        ("messages", f"{answer['messages']:,}"),
        ("events", f"{answer['events']:,}"),
        ("dead letters", f"{answer['dead_letters']:,}"),
        ("interruptions", f"{answer['interruptions']:,}"),
    ]
    return facts("Read from the broker", rows)


def published(answer: Answer) -> RenderableType:
    """Which values are new."""
    releases = answer["published"]
    if not releases:
        return Text("Nothing was due: every closed day has its value.")
    by_metric: dict[str, list[str]] = {}
    for release_id in releases:
        by_metric.setdefault(release_id.split("-")[0].upper(), []).append(release_id)
    rows = [
        (metric, f"{wording.count(len(ids), 'value')}, {ids[0]} to {ids[-1]}")
        for metric, ids in by_metric.items()
    ]
    return facts(
        f"Published {wording.count(len(releases), 'value')}", rows, "See them with `dpdau series`."
    )


def plan(answer: Answer) -> RenderableType:
    """A period's plan and the certificate that says how near to the optimum it is."""
    presence = answer["presence"]
    counted = (
        "any days (unbounded)"
        if presence["runs"] is None
        else f"at most {presence['runs']} runs of days"
    )
    rows = [
        ("days", f"{answer['days']}"),
        ("a person is counted on", counted),
        ("noise", f"discrete Gaussian, σ = {answer['sigma']:,.1f} on rows × {answer['scale']:,}"),
        ("sensitivity", f"‖Cv‖² ≤ {answer['sensitivity_squared']:,} for every v, exactly"),
        ("cost", f"ρ = {answer['rho']:.6g}, {wording.pair(answer['epsilon'], answer['delta'])}"),
        ("error", f"{answer['primal']:.4f} per unit of noise (no plan below {answer['dual']:.4f})"),
        ("gap to the optimum", f"at most {100 * answer['gap']:.3f} %"),
    ]
    title = f"Plan of {answer['metric'].upper()} for {answer['period']}"
    return facts(title, rows, "The strategy itself, row by row: `--json`.")


def checked_plan(answer: Answer) -> RenderableType:
    """What a verified plan holds."""
    rows = [
        ("sensitivity", f"‖Cv‖² ≤ {answer['sensitivity_squared']:,} for every v, exactly"),
        ("cost", f"ρ = {answer['rho']:.6g}, {wording.pair(answer['epsilon'], answer['delta'])}"),
        ("gap to the optimum", f"at most {100 * answer['gap']:.3f} %"),
    ]
    return facts("The plan holds: every figure was recomputed", rows)


def ledger(answer: Answer) -> RenderableType:
    """The ledger, one line a row."""
    if not answer["rows"]:
        return Text("The ledger is empty: nothing has been published.")
    table = titled_table("Ledger")
    table.add_column("#", justify="right")
    for name in ("recorded", "what"):
        table.add_column(name, overflow="fold")
    table.add_column("value or cost", justify="right", overflow="fold")
    table.add_column("hash")
    for row in answer["rows"]:
        table.add_row(
            str(row["sequence"]),
            row["recorded_at"][:19],
            row["subject"],
            _value_or_cost(row),
            row["hash"][:8],
        )
    return table


def titled_table(title: str) -> Table:
    """An empty table."""
    return Table(
        title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0)
    )


@dataclass(frozen=True, slots=True)
class _SeriesTable:
    """The values of a series, with as many columns as there is room for."""

    answer: Answer

    def __rich_console__(self, _: Console, options: ConsoleOptions) -> RenderResult:
        values = self.answer["releases"]
        has_room = options.max_width >= _WIDTH_OF_ALL_COLUMNS
        has_band = has_room and any(value["band_lower_95"] is not None for value in values)
        table = titled_table(_title(self.answer["metric"], self.answer["window_days"]))
        table.add_column("day", no_wrap=True)
        table.add_column("estimate", justify="right")
        table.add_column("95 % interval", justify="right")
        if has_band:
            table.add_column("band", justify="right")
        if has_room:
            table.add_column("std. error", justify="right")
        for value in values:
            interval = wording.span(value["lower_95"], value["upper_95"])
            cells = [value["day"], f"{value['estimate']:,}", interval]
            cells += [_band(value)] if has_band else []
            cells += [f"{value['std_error']:,.1f}"] if has_room else []
            table.add_row(*cells)
        yield table
        if has_band:
            yield Text("All days of a month lie within their bands at once with 95 %.")


def _unpublished(days: Sequence[str]) -> str:
    if len(days) == 1:
        return f"{days[0]} has no value."
    return f"{len(days)} days between {days[0]} and {days[-1]} have no value."


def _title(metric: str, window_days: int) -> str:
    name = _NAMES[metric]
    return name if metric == "dau" else f"{name} (trailing {window_days} days)"


def _question(answer: Answer) -> str:
    return f"{_title(answer['metric'], answer['window_days'])}, {answer['day']}"


def _cost(answer: Answer) -> str:
    pair = wording.pair(answer["epsilon"], answer["delta"])
    if answer["mechanism"] == "continual":
        return f"{pair} for the whole series of {answer['guarantee']['period']}"
    return f"{pair} for this value"


def _left(statement: Answer) -> str:
    return wording.left(
        statement["epsilon_remaining"], statement["epsilon_cap"], statement["period"]
    )


def _promise(metric: str, guarantee: Mapping[str, Any]) -> str:
    return (
        "Promise: "
        + wording.promise(metric, guarantee["period"], guarantee["epsilon"], guarantee["delta"])
        + "."
    )


def _until(kept: Answer) -> str:
    return "" if kept["until"] is None else f", until {kept['until']}"


def _value_or_cost(row: Answer) -> str:
    if row["kind"] == "release":
        return f"{row['body']['estimate']:,}"
    if row["kind"] == "recharge":
        return "charged again"
    if row["kind"] == "acknowledgement":
        return f"{len(row['body']['ended_series'])} series ended"
    if row["charge"] is None:
        return f"up to ε = {wording.rounded(row['body']['epsilon_cap'])}"
    return f"ε = {wording.rounded(row['body']['epsilon'])}"


def _band(value: Answer) -> str:
    """The band, or nothing for a value that is in no continual series."""
    lower, upper = value["band_lower_95"], value["band_upper_95"]
    return "" if lower is None else wording.span(lower, upper)


def _renyi(composed: Answer) -> str:
    at = "" if composed["order"] is None else f" at order α = {composed['order']:g}"
    return wording.pair(composed["epsilon"], composed["delta"]) + at


def _words(method: str) -> str:
    return _METHODS.get(method, method)
