"""Write the tables and figures of an experiment into a document, between its marks.

python eval/report.py [--experiment NAME] [--into FILE]

A table stands between `<!-- table NAME -->` and `<!-- end -->`; figures are copied from
`DATA_DIR/plots/EXPERIMENT_ID/` to wherever the document shows `images/evaluation-NAME.png`.
"""

import argparse
import re
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from _experiment import Experiment, open_experiment
from _tables import TABLES
from dpdau.errors import DpdauError, FileUnreadableError

__all__ = ["fill", "main"]

_DOCUMENT = Path(__file__).parents[1] / "docs" / "evaluation.md"
_MARKED = re.compile(
    r"(?P<begin><!-- table (?P<name>[\w-]+) -->\n).*?(?P<end><!-- end -->)", re.DOTALL
)
_FIGURE = re.compile(r"\((?P<path>images/evaluation-(?P<name>\w+)\.png)\)")


def fill(text: str, experiment: Experiment) -> str:
    """The document with its tables made of the results of an experiment.

    Raises:
        FileUnreadableError: if results are missing.
        KeyError: if a mark names no table.
    """

    def table(mark: re.Match[str]) -> str:
        results, markdown_of = TABLES[mark["name"]]
        return f"{mark['begin']}\n{markdown_of(experiment.read(results))}\n\n{mark['end']}"

    return _MARKED.sub(table, text)


def copy_figures(text: str, experiment: Experiment, folder: Path) -> None:
    """Copy the figures that a document in this folder shows.

    Raises:
        FileUnreadableError: if one has not been drawn.
    """
    for shown in _FIGURE.finditer(text):
        drawn = experiment.plots / f"{shown['name']}.png"
        if not drawn.exists():
            raise FileUnreadableError(drawn, "it is not there; `make plots` draws it")
        target = folder / shown["path"]
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(drawn, target)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write; returns the exit code."""
    parser = argparse.ArgumentParser(description="Write an experiment's tables into a document.")
    parser.add_argument("--experiment", metavar="NAME", help="by default EXPERIMENT_ID")
    parser.add_argument(
        "--into", type=Path, default=_DOCUMENT, metavar="FILE", help="by default docs/evaluation.md"
    )
    options = parser.parse_args(arguments)
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    try:
        experiment = open_experiment(options.experiment)
        try:
            text = options.into.read_text(encoding="utf-8")
        except OSError as error:
            raise FileUnreadableError(options.into, str(error.strerror)) from None
        filled = fill(text, experiment)
        copy_figures(text, experiment, options.into.parent)
        options.into.write_text(filled, encoding="utf-8")
    except DpdauError as error:
        console.print(f"Error: {error.message}", markup=False)
        return error.exit_code
    console.print(f"Wrote {options.into}.", markup=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
