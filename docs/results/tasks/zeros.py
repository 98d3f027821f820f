"""`smalti` with positions that begin as zeros, as in the released code, for the comparison with ours.

python docs/results/tasks/zeros.py train prior --data DATA --vqgan RUN --condition low_resolution
"""

import sys

from smalti.cli.main import main
from smalti.stages import prior

if __name__ == "__main__":
    prior.align_positions = lambda *_: None
    sys.exit(main(sys.argv[1:]))
