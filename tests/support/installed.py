"""Programs of the system that some tests need."""

import os
import shutil

import pytest

__all__ = ["installed"]


def installed(*names: str, advice: str) -> str:
    """Where the first of these programs is; without any the test is skipped, but fails in CI."""
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        message = f"No {names[0]}: {advice}."
        if os.environ.get("CI"):  # noqa: TID251 - no setting of the product
            pytest.fail(message)
        pytest.skip(message)
    return found
