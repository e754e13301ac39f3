"""Fields on the GPU at real sizes, their results by the engine, and how far from float64 they may be."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from benchmarks.gate import LUCK, relative_error
from fastsnf import ops, reference
from fastsnf.spec import Activation, FieldSpec
from tests import cases

DEVICE = "cuda"
PRECISIONS = ("fp32", "tf32", "fast")
Params = tuple[list[Tensor], list[Tensor | None]]

FACTOR = {"fp32": 2.0, "tf32": 3.0, "fast": 3.0}
"""Times the error of the yardstick: eager float32, or float64 whose weights alone are rounded as the
precision rounds them. Rounded activations and cotangents come on top there: 2 sqrt(2) and a little."""

FEW = 64
"""Entries under which a yardstick's error is a matter of luck: the largest of all stands in for it."""

BITS = {"tf32": 13, "fast": 16}
"""Low bits of a float32 that rounding to tf32 and to bf16 drops."""


class Problem:
    """A random field of L + 2 layers, N points and targets on the GPU; fresh in every session of tests."""

    def __init__(self, act: Activation, rows: int, width: int, *, outputs: int = 3, depth: int = 3) -> None:
        self.spec = FieldSpec.mlp(act, depth)
        seed = int(torch.seed() % 2**31)
        print(f"seed {seed}")  # pytest shows it where a test fails
        gen = torch.Generator().manual_seed(seed)
        widths = [2, *[width] * (depth + 1), outputs]
        weights, biases = cases.random_field(self.spec, widths, gen=gen)
        self.weights = [weight.to(DEVICE) for weight in weights]
        self.biases = [None if bias is None else bias.to(DEVICE) for bias in biases]
        self.x = cases.random_points(rows, 2, gen=gen).to(DEVICE)
        self.y = torch.rand(rows, outputs, generator=gen).to(DEVICE)

    def exact(self) -> Params:
        """Return the parameters in float64."""
        return wide(self.weights), wide(self.biases)

    def rounded(self, precision: str) -> Params:
        """Return the parameters in float64, the weights of the products rounded as the precision does."""
        weights = [self.weights[0], *(round_bits(w, BITS[precision]) for w in self.weights[1:])]
        return wide(weights), wide(self.biases)


def wide(tensors: Sequence[Tensor | None]) -> list:
    """Return copies in float64 or complex128."""
    return cases.as_double(tensors)


def round_bits(tensor: Tensor, bits: int) -> Tensor:
    """Return float32 or complex64 numbers rounded to nearest, without their low bits."""
    parts = torch.view_as_real(tensor).contiguous() if tensor.is_complex() else tensor
    whole = (parts.view(torch.int32) + (1 << (bits - 1))) >> bits << bits
    kept = whole.view(torch.float32)
    return torch.view_as_complex(kept) if tensor.is_complex() else kept


def poison() -> None:
    """Leave NaN in the memory that the next allocations get."""
    large = [torch.full((1 << 26,), float("nan"), device=DEVICE) for _ in range(8)]
    small = [torch.full((1 << 14,), float("nan"), device=DEVICE) for _ in range(64)]
    tiny = [torch.full((128,), float("nan"), device=DEVICE) for _ in range(256)]
    torch.cuda.synchronize()
    del large, small, tiny


def differentiated(forward, x: Tensor, weights, biases, d_out: Tensor) -> dict[str, Tensor]:
    """Return output and gradients of ``forward(x, weights, biases)`` for a cotangent."""
    x = x.detach().clone().requires_grad_()
    weights, biases = cases.leaves(weights), cases.leaves(biases)
    out = forward(x, weights, biases)
    out.backward(d_out.to(out.dtype))
    found = {"out": out.detach(), "d_x": x.grad}
    found |= {f"d_weight[{l}]": weight.grad for l, weight in enumerate(weights)}
    return found | {f"d_bias[{l}]": b.grad for l, b in enumerate(biases) if b is not None}


def named(loss: Tensor, d_weights, d_biases) -> dict[str, Tensor]:
    """Return the results of a training step by name."""
    found = {"loss": loss} | {f"d_weight[{l}]": d for l, d in enumerate(d_weights)}
    return found | {f"d_bias[{l}]": d for l, d in enumerate(d_biases) if d is not None}


def by_autograd(problem: Problem, precision: str, d_out: Tensor) -> dict[str, Tensor]:
    """Return output and gradients of `ops.field` on the engine."""

    def forward(x, weights, biases):
        return ops.field(x, weights, biases, spec=problem.spec, engine="triton", precision=precision)

    return differentiated(forward, problem.x, problem.weights, problem.biases, d_out)


def by_reference(problem: Problem, params: Params, d_out: Tensor) -> dict[str, Tensor]:
    """Return the same of the reference, in the dtype of `params`."""

    def forward(x, weights, biases):
        return reference.forward(x, weights, biases, problem.spec)

    dtype = params[0][0].dtype
    return differentiated(forward, problem.x.to(dtype), *params, d_out.to(dtype))


def step(problem: Problem, precision: str, **options) -> dict[str, Tensor]:
    """Return loss and gradients of `ops.mse_value_and_grad` on the engine."""
    return named(
        *ops.mse_value_and_grad(
            problem.x, problem.y, problem.weights, problem.biases,
            spec=problem.spec, engine="triton", precision=precision, **options,
        )
    )  # fmt: skip


def step_reference(problem: Problem, params: Params) -> dict[str, Tensor]:
    """Return the same of the reference, in the dtype of `params`."""
    dtype = params[0][0].dtype
    x, y = problem.x.to(dtype), problem.y.to(dtype)
    return named(*reference.mse_value_and_grad(x, y, *params, problem.spec, None))


def assert_close(problem: Problem, precision: str, found, evaluate) -> None:
    """Assert that every tensor found is near float64's; ``evaluate(params)`` gives those of the reference."""
    exact = evaluate(problem.exact())
    torch.set_float32_matmul_precision("highest")
    yard = (
        evaluate((problem.weights, problem.biases))
        if precision == "fp32"
        else evaluate(problem.rounded(precision))
    )
    yards = {name: relative_error(yard[name], truth) for name, truth in exact.items()}
    wrong = []
    for name, truth in exact.items():
        ours = relative_error(found[name], truth)
        allowed = yards[name] if truth.numel() >= FEW else max(yards.values())
        limit = max(FACTOR[precision] * allowed, LUCK)
        if not ours <= limit:  # NaN is wrong
            wrong.append(f"{name} {tuple(truth.shape)}: {ours:.2e} > {limit:.2e}")
    assert not wrong, "; ".join(wrong)


def assert_same_bits(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    """Assert that two results agree bit for bit."""
    wrong = [name for name in one if not torch.equal(one[name], other[name])]
    assert not wrong, f"bits differ: {', '.join(wrong)}"
    assert all(
        bool(torch.isfinite(torch.view_as_real(t) if t.is_complex() else t).all()) for t in one.values()
    )
