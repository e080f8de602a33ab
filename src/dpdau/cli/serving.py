"""Running: `serve`, `version`."""

from typing import Annotated

import typer

from dpdau import __version__
from dpdau.cli import output
from dpdau.cli.session import Session, command
from dpdau.config import load_settings
from dpdau.errors import InvalidValueError

__all__ = ["commands"]

commands = typer.Typer()

_PANEL = "Run"


@commands.command(rich_help_panel=_PANEL, epilog="Example: dpdau serve --port 8080")
@command(server=False)
def serve(
    session: Session,
    host: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="The address to listen on, in place of SERVICE_HOST."),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(metavar="PORT", help="The port to listen on, in place of SERVICE_PORT."),
    ] = None,
) -> None:
    """Serve HTTP until it is stopped; days are published as they close."""
    # Imported here, since no other command needs the service.
    from dpdau.service import serve as serve_http  # noqa: PLC0415

    settings = load_settings(data_dir=session.data_dir, service_host=host, service_port=port)
    try:
        serve_http(settings)
    except SystemExit as end:
        if not end.code:
            raise
        address = f"{settings.service_host}:{settings.service_port}"
        expected = "an address that is free and this machine's own; the log says what is wrong"
        raise InvalidValueError("SERVICE_HOST:SERVICE_PORT", address, expected) from None


@commands.command(rich_help_panel=_PANEL, epilog="Example: dpdau version")
@command(store=False, server=False)
def version(session: Session) -> None:
    """Print the version."""
    session.show({"version": __version__}, lambda answer: output.sentence(answer["version"]))
