"""The command line: parse the arguments, build the configuration, make one call.

Nothing here is imported by the rest of the package, and nothing heavy is imported before a command runs, so
that ``fastsnf --help`` answers at once.
"""

from fastsnf.cli.main import main

__all__ = ["main"]
