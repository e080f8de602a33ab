"""What users of other libraries would write today, run in environments of their own.

They bound the days that one user may count on, which loses the user's other days, and take the
bound and the noise that err least. Here both are chosen by looking at the very data: a leak, in
their favour.
"""

import json
import math
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

import _tools  # noqa: F401 - finds the next one
import rivals
from dpdau.privacy.gaussian_curve import gaussian_mu

__all__ = ["LIBRARIES", "Choice", "Library", "choose", "run"]

Array = NDArray[np.float64]

_SCRIPTS = Path(__file__).parent / "rivals"
_MOST_SECONDS = 600


@dataclass(frozen=True, slots=True)
class Library:
    """One library.

    Attributes:
        name: as in tables.
        script: what a user writes, and its environment's name.
        has_exact_curve: whether its Gaussian noise is calibrated by the exact curve, not by zCDP.
        lost_days: how many fewer days of a user it keeps than it charges for.
    """

    name: str
    script: str
    has_exact_curve: bool = False
    lost_days: int = 0

    def python(self, environments: Path) -> Path:
        """The interpreter that has it."""
        return environments / self.script / "bin" / "python"


LIBRARIES = (
    # OpenDP 0.16.0 keeps those of a rank below the bound, counted from 1.
    Library("OpenDP", "opendp", lost_days=1),
    Library("PipelineDP", "pipelinedp", has_exact_curve=True),
    Library("Tumult Analytics", "tumult"),
)


@dataclass(frozen=True, slots=True)
class Choice:
    """A library's best setting for some data.

    Attributes:
        noise: `laplace` or `gaussian`.
        bound: days per user.
        std_error: of its noise.
        rmse: what error to expect, with what the bound loses.
    """

    noise: str
    bound: int
    std_error: float
    rmse: float


def choose(library: Library, present: NDArray[np.bool_], epsilon: float, delta: float) -> Choice:
    """The setting that errs least.

    Args:
        library: which.
        present: T rows of who is active on a day.
        epsilon: of the whole period.
        delta: of the whole period.
    """
    return min(_choices(library, present, epsilon, delta), key=lambda choice: choice.rmse)


def _choices(
    library: Library, present: NDArray[np.bool_], epsilon: float, delta: float
) -> Iterator[Choice]:
    days = len(present)
    mu = gaussian_mu(epsilon, delta) if library.has_exact_curve else rivals.zcdp_mu(epsilon, delta)
    active_days = np.maximum(present.sum(axis=0), 1)
    for bound in range(1, days + 1):
        # A uniform choice of a user's days keeps each with the same chance.
        kept = np.minimum(1.0, (bound - library.lost_days) / active_days)
        lost = ((1 - kept) * present).sum(axis=1)
        spread = (kept * (1 - kept) * present).sum(axis=1)
        squares = float((lost**2 + spread).mean())
        noises = {
            "laplace": rivals.laplace_std_error(bound, epsilon),
            "gaussian": math.sqrt(bound) / mu,
        }
        for noise, std_error in noises.items():
            yield Choice(noise, bound, std_error, math.sqrt(std_error**2 + squares))


def run(
    library: Library,
    choice: Choice,
    present: NDArray[np.bool_],
    epsilon: float,
    delta: float,
    *,
    environments: Path,
    trials: int,
) -> Array | str:
    """Its estimates, a column a trial; or why there are none."""
    python = library.python(environments)
    if not python.exists():
        return "not installed: `make eval-rivals` does"
    with tempfile.TemporaryDirectory() as folder:
        days, users = np.nonzero(present)
        pairs = Path(folder) / "pairs.parquet"
        pq.write_table(pa.table({"user": users, "day": days.astype(np.int32)}), pairs)
        request = {
            "pairs": str(pairs),
            "estimates": str(Path(folder) / "estimates.json"),
            "scratch": folder,
            "days": len(present),
            "epsilon": epsilon,
            "delta": delta,
            "rho": rivals.zcdp_mu(epsilon, delta) ** 2 / 2,
            "noise": choice.noise,
            "bound": choice.bound,
            "trials": trials,
        }
        script = str(_SCRIPTS / f"{library.script}_daily.py")
        # Spark's workers need the same interpreter, but PYTHONPATH is ours alone.
        command = ["env", "--unset=PYTHONPATH", f"PYSPARK_PYTHON={python}", str(python), script]
        try:
            done = subprocess.run(  # noqa: S603 - our own script
                [*command, json.dumps(request)],
                cwd=folder,
                capture_output=True,
                text=True,
                timeout=_MOST_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return f"took more than {_MOST_SECONDS} seconds"
        if done.returncode:
            lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
            return f"failed: {lines[-1][:200]}"
        return np.array(json.loads(Path(str(request["estimates"])).read_text(encoding="utf-8"))).T
