"""Plans and explanations: tables beside sentences that the product wrote."""

from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from dpdau.cli.backend import Answer
from dpdau.cli.output import facts, titled_table
from dpdau.model import wording

__all__ = ["explanation", "forecast"]


def forecast(answer: Answer) -> RenderableType:
    """What each mechanism would give, and which to take."""
    target = answer["target_error"]
    table = titled_table("")
    table.add_column("mechanism", no_wrap=True)
    columns = ["std. error", "relative", "95 % ±", "ε each"]
    columns += [] if target is None else [f"ε for {_target(answer)}"]
    columns += [f"days at ε = {wording.rounded(answer['release_epsilon'])}"]
    for name in columns:
        table.add_column(name, justify="right", overflow="fold")
    for each in answer["mechanisms"]:
        table.add_row(*_cells(each, has_target=target is not None))
    parts: list[RenderableType] = [
        Text(_plan_title(answer), style="bold"),
        table,
        Text(answer["recommendation"]),
        _sketches(answer["sketches"]),
    ]
    parts += [Text(f"- {remark}", style="dim") for remark in answer["remarks"]]
    return Group(*parts)


def _sketches(sketches: list[dict[str, Any]]) -> RenderableType:
    """Every way to count, with its best mechanism."""
    table = titled_table("")
    table.add_column("SKETCH_IMPL", no_wrap=True)
    for name in ("std. error", "relative", "users stored a day", "bytes a day"):
        table.add_column(name, justify="right", overflow="fold")
    for each in sketches:
        size = "" if each["registers"] is None else f", {each['registers']:,} registers"
        rate = "" if each["sampling_rate"] == 1 else f", 1 in {1 / each['sampling_rate']:,.0f}"
        table.add_row(
            f"{each['sketch']}{rate}{size}",
            _figure(each["std_error"]),
            f"{100 * each['relative_error']:.2g} %",
            f"{each['stored_users']:,}",
            f"≤ {each['day_bytes']:,}",
        )
    return table


def explanation(answer: Answer) -> RenderableType:
    """What a published number means."""
    said = answer["sentences"]
    rows = [
        ("meaning", said["meaning"]),
        ("certainty", said["certainty"]),
        ("cost", said["cost"]),
        ("protection", said["protection"]),
        ("mechanism", said["mechanism"]),
    ]
    rows += [] if said["revision"] is None else [("revision", said["revision"])]
    names = ["not said", *[""] * (len(said["limits"]) - 1)]
    rows += list(zip(names, said["limits"], strict=True))
    release = answer["release"]
    return facts(f"{release['release_id']}: {release['estimate']:,}", rows)


def _plan_title(answer: Answer) -> str:
    window = "" if answer["metric"] == "dau" else f" over {answer['window_days']} days"
    length = wording.count(answer["days"], "day")
    period = length if answer["period"] is None else f"{answer['period']} ({length})"
    budget = wording.pair(answer["epsilon"], answer["delta"])
    return (
        f"{answer['metric'].upper()}{window} of about {answer['users']:,} users, {period}, {budget}"
    )


def _target(answer: Answer) -> str:
    text: str = answer["target_error"]
    return text if text.endswith("%") else f"± {text}"


def _cells(each: dict[str, Any], *, has_target: bool) -> list[str]:
    cells = [
        each["mechanism"],
        _figure(each["std_error"]),
        f"{100 * each['relative_error']:.2g} %",
        _figure(each["half_width_95"]),
        _epsilon(each["epsilon_per_release"], "one price"),
    ]
    cells += [_epsilon(each["epsilon_for_target"], "above 50")] if has_target else []
    return [*cells, f"{each['publishable_days']:,}"]


def _figure(users: float) -> str:
    return f"{users:,.0f}" if users >= 100 else f"{users:.2g}"  # noqa: PLR2004 - few digits


def _epsilon(value: float | None, otherwise: str) -> str:
    return otherwise if value is None else wording.rounded(value)
