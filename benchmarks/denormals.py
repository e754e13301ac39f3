"""What denormal numbers cost eager PyTorch in a Gaussian field, whose activations underflow.

python -m benchmarks.denormals
"""

from __future__ import annotations

import time
from statistics import median

import torch

from benchmarks.baselines import EagerField
from fastsnf.nn import SNF

POINTS, WIDTH, ROUNDS = 8_192, 256, 5


def seconds(field: EagerField, x: torch.Tensor, y: torch.Tensor, flush: bool) -> float:
    """Return the time of one forward and backward pass, denormals flushed to zero or not."""
    torch.set_flush_denormal(flush)
    start = time.perf_counter()
    torch.nn.functional.mse_loss(field(x), y).backward()
    return time.perf_counter() - start


def main() -> None:
    """Print the medians of both, taken in turn on one thread."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    source = SNF(2, 3, WIDTH, 3, activation="gaussian")
    field = EagerField(*source.layer_tensors(), source.spec)
    x, y = torch.rand(POINTS, 2) * 2 - 1, torch.rand(POINTS, 3)
    times: dict[bool, list[float]] = {False: [], True: []}
    for _ in range(ROUNDS + 1):
        for flush, found in times.items():
            found.append(seconds(field, x, y, flush))
    for flush, found in times.items():
        print(f"flushed {flush}: {median(found[1:]):.3f} s ({min(found[1:]):.3f}-{max(found[1:]):.3f})")


if __name__ == "__main__":
    main()
