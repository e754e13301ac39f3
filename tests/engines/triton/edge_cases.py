"""What the tests of the first and last layer share: saved tensors, their exact meaning, and partial sums."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from fastsnf.engines.triton.kernels.activation import PHASE_STEPS
from fastsnf.engines.triton.parameters import saved_format
from fastsnf.engines.triton.plan import DTYPES
from fastsnf.engines.triton.tile_table import padded
from fastsnf.reference import activations
from fastsnf.spec import Activation, Identity
from tests import cases

NOT_FINITE = pytest.mark.filterwarnings(
    "ignore:invalid value:RuntimeWarning", "ignore:overflow:RuntimeWarning"
)
"""NaN and infinity through the interpreter, which computes with numpy."""

PHASES = float(PHASE_STEPS.value)
"""Steps of a turn in 16 bits."""

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"

EVERY_ACTIVATION = (*cases.ACTIVATIONS, Identity())
EVERY_REAL = (*cases.REAL_ACTIVATIONS, Identity())
PRECISIONS = ("fp32", "tf32", "fast")

SUMS = 1e-5
"""Relative to the largest entry: fp32 sums of some hundred products against float64."""

ROUNDING = {"fp32": SUMS, "tf32": 2.0**-11, "fast": 2.0**-8}
"""Relative to the largest entry: cotangents are stored in fp32, tf32 (11 bits) and bf16 (8 bits)."""


def random(*shape: int, gen: torch.Generator, scale: float = 1.0) -> Tensor:
    """Return normal fp32 entries."""
    return scale * torch.randn(*shape, generator=gen)


def nans(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return a buffer on the device in which an entry that nobody wrote shows."""
    if dtype.is_floating_point:
        return torch.full(shape, float("nan"), dtype=dtype, device=DEVICE)
    return torch.full(shape, -12_345, dtype=dtype, device=DEVICE)


def format_of(act: Activation, precision: str) -> str:
    """Return the saved format of a layer below the edge; that of raw input under an identity."""
    return "float32" if act == Identity() else saved_format(act, precision)


def saved(rows: int, features: int, act: Activation, form: str, gen: torch.Generator) -> Tensor:
    """Return random saved pre-activations [rows, padded features], alive, with hostile pads."""
    if act.name == "sine":  # reduced turns
        s = torch.rand(rows, features, generator=gen) - 0.5
        s = (PHASES * s).round().to(torch.int16) if form == "phase16" else s
    else:
        s = random(rows, features, gen=gen, scale=1.0 / cases.steepness(act)).to(DTYPES[form])
    pads = nans(rows, padded(features), dtype=DTYPES[form]).cpu()
    pads[:, :features] = s
    return pads.to(DEVICE)


def planes(rows: int, features: int, act: Activation, form: str, gen: torch.Generator) -> Tensor:
    """Return random saved complex pre-activations, planar [rows, 2 padded]."""
    return torch.cat([saved(rows, features, act, form, gen) for _ in range(2)], dim=1)


def exact(s: Tensor, features: int, act: Activation) -> Tensor:
    """Return the pre-activations [rows, features] that s holds, in float64 or complex128."""
    if act.is_complex and s.shape[1] >= 2 * padded(features):
        re, im = s.cpu().double().chunk(2, dim=1)
        return torch.complex(re[:, :features], im[:, :features])
    u = s.cpu().double()[:, :features]
    if act.name == "sine":
        u = u * (2.0 * math.pi / act.omega) / (PHASES if s.dtype == torch.int16 else 1.0)
    return u


def hidden(s: Tensor, features: int, act: Activation) -> Tensor:
    """Return the exact activations that s holds."""
    return activations.value(act, exact(s, features, act))


def cotangent_dtype(precision: str) -> torch.dtype:
    """Return the type of cotangents between layers."""
    return torch.bfloat16 if precision == "fast" else torch.float32


def weight_of(outputs: int, features: int, act: Activation, gen: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return a random weight and bias [outputs], complex after a complex activation."""
    weight, bias = (
        torch.complex(random(*shape, gen=gen), random(*shape, gen=gen))
        if act.is_complex
        else random(*shape, gen=gen)
        for shape in ((outputs, features), (outputs,))
    )
    return weight / features**0.5, bias / 10.0


def parts(tensor: Tensor | None) -> Tensor | None:
    """Return a parameter as the kernels take it, complex numbers as pairs."""
    if tensor is None:
        return None
    return (torch.view_as_real(tensor) if tensor.is_complex() else tensor).contiguous().to(DEVICE)


def in_order(partial: Tensor) -> Tensor:
    """Return the sum over splits, first to last, in float64."""
    return partial.cpu().double().sum(0)
