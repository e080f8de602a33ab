"""Lets the scripts here find the modules of `tools/`, wherever they are started from."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "tools"))
