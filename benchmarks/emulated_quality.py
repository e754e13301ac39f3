"""PSNR at equal steps with the GPU engine's roundings, emulated in eager PyTorch: where there is no GPU.

``python -m benchmarks.emulated_quality``. Emulated are the operands of every matrix product (tf32, or fp16
forward and bf16 backward) and the saved tensors of ``fast`` (16-bit phases of a sine, fp16 pre-activations of
others, but those that oscillate); sums stay float32. A GPU's own figures are those of ``make gpu``.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.time_to_psnr import photograph
from fastsnf.engines.triton.parameters import SAVED_WHOLE
from fastsnf.nn import SNF
from fastsnf.ops import activate
from fastsnf.spec import Activation, Sine, make_activation

Round = Callable[[Tensor], Tensor]


def tf32(x: Tensor) -> Tensor:
    """Return x rounded to 11 significant bits."""
    return ((x.contiguous().view(torch.int32) + 0x1000) & -0x2000).view(torch.float32)


ROUNDINGS: dict[str, tuple[Round, Round]] = {
    "fp32": (lambda x: x, lambda x: x),
    "tf32": (tf32, tf32),
    "fast": (lambda x: x.half().float(), lambda x: x.bfloat16().float()),
}
"""How operands are rounded forward and backward."""


class Product(torch.autograd.Function):
    """``h W^T`` with rounded operands in all three products."""

    @staticmethod
    def forward(ctx: Any, h: Tensor, weight: Tensor, precision: str) -> Tensor:
        """Return the product."""
        ctx.save_for_backward(h, weight)
        ctx.rounding = ROUNDINGS[precision]
        return functional.linear(ctx.rounding[0](h), ctx.rounding[0](weight))

    @staticmethod
    def backward(ctx: Any, d_u: Tensor) -> tuple[Tensor, Tensor, None]:
        """Return the cotangents of h and of the weight."""
        h, weight, d_u = (ctx.rounding[1](tensor) for tensor in (*ctx.saved_tensors, d_u))
        return d_u @ weight, d_u.T @ h, None


def saved(u: Tensor, act: Activation, precision: str, halve_all: bool) -> Tensor:
    """Return pre-activations as they come back from what `precision` saves, with the derivative of `u`.

    `halve_all`: save all but a sine's in fp16, which the engine does not.
    """
    if precision != "fast":
        return u
    coarse = u.detach().half().float()
    if act.name in SAVED_WHOLE and not halve_all:
        return u
    if isinstance(act, Sine):
        turns = act.omega * u.detach() / (2.0 * math.pi)
        coarse = torch.round(turns * 65536.0) / 65536.0 * (2.0 * math.pi) / act.omega
    return u + (coarse - u).detach()


def output(field: SNF, x: Tensor, precision: str, halve_all: bool) -> Tensor:
    """Return the field's output at x; first and last layer are float32, as on the GPU."""
    weights, biases = field.layer_tensors()
    h, last = x, len(weights) - 1
    for l, (weight, bias, act) in enumerate(zip(weights, biases, field.spec.activations, strict=True)):
        exact = l in (0, last)
        u = functional.linear(h, weight, bias) if exact else Product.apply(h, weight, precision) + bias
        h = activate(u if l == last else saved(u, act, precision, halve_all), activation=act)
    return h


def psnr(activation: Activation, precision: str, options: argparse.Namespace) -> float:
    """Return the PSNR after full-batch Adam steps on the photograph."""
    image = photograph(options.size)
    field = SNF(2, 1, options.width, 3, activation=activation, generator=torch.Generator().manual_seed(0))
    optimizer = torch.optim.Adam(field.parameters(), lr=1e-4)

    def loss() -> Tensor:
        out = output(field, image.coords, precision, options.halve_all)
        return nn.functional.mse_loss(out, image.values)

    for _ in range(options.steps):
        optimizer.zero_grad()
        loss().backward()  # type: ignore[no-untyped-call]  # torch does not annotate it
        optimizer.step()
    with torch.no_grad():
        return float(-10.0 * torch.log10(loss()))


def main() -> None:
    """Print one JSON object an activation and precision."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--activations", nargs="+", default=["sine"])
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--halve-all", action="store_true", help="save every pre-activation in fp16")
    options = parser.parse_args()
    for name in options.activations:
        for precision in ROUNDINGS:
            value = psnr(make_activation(name), precision, options)
            row = {"activation": name, "precision": precision, "psnr": round(value, 3)}
            print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
