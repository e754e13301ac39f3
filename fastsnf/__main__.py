"""``python -m fastsnf``: the same command line as ``fastsnf``."""

import sys

from fastsnf.cli import main

if __name__ == "__main__":
    sys.exit(main())
