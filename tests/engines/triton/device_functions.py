"""Kernels around single device functions, elementwise over vectors, for their tests."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from fastsnf.engines.triton.kernels import activation, operand, sine
from fastsnf.engines.triton.parameters import parameters
from fastsnf.spec import Activation

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
BLOCK = 1024 if DEVICE == "cuda" else 65536  # the interpreter takes its time by the program
STORED = {"float32": torch.float32, "float16": torch.float16, "phase16": torch.int16}

activate, decode, derivative = activation.activate, activation.decode, activation.derivative
encode, gabor_parts, gabor_vjp = activation.encode, activation.gabor_parts, activation.gabor_vjp
gabor_real_input, gabor_real_input_vjp = activation.gabor_real_input, activation.gabor_real_input_vjp
cos_turns, exponential, nearest = sine.cos_turns, sine.exponential, sine.nearest
reduced_turns, sin_turns = sine.reduced_turns, sine.sin_turns
operand_of, round_tf32, split, to_bf16 = operand.operand, operand.round_tf32, operand.split, operand.to_bf16
dot = operand.dot


@triton.jit
def activation_kernel(
    x, stored, y, dy, n, omega, turn, turn_low, scale,
    ACT: tl.constexpr, FORMAT: tl.constexpr, TIER: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    code = encode(tl.load(x + at, mask=at < n, other=0.0), turn, turn_low, ACT, FORMAT)
    tl.store(stored + at, code, mask=at < n)
    s = decode(code, FORMAT)
    tl.store(y + at, activate(s, omega, turn, turn_low, scale, ACT, TIER), mask=at < n)
    tl.store(dy + at, derivative(s, omega, turn, turn_low, scale, ACT, TIER), mask=at < n)


@triton.jit
def gabor_kernel(
    a, b, d, y, dy, n, omega, turn, turn_low, scale,
    REAL: tl.constexpr, TIER: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    m = at < n
    u, v = tl.load(a + at, mask=m, other=0.0), tl.load(b + at, mask=m, other=0.0)
    d_re, d_im = tl.load(d + 2 * at, mask=m, other=0.0), tl.load(d + 2 * at + 1, mask=m, other=0.0)
    if REAL:
        re, im = gabor_real_input(u, turn, turn_low, scale, TIER)
        d_a = gabor_real_input_vjp(u, d_re, d_im, omega, turn, turn_low, scale, TIER)
        tl.store(dy + at, d_a, mask=m)
    else:
        re, im = gabor_parts(u, v, omega, turn, turn_low, scale, TIER)
        d_a, d_b = gabor_vjp(u, v, d_re, d_im, omega, turn, turn_low, scale, TIER)
        tl.store(dy + 2 * at, d_a, mask=m)
        tl.store(dy + 2 * at + 1, d_b, mask=m)
    tl.store(y + 2 * at, re, mask=m)
    tl.store(y + 2 * at + 1, im, mask=m)


@triton.jit
def elementwise_kernel(x, y, n, turn, turn_low, WHAT: tl.constexpr, TIER: tl.constexpr, BLOCK: tl.constexpr):
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    v = tl.load(x + at, mask=at < n, other=0.0)
    if WHAT == "sin":
        out = sin_turns(v, TIER)
    elif WHAT == "cos":
        out = cos_turns(v, TIER)
    elif WHAT == "exp":
        out = exponential(v, TIER)
    elif WHAT == "nearest":
        out = nearest(v)
    elif WHAT == "reduced":
        out = reduced_turns(v, turn, turn_low)
    elif WHAT == "tf32":
        out = round_tf32(v)
    elif WHAT == "bf16":
        out = to_bf16(v).to(tl.float32)
    elif WHAT == "high":
        out, _ = split(v)
    else:
        _, out = split(v)
    tl.store(y + at, out, mask=at < n)


@triton.jit
def product_kernel(
    a, b, b_low, c, PRECISION: tl.constexpr, BACKWARD: tl.constexpr,
    M: tl.constexpr, N: tl.constexpr, K: tl.constexpr, STEP: tl.constexpr,
):  # fmt: skip
    rows, columns, depth = tl.arange(0, M), tl.arange(0, N), tl.arange(0, STEP)
    total = tl.zeros((M, N), dtype=tl.float32)
    for start in range(0, K, STEP):
        x = tl.load(a + rows[:, None] * K + (start + depth)[None, :])
        w = tl.load(b + (start + depth)[:, None] * N + columns[None, :])
        w_low = tl.load(b_low + (start + depth)[:, None] * N + columns[None, :])
        if PRECISION != "fp32":
            w = operand_of(w, PRECISION, BACKWARD)
        total = dot(operand_of(x, PRECISION, BACKWARD), w, w_low, total, PRECISION)
    tl.store(c + rows[:, None] * N + columns[None, :], total)


def run_activation(act: Activation, u: Tensor, form: str, tier: str) -> tuple[Tensor, Tensor, Tensor]:
    """Return (stored, value, derivative) of pre-activations u [n], on the CPU."""
    x = u.float().to(DEVICE)
    stored = torch.empty(len(x), dtype=STORED[form], device=DEVICE)
    y, dy = torch.full_like(x, float("nan")), torch.full_like(x, float("nan"))
    grid = (triton.cdiv(len(x), BLOCK),)
    activation_kernel[grid](
        x, stored, y, dy, len(x), **parameters(act), ACT=act.name, FORMAT=form, TIER=tier, BLOCK=BLOCK
    )
    return stored.cpu(), y.cpu(), dy.cpu()


def run_gabor(act: Activation, u: Tensor, d_h: Tensor, tier: str) -> tuple[Tensor, Tensor]:
    """Return (value complex, d_u) of real or complex pre-activations u [n] and cotangents d_h, on the CPU."""
    a, b = (u.real, u.imag) if u.is_complex() else (u, torch.zeros_like(u))
    a, b = a.float().contiguous().to(DEVICE), b.float().contiguous().to(DEVICE)
    d = torch.view_as_real(d_h.to(torch.complex64)).contiguous().to(DEVICE)
    y, dy = torch.full_like(d, float("nan")), torch.full_like(d, float("nan"))
    dy = dy if u.is_complex() else dy[:, 0].contiguous()
    gabor_kernel[(triton.cdiv(len(a), BLOCK),)](
        a, b, d, y, dy, len(a), **parameters(act), REAL=not u.is_complex(), TIER=tier, BLOCK=BLOCK
    )
    return torch.view_as_complex(y).cpu(), (torch.view_as_complex(dy) if u.is_complex() else dy).cpu()


def run_elementwise(
    what: str, v: Tensor, tier: str = "exact", turn: float = 0.0, turn_low: float = 0.0
) -> Tensor:
    """Return the device function called `what` of v [n], on the CPU."""
    x = v.float().to(DEVICE)
    y = torch.full_like(x, float("nan"))
    elementwise_kernel[(triton.cdiv(len(x), BLOCK),)](
        x, y, len(x), turn, turn_low, WHAT=what, TIER=tier, BLOCK=BLOCK
    )
    return y.cpu()


def run_product(a: Tensor, b: Tensor, precision: str, backward: bool) -> Tensor:
    """Return ``a b`` in a precision, a [M, K] and b [K, N]; b comes split in `fp32`."""
    high = run_elementwise("high", b.flatten()).view_as(b) if precision == "fp32" else b
    low = run_elementwise("low", b.flatten()).view_as(b)
    c = torch.full((len(a), b.shape[1]), float("nan"), device=DEVICE)
    product_kernel[(1,)](
        a.to(DEVICE), high.to(DEVICE), low.to(DEVICE), c,
        PRECISION=precision, BACKWARD=backward, M=len(a), N=b.shape[1], K=len(b), STEP=32,
    )  # fmt: skip
    return c.cpu()
