"""A real hidden layer for tests: buffers as the kernels take them, and the same numbers in float64."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from fastsnf.engines.triton import layers
from fastsnf.engines.triton.parameters import saved_format
from fastsnf.engines.triton.plan import DTYPES
from fastsnf.engines.triton.tile_table import padded
from fastsnf.reference import activations
from fastsnf.spec import Activation, Identity, Sine
from tests import cases
from tests.tolerances import error

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"

PHASE_STEPS = 65535.0
"""Steps of a turn in the format phase16."""

PHASE_NAN = -32768
"""What is saved there of NaN."""


class Problem:
    """A layer ``u = W act(u_in) + b`` [M, fan_out] above saved pre-activations `s_in`, and a cotangent `d`.

    Float64, not padded: `u_in` [M, fan_in], `h_in`, `slope` (act's derivative), `weight`, `bias`, `d_u`. They
    are what the buffers hold exactly; a `raw` problem has coordinates [M, fan_in] below, without a pad.
    """

    def __init__(self, shape, act: Activation, precision: str, *, phases=False, raw=False, bias=True, seed=0):
        self.M, self.fan_in, self.fan_out = shape
        self.act, self.precision = act, precision
        self.format = "float32" if raw else saved_format(act, precision, phases=phases)
        gen = cases.generator(seed)
        weight = torch.randn(self.fan_out, self.fan_in, generator=gen) / self.fan_in**0.5
        bias_given = torch.randn(self.fan_out, generator=gen) if bias else None
        u = torch.randn(self.M, self.fan_in, generator=gen, dtype=torch.float64) / cases.steepness(act)
        d = torch.randn(self.M, self.fan_out, generator=gen)
        self.columns, self.inputs = padded(self.fan_out), padded(self.fan_in)
        self.packed = layers.pack(
            weight.to(DEVICE),
            None if bias_given is None else bias_given.to(DEVICE),
            precision,
            rows_padded=self.columns,
            cols_padded=self.inputs,
        )
        stored = stored_form(u, act, self.format)
        self.s_in = (stored if raw else pad_columns(stored)).to(DEVICE)
        self.d_dtype = torch.bfloat16 if precision == "fast" else torch.float32
        self.d = pad_columns(round_tf32(d) if precision == "tf32" else d).to(self.d_dtype).to(DEVICE)
        self.u_in = pre_activation(self.s_in, act, self.format)[:, : self.fan_in]
        self.h_in, self.slope = activations.value(act, self.u_in), activations.first(act, self.u_in)
        self.weight = weight.double()
        self.bias = torch.zeros(self.fan_out).double() if bias_given is None else bias_given.double()
        self.d_u = self.d.cpu().double()[:, : self.fan_out]

    def forward(self, s_out: Tensor | None, out: Tensor | None, act_out: Activation, format_out: str) -> None:
        layers.linear_fwd(
            self.s_in,
            self.act,
            self.packed,
            s_out,
            act_out,
            self.precision,
            format_in=self.format,
            format_out=format_out,
            out=out,
        )

    def input_gradient(self, d_in: Tensor, db: Tensor | None, *, with_slope: bool = True) -> None:
        s_in, act = (self.s_in, self.act) if with_slope else (None, Identity())
        layers.linear_dx(self.d, self.packed, s_in, act, d_in, db, self.precision, format_in=self.format)

    def weight_gradient(self, partial: Tensor, split: int, rows: slice = slice(None)) -> None:
        d, s_in = self.d[rows], self.s_in[rows]
        layers.linear_dw(d, s_in, self.act, partial, split, self.precision, format_in=self.format)

    @property
    def blocks(self) -> int:
        """Rows of `linear_dx`'s column sums."""
        size = layers.linear_dx_rows(self.act, self.precision, columns=self.inputs, depth=self.columns)
        return -(-self.M // size)

    def twin(self, left: Tensor, right: Tensor, *, backward: bool) -> Tensor:
        """Return the product of float64 matrices as `precision` allows: operands rounded, or in float32."""
        if self.precision == "fp32":
            return left.float() @ right.float()
        return rounded(left, self.precision, backward) @ rounded(right, self.precision, backward)

    def h_float(self) -> Tensor:
        """Return eager's activations: those of float32 pre-activations."""
        return activations.value(self.act, self.u_in.float())

    def slope_float(self) -> Tensor:
        """Return eager's derivatives: those of float32 pre-activations."""
        return activations.first(self.act, self.u_in.float())


def buffer(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return a buffer that nobody wrote: NaN, or a number that no test expects."""
    if dtype == torch.int16:
        return torch.full(shape, 23456, dtype=dtype, device=DEVICE)
    return cases.nan_filled(*shape, dtype=dtype).to(DEVICE)


def stored_form(u: Tensor, act: Activation, kind: str) -> Tensor:
    """Return float64 pre-activations as the layer below saves them, rounded to their format."""
    if not isinstance(act, Sine):
        return u.to(DTYPES[kind])
    turns = u * act.omega / (2.0 * math.pi)
    turns = turns - turns.round()
    return (turns * PHASE_STEPS).round().to(torch.int16) if kind == "phase16" else turns.float()


def pre_activation(stored: Tensor, act: Activation, kind: str) -> Tensor:
    """Return float64 pre-activations of a saved tensor, reduced to one turn for a sine."""
    value = stored.cpu().double()
    if kind == "phase16":
        value = value / PHASE_STEPS
    return value * 2.0 * math.pi / act.omega if isinstance(act, Sine) else value


def turns_apart(found: Tensor, expected: Tensor) -> Tensor:
    """Return the distance of phases in turns, at most a half."""
    difference = found.cpu().double() - expected
    return (difference - difference.round()).abs()


def pad_columns(values: Tensor) -> Tensor:
    """Return [M, F] with zeros up to [M, padded(F)], as the engine leaves them."""
    return torch.nn.functional.pad(values, (0, padded(values.shape[1]) - values.shape[1]))


def round_tf32(values: Tensor) -> Tensor:
    """Return float32 values rounded to 11 significant bits, ties away from 0."""
    return ((values.contiguous().view(torch.int32) + 0x1000) & -0x2000).view(torch.float32)


def rounded(values: Tensor, precision: str, backward: bool) -> Tensor:
    """Return float64 values rounded to operands of ``tf32`` or ``fast``."""
    single = values.float()
    if precision == "tf32":
        return round_tf32(single).double()
    return single.to(torch.bfloat16 if backward else torch.float16).double()


def assert_rounded(found: Tensor, expected: Tensor, exact: Tensor, twin: Tensor, what: str) -> None:
    """Assert that `found` is `expected`, much nearer than the rounded operands of `twin` are to `exact`.

    So truncated operands fail. A value in float32 may lie on the other side of a rounding boundary than its
    float64: a few operands in a thousand, hence the mean. A float32 twin (of ``fp32``) has none rounded.
    """
    if twin.dtype != torch.float64 or exact.numel() < 64:
        return
    own, rounding = (found.cpu().double() - expected).abs().mean(), (twin - exact).abs().mean()
    assert own <= 0.1 * rounding, f"{what}: {own:.3e} from what is expected, where rounding is {rounding:.3e}"


def assert_within(found: Tensor, exact: Tensor, allowed: float, what: str) -> None:
    """Assert that the largest error of `found` is at most `allowed`."""
    wrong = error(found.cpu(), exact)
    assert wrong <= allowed, f"{what} {tuple(exact.shape)}: error {wrong:.3e}, allowed {allowed:.3e}"
