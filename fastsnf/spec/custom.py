"""The users' own activations: functions by the names under which this process knows them.

Files hold names only, so loading one never runs code that it names.
"""

from __future__ import annotations

import hashlib
import inspect
import threading
from collections.abc import Callable
from types import CodeType, FunctionType
from typing import Any

from fastsnf.errors import InputError, nearest

Function = Callable[[Any], Any]
"""A tensor of pre-activations to one of activations."""

_FUNCTIONS: dict[str, Function] = {}
_lock = threading.Lock()


def register(function: Function, name: str | None = None) -> str:
    """Return the name under which this process knows `function` from now on.

    Raises:
        InputError: as `fastsnf.spec.Custom`.
    """
    _check(function)
    with _lock:
        if name is None:
            known = (key for key, other in _FUNCTIONS.items() if _same(function, other))
            name = next(known, None) or _own_name(function)
        if not _is_name(name):
            raise InputError(
                "expected the activation's name as printable ASCII without double quotes and backslashes; "
                f"got {name!r}"
            )
        if not _same(_FUNCTIONS.setdefault(name, function), function):
            raise InputError(
                f"expected a name that no other activation of this process has; got {name!r}: take another"
            )
    return name


def function_of(name: str) -> Function:
    """Return the function that this process knows under `name`.

    Raises:
        InputError: when there is none, saying how to register it.
    """
    if not isinstance(name, str) or name not in _FUNCTIONS:
        raise InputError(
            f"expected a user's own activation that this process knows; got {name!r}"
            f"{nearest(str(name), _FUNCTIONS)}: make fastsnf.Custom(function, name={name!r}) first"
        )
    return _FUNCTIONS[name]


def _is_name(name: object) -> bool:
    """Return whether `name` is written in JSON as it is."""
    return isinstance(name, str) and name.isascii() and name.isprintable() and not set(name) & set('"\\')


def _check(function: Function) -> None:
    """Raise for what cannot be an activation."""
    if not callable(function) or isinstance(function, type):
        raise InputError(
            f"expected the activation as a function of a tensor; got {function!r}: pass a function or an "
            "instance"
        )
    parameters = getattr(function, "parameters", None)
    if callable(parameters) and any(True for _ in parameters()):
        raise InputError(
            f"expected an activation without parameters of its own; got {type(function).__name__}, whose "
            "parameters no trainer would see: write the field as a module of torch"
        )


def _own_name(function: Function) -> str:
    """Return the name of a function that was given none."""
    name = getattr(function, "__qualname__", None)
    if name is None or inspect.ismethod(function):
        raise InputError(
            f"expected a name for an activation that is no plain function; got {function!r}: pass name="
        )
    home = getattr(function, "__module__", None)
    full = f"{home}.{name}" if home else name
    lasting = "<" not in name and home != "__main__"
    if isinstance(function, FunctionType) and not lasting:
        digest = hashlib.blake2s(repr(_contents(function)).encode(), digest_size=6).hexdigest()
        return f"{full}#{digest}"
    return full if full not in _FUNCTIONS else f"{full}#{id(function):x}"


def _same(function: Function, other: Function) -> bool:
    """Return whether two functions are one, or of the same code, defaults and enclosed values."""
    if function is other:
        return True
    both = isinstance(function, FunctionType) and isinstance(other, FunctionType)
    return both and _contents(function) == _contents(other)  # type: ignore[arg-type]


def _contents(function: FunctionType) -> tuple[Any, ...]:
    """Return what a function is made of, apart from its globals."""
    cells = [cell.cell_contents for cell in function.__closure__ or ()]
    defaults = (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).items())
    home = function.__module__
    return home, _code(function.__code__), *map(_plain, cells), *map(_plain, defaults)


def _code(code: CodeType) -> tuple[Any, ...]:
    constants = tuple(_code(c) if isinstance(c, CodeType) else _plain(c) for c in code.co_consts)
    return code.co_code, code.co_names, constants


def _plain(value: Any) -> Any:
    """Return a number or string as it is with its type, anything else by which object it is."""
    if value is None or isinstance(value, bool | int | float | complex | str | bytes):
        return type(value).__name__, repr(value)
    return tuple(map(_plain, value)) if isinstance(value, tuple) else id(value)
