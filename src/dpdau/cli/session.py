"""What all commands share: where they work, how they print, and how they fail."""

import inspect
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property, wraps
from pathlib import Path
from typing import Annotated, Any, Concatenate, ParamSpec

import typer
from rich.console import Console, RenderableType

from dpdau.cli.backend import Answer, Backend
from dpdau.cli.exit_codes import BROKEN_PIPE, INTERRUPTED
from dpdau.cli.problems import problem_of
from dpdau.config import Settings, load_settings
from dpdau.errors import DpdauError, FileUnreadableError, ServerUnreachableError

__all__ = ["Session", "command", "text_or_file"]


_PLACE = "Where to work"
_Parameters = ParamSpec("_Parameters")

_AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]
_DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        help="The directory of the store, in place of DATA_DIR.",
        metavar="DIRECTORY",
        rich_help_panel=_PLACE,
    ),
]
_Url = Annotated[
    str | None,
    typer.Option(
        "--url",
        help="Ask the server at this address, not the store on this machine.",
        metavar="URL",
        rich_help_panel=_PLACE,
    ),
]
_Key = Annotated[
    str | None,
    typer.Option(
        "--key",
        help="The server's API key, in place of SERVICE_API_KEY; @FILE reads it from a file, "
        "since others on this machine may see a command's arguments.",
        metavar="KEY",
        rich_help_panel=_PLACE,
    ),
]


class _Console(Console):
    """A console that leaves a closed pipe to the one place that handles it."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


@dataclass
class Session:
    """One run of one command.

    Attributes:
        as_json: whether answers and errors are printed as JSON.
        data_dir: in place of the setting, if given.
        url: the server to ask; None for the store on this machine.
        key: in place of the setting, if given.
        out: where answers go.
        err: where progress, warnings and errors go.
    """

    as_json: bool = False
    data_dir: Path | None = None
    url: str | None = None
    key: str | None = None
    out: Console = field(default_factory=lambda: _Console(highlight=False))
    err: Console = field(default_factory=lambda: _Console(stderr=True, highlight=False))

    @cached_property
    def settings(self) -> Settings:
        """The configuration.

        Raises:
            SettingsError: if it is not valid.
        """
        return load_settings(data_dir=self.data_dir)

    @contextmanager
    def backend(self) -> Iterator[Backend]:
        """The product, opened: the server at `--url`, or the store on this machine."""
        with self._open() as opened:
            yield opened

    @contextmanager
    def waiting(self, doing: str) -> Iterator[None]:
        """Show that something may take a while, if anyone watches."""
        if self.err.is_terminal and not self.as_json:
            with self.err.status(f"{doing} …"):
                yield
        else:
            yield

    def show(self, answer: Answer, render: Callable[[Answer], RenderableType]) -> None:
        """Print an answer: as JSON, or as what `render` makes of it."""
        if self.as_json:
            sys.stdout.write(json.dumps(answer, indent=2) + "\n")
        else:
            with self.reading_answer():
                rendered = render(answer)
            self.out.print(rendered)

    @contextmanager
    def reading_answer(self) -> Iterator[None]:
        """Blame the server if what it answered has not the form of an answer of dpdau.

        Raises:
            ServerUnreachableError: in place of what fails then; on this machine nothing should.
        """
        try:
            yield
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            if self.url is None:
                raise
            reason = "it answered with something that dpdau would not send"
            raise ServerUnreachableError(self.url, reason) from error

    def _open(self) -> Backend:
        # Imported here, since loading the product takes longer than `--help` should.
        if self.url is None:
            from dpdau.cli.local import LocalBackend  # noqa: PLC0415

            return LocalBackend.open(self.settings)
        from dpdau.cli.remote import RemoteBackend  # noqa: PLC0415

        return RemoteBackend.open(self.url, self.server_key())

    def server_key(self) -> str | None:
        """The key to send: the option's, else the configured one.

        Raises:
            FileUnreadableError: if the option names a file that cannot be read.
        """
        if self.key is not None:
            return text_or_file(self.key)
        configured = self.settings.service_api_key
        return None if configured is None else configured.get_secret_value()

    def warn(self, message: str) -> None:
        """Say something beside the answer."""
        self.err.print(message, markup=False, soft_wrap=True)

    def fail(self, error: DpdauError) -> None:
        """Print an error: as sentences, or with `--json` as the service's problem object."""
        if self.as_json:
            sys.stderr.write(json.dumps(problem_of(error)) + "\n")
        else:
            self.warn(f"Error: {error.message}")


def command(
    *, store: bool = True, server: bool = True
) -> Callable[[Callable[Concatenate[Session, _Parameters], None]], Callable[..., None]]:
    """Make a command of a function whose first parameter is the session.

    The options that all commands share are added to its own, and errors become exit codes.

    Args:
        store: whether it works on the store on this machine.
        server: whether it can work on a server as well.
    """
    shared = {"as_json": _option("as_json", _AsJson, default=False)}
    if store:
        shared["data_dir"] = _option("data_dir", _DataDir, default=None)
    if server:
        shared["url"] = _option("url", _Url, default=None)
        shared["key"] = _option("key", _Key, default=None)

    def decorate(
        function: Callable[Concatenate[Session, _Parameters], None],
    ) -> Callable[..., None]:
        @wraps(function)
        def run(**parameters: Any) -> None:
            session = Session(**{name: parameters.pop(name) for name in shared})
            with _failing_clearly(session):
                function(session, **parameters)  # type: ignore[call-arg]

        own = list(inspect.signature(function).parameters.values())[1:]
        signature = inspect.Signature([*own, *shared.values()])
        run.__signature__ = signature  # type: ignore[attr-defined]
        run.__annotations__ = {each.name: each.annotation for each in (*own, *shared.values())}
        return run

    return decorate


def _option(name: str, annotation: Any, *, default: Any) -> inspect.Parameter:
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation
    )


def text_or_file(text: str) -> str:
    """What an option says, or what is in the file that it names as @FILE.

    Raises:
        FileUnreadableError: if that cannot be read.
    """
    if not text.startswith("@"):
        return text
    file = Path(text[1:])
    try:
        return file.read_text(encoding="ascii").strip()
    except OSError as error:
        raise FileUnreadableError(file, error.strerror or str(error)) from None
    except UnicodeDecodeError:
        raise FileUnreadableError(file, "it holds more than printable ASCII characters") from None


@contextmanager
def _failing_clearly(session: Session) -> Iterator[None]:
    """Turn every way to fail into a message and an exit code."""
    try:
        yield
        sys.stdout.flush()
    except DpdauError as error:
        session.fail(error)
        raise typer.Exit(error.exit_code) from None
    except BrokenPipeError:
        # Whoever read the output has gone; what is still buffered must not fail at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(BROKEN_PIPE) from None
    except OSError as error:
        # What nothing below has words for, such as a name that is too long for a file.
        file = Path(str(error.filename or "a file"))
        unreadable = FileUnreadableError(file, error.strerror or str(error))
        session.fail(unreadable)
        raise typer.Exit(unreadable.exit_code) from None
    except KeyboardInterrupt:
        session.warn("Interrupted; what was done before stands.")
        raise typer.Exit(INTERRUPTED) from None
