"""What each way to count distinct users costs: error, memory, disk and time.

`build` counts n users from scratch, `merge` joins two halves that overlap, `remove` takes one in a
hundred out again, and `rebuild` counts again from what is stored. Everything is in this process
and starts from the same array of 32-bit user indices, a random half of twice as many. Rivals: plain Python sets, DuckDB's
`count(distinct)` and its approximation, and Apache DataSketches as it comes, which adapts its
threshold and is not private.

`--stores` measures what a store takes for ten days of a million events each, with all users and
with a sample; `--figure FILE` draws error against memory.

Run: python bench/sketches.py [--json FILE] [--stores] [--figure FILE]
Needs: pip install -e '.[bench]'
"""

import argparse
import json
import math
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import datasketches
import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyroaring import BitMap
from rich.console import Console
from rich.table import Table

from dpdau.bootstrap import build
from dpdau.config import load_settings
from dpdau.hashing import Sampler
from dpdau.model.counting import CountVariance
from dpdau.model.events import EventColumns
from dpdau.privacy.intrinsic import IntrinsicMechanism
from dpdau.privacy.laplace import LaplaceMechanism
from dpdau.sketches import HllppSketch, SetSketch

SIZES = (1_000_000, 10_000_000)
EXPONENT = 4
LOG2_REGISTERS = 14
EPSILON = 0.3
DAYS, DAILY_USERS, STORED_USERS = 10, 1_000_000, 2_000_000

Indices = NDArray[np.uint32]
Steps = dict[str, Callable[[], object]]


def seconds(step: Callable[[], object]) -> float:
    """How long it takes once."""
    start = time.perf_counter()
    step()
    return time.perf_counter() - start


# --- who is measured -------------------------------------------------------------------------


def exact(users: Indices) -> tuple[Steps, int]:
    """Roaring bitmaps, as `set` has them."""
    half = len(users) // 2
    stored, gone = BitMap(users), BitMap(users[::100])
    parts = SetSketch(BitMap(users[: half + half // 2])), SetSketch(BitMap(users[half // 2 :]))

    def remove() -> int:
        sketch = SetSketch(stored)
        sketch.remove(gone)
        return sketch.estimate()

    return {
        "build": lambda: SetSketch(BitMap(users)).estimate(),
        "merge": lambda: parts[0].union(parts[1]).estimate(),
        "remove": remove,
        "rebuild": lambda: SetSketch(stored).estimate(),
    }, len(SetSketch(stored).to_bytes())


def sampled(users: Indices) -> tuple[Steps, int]:
    """The same for the users that a sample stores: it has indices for a sixteenth of them all."""
    return exact(users[users < 2 * len(users) >> EXPONENT])


def private_hyperloglog(users: Indices) -> tuple[Steps, int]:
    """HyperLogLog as `hllpp` builds it for each release."""
    mechanism = IntrinsicMechanism(EPSILON, LOG2_REGISTERS)
    half, key = len(users) // 2, bytes(32)

    def made(members: BitMap) -> HllppSketch:
        sketch = HllppSketch(LOG2_REGISTERS, mechanism.threshold, mechanism.phantoms, key=key)
        sketch.add(members)
        return sketch

    parts = made(BitMap(users[: half + half // 2])), made(BitMap(users[half // 2 :]))
    stored = BitMap(users)
    return {
        "build": lambda: made(BitMap(users)).estimate(),
        "merge": lambda: parts[0].union(parts[1]).estimate(),
        "rebuild": lambda: made(stored).estimate(),
    }, 2**LOG2_REGISTERS


def python_sets(users: Indices) -> tuple[Steps, int]:
    """Plain sets of integers."""
    everyone = users.tolist()
    half = len(everyone) // 2
    parts = set(everyone[: half + half // 2]), set(everyone[half // 2 :])
    gone, stored = set(everyone[::100]), set(everyone)
    size = sys.getsizeof(stored) + sum(map(sys.getsizeof, everyone[:1000])) * len(everyone) // 1000
    return {
        "build": lambda: len(set(everyone)),
        "merge": lambda: len(parts[0] | parts[1]),
        "remove": lambda: len(stored - gone),
        "rebuild": lambda: len(set(everyone)),
    }, size


def duckdb_queries(users: Indices, function: str) -> tuple[Steps, int]:
    """A query over a table in memory."""
    connection = duckdb.connect()
    connection.execute("SET enable_progress_bar = false")
    half = len(users) // 2
    for name, part in (
        ("everyone", users),
        ("one", users[: half + half // 2]),
        ("other", users[half // 2 :]),
        ("gone", users[::100]),
    ):
        connection.register("given", pa.table({"u": part}))
        connection.execute(f"CREATE TABLE {name} AS SELECT u FROM given")  # noqa: S608

    def query(source: str) -> Callable[[], object]:
        sql = f"SELECT {function} FROM {source}"  # noqa: S608 - constants of this file
        return lambda: connection.execute(sql).fetchone()

    return {
        "build": query("everyone"),
        "merge": query("(SELECT u FROM one UNION ALL SELECT u FROM other)"),
        "remove": query("(SELECT u FROM everyone ANTI JOIN gone USING (u))"),
        "rebuild": query("everyone"),
    }, 4 * len(users)


def adaptive(users: Indices, kind: str) -> tuple[Steps, int]:
    """DataSketches as it comes."""
    everyone = users.tolist()
    half = len(everyone) // 2

    def made(members: list[int]) -> Any:
        sketch: Any = (
            datasketches.update_theta_sketch(lg_k=LOG2_REGISTERS)
            if kind == "theta"
            else datasketches.hll_sketch(LOG2_REGISTERS)
        )
        for user in members:
            sketch.update(user)
        return sketch

    def joined(one: Any, other: Any) -> float:
        union: Any = (
            datasketches.theta_union(LOG2_REGISTERS)
            if kind == "theta"
            else datasketches.hll_union(LOG2_REGISTERS)
        )
        union.update(one)
        union.update(other)
        return float(union.get_result().get_estimate())

    parts = made(everyone[: half + half // 2]), made(everyone[half // 2 :])
    size = len(parts[0].compact().serialize() if kind == "theta" else parts[0].serialize_compact())
    return {
        "build": lambda: made(everyone).get_estimate(),
        "merge": lambda: joined(*parts),
        "rebuild": lambda: made(everyone).get_estimate(),
    }, size


# By how much one user moves the number, in the worst case.
CONTENDERS: dict[str, tuple[Callable[[Indices], tuple[Steps, int]], str]] = {
    "set": (exact, "1"),
    "theta, 1 in 16": (sampled, "16"),
    "hllpp, 2^14 registers": (private_hyperloglog, "ε-DP as it is"),
    "Python sets": (python_sets, "1"),
    "DuckDB count(distinct)": (lambda users: duckdb_queries(users, "count(DISTINCT u)"), "1"),
    "DuckDB approximate": (
        lambda users: duckdb_queries(users, "approx_count_distinct(u)"),
        "no bound",
    ),
    "DataSketches theta, adaptive": (lambda users: adaptive(users, "theta"), "no bound"),
    "DataSketches HLL": (lambda users: adaptive(users, "hll"), "no bound"),
}


def measured() -> Iterator[dict[str, Any]]:
    """Times in seconds and bytes, one object for each contender and size."""
    for size in SIZES:
        known = np.arange(2 * size, dtype=np.uint32)
        users = np.random.default_rng(0).permutation(known)[:size]  # noqa: TID251
        for name, (prepare, moves) in CONTENDERS.items():
            steps, held_bytes = prepare(users)
            times = {step: min(seconds(run) for _ in range(3)) for step, run in steps.items()}
            yield {"name": name, "users": size, "moves": moves, "bytes": held_bytes, **times}


def sampling_seconds() -> float:
    """What deciding who is in a sample costs for a million ids."""
    ids = [f"user-{each}" for each in range(1_000_000)]
    sampler = Sampler.create(EXPONENT)
    return min(seconds(lambda: sampler.sampled(ids)) for _ in range(3))


# --- stores ----------------------------------------------------------------------------------


def stored_bytes(directory: Path, **settings: Any) -> dict[str, int]:
    """What a store takes on disk, and its users in memory, after ten days of a million events."""
    now = datetime.now(UTC)
    rng = np.random.default_rng(1)  # noqa: TID251
    settings = {"mechanism_dau": "laplace", "mechanism_mau": "laplace", **settings}
    with build(load_settings(data_dir=directory, **settings)) as app:
        for ago in range(DAYS):
            day = (now - timedelta(days=ago)).date()
            active = rng.choice(STORED_USERS, DAILY_USERS, replace=False)
            for chunk in np.array_split(active, 20):
                events = EventColumns(
                    [f"user-{each}" for each in chunk.tolist()],
                    np.full(len(chunk), day.toordinal(), dtype=np.int32),
                    np.ones(len(chunk), dtype=np.bool_),
                    np.zeros(len(chunk), dtype=np.bool_),
                )
                app.ingestor.apply(app.ingestor.pseudonymize(events))
        with app.store.read() as reader:
            members = reader.members(now.date().toordinal() - DAYS + 1, now.date().toordinal())
    size = sum(file.stat().st_size for file in directory.rglob("*") if file.is_file())
    return {"disk": size, "users": len(members), "bitmap": len(members.serialize())}


# --- error against memory --------------------------------------------------------------------


def error_curves(users: int) -> dict[str, list[tuple[float, float]]]:
    """(bytes of a day, standard error as a share) at ε = 0.3 of one release, by way to count."""
    curves: dict[str, list[tuple[float, float]]] = {"set": [], "theta": [], "hllpp": []}
    noise = LaplaceMechanism.calibrate(EPSILON, 1).std_error
    curves["set"].append((2.0 * users, noise / users))
    for exponent in range(1, 13):
        scaled = LaplaceMechanism.calibrate(EPSILON, 2**exponent).std_error
        error = math.hypot(scaled, math.sqrt(CountVariance.of_sample(exponent).at(users)))
        curves["theta"].append((2.0 * users / 2**exponent, error / users))
    for bits in range(6, 22):
        variance = IntrinsicMechanism(EPSILON, bits).variance
        curves["hllpp"].append((2.0**bits, variance.relative_standard_error(users)))
    return curves


def draw(target: Path) -> None:
    """Error against memory, one panel a population."""
    from matplotlib import pyplot as plt  # noqa: PLC0415 - of the figure alone

    figure, panels = plt.subplots(1, 2, figsize=(9, 3.8), sharey=True)
    styles = {"set": "o", "theta": "o-", "hllpp": "s--"}
    labels = {
        "set": "set: exact",
        "theta": "theta: rates 1/2 to 1/4096",
        "hllpp": "hllpp: registers while releasing (besides set)",
    }
    for panel, users in zip(panels, (100_000, 10_000_000), strict=True):
        for name, curve in error_curves(users).items():
            panel.plot(*zip(*curve, strict=True), styles[name], label=labels[name], markersize=4)
        panel.set_xscale("log")
        panel.set_yscale("log")
        panel.set_title(f"{users:,} users")
        panel.set_xlabel("bytes for one day")
        panel.grid(visible=True, alpha=0.3)
    panels[0].set_ylabel("standard error, share of the users")
    panels[0].legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(target, dpi=110, metadata={"Software": None})


# --- output ----------------------------------------------------------------------------------


def show(rows: list[dict[str, Any]]) -> None:
    """The table of times."""
    table = Table(title="seconds, best of three")
    table.add_column("")
    steps = ("build", "merge", "remove", "rebuild")
    for name in ("users", "one moves it by", "bytes", *steps):
        table.add_column(name, justify="right")
    for row in rows:
        times = [f"{row[step]:.4g}" if step in row else "–" for step in steps]
        cells = row["name"], f"{row['users']:,}", row["moves"], f"{row['bytes']:,}"
        table.add_row(*cells, *times)
    Console(width=120).print(table)


def main() -> None:
    """Measure, and show or write it."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--figure", type=Path, metavar="FILE")
    parser.add_argument("--stores", action="store_true")
    arguments = parser.parse_args()
    if arguments.figure is not None:
        draw(arguments.figure)
        return
    found: dict[str, Any] = {"rows": list(measured()), "sampling": sampling_seconds()}
    show(found["rows"])
    print(f"deciding who is in a sample: {found['sampling']:.3f} s for a million ids")
    if arguments.stores:
        for name in ("set", "theta"):
            with tempfile.TemporaryDirectory() as directory:
                found[name] = stored_bytes(Path(directory), sketch_impl=name)
            print(f"a store of {name}: {found[name]}")
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
