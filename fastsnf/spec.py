"""Activations and the static description of a field: the one place where omega and scale live.

An activation is a function of the pre-activation ``u = W x + b`` *as given*: ``Sine(30)`` is ``sin(30 u)``.
The specs are frozen, hashable and import nothing, so that they serve as keys of kernels, of custom operators
and of files alike.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field, fields
from typing import Any, ClassVar

from fastsnf.errors import InputError, unknown


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
        if not sigma > 0:
            raise InputError(f"expected sigma to be positive; got {sigma!r}")
        return cls(1.0 / (math.sqrt(2.0) * sigma))


@dataclass(frozen=True)
class Sinc(Activation):
    """``sin(omega u) / (omega u)``, 1 at u = 0."""

    name: ClassVar[str] = "sinc"
    omega: float = 30.0


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


ACTIVATIONS: dict[str, type[Activation]] = {
    cls.name: cls for cls in (Sine, Gaussian, Sinc, Gabor, RealGabor, Finer, ReLU, Tanh, Identity)
}
"""Every activation by the name that the command line and checkpoints use."""


def make_activation(name: str, *, omega: float = 30.0, scale: float = 10.0) -> Activation:
    """Return the activation called `name` with those of `omega` and `scale` that it has."""
    cls = ACTIVATIONS.get(name)
    if cls is None:
        raise unknown("the activation", name, ACTIVATIONS)
    given = {"omega": omega, "scale": scale}
    return cls(**{parameter.name: given[parameter.name] for parameter in fields(cls)})


def activation_from_dict(data: dict[str, Any]) -> Activation:
    """Return the activation that `Activation.to_dict` described.

    Raises:
        InputError: for anything else.
    """
    name = data.get("name") if isinstance(data, dict) else None
    cls = ACTIVATIONS.get(name) if isinstance(name, str) else None
    if cls is None:
        raise unknown("the activation", name, ACTIVATIONS)
    values = {key: value for key, value in data.items() if key != "name"}
    expected = {parameter.name for parameter in fields(cls)}
    if set(values) != expected:
        raise InputError(f"expected {name} with the parameters {sorted(expected)}; got {sorted(values)}")
    return cls(**values)


def _json(activation: Activation) -> str:
    # What json.dumps makes of to_dict(), in terms that torch.compile traces: layers make specs in calls.
    numbers = [f', "{p.name}": {getattr(activation, p.name)!r}' for p in fields(activation)]
    return f'{{"name": "{activation.name}"{"".join(numbers)}}}'


@dataclass(frozen=True)
class FieldSpec:
    """What a field computes, apart from its parameters: one activation per linear layer.

    Layer l maps ``h_{l-1} -> activations[l](W_l h_{l-1} + b_l)``; the last activation is usually `Identity`.
    Widths are those of the weights. In a complex field (`Gabor`) every layer but the last is a Gabor
    layer, every weight but the first is complex, and the output is the real part.
    """

    activations: tuple[Activation, ...]
    key: str = field(init=False, repr=False, compare=False)
    """The spec as a string, which custom operators take; `from_key` reads it back."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", f"[{', '.join([_json(act) for act in self.activations])}]")
        if not self.activations:
            raise InputError("expected at least one layer; got none")
        hidden = self.activations[:-1]
        if any(act.is_complex for act in self.activations) and not (
            hidden and all(act.is_complex for act in hidden) and self.activations[-1] == Identity()
        ):
            names = ", ".join(act.name for act in self.activations)
            raise InputError(f"expected a complex field to be gabor layers and one identity; got {names}")

    @classmethod
    def mlp(
        cls,
        hidden: Activation,
        hidden_layers: int,
        *,
        first: Activation | None = None,
        last: Activation | None = None,
    ) -> FieldSpec:
        """Return the spec of a first layer, `hidden_layers` hidden layers after it and an output layer."""
        if hidden_layers < 0:
            raise InputError(f"expected hidden_layers to be 0 or more; got {hidden_layers}")
        return cls((first or hidden, *[hidden] * hidden_layers, last or Identity()))

    @property
    def layers(self) -> int:
        """The number of linear layers."""
        return len(self.activations)

    @property
    def is_complex(self) -> bool:
        """Whether the layers after the first are complex."""
        return self.activations[0].is_complex

    def complex_weights(self, layer: int) -> bool:
        """Whether the weights and bias of linear layer `layer` (from 0) are complex."""
        return self.is_complex and layer > 0

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able description that `from_dict` reads back."""
        return {"activations": [act.to_dict() for act in self.activations]}

    @classmethod
    def from_key(cls, key: str) -> FieldSpec:
        """Return the spec whose `key` this is."""
        return cls.from_dict({"activations": json.loads(key)})

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> FieldSpec:
        """Return the spec that `to_dict` described.

        Raises:
            InputError: for anything else.
        """
        acts = data.get("activations") if isinstance(data, dict) else None
        if not isinstance(acts, list):
            raise InputError(f"expected a spec with a list of activations; got {data!r}")
        return cls(tuple(activation_from_dict(act) for act in acts))
