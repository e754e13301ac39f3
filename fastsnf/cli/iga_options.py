"""The options of ``fastsnf fit`` that begin with ``--iga``, as the trainer takes them."""

from __future__ import annotations

from fastsnf.cli.fit_options import FitOptions
from fastsnf.cli.parse import option_name
from fastsnf.cli.run_folder import given
from fastsnf.errors import InputError
from fastsnf.ntk.config import IGA

PREFIX = "iga_"


def make_iga(options: FitOptions) -> IGA | None:
    """Return the settings of gradient adjustment, None without ``--iga``; ``--seed`` is its seed too.

    Raises:
        InputError: for an option of it without ``--iga``, or values that contradict each other.
    """
    values = {
        name.removeprefix(PREFIX): value for name, value in given(options).items() if name.startswith(PREFIX)
    }
    if not options.iga:
        if values:
            option = option_name(PREFIX + next(iter(values)))
            raise InputError(f"expected --iga with {option}; got {option} alone")
        return None
    return IGA(**values, seed=IGA.seed if options.seed is None else options.seed)
