"""The system's browser."""

import os
import shutil

import pytest

__all__ = ["ARGUMENTS", "chromium"]

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def chromium() -> str:
    """Where the system's browser is; without one these tests are skipped, but not in CI."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        message = "No Chromium: install the package chromium to test what browsers do."
        if os.environ.get("CI"):  # noqa: TID251 - no setting of the product
            pytest.fail(message)
        pytest.skip(message)
    return found
