"""Ask PyPI's vulnerability service about every pinned dependency.

python tools/audit_dependencies.py [FILE ...]     # by default requirements.txt and -dev.txt

Fails on a known vulnerability. Passes, and says plainly that nothing was checked, if the service
cannot be reached: a machine without a network must be able to run `make lint`.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

__all__ = ["IGNORED", "Audit", "main", "read_pins"]

ROOT = Path(__file__).parents[1]
PINNED = (ROOT / "requirements.txt", ROOT / "requirements-dev.txt")
IGNORED: dict[str, str] = {}
"""Vulnerabilities that do not concern this project: identifier and reason."""

# Enough to tell a package that the service does not know from a service that is not there.
_FIRST_FEW = 5
_SERVICE_SECONDS = 10
_ALL_SECONDS = 300
_UNREACHABLE = "not checked: PyPI's vulnerability service is unreachable"

Report: TypeAlias = dict[str, Any] | None
"""What pip-audit prints as JSON; None if it could not ask."""


@dataclass(frozen=True, slots=True)
class Audit:
    """What the service knows.

    Attributes:
        vulnerable: one line for each vulnerability that is not ignored.
        unknown: packages that the service does not know.
        checked: how many it does know.
    """

    vulnerable: list[str]
    unknown: list[str]
    checked: int

    @classmethod
    def of(cls, report: dict[str, Any]) -> "Audit":
        """Read a report."""
        vulnerable, unknown, checked = [], [], 0
        for package in report["dependencies"]:
            if "skip_reason" in package:
                unknown.append(package["name"])
                continue
            checked += 1
            for each in package["vulns"]:
                if IGNORED.keys().isdisjoint({each["id"], *each["aliases"]}):
                    fixed = ", ".join(each["fix_versions"]) or "no version yet"
                    names = " ".join([each["id"], *each["aliases"]])
                    name = f"{package['name']} {package['version']}"
                    vulnerable.append(f"{name}: {names}; fixed in {fixed}")
        return cls(vulnerable, unknown, checked)


def main(arguments: Sequence[str], ask: Callable[[list[str]], Report] | None = None) -> int:
    """Run the command; returns its exit code.

    Args:
        arguments: the files.
        ask: given pins, what the service knows of them; by default what pip-audit says.
    """
    parser = argparse.ArgumentParser(description="Look for known vulnerabilities.")
    parser.add_argument("files", nargs="*", type=Path, default=list(PINNED))
    pins = read_pins(parser.parse_args(arguments).files)
    audit = _audit(pins, ask or _pip_audit)
    if audit is None:
        print(f"Dependencies {_UNREACHABLE}.")
        return 0
    for line in audit.vulnerable:
        print(f"Vulnerable: {line}", file=sys.stderr)
    if audit.unknown:
        print(f"Not checked, since PyPI does not know them: {', '.join(audit.unknown)}.")
    print(f"{audit.checked} dependencies checked, {len(audit.vulnerable)} vulnerabilities.")
    return 1 if audit.vulnerable else 0


def _audit(pins: list[str], ask: Callable[[list[str]], Report]) -> Audit | None:
    """What is known of the pins; None if the service answers for none of the first few."""
    for asked in (pins[:_FIRST_FEW], pins):
        report = ask(asked)
        audit = None if report is None else Audit.of(report)
        if audit is None or not audit.checked:
            return None
    return audit


def read_pins(files: Sequence[Path]) -> list[str]:
    """The lines `name==version` of requirement files, each once."""
    lines = (line.partition("#")[0].strip() for file in files for line in _lines(file))
    return sorted({line for line in lines if "==" in line})


def _lines(file: Path) -> list[str]:
    return file.read_text(encoding="utf-8").splitlines()


def _pip_audit(pins: list[str]) -> Report:
    """Run pip-audit on pins, which resolves nothing and installs nothing."""
    with tempfile.TemporaryDirectory() as folder:
        requirements = Path(folder) / "requirements.txt"
        requirements.write_text("\n".join(pins) + "\n", encoding="utf-8")
        command = [sys.executable, "-m", "pip_audit", "--requirement", str(requirements)]
        options = ["--no-deps", "--disable-pip", "--format", "json", "--progress-spinner", "off"]
        limits = ["--timeout", str(_SERVICE_SECONDS)]
        try:
            done = subprocess.run(  # noqa: S603 - a program of this environment
                [*command, *options, *limits],
                check=False,
                capture_output=True,
                text=True,
                timeout=_ALL_SECONDS,
            )
        except subprocess.TimeoutExpired:
            return None
    try:
        report: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        return _without_report(done.stderr)
    return report


def _without_report(errors: str) -> Report:
    """None if the service could not be asked.

    Raises:
        RuntimeError: if pip-audit failed for another reason, so that no fault passes as success.
    """
    if "ConnectionError" in errors or "ServiceError" in errors or "connect" in errors.lower():
        return None
    raise RuntimeError(errors)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
