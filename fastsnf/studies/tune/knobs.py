"""What can be searched (`OVER`): where its value goes, what it is compared with, how far the search looks."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastsnf.errors import InputError
from fastsnf.spec import Activation, activation_from_dict

if TYPE_CHECKING:
    from fastsnf.nn import Field
    from fastsnf.train import FitConfig

WEIGHT_SCALING, VI3NR = "weight-scaling", "vi3nr"


@dataclass(frozen=True)
class Knob:
    """A number that `fastsnf.studies.tune.tune` searches.

    Attributes:
        name: on the command line. symbol: in tables and pictures.
        argument: of the field's constructor; None for a setting of the fit.
        reference: (field, config) -> the value that Eq. 10 compares with: alpha = 1, or what the field and
            the fit have; raises `InputError` where there is nothing of the kind to search.
        down, up: the range searched without a word from the user, as factors on the reference.
        whole: whether values are whole numbers.
    """

    name: str
    symbol: str
    argument: str | None
    reference: Callable[[Field, FitConfig], float]
    down: float
    up: float
    whole: bool = False

    def overrides(self, value: float) -> dict[str, Any]:
        """Return what the maker of fields is told for a candidate."""
        return {} if self.argument is None else {self.argument: value}

    def settings(self, config: FitConfig, value: float) -> FitConfig:
        """Return the configuration of a candidate's fit."""
        if self.name == "lr":
            return dataclasses.replace(config, lr=value)
        if self.name == "iga-end":
            assert config.iga is not None, "reference() has seen it"
            return dataclasses.replace(config, iga=dataclasses.replace(config.iga, end=int(value)))
        return config

    def checked(self, value: Any) -> float:
        """Return a value of this number.

        Raises:
            InputError: for one that is no finite number above 0, or not whole where it must be.
        """
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
            raise InputError(f"expected values of {self.name} to be finite numbers above 0; got {value!r}")
        if self.whole and value != int(value):
            raise InputError(f"expected values of {self.name} to be whole numbers; got {value!r}")
        return int(value) if self.whole else float(value)

    def text(self, value: float) -> str:
        """Return a value for a table."""
        return str(int(value)) if self.whole else f"{value:.4g}"


def _alpha(field: Field, config: FitConfig) -> float:
    _init(field, "alpha", WEIGHT_SCALING)
    return 1.0


def _sigma_p(field: Field, config: FitConfig) -> float:
    from fastsnf.nn import LayeredField, init

    _init(field, "sigma-p", VI3NR)
    assert isinstance(field, LayeredField)  # no other has an initializer to name
    given = field.config().get("sigma_p")
    if given is not None:
        return float(given)
    activation = field.hidden_activation
    solved = init.solve_sigma_p(activation)
    return float(solved) if solved else 1.0 / float(getattr(activation, "omega", 1.0))


def _first_omega(field: Field, config: FitConfig) -> float:
    return _parameter(field, "first-omega", "omega", first=True)


def _hidden_omega(field: Field, config: FitConfig) -> float:
    return _parameter(field, "hidden-omega", "omega")


def _scale(field: Field, config: FitConfig) -> float:
    return _parameter(field, "scale", "scale")


def _lr(field: Field, config: FitConfig) -> float:
    if callable(config.optimizer):
        raise InputError(
            "expected an optimizer by name to search lr; got a callable, which owns its rates: take adam, "
            "adamw or sgd"
        )
    return config.base_lr


def _iga_end(field: Field, config: FitConfig) -> float:
    if config.iga is None:
        raise InputError("expected a fit with iga to search iga-end; got none: switch it on with --iga")
    return float(max(1, config.iga.end))


def _parameter(field: Field, name: str, parameter: str, *, first: bool = False) -> float:
    """Return a parameter of the field's activations, or say which ones there are."""
    value = field.config().get(name.replace("-", "_"))  # of a field that takes it as a number alone
    if isinstance(value, float):
        return value
    activation = _activation(field, name, first)
    value = getattr(activation, parameter, None)
    if value is None:
        there = sorted(entry.name for entry in dataclasses.fields(activation))
        known = {"omega": ("first-omega", "hidden-omega"), "scale": ("scale",)}
        names = [knob for entry in there for knob in known.get(entry, ())]
        has = f"only {' and '.join(there)}" if there else "no parameter"
        raise InputError(
            f"expected an activation with {parameter} to search {name}; got {activation.name}, which has "
            f"{has}: search {' or '.join([*names, 'lr'])}"
        )
    return float(value)


def _activation(field: Field, name: str, first: bool) -> Activation:
    """Return the activation of the first layer or of the hidden ones."""
    from fastsnf.nn import LayeredField

    if isinstance(field, LayeredField):
        return field.spec.activations[0] if first else field.hidden_activation
    described = field.config().get("first_activation" if first else "activation")
    if described is None:
        raise InputError(
            f"expected a field of layers with one activation to search {name}; got {type(field).__name__}: "
            "search lr"
        )
    return activation_from_dict(described)


def _init(field: Field, name: str, wanted: str) -> None:
    has = field.config().get("init")
    if has != wanted:
        got = f"init {has}" if has else f"{type(field).__name__}, whose initializer is its own"
        raise InputError(f"expected a field of init {wanted} to search {name}; got {got}")


OVER: dict[str, Knob] = {
    knob.name: knob
    for knob in (
        Knob("alpha", "alpha", "alpha", _alpha, 1.0, 4.0),
        Knob("first-omega", "first omega", "first_omega", _first_omega, 0.25, 4.0),
        Knob("hidden-omega", "hidden omega", "hidden_omega", _hidden_omega, 0.25, 4.0),
        Knob("scale", "scale", "scale", _scale, 0.25, 4.0),
        Knob("sigma-p", "sigma_p", "sigma_p", _sigma_p, 0.25, 4.0),
        Knob("lr", "lr", None, _lr, 0.1, 10.0),
        Knob("iga-end", "IGA end", None, _iga_end, 0.25, 2.0, whole=True),
    )
}
"""Every number that can be searched, by its name on the command line."""
