"""Encodings of coordinates: frozen descriptions, without parameters to train.

An encoding maps coordinates [..., D] to features [..., E] before the first layer of a field. `fastsnf.nn`
makes the module of it. Nothing is imported here, so that the command line reads it at once.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar

from fastsnf.errors import InputError, check_whole, unknown

LARGEST = 1e20
"""Bound of factors and deviations: with 32 octaves above them frequencies are finite in float32."""


@dataclass(frozen=True)
class Encoding:
    """Base of all encodings."""

    name: ClassVar[str] = ""

    def features(self, in_features: int) -> int:
        """Return E, the number of features of D = `in_features` coordinates."""
        raise NotImplementedError

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able description that `encoding_from_dict` reads back."""
        return {"name": self.name, **asdict(self)}

    def __str__(self) -> str:
        """Return the constructor's call, with those of its arguments that are not the default.

        >>> str(Positional(6)), str(FourierFeatures(256, sigma=20.0))
        ('Positional(6)', 'FourierFeatures(256, sigma=20.0)')
        """
        count, *others = fields(self)
        changed = [p.name for p in others if getattr(self, p.name) != p.default]
        words = [f"{getattr(self, count.name)}", *(f"{name}={getattr(self, name)}" for name in changed)]
        return f"{type(self).__name__}({', '.join(words)})"


@dataclass(frozen=True)
class Positional(Encoding):
    """``[x, sin(2^0 c x), cos(2^0 c x), ..., sin(2^(K-1) c x), cos(2^(K-1) c x)]`` for K frequencies.

    The order is that of SIREN's and WIRE's code: frequency by frequency, in each coordinate by coordinate,
    sine before cosine; the coordinates themselves come first (`include_input`).

    Attributes:
        frequencies: K, 1 to 32. factor: c, pi by default.

    Source: Mildenhall et al. 2020, Eq. 4; the published modules (``siren/modules.py``) add x itself.
    """

    name: ClassVar[str] = "positional"
    frequencies: int = 10
    include_input: bool = True
    factor: float = math.pi

    def __post_init__(self) -> None:
        check_whole("frequencies", self.frequencies, 1, 32)
        _check_positive("factor", self.factor)
        if not isinstance(self.include_input, bool):
            raise InputError(f"expected include_input to be true or false; got {self.include_input!r}")

    def features(self, in_features: int) -> int:
        """Return ``2 K D``, plus D with the coordinates themselves."""
        return in_features * (2 * self.frequencies + self.include_input)


@dataclass(frozen=True)
class FourierFeatures(Encoding):
    """``[sin(2 pi B v), cos(2 pi B v)]`` for fixed B ~ N(0, sigma^2) of `frequencies` rows.

    Attributes:
        frequencies: m rows, so 2 m features. sigma: their deviation, in cycles per unit of v.
        unit: v = (x + 1) / 2 in [0, 1], as the original has its coordinates; otherwise v = x in [-1, 1],
            which doubles the bandwidth.

    Source: Tancik et al. 2020, Sec. 6.1.
    """

    name: ClassVar[str] = "fourier"
    frequencies: int = 256
    sigma: float = 10.0
    unit: bool = True

    def __post_init__(self) -> None:
        check_whole("frequencies", self.frequencies, 1, 1 << 20)
        _check_positive("sigma", self.sigma)
        if not isinstance(self.unit, bool):
            raise InputError(f"expected unit to be true or false; got {self.unit!r}")

    def features(self, in_features: int) -> int:
        """Return ``2 m``."""
        return 2 * self.frequencies


ENCODINGS: dict[str, type[Encoding]] = {cls.name: cls for cls in (Positional, FourierFeatures)}
"""Every encoding by the name that the command line and checkpoints use."""


def encoding_from_dict(data: Any) -> Encoding:
    """Return the encoding that `Encoding.to_dict` described.

    Raises:
        InputError: for anything else.
    """
    name = data.get("name") if isinstance(data, dict) else None
    cls = ENCODINGS.get(name) if isinstance(name, str) else None
    if cls is None:
        raise unknown("the encoding", name, ENCODINGS)
    values = {key: value for key, value in data.items() if key != "name"}
    expected = {parameter.name for parameter in fields(cls)}
    if set(values) != expected:
        raise InputError(f"expected {name} with the parameters {sorted(expected)}; got {sorted(values)}")
    return cls(**values)


def _check_positive(name: str, value: Any) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not 0 < value <= LARGEST:
        raise InputError(f"expected {name} to be a positive number of at most {LARGEST:g}; got {value!r}")
