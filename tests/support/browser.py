"""The system's browser."""

from support.installed import installed

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
    return installed(
        "chromium",
        "chromium-browser",
        advice="install the package chromium to test what browsers do",
    )
