"""The gains that PyTorch recommends."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from fastsnf.errors import InputError
from fastsnf.nn.init.slopes import ActivationLike, describe
from fastsnf.spec import Activation

GAINS = {
    "identity": "linear",
    "linear": "linear",
    "relu": "relu",
    "sigmoid": "sigmoid",
    "tanh": "tanh",
    "selu": "selu",
    "leaky-relu": "leaky_relu",
}
"""The activations that `torch.nn.init.calculate_gain` knows, by the names here."""

FUNCTIONS: dict[Callable[[Tensor], Tensor], str] = {
    torch.relu: "relu",
    nn.functional.relu: "relu",
    torch.tanh: "tanh",
    nn.functional.tanh: "tanh",
    torch.sigmoid: "sigmoid",
    nn.functional.sigmoid: "sigmoid",
    torch.selu: "selu",
    nn.functional.selu: "selu",
    nn.functional.leaky_relu: "leaky_relu",
}
"""Torch's own functions of those."""


def pytorch_gain(activation: ActivationLike | str) -> float:
    """Return the gain that PyTorch recommends: weight variance x fan-in = gain^2.

    Args:
        activation: a spec, one of torch's functions such as `torch.tanh`, or a name.

    Returns:
        Of the identity and sigmoid 1, tanh 5/3 (gain^2 2.78, found by trial), ReLU sqrt(2), SELU 3/4.

    Raises:
        InputError: for an activation that PyTorch has none for, naming those that it has one for.

    Source: `torch.nn.init.calculate_gain`; compared with in VI3NR's Table 1.
    """
    if isinstance(activation, Activation):
        name = GAINS.get(activation.name)
    elif isinstance(activation, str):
        name = GAINS.get(activation.replace("_", "-"))
    else:
        name = _of_function(activation)
    if name is None:
        what = activation if isinstance(activation, str) else describe(activation)
        raise InputError(
            f"expected an activation that PyTorch has a gain for ({', '.join(GAINS)}); got {what}: use "
            "fastsnf.init.gain, which takes any"
        )
    return float(nn.init.calculate_gain(name))  # type: ignore[arg-type]


def _of_function(function: Callable[[Tensor], Tensor]) -> str | None:
    try:
        return FUNCTIONS.get(function)
    except TypeError:  # not hashable
        return None
