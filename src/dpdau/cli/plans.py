"""What is measured, and what it would give: `plan`."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from dpdau.cli import output, prose
from dpdau.cli.arguments import metric_named
from dpdau.cli.backend import Answer
from dpdau.cli.session import Session, command
from dpdau.errors import FileUnreadableError, InvalidValueError

__all__ = ["commands"]

commands = typer.Typer()

_PANEL = "Account"
_SHOWN = {"--metric", "--period"}
_ON_THIS_MACHINE = {"--days", "--flips", "--delta"}
_FORECAST = {*_SHOWN, *_ON_THIS_MACHINE, "--target-error", "--epsilon", "--window"}


@commands.command(
    rich_help_panel=_PANEL,
    epilog="Example: dpdau plan --users 50000 --target-error 1%; "
    "dpdau plan --users 200000 --metric mau --period 2026-11 --epsilon 2; "
    "dpdau plan --show --metric mau --period 2026-11 --json > plan.json; "
    "dpdau plan --check plan.json",
)
@command()
def plan(
    session: Session,
    *,
    users: Annotated[
        int | None,
        typer.Option(metavar="NUMBER", help="How many are counted on a typical day: forecast."),
    ] = None,
    target_error: Annotated[
        str | None,
        typer.Option(
            metavar="ERROR",
            help="The standard error wanted: 1% of the users, or a number of users.",
        ),
    ] = None,
    epsilon: Annotated[
        float | None,
        typer.Option(metavar="ε", help="What the period may cost, in place of the budget."),
    ] = None,
    delta: Annotated[
        float | None, typer.Option(metavar="δ", help="Beside ε, in place of DELTA.")
    ] = None,
    metric: Annotated[
        str | None, typer.Option(metavar="dau|mau", help="What is counted; needed with --show.")
    ] = None,
    period: Annotated[
        str | None,
        typer.Option(metavar="PERIOD", help="Like 2026-11, 2026-Q4 or 2026; needed with --show."),
    ] = None,
    days: Annotated[
        int | None, typer.Option(metavar="NUMBER", help="A period's length, in place of its name.")
    ] = None,
    window: Annotated[
        int | None, typer.Option(metavar="DAYS", help="Trailing days, in place of MAU_WINDOW_DAYS.")
    ] = None,
    flips: Annotated[
        str | None,
        typer.Option(metavar="NUMBER", help="A number or unbounded, in place of W_BOUND."),
    ] = None,
    show: Annotated[bool, typer.Option("--show", help="Show the plan of a period.")] = False,
    check: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Verify a plan that --show --json printed."),
    ] = None,
) -> None:
    """Forecast errors and budgets before anything is spent; show or verify what a series measures."""
    options = {
        "--target-error": target_error,
        "--epsilon": epsilon,
        "--delta": delta,
        "--metric": metric,
        "--period": period,
        "--days": days,
        "--window": window,
        "--flips": flips,
    }
    if users is not None:
        _require_one_form("--users", {"--show": show or None, "--check": check, **options})
        _forecast(session, users, options)
    elif check is not None:
        _require_one_form("--check", {"--show": show or None, **options})
        _check(session, check)
    elif show:
        _require_one_form("--show", options)
        _show(session, metric, period)
    else:
        raise InvalidValueError("plan", None, "one of --users NUMBER, --show and --check FILE")


def _require_one_form(form: str, options: Mapping[str, Any]) -> None:
    """Fail on an option that another form of the command has."""
    own = {"--users": _FORECAST, "--show": _SHOWN, "--check": set[str]()}[form]
    for option, value in options.items():
        if value is not None and option not in own:
            shown = "given" if value is True else str(value)
            raise InvalidValueError(option, shown, f"nothing, since it does not go with {form}")


def _forecast(session: Session, users: int, options: Mapping[str, Any]) -> None:
    given = {name[2:].replace("-", "_"): value for name, value in options.items()}
    metric = metric_named(given.pop("metric") or "dau")
    with session.waiting("Planning"):
        if session.url is None:
            answer = _forecast_here(session, users=users, metric=metric, **given)
        else:
            answer = _forecast_there(session, options, users=users, metric=metric.value, **given)
    session.show(answer, prose.forecast)


def _forecast_here(
    session: Session, *, window: int | None, flips: str | None, **given: Any
) -> Answer:
    """From the settings alone: no store is opened or made."""
    # Imported here, since loading the product takes longer than `--help` should.
    from dpdau.bootstrap import build_planner  # noqa: PLC0415
    from dpdau.pipeline.planning import PlanRequest  # noqa: PLC0415
    from dpdau.views import ForecastView  # noqa: PLC0415

    request = PlanRequest(window_days=window, flips=_flips(flips), **given)
    return ForecastView.of(build_planner(session.settings).plan(request)).model_dump(mode="json")


def _forecast_there(session: Session, options: Mapping[str, Any], **given: Any) -> Answer:
    from dpdau.cli.remote import RemoteBackend  # noqa: PLC0415 - as above

    for option in sorted(_ON_THIS_MACHINE):
        if options[option] is not None:
            expected = "nothing beside --url: a server plans for its own settings"
            raise InvalidValueError(option, options[option], expected)
    with RemoteBackend.open(str(session.url), session.server_key()) as server:
        return server.forecast(**given)


def _flips(text: str | None) -> Any:
    if text is None or text == "unbounded":
        return text
    try:
        return int(text)
    except ValueError:
        raise InvalidValueError("--flips", text, "a whole number, or unbounded") from None


def _show(session: Session, metric: str | None, period: str | None) -> None:
    if metric is None or period is None:
        missing = "--metric" if metric is None else "--period"
        raise InvalidValueError(missing, None, "both --metric and --period beside --show")
    with session.backend() as backend, session.waiting("Designing"):
        answer = backend.plan(metric_named(metric), period)
    session.show(answer, output.plan)


def _check(session: Session, file: Path) -> None:
    try:
        content = json.loads(file.read_bytes())
    except OSError as error:
        raise FileUnreadableError(file, error.strerror or str(error)) from None
    except (ValueError, RecursionError):
        raise FileUnreadableError(file, "it is not JSON") from None
    # Imported here, since loading the product takes longer than `--help` should.
    from dpdau.privacy.strategy import Plan, check_plan  # noqa: PLC0415

    claimed = Plan.from_dict(content)
    with session.waiting("Checking"):
        check_plan(claimed)
    answer = {
        "valid": True,
        "plan_id": claimed.plan_id,
        "sensitivity_squared": claimed.sensitivity_squared,
        "rho": claimed.rho,
        "epsilon": claimed.epsilon,
        "delta": claimed.delta,
        "gap": claimed.gap,
    }
    session.show(answer, output.checked_plan)
