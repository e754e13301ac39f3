"""Settings of studies: frozen dataclasses whose fields check themselves and describe their own options.

No torch here: the command line reads settings for its help.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any

from fastsnf.errors import InputError, unknown


@dataclass(frozen=True)
class Option:
    """What a setting takes and means.

    Args:
        help: one line or two for ``--help``.
        metavar: the word for its value there.
        kind: ``int``, ``float``, ``str`` or ``bool``.
        many: whether it is a tuple of them, written ``a,b,c``.
        least, above: bounds of numbers.
        choices: the allowed words.
        optional: whether None is allowed.
    """

    help: str
    metavar: str
    kind: Callable[[Any], Any]
    many: bool = False
    least: float = -math.inf
    above: float = -math.inf
    choices: tuple[str, ...] = ()
    optional: bool = False

    def parse(self, name: str, text: str) -> Any:
        """Return the value that `text` stands for, unchecked.

        Raises:
            InputError: for text that is no number where one is expected.
        """
        parts = text.split(",") if self.many else [text]
        values = tuple(self._one(name, part.strip()) for part in parts if part.strip() or not self.many)
        return values if self.many else values[0]

    def check(self, name: str, value: Any) -> None:
        """Raise `InputError` for a value of another kind or out of range."""
        if value is None and self.optional:
            return
        if not self.many:
            self._check_one(name, value)
            return
        if not isinstance(value, tuple) or not value:
            raise InputError(f"expected {name} to be a tuple of at least one value; got {value!r}")
        if len(set(value)) != len(value):
            raise InputError(f"expected {name} without repetition; got {value!r}")
        for entry in value:
            self._check_one(name, entry)

    def _one(self, name: str, text: str) -> Any:
        if self.kind is str:
            return text
        try:
            number = float(text)
        except ValueError:
            raise InputError(f"expected {name} as a number; got {text!r}") from None
        if self.kind is int and number.is_integer():
            return int(number)
        return number

    def _check_one(self, name: str, value: Any) -> None:
        if self.kind is float:
            if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
                raise InputError(f"expected {name} to be a finite number; got {value!r}")
        elif type(value) is not self.kind:
            word = {int: "whole number", str: "text", bool: "bool"}[self.kind]  # type: ignore[index]
            raise InputError(f"expected {name} to be a {word}; got {value!r}")
        if self.choices and value not in self.choices:
            raise unknown(name, value, self.choices)
        if self.kind in (int, float):
            if value < self.least:
                raise InputError(f"expected {name} to be at least {self.least:g}; got {value!r}")
            if value <= self.above:
                raise InputError(f"expected {name} to be above {self.above:g}; got {value!r}")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Base of the settings of a study; a default is the paper's unless its help says the paper's."""

    def __post_init__(self) -> None:
        for entry in fields(self):
            option: Option = entry.metadata["option"]
            option.check(entry.name, getattr(self, entry.name))


def setting(default: Any, text: str, metavar: str = "N", *, many: bool = False, **limits: Any) -> Any:
    """Return the dataclass field of a setting; its kind is that of `default`, None being optional text.

    Args:
        default: the paper's value.
        text: for ``--help``.
        metavar: the word for its value.
        many: whether it is a tuple where the default, None, does not show it.
        limits: of `Option`: ``least``, ``above``, ``choices``.
    """
    sample = default[0] if isinstance(default, tuple) else default
    option = Option(
        help=text,
        metavar=metavar,
        kind=str if sample is None else type(sample),
        many=many or isinstance(default, tuple),
        optional=default is None,
        **limits,
    )
    return field(default=default, metadata={"option": option})
