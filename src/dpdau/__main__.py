"""`python -m dpdau`: the command line."""

import sys

from dpdau.cli import main

if __name__ == "__main__":
    sys.exit(main())
