"""Libraries that only some signals need, imported when those are read or written."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from fastsnf.errors import InputError


def require(module: str, extra: str, what: str) -> Any:
    """Return the module named `module`, which one of the package's extras installs.

    Args:
        module: dotted name, such as ``"h5py"``.
        extra: the extra that brings it, such as ``"arrays"``.
        what: what needs it, in the plural, such as ``"HDF5 files"``.

    Raises:
        InputError: the module is missing or cannot be loaded, with how to install it.
    """
    try:
        return import_module(module)
    except ImportError as cause:
        raise InputError(
            f"expected {module}, which {what} need; got {cause}; install it with: "
            f"pip install 'fastsnf[{extra}]'"
        ) from cause
