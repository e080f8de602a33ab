"""Log lines, to standard error: text for people, or one JSON object each for machines."""

import logging
import sys
import traceback

import structlog

from dpdau.config import Settings
from dpdau.errors import DpdauError

__all__ = ["configure_logs", "described"]

_MAX_FRAMES = 12


def configure_logs(settings: Settings) -> None:
    """Send this program's lines and those of its libraries through one format."""
    shared: list[structlog.typing.Processor] = [
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.stdlib.add_log_level,
    ]
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    structlog.configure(
        processors=[
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        # What is below the level costs a call that does nothing.
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=True,
    )
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if settings.log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)


def described(error: Exception) -> dict[str, object]:
    """What a log line may say of an error: its kind, its origin, and our own errors' messages.

    Messages of other exceptions may quote the values they fell over, and so a user id.
    """
    frames = traceback.extract_tb(error.__traceback__)[-_MAX_FRAMES:]
    origin = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
    fault: dict[str, object] = {"fault": type(error).__qualname__, "origin": origin}
    return {**fault, "message": error.message} if isinstance(error, DpdauError) else fault
