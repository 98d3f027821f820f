"""`smalti` whose positions begin as zeros, as in the released code, to compare with ours.

Give it what `smalti` is given: `python docs/results/tasks/zeros.py train prior --data DATA ...`.
"""

import sys

from smalti.cli.main import main
from smalti.runs import prior

if __name__ == "__main__":
    prior.align_positions = lambda *_: None
    sys.exit(main(sys.argv[1:]))
