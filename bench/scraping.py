"""What watching costs: a scrape of `GET /metrics`, and a verification of the whole ledger.

A million users of whom three in ten are active a day, for thirty days, with every day published.

Run: python bench/scraping.py [--short]
"""

import argparse
import json
import tempfile
import urllib.request
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from _harness import SECRET, keep, median, seconds_of, serving, show
from _population import Population, fill

FULL = Population(1_000_000, 30)
SHORT = Population(2_000, 3)
RUNS = 50


def published(url: str, last: date, days: int) -> int:
    """Publish the range of both metrics; gives how many values that made."""
    first = last - timedelta(days=days - 1)
    body = json.dumps({"from": first.isoformat(), "through": last.isoformat()}).encode()
    request = urllib.request.Request(  # noqa: S310 - an address of this machine
        f"{url}/publish", body, {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=600) as answer:  # noqa: S310 - as above
        return len(json.load(answer)["published"])


def scraped(url: str) -> str:
    """One answer of `GET /metrics`."""
    with urllib.request.urlopen(f"{url}/metrics", timeout=60) as answer:  # noqa: S310 - as above
        text: str = answer.read().decode()
    return text


def verification_seconds(url: str) -> float:
    """How long the service says that its ledger took to verify."""
    with urllib.request.urlopen(f"{url}/ledger/verify", timeout=600):  # noqa: S310 - as above
        samples = {
            sample.name: sample.value
            for family in text_string_to_metric_families(scraped(url))
            for sample in family.samples
        }
    if not samples["dp_verification_ok"]:
        message = "The ledger of the benchmark is not true"
        raise RuntimeError(message)
    return samples["dp_verification_seconds"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description="Measure what watching costs.")
    parser.add_argument("--short", action="store_true", help="a small store, few runs")
    is_short = parser.parse_args(arguments).short
    population = SHORT if is_short else FULL
    with tempfile.TemporaryDirectory() as folder:
        data_dir = Path(folder)
        fill(data_dir, population)
        with serving(data_dir, hash_salt_secret=SECRET, lateness_hours=0) as port:
            url = f"http://127.0.0.1:{port}"
            values = published(url, population.last_day, population.days)
            scrapes = [seconds_of(lambda: scraped(url)) for _ in range(3 if is_short else RUNS)]
            size = len(scraped(url))
            verification = verification_seconds(url)
    results = {
        "values": values,
        "scrape_seconds": median(scrapes),
        "slowest_scrape_seconds": max(scrapes),
        "scrape_bytes": size,
        "verification_seconds": verification,
    }
    show(
        f"Watching {population.users:,} users, {population.days} days, {values} values",
        ["", "measured"],
        [
            ["scrape, median", f"{1e3 * median(scrapes):.1f} ms"],
            ["scrape, slowest", f"{1e3 * max(scrapes):.1f} ms"],
            ["scrape, size", f"{size / 1e3:.0f} kB"],
            ["verification of the ledger", f"{1e3 * verification:.0f} ms"],
        ],
    )
    keep("scraping", results)


if __name__ == "__main__":
    main()
