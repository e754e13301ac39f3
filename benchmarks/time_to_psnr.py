"""Time to a quality on a photograph: eager SIREN against fastsnf with weight scaling, and the step between.

Both fit scikit-image's astronaut in gray, `SIZE` x `SIZE`, with 5 linear layers of width 256, omega 30, Adam
at 1e-4 on the full batch, as the papers do. Only steps are timed; the PSNR is that of the batch before its
update, which both sides get for free.

    python -m benchmarks time-to-psnr
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks import child
from benchmarks.baselines import EagerField
from benchmarks.sides import EAGER, FASTSNF
from fastsnf.nn import SNF
from fastsnf.signals import Image
from fastsnf.train.config import FitConfig
from fastsnf.train.step import make_step

SIZE = 128
WIDTH = 256
TARGET_DB = 40.0
SECONDS = 180.0
ARMS = ((EAGER, "siren"), (EAGER, "weight-scaling"), (FASTSNF, "weight-scaling"))

Step = Callable[[], float]


@dataclass(frozen=True)
class Settings:
    """What to reach and on what; the defaults are the benchmark's."""

    size: int = SIZE
    width: int = WIDTH
    target_db: float = TARGET_DB
    limit_s: float = SECONDS
    seed: int = 0


def photograph(size: int) -> Image:
    """Return scikit-image's astronaut, gray, `size` x `size`."""
    import skimage

    path = Path(skimage.__file__).parent / "data" / "astronaut.png"
    return Image.open(path, size=(size, size), mode="gray")


def fused_step(field: SNF, image: Image) -> Step:
    """Return the trainer's step on the full batch; it returns the loss before the update."""
    step = make_step(field, FitConfig(batch_size="full"))
    return lambda: float(step(image.coords, image.values, None))


def eager_step(field: SNF, image: Image) -> Step:
    """Return the same in eager PyTorch, from the same weights."""
    eager = EagerField(*field.layer_tensors(), field.spec)
    optimizer = torch.optim.Adam(eager.parameters(), lr=FitConfig(batch_size="full").base_lr)

    def step() -> float:
        optimizer.zero_grad()
        loss: Tensor = nn.functional.mse_loss(eager(image.coords), image.values)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def decibels(loss: float) -> float:
    """Return the PSNR of a mean squared error of values in [0, 1]."""
    return math.inf if loss == 0 else -10 * math.log10(loss)


def fit(step: Step, target_db: float, seconds: float) -> tuple[int, float, float]:
    """Return steps, seconds and PSNR when the target is reached or the time is over."""
    steps, spent, psnr = 0, 0.0, -math.inf
    while psnr < target_db and spent < seconds:
        start = time.perf_counter()
        loss = step()
        spent += time.perf_counter() - start
        steps += 1
        psnr = decibels(loss)
    return steps, spent, psnr


def in_child(side: str, init: str, settings: Settings) -> dict[str, Any]:
    """Return the record of one arm, measured in a process with the kept allocator."""
    job = {"side": side, "init": init, "settings": asdict(settings)}
    return child.run("benchmarks.time_to_psnr", job, child.environment(child.KEPT))


def measure(side: str, init: str, settings: Settings) -> dict[str, Any]:
    """Return the record of one arm."""
    image = photograph(settings.size)
    generator = torch.Generator().manual_seed(settings.seed)
    field = SNF(2, image.out_features, settings.width, 3, init=init, generator=generator)
    step = (fused_step if side == FASTSNF else eager_step)(field, image)
    steps, seconds, psnr = fit(step, settings.target_db, settings.limit_s)
    return {
        "case": "time-to-psnr",
        "what": f"Time to {settings.target_db:g} dB: astronaut, gray, {settings.size}x{settings.size}, "
        f"5 linear layers of width {settings.width}, Adam 1e-4, full batch.",
        "side": side,
        "init": init,
        **asdict(settings),
        "steps": steps,
        "seconds": seconds,
        "psnr": psnr,
        "reached": psnr >= settings.target_db,
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


if __name__ == "__main__":
    child.serve(lambda side, init, settings: measure(side, init, Settings(**settings)))
