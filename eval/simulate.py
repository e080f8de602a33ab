"""`dpdau simulate` as a script: made-up activity of a whole population, and the truth beside it.

python eval/simulate.py --users N --p-active P --delete-rate R --days 60 --out FILE
"""

import sys

from dpdau.cli import main

if __name__ == "__main__":
    sys.exit(main(["simulate", *sys.argv[1:]]))
