"""Kodak image 1 as the weight-scaling paper fits it, fastsnf beside eager PyTorch from the same weights.

Gray, squeezed to 512 x 512 (the size is the paper's; how it got there is not published, and `--crop` takes
the centre square instead), values in [0, 1], 5 linear layers of width 512, alpha 2.37, omega 30, Adam at
1e-4, full batch, 150 steps. The two PSNRs must lie within 0.3 dB. Eager takes about 20 minutes on two cores.

    python -m benchmarks.kodak --image kodim01.png
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks import machine
from benchmarks.sides import EAGER, FASTSNF
from benchmarks.time_to_psnr import Step, decibels, eager_step, fused_step
from fastsnf.nn import SNF
from fastsnf.signals import Image

LIMIT_DB = 0.3
"""How far fastsnf's PSNR may be from eager's."""


@dataclass(frozen=True)
class Settings:
    """The experiment; the defaults are the paper's."""

    size: int = 512
    width: int = 512
    hidden_layers: int = 3
    steps: int = 150
    alpha: float = 2.37
    seed: int = 0
    squeeze: bool = True


def run(step: Step, steps: int) -> tuple[float, float]:
    """Return the PSNR before the last of `steps` + 1 updates, that is after `steps`, and the seconds."""
    start = time.perf_counter()
    loss = 0.0
    for _ in range(steps + 1):
        loss = step()
    return decibels(loss), time.perf_counter() - start


def measure(path: Path, settings: Settings) -> dict[str, Any]:
    """Return the record: the PSNR of both sides after the steps, from the same initial weights."""
    size = (settings.size, settings.size)
    image = Image.open(path, size=size, squeeze=settings.squeeze, mode="gray")
    generator = torch.Generator().manual_seed(settings.seed)
    layers = settings.hidden_layers
    field = SNF(
        2, 1, settings.width, layers, init="weight-scaling", alpha=settings.alpha, generator=generator
    )
    record: dict[str, Any] = {"case": "kodak", "image": path.name, **vars(settings)}
    # eager first: it copies the weights, fastsnf's step trains the field itself
    for side, make in ((EAGER, eager_step), (FASTSNF, fused_step)):
        psnr, seconds = run(make(field, image), settings.steps)
        record |= {f"psnr_{side}": psnr, f"seconds_{side}": seconds}
        print(
            f"{side}: {psnr:.3f} dB after {settings.steps} steps, {seconds:.1f} s",
            file=sys.stderr,
            flush=True,
        )
    difference = record[f"psnr_{FASTSNF}"] - record[f"psnr_{EAGER}"]
    return record | {
        "difference_db": difference,
        "limit_db": LIMIT_DB,
        "holds": abs(difference) <= LIMIT_DB,
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "machine": machine.describe(),
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Run the comparison; exit status 0: within the limit, 1: not, 2: no data."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.kodak", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--image", type=Path, help="Kodak image 1 (kodim01.png), 768 x 512")
    parser.add_argument("--steps", type=int, default=Settings.steps)
    parser.add_argument("--size", type=int, default=Settings.size, help="pixels of each side")
    parser.add_argument("--width", type=int, default=Settings.width, help="hidden features")
    parser.add_argument("--crop", action="store_true", help="take the centre square instead of squeezing")
    parser.add_argument("--out", type=Path, help="folder for kodak.json")
    options = parser.parse_args(argv)
    if options.image is None or not options.image.is_file():
        print(
            f"no data: expected --image kodim01.png of the Kodak suite; got {options.image}", file=sys.stderr
        )
        return 2
    settings = Settings(options.size, options.width, steps=options.steps, squeeze=not options.crop)
    record = measure(options.image, settings)
    text = json.dumps(record, indent=2)
    print(text)
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / "kodak.json").write_text(text + "\n", encoding="utf-8")
    return 0 if record["holds"] else 1


if __name__ == "__main__":
    sys.exit(main())
