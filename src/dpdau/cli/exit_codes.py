"""The exit codes of the command line, taken from the error tree."""

from dpdau.cli.problems import error_classes
from dpdau.errors import DpdauError

__all__ = ["BROKEN_PIPE", "INTERRUPTED", "PROBLEMS_FOUND", "exit_codes", "exit_codes_in_short"]

PROBLEMS_FOUND = 11
INTERRUPTED = 130
BROKEN_PIPE = 141

_OUTSIDE_THE_TREE = (
    (0, "Done"),
    (2, "Wrong usage"),
    (PROBLEMS_FOUND, "Problems found by `doctor`"),
    (INTERRUPTED, "Interrupted"),
    (BROKEN_PIPE, "Output closed by its reader"),
)


def exit_codes() -> dict[int, list[str]]:
    """What each exit code can mean, ascending."""
    meanings: dict[int, list[str]] = {}
    for code, title in _OUTSIDE_THE_TREE:
        meanings.setdefault(code, []).append(title)
    for kind in error_classes():
        if not _is_implied(kind):
            meanings.setdefault(kind.exit_code, []).append(kind.title)
    return dict(sorted(meanings.items()))


def exit_codes_in_short() -> str:
    """All exit codes in one sentence."""
    return (
        "Exit codes: "
        + "; ".join(
            f"{code} {' or '.join(titles).lower()}" for code, titles in exit_codes().items()
        )
        + "."
    )


def _is_implied(kind: type[DpdauError]) -> bool:
    """Whether a class above has the same code, and so the more general title."""
    return any(
        issubclass(base, DpdauError) and base.exit_code == kind.exit_code
        for base in kind.__mro__[1:]
    )
