"""Every activation, its parameters, and its description in files."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar

from fastsnf.errors import InputError, unknown
from fastsnf.spec import custom


@dataclass(frozen=True)
class Activation:
    """Base of all activations; subclasses hold their parameters as float fields."""

    name: ClassVar[str] = ""
    is_complex: ClassVar[bool] = False

    def __post_init__(self) -> None:
        for parameter in fields(self):
            value = getattr(self, parameter.name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
                raise InputError(
                    f"expected {self.name} {parameter.name} to be a finite number; got {value!r}"
                )
            if value <= 0:
                raise InputError(f"expected {self.name} {parameter.name} to be positive; got {value!r}")
            object.__setattr__(self, parameter.name, float(value))

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able description that `activation_from_dict` reads back."""
        return {"name": self.name, **asdict(self)}


@dataclass(frozen=True)
class Identity(Activation):
    """``u``: the activation of a linear output layer."""

    name: ClassVar[str] = "identity"


@dataclass(frozen=True)
class Sine(Activation):
    """``sin(omega u)`` (SIREN, Sitzmann et al. 2020, Eq. 4 with omega_0 inside the layer)."""

    name: ClassVar[str] = "sine"
    omega: float = 30.0


@dataclass(frozen=True)
class Gaussian(Activation):
    """``exp(-(scale u)^2)`` (the form of WIRE's and FINER's baselines of GaussNet)."""

    name: ClassVar[str] = "gaussian"
    scale: float = 10.0

    @classmethod
    def from_sigma(cls, sigma: float) -> Gaussian:
        """Return ``exp(-u^2 / (2 sigma^2))`` (GaussNet's own form): scale = 1 / (sqrt(2) sigma)."""
        _check_positive("sigma", sigma)
        return cls(1.0 / (math.sqrt(2.0) * sigma))


@dataclass(frozen=True)
class Sinc(Activation):
    """``amplitude sin(omega u) / (omega u)``, `amplitude` at u = 0.

    The papers have three sincs: this one with amplitude 1, `from_pi` and `unnormalized`.
    """

    name: ClassVar[str] = "sinc"
    omega: float = 30.0
    amplitude: float = 1.0

    @classmethod
    def from_pi(cls, a: float) -> Sinc:
        """Return ``torch.sinc(a u) = sin(pi a u) / (pi a u)``, as WIRE and weight scaling have it."""
        _check_positive("a", a)
        return cls(math.pi * a)

    @classmethod
    def unnormalized(cls, omega: float) -> Sinc:
        """Return ``sin(omega u) / u``, whose peak is omega (Saratchandran et al. 2024, NFSL)."""
        _check_positive("omega", omega)
        return cls(omega, amplitude=omega)


@dataclass(frozen=True)
class Gabor(Activation):
    """``exp(i omega u - |scale u|^2)``, complex (WIRE, Saragadam et al. 2023).

    The first layer is linear in the reals, the layers after it in the complex numbers, and the field returns
    the real part of its last layer.
    """

    name: ClassVar[str] = "gabor"
    is_complex: ClassVar[bool] = True
    omega: float = 20.0
    scale: float = 10.0


@dataclass(frozen=True)
class RealGabor(Activation):
    """``cos(omega u) exp(-(scale u)^2)``."""

    name: ClassVar[str] = "gabor-real"
    omega: float = 20.0
    scale: float = 10.0


@dataclass(frozen=True)
class Finer(Activation):
    """``sin(omega a u)`` with ``a = |u| + 1`` held constant in the derivative, as FINER's code does."""

    name: ClassVar[str] = "finer"
    omega: float = 30.0


@dataclass(frozen=True)
class ReLU(Activation):
    """``max(u, 0)``; the derivative at 0 is 0."""

    name: ClassVar[str] = "relu"


@dataclass(frozen=True)
class Tanh(Activation):
    """``tanh(u)``."""

    name: ClassVar[str] = "tanh"


@dataclass(frozen=True)
class Sigmoid(Activation):
    """``1 / (1 + exp(-u))``."""

    name: ClassVar[str] = "sigmoid"


@dataclass(frozen=True, init=False)
class Custom(Activation):
    """A user's own elementwise real activation: ``Custom(function, name=None)``.

    It runs in plain PyTorch, on the reference engine; the derivative is autograd's. Specs and files hold the
    name under which this process knows the function, never code: a process that loads a field makes the same
    ``Custom(function, name=...)`` first. Functions of equal code and enclosed values are one activation.

    Args:
        function: real u of any shape and floating dtype to values of that shape and dtype, of operations that
            autograd and torch.func know; without parameters of its own, which no one would train.
        name: the name in files; None for the module and name of a function, with a fingerprint of its code
            where others may be called the same (a lambda, a function inside another or of ``__main__``).

    Raises:
        InputError: for what is no function of a tensor, a callable object or a method without a name, and a
            name that another function has.
    """

    name: ClassVar[str] = "custom"
    registered: str
    """The name under which this process knows the function."""

    def __init__(self, function: custom.Function, name: str | None = None) -> None:
        object.__setattr__(self, "registered", custom.register(function, name))

    @property
    def function(self) -> custom.Function:
        """The function.

        Raises:
            InputError: when this process has none under the name.
        """
        return custom.function_of(self.registered)

    @classmethod
    def of(cls, registered: str) -> Custom:
        """Return the activation of a function that this process knows under a name.

        Raises:
            InputError: when it knows none, saying how to register it.
        """
        custom.function_of(registered)
        made = object.__new__(cls)
        object.__setattr__(made, "registered", registered)
        return made


ACTIVATIONS: dict[str, type[Activation]] = {
    cls.name: cls for cls in (Sine, Gaussian, Sinc, Gabor, RealGabor, Finer, ReLU, Tanh, Sigmoid, Identity)
}
"""Every activation that has a name of its own, which the command line and checkpoints use."""


def make_activation(name: str, *, omega: float | None = 30.0, scale: float | None = 10.0) -> Activation:
    """Return the activation called `name` with those of `omega` and `scale` that it has; None: its own."""
    cls = ACTIVATIONS.get(name)
    if cls is None:
        raise unknown("the activation", name, ACTIVATIONS)
    given = {"omega": omega, "scale": scale}
    taken = {parameter.name: given.get(parameter.name) for parameter in fields(cls)}
    return cls(**{key: value for key, value in taken.items() if value is not None})


def activation_from_dict(data: dict[str, Any]) -> Activation:
    """Return the activation that `Activation.to_dict` described.

    Parameters that are not there take their defaults, since files may be older than a parameter.

    Raises:
        InputError: for anything else, and a user's own function that this process does not know.
    """
    name = data.get("name") if isinstance(data, dict) else None
    cls = Custom if name == Custom.name else ACTIVATIONS.get(name) if isinstance(name, str) else None
    if cls is None:
        raise unknown("the activation", name, ACTIVATIONS)
    values = {key: value for key, value in data.items() if key != "name"}
    known = [parameter.name for parameter in fields(cls)]
    if set(values) - set(known):
        raise InputError(f"expected {name} with the parameters {sorted(known)}; got {sorted(values)}")
    if cls is Custom:
        return Custom.of(values.get("registered", ""))
    return cls(**values)


def as_json(activation: Activation) -> str:
    """Return what json.dumps makes of `to_dict`, in terms that torch.compile traces.

    Layers make specs in their calls.
    """
    if isinstance(activation, Custom):
        return f'{{"name": "custom", "registered": "{activation.registered}"}}'
    numbers = [f', "{p.name}": {getattr(activation, p.name)!r}' for p in fields(activation)]
    return f'{{"name": "{activation.name}"{"".join(numbers)}}}'


def _check_positive(name: str, value: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise InputError(f"expected {name} to be positive; got {value!r}")
