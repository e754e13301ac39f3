"""Learning rates by layer: one of the two effects of weight scaling without the other."""

from __future__ import annotations

import math
from numbers import Real
from typing import Any

from torch import nn

from fastsnf.errors import InputError, unknown
from fastsnf.nn import Field, LayeredField
from fastsnf.nn.init.weight_scaling import takes_weight_scaling

MODES = {"weights-only": -1, "rates-only": 1}
"""What is left of weight scaling, and the sign of the exponent of alpha in the rates that leave it."""


def layerwise_lr(
    field: Field, alpha: float, mode: str, *, lr: float = 1e-4, power: float = 1.0
) -> list[dict[str, Any]]:
    """Return parameter groups, one a linear layer, whose rates undo or imitate an effect of weight scaling.

    Weight scaling by alpha does two things: the initial function changes, and the gradients of the early
    layers grow. In f = W_L sin(W_(L-1) ... sin(W_1 x)) the gradient of W_k holds the factors W_(k+1) ... W_L
    (Eq. 37 to 40 of the paper), of which all but the last are scaled: it grows as ``alpha^e_k``, with

        e_k = L - 1 - k for k < L, e_L = 0: the number of scaled layers after layer k.

    (Sines and cosines spread a little more widely when alpha is large: in a wide field of five layers the
    ratios are 0.79, 0.79, 0.91, 1.01 and 1.11 times that for every alpha from 2 on. The paper's text counts
    alpha^l, as if its last layer were scaled too.) Biases have the factor of their layer. The rates of layer
    k are

        weights-only: ``lr alpha^(-power e_k)``: scaled weights with the layerwise rates of unscaled ones,
        rates-only: ``lr alpha^(power e_k)``: unscaled weights with the layerwise rates of scaled ones.

    What that means depends on the optimizer. A step of layer k moves the function by
    ``df/dW_k dW_k``, and df/dW_k itself holds alpha^e_k:

        SGD, dW_k = rate * gradient. `power` 1 undoes the growth of the gradient: the weights move as those of
        an unscaled field would. `power` 2 undoes what the layer adds to the function's change, its block of
        the NTK.
        Adam, dW_k = rate * (a number of about 1, whatever the gradient's scale). The growth of the gradient
        is invisible: the weights move alike for every alpha, so there is nothing to undo in them. What is
        left is df/dW_k: `power` 1 undoes what the layer adds to the function's change.

    So power 1, the paper's factor, has a meaning under both, and the paper's own runs are Adam's (App. E.1).

    Args:
        field: of sine or FINER layers, drawn with this alpha for ``weights-only`` and with 1 for
            ``rates-only``; its frozen parameters are left out.
        alpha: the factor of weight scaling, above 0.
        mode: ``weights-only`` or ``rates-only``.
        lr: the rate of the last two layers, where e is 0.
        power: see above, 0 or more; 0 gives every layer the same rate.

    Returns:
        Groups ``{"params": [weight, bias], "lr": rate}``, first layer to last, for any torch optimizer, as in
        ``fit(field, signal, optimizer=lambda _: torch.optim.Adam(groups))``.

    Raises:
        InputError: for another mode, numbers out of range, a field whose layers weight scaling does not know,
            or one with nothing to train.

    Source: Yeom et al., ICLR 2025, Sec. 4.1, Fig. 3 and App. B.3.
    """
    if mode not in MODES:
        raise unknown("the mode", mode, MODES)
    _check("alpha", alpha, positive=True)
    _check("lr", lr, positive=True)
    _check("power", power, positive=False)
    if not isinstance(field, LayeredField) or not takes_weight_scaling(field.spec):
        what = type(field).__name__
        if isinstance(field, LayeredField):
            what += " of " + ", ".join(activation.name for activation in field.spec.activations)
        raise InputError(f"expected a field of sine or finer layers, which weight scaling knows; got {what}")
    linears = field.linears()
    groups = []
    for linear, exponent in zip(linears, exponents(len(linears)), strict=True):
        trained = _trained(linear)
        if trained:
            rate = float(lr) * float(alpha) ** (MODES[mode] * power * exponent)
            groups.append({"params": trained, "lr": rate})
    if not groups:
        raise InputError(
            "expected a field with trainable parameters; got all frozen: call requires_grad_() on it"
        )
    return groups


def exponents(layers: int) -> list[int]:
    """Return e_1 ... e_L, the powers of alpha in the gradients of `layers` linear layers.

    >>> exponents(5)
    [3, 2, 1, 0, 0]
    """
    return [max(0, layers - 1 - k) for k in range(1, layers + 1)]


def _trained(linear: nn.Linear) -> list[nn.Parameter]:
    return [parameter for parameter in linear.parameters() if parameter.requires_grad]


def _check(name: str, value: Any, *, positive: bool) -> None:
    number = isinstance(value, Real) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or value < 0 or (positive and value == 0):
        claim = "above 0" if positive else "of 0 or more"
        raise InputError(f"expected {name} to be a finite number {claim}; got {value!r}")
