"""Arguments that fields and initializers share: activations by name or as specs, positive numbers."""

from __future__ import annotations

import math
from dataclasses import fields
from numbers import Real

from fastsnf.errors import InputError, unknown
from fastsnf.spec import ACTIVATIONS, Activation

LARGEST = 1e100
"""The bound of positive numbers: their squares are finite."""


def activations_of(
    activation: Activation | str,
    first_activation: Activation | str | None = None,
    *,
    first_omega: float | None = None,
    hidden_omega: float | None = None,
    scale: float | None = None,
) -> tuple[Activation, Activation]:
    """Return the activations of the hidden layers and of the first, from a field's arguments.

    Args:
        activation: a name of `fastsnf.spec.ACTIVATIONS`, or a spec.
        first_activation: another for the first layer; None for the same.
        first_omega, hidden_omega, scale: parameters of a name's activation that has them; None for the spec's
            own defaults.

    Raises:
        InputError: for an unknown name, another type, or an omega or scale beside a spec.
    """
    hidden = _activation(activation, "hidden_omega", hidden_omega, scale)
    first = activation if first_activation is None else first_activation
    return hidden, _activation(first, "first_omega", first_omega, scale)


def _activation(
    given: Activation | str, omega_name: str, omega: float | None, scale: float | None
) -> Activation:
    values = {"omega": omega, "scale": scale}
    if isinstance(given, str):
        cls = ACTIVATIONS.get(given)
        if cls is None:
            raise unknown("the activation", given, ACTIVATIONS)
        taken = {field.name: values.get(field.name) for field in fields(cls)}
        return cls(**{name: value for name, value in taken.items() if value is not None})
    if not isinstance(given, Activation):
        own = ": wrap a function of your own as fastsnf.Custom(function)" if callable(given) else ""
        raise InputError(
            f"expected the activation to be a name or a spec such as Sine(30.0); got {given!r}{own}"
        )
    for name, value in ((omega_name, omega), ("scale", scale)):
        if value is not None:
            raise InputError(f"expected {name} inside the spec; got {given} and {name}={value}: drop one")
    return given


def positive(name: str, value: object) -> float:
    """Return `value` as a float.

    Raises:
        InputError: unless it is a number above 0 and at most `LARGEST`.
    """
    number = math.nan if isinstance(value, bool) or not isinstance(value, Real) else float(value)
    if not 0 < number <= LARGEST:
        limit = f" and at most {LARGEST:g}" if LARGEST < number < math.inf else ""
        raise InputError(f"expected {name} to be a number above 0{limit}; got {value!r}")
    return number


def check_real(what: str, *activations: Activation) -> None:
    """Raise `InputError` for a complex activation in a field that has real layers only."""
    for activation in activations:
        if activation.is_complex:
            raise InputError(
                f"expected a real activation in {what}; got {activation}: take SNF for complex Gabor layers"
            )
