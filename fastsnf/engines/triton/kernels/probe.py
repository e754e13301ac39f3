"""The smallest kernel: whether Triton can compile and launch at all."""

from __future__ import annotations

import torch
import triton
import triton.language as tl


@triton.jit
def add_one(x_pointer, size, BLOCK: tl.constexpr):
    """``x += 1`` on `size` floats."""
    offsets = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = offsets < size
    x = tl.load(x_pointer + offsets, mask=inside, other=0.0)
    tl.store(x_pointer + offsets, x + 1.0, mask=inside)


def run_probe(device: torch.device) -> None:
    """Launch `add_one` on `device`.

    Raises:
        RuntimeError: when the result is wrong; whatever Triton raises when it cannot launch.
    """
    x = torch.zeros(100, device=device)
    with torch.cuda.device(device) if device.type == "cuda" else torch.no_grad():
        add_one[(1,)](x, x.numel(), BLOCK=128)
    if not bool((x == 1.0).all()):
        raise RuntimeError("expected a kernel to add one; it did not: check the GPU's driver")
