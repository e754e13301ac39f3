"""What the Triton engine launches for a call, recorded on tensors without memory, and what it evaluates."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from fastsnf.engines.triton.launch import Launch, recording
from fastsnf.spec import FieldSpec, make_activation

WORKS = ("train", "infer")
IN_FEATURES, OUT_FEATURES, HIDDEN_LAYERS = 2, 3, 3

OMEGA, SCALE = 30.0, 10.0

PRODUCTS = (
    "linear_fwd",
    "linear_dx",
    "linear_dw",
    "complex_fwd",
    "complex_dx",
    "complex_dw",
    "network_fwd_kernel",
)
"""The kernels whose products run on the matrix units; all others use the FMA pipes."""

OVER_ROWS = ("linear_dw", "complex_dw")
"""Those whose products sum over rows."""

SPECIAL_VALUE = {
    "accurate": {"sine": 1, "gaussian": 1, "sinc": 2, "gabor": 3, "gabor-real": 2, "finer": 1, "tanh": 2},
    "exact": {"sinc": 1, "tanh": 1},
}
"""Instructions of the special-function units for one value: sine, cosine, exponential, reciprocal."""

SPECIAL_SLOPE = {
    "accurate": {"sine": 1, "gaussian": 1, "sinc": 3, "gabor": 3, "gabor-real": 3, "finer": 1, "tanh": 2},
    "exact": {"sinc": 1, "tanh": 1},
}
"""The same for one derivative."""


@dataclass(frozen=True)
class Call:
    """A training step (forward, MSE, backward) or an inference pass of a field on N points."""

    work: str
    activation: str
    precision: str
    width: int
    points: int
    in_features: int = IN_FEATURES
    out_features: int = OUT_FEATURES
    hidden_layers: int = HIDDEN_LAYERS
    phases: bool = False

    @property
    def spec(self) -> FieldSpec:
        """What the field computes."""
        return FieldSpec.mlp(make_activation(self.activation, omega=OMEGA, scale=SCALE), self.hidden_layers)

    @property
    def widths(self) -> list[int]:
        """The sizes between which the linear layers lie."""
        return [self.in_features, *[self.width] * (self.hidden_layers + 1), self.out_features]

    @property
    def title(self) -> str:
        """The call in words."""
        work = {"train": "training step", "infer": "inference"}[self.work]
        phases = ", 16-bit phases" if self.phases else ""
        return (
            f"{work}, {self.activation}, {self.precision}{phases}, width {self.width}, "
            f"{self.hidden_layers} hidden layers, {self.points} points"
        )


def parameters(call: Call, device: str = "meta") -> tuple[list[Tensor], list[Tensor | None]]:
    """Return weights and biases of the call's field; what they hold is undefined."""
    weights: list[Tensor] = []
    biases: list[Tensor | None] = []
    for layer, (fan_in, fan_out) in enumerate(zip(call.widths[:-1], call.widths[1:], strict=True)):
        dtype = torch.complex64 if call.spec.complex_weights(layer) else torch.float32
        weights.append(torch.empty(fan_out, fan_in, dtype=dtype, device=device))
        biases.append(torch.empty(fan_out, dtype=dtype, device=device))
    return weights, biases


def run(call: Call) -> None:
    """Make the call on meta tensors."""
    from fastsnf.engines.triton import field
    from fastsnf.ops import use_phases

    x = torch.empty(call.points, call.in_features, device="meta")
    target = torch.empty(call.points, call.out_features, device="meta")
    weights, biases = parameters(call)
    with use_phases(call.phases):
        if call.work == "train":
            field.mse_value_and_grad(x, target, weights, biases, call.spec, None, call.precision)
        else:
            field.forward(x, weights, biases, call.spec, call.precision)


def record(call: Call, architecture: str) -> list[Launch]:
    """Return every launch of a call on a GPU of `architecture`."""
    with recording(architecture) as launches:
        run(call)
    return launches


def has_products(launch: Launch) -> bool:
    """Return whether a launch's FLOPs are products on the matrix units."""
    return launch.name in PRODUCTS


def sizes(launch: Launch) -> tuple[Any, ...]:
    """Return what tells launches of one kernel apart: its ints, its constants, and which tensors it has."""
    values = (
        value if isinstance(value, int | float | None) else (value.dtype, *value.shape)
        for value in launch.arguments.values()
    )
    return (*values, *launch.constants.values())


def special(launch: Launch) -> int:
    """Return the instructions of the special-function units that a launch's activations take.

    An activation that is computed on load is computed once for every tile of outputs.
    """
    count = _EVALUATIONS.get(launch.name)
    return count(launch) if count is not None else 0


def _of(table: dict[str, dict[str, int]], launch: Launch, act: str) -> int:
    return table[launch.constants["TIER"]].get(act, 0)


def _linear_fwd(launch: Launch) -> int:
    given, fixed = launch.arguments, launch.constants
    loads = given["rows"] * given["depth"] * math.ceil(given["columns"] / fixed["COLUMNS"])
    final = given["rows"] * given["outputs"] if fixed["FINAL"] else 0
    value = _of(SPECIAL_VALUE, launch, fixed["ACT_IN"])
    return loads * value + final * _of(SPECIAL_VALUE, launch, fixed["ACT_OUT"])


def _linear_dx(launch: Launch) -> int:
    given = launch.arguments
    return given["rows"] * given["columns"] * _of(SPECIAL_SLOPE, launch, launch.constants["ACT_IN"])


def _linear_dw(launch: Launch) -> int:
    given, fixed = launch.arguments, launch.constants
    loads = given["rows"] * given["inputs_padded"] * math.ceil(given["columns"] / fixed["ROWS"])
    return loads * _of(SPECIAL_VALUE, launch, fixed["ACT_IN"])


def _complex_fwd(launch: Launch) -> int:
    given = launch.arguments
    tiles = math.ceil(given["columns_out"] / launch.constants["COLUMNS"])
    return given["rows"] * given["columns_in"] * tiles * _of(SPECIAL_VALUE, launch, "gabor")


def _complex_dx(launch: Launch) -> int:
    given = launch.arguments
    return given["rows"] * given["columns_in"] * _of(SPECIAL_SLOPE, launch, "gabor")


def _complex_dw(launch: Launch) -> int:
    given = launch.arguments
    tiles = math.ceil(given["columns_out"] / launch.constants["ROWS"])
    return given["rows"] * given["columns_in"] * tiles * _of(SPECIAL_VALUE, launch, "gabor")


def _first_fwd(launch: Launch) -> int:
    given, fixed = launch.arguments, launch.constants
    return given["M"] * given["F"] * _of(SPECIAL_VALUE, launch, fixed["ACT"]) if fixed["FINAL"] else 0


def _last_fwd(launch: Launch) -> int:
    given, fixed = launch.arguments, launch.constants
    outputs = fixed["C"] * _of(SPECIAL_VALUE, launch, fixed["ACT_OUT"])
    return given["M"] * (given["width"] * _of(SPECIAL_VALUE, launch, fixed["ACT_IN"]) + outputs)


def _last_step(launch: Launch) -> int:
    given, act = launch.arguments, launch.constants["ACT_IN"]
    # What value and derivative share is computed once: the exponential, and all of Gabor's.
    both = _of(SPECIAL_VALUE, launch, act) + _of(SPECIAL_SLOPE, launch, act)
    if act in ("gaussian", "gabor", "gabor-real", "sinc", "tanh"):
        both = _of(SPECIAL_SLOPE, launch, act)
    return given["M"] * given["width"] * both


def _network(launch: Launch) -> int:
    given, fixed = launch.arguments, launch.constants
    first = _of(SPECIAL_VALUE, launch, fixed["ACT_FIRST"])
    hidden = given["hidden_layers"] * _of(SPECIAL_VALUE, launch, fixed["ACT"])
    return given["rows"] * fixed["WIDTH"] * (first + hidden)


_EVALUATIONS: dict[str, Callable[[Launch], int]] = {
    "linear_fwd": _linear_fwd,
    "linear_dx": _linear_dx,
    "linear_dw": _linear_dw,
    "complex_fwd": _complex_fwd,
    "complex_dx": _complex_dx,
    "complex_dw": _complex_dw,
    "first_fwd": _first_fwd,
    "last_fwd": _last_fwd,
    "last_step": _last_step,
    "network_fwd_kernel": _network,
}
