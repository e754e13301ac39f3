"""What is measured on a GPU and the floors it has to reach: the one table of both."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from benchmarks.cases import HIDDEN_LAYERS, IN_FEATURES, OUT_FEATURES, SINE, Case
from benchmarks.launches import OMEGA, SCALE
from fastsnf.spec import ACTIVATIONS, make_activation

EAGER_FP32, EAGER_TF32 = "eager-fp32", "eager-tf32"
COMPILED_FP32, COMPILED_TF32 = "compile-fp32", "compile-tf32"
REDUCED_FP32, REDUCED_TF32 = "reduce-overhead-fp32", "reduce-overhead-tf32"
AUTOTUNED_TF32 = "max-autotune-tf32"
FP32, TF32, PHASES, FAST = "fp32", "tf32", "tf32-phase16", "fast"
LAUNCHED_TF32 = "tf32-launched"
REPLAYED_TF32, REPLAYED_FAST = "tf32-replayed", "fast-replayed"

OURS = (FP32, TF32, PHASES, FAST)
"""fastsnf's sides, by precision; `PHASES` saves 16-bit phases in tf32. In a row of training steps each
replays the CUDA graph that the trainer records; inference is launched, but for the sides called replayed."""

COMPILED = {
    COMPILED_FP32: (COMPILED_FP32, REDUCED_FP32),
    COMPILED_TF32: (COMPILED_TF32, REDUCED_TF32, AUTOTUNED_TF32),
}
"""The sides of torch.compile in the precision of the one that a floor names: the fastest of them decides."""

MANNERS = (
    "Training steps: `fp32`, `tf32`, `tf32-phase16`, `fast` replay the CUDA graph that fastsnf's trainer "
    "records of its step (loss, gradients, Adam), as every step of `fit` from the fourth on; `tf32-launched` "
    "launches the same kernels one by one from the host. Eager PyTorch and torch.compile launch theirs, with "
    "torch's fused Adam; `reduce-overhead` and `max-autotune` replay CUDA graphs of forward and backward.",
    "Inference: all sides launch from the host, but `tf32-replayed` and `fast-replayed`, which replay a CUDA "
    "graph of one pass, and `reduce-overhead`. Memory is that of steps that are launched.",
    "A floor against torch.compile is judged by its fastest mode in that precision at that size.",
)
"""How the sides are run, for the tables."""

CUDA, CUDA_REPLAYED = "cuda", "cuda-replayed"
"""Sides of `ntk_gram`: the CUDA engine called from Python, and the replay of a CUDA graph of that call."""

PLAIN = "plain"
SAMPLES = ("argmax_lagged", "center", "random", "argmax")
"""Sides of the adjusted step, by what stands for a group, beside the plain step as `fit` replays it."""

OTHERS = (EAGER_FP32, EAGER_TF32, COMPILED_FP32, COMPILED_TF32)

HOST_BOUND_POINTS = 131_072
"""Rows of up to so many points also show sides with and without CUDA graphs."""

CORE_WIDTHS, CORE_POINTS = (256, 512), (131_072, 1_048_576)
FULL_WIDTHS, FULL_POINTS = (64, 128, 256, 512), (16_384, 131_072, 1_048_576, 8_388_608)
ACTIVATION_WIDTH, ACTIVATION_POINTS = 256, 131_072


@dataclass(frozen=True)
class Row:
    """One row of the records: `kind` is a key of `work.KINDS`; sides are measured in turn."""

    kind: str
    case: Case
    sides: tuple[str, ...]
    suffix: str = ""

    @property
    def key(self) -> str:
        """What names the row in records."""
        case = self.case
        name = f"{self.kind}-{case.work}-{case.activation.name}-{case.width}-{case.points}"
        return f"{name}-{self.suffix}" if self.suffix else name


@dataclass(frozen=True)
class Floor:
    """The least ratio of medians, `against` over `side`, of a training step at a width."""

    width: int
    side: str
    against: str
    least: float


FLOORS = (
    Floor(256, TF32, EAGER_FP32, 4.0),
    Floor(256, TF32, EAGER_TF32, 2.0),
    Floor(256, TF32, COMPILED_TF32, 1.4),
    Floor(512, TF32, EAGER_FP32, 6.0),
    Floor(512, TF32, EAGER_TF32, 2.2),
    Floor(512, TF32, COMPILED_TF32, 1.4),
    Floor(256, FAST, EAGER_FP32, 8.0),
    Floor(256, FAST, EAGER_TF32, 4.0),
    Floor(256, FAST, COMPILED_TF32, 2.5),
    Floor(256, FP32, EAGER_FP32, 2.0),
    Floor(256, FP32, COMPILED_FP32, 1.5),
)
"""Training steps on an H200, sine; a side of fastsnf against another, by name."""

RATES = {FAST: 1.0e9, TF32: 0.35e9}
"""Points a second of inference at width 256, at least, judged at `RATE_POINTS`."""

RATE_POINTS = CORE_POINTS[1]

MEMORY = {FP32: 0.55, TF32: 0.55, PHASES: 0.28, FAST: 0.28}
"""Memory of a training step above its inputs, over eager float32's, at most."""

QUALITY = {TF32: 0.1, PHASES: 0.1, FAST: 0.3}
"""dB below eager float32's PSNR at equal steps, at most."""

QUALITY_CASE = Case("train", 256, 262_144)
"""The photograph whose PSNR is compared: astronaut, gray, 512 x 512, full batch."""


@dataclass(frozen=True)
class GramCase(Case):
    """A batch of NTK blocks [points, points] of 5 linear layers, from their inputs and cotangents."""

    batch: int = 1

    @property
    def widths(self) -> list[tuple[int, int]]:
        """(fan_in, fan_out) of every layer."""
        return list(pairwise([IN_FEATURES, *[self.width] * (HIDDEN_LAYERS + 1), OUT_FEATURES]))

    @property
    def flops(self) -> int:
        """Both products of half of each symmetric block."""
        return self.batch * self.points**2 * sum(a + d for a, d in self.widths)

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able description."""
        return {**super().to_dict(), "batch": self.batch}


@dataclass(frozen=True)
class AdjustedCase(Case):
    """Steps on an RGB image, all points at once, `hidden_layers` + 2 linear layers; adjusted by patches."""

    shape: tuple[int, int] = (512, 768)
    hidden_layers: int = 2
    patch: int = 32
    end: int = 20
    precision: str = "fp32"

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able description; the FLOPs are not those of `Case`, which has more layers."""
        own = {"shape": list(self.shape), "patch": self.patch, "end": self.end, "precision": self.precision}
        return {**super().to_dict(), **own, "layers": self.hidden_layers + 2, "flops": None}


LEAST_SHARE = 0.40
"""Of the FMA peak that this run has measured, by `GramCase.flops`, for the blocks of `GRAM_BATCH`."""

LEAST_GRAM_RATIO = 3.0
"""Eager's formula over the CUDA engine, for the same."""

MOST_GRAM_SECONDS = 60e-6
"""On the device, for one block."""

GRAM_BATCH, GRAM_POINTS, GRAM_WIDTH = 64, 512, 256

MOST_ADJUSTED_RATIO = 1.25
"""The adjusted step over the plain one, for every sample but `argmax`, which asks for one more pass."""


def gram(batch: int, points: int = GRAM_POINTS, width: int = GRAM_WIDTH) -> Row:
    """Return the row of `ntk_gram`."""
    case = GramCase("ntk", width, points, batch=batch)  # type: ignore[arg-type]  # no work of a field
    return Row("ntk", case, (CUDA_REPLAYED, CUDA, EAGER_FP32), f"batch-{batch}")


def adjusted(precision: str) -> Row:
    """Return the row of a step with inductive gradient adjustment."""
    points = AdjustedCase.shape[0] * AdjustedCase.shape[1]
    case = AdjustedCase("iga", 256, points, precision=precision)  # type: ignore[arg-type]
    return Row("iga", case, (PLAIN, *SAMPLES), precision)


def speed(work: str, width: int, points: int, activation: str = "sine") -> Row:
    """Return the row of a training step or an inference pass."""
    act = SINE if activation == "sine" else make_activation(activation, omega=OMEGA, scale=SCALE)
    ours: tuple[str, ...] = OURS if activation == "sine" and work == "train" else (FP32, TF32, FAST)
    others: tuple[str, ...] = OTHERS if activation == "sine" else (EAGER_FP32, EAGER_TF32)
    if activation == "sine" and points <= HOST_BOUND_POINTS:
        ours += (LAUNCHED_TF32,) if work == "train" else (REPLAYED_TF32, REPLAYED_FAST)
        others += (REDUCED_FP32, REDUCED_TF32)
    case = Case("train" if work == "train" else "infer", width, points, act)
    return Row("speed", case, (*ours, *others))


def autotuned() -> Row:
    """Return the row of torch.compile's longest search, beside what it has to be compared with."""
    case = Case("train", 256, CORE_POINTS[0])
    return Row("speed", case, (TF32, FAST, EAGER_TF32, AUTOTUNED_TF32), "max-autotune")


def fit(width: int, points: int) -> Row:
    """Return the row of whole steps of `fastsnf.fit` beside a loop in eager PyTorch."""
    return Row("fit", Case("train", width, points), (*OURS, EAGER_FP32, EAGER_TF32))


def memory(width: int, points: int) -> Row:
    """Return the row of the memory of a training step."""
    return Row(
        "memory", Case("train", width, points), (*OURS, EAGER_FP32, EAGER_TF32, COMPILED_FP32, COMPILED_TF32)
    )


def core() -> Iterator[Row]:
    """Yield the rows of `make gpu`, what decides first."""
    for width in CORE_WIDTHS:
        yield speed("train", width, CORE_POINTS[0])
    yield speed("infer", 256, CORE_POINTS[1])
    yield memory(256, CORE_POINTS[0])
    yield gram(GRAM_BATCH)
    yield gram(1)
    for precision in ("fp32", "tf32"):
        yield adjusted(precision)
    yield Row("quality", QUALITY_CASE, (*OURS, EAGER_FP32))
    for width in CORE_WIDTHS:
        yield speed("train", width, CORE_POINTS[1])
    yield fit(256, CORE_POINTS[0])
    yield speed("infer", 512, CORE_POINTS[1])
    for width in CORE_WIDTHS:
        yield speed("infer", width, CORE_POINTS[0])
    yield fit(512, CORE_POINTS[0])
    for width in CORE_WIDTHS:
        yield fit(width, CORE_POINTS[1])
    yield memory(256, CORE_POINTS[1])
    yield autotuned()


def full() -> Iterator[Row]:
    """Yield the rows of `make gpu-full`: the core, then every width, size, activation and precision."""
    done = set()
    for row in (*core(), *_grid()):
        if row.key not in done:
            done.add(row.key)
            yield row


def _grid() -> Iterator[Row]:
    for points in FULL_POINTS:
        for width in FULL_WIDTHS:
            yield speed("train", width, points)
            yield speed("infer", width, points)
    for batch, points in ((4096, 64), (512, 256), (1, 128), (1, 1024), (1, 4096)):
        for width in (GRAM_WIDTH, 181):
            yield gram(batch, points, width)
    for activation in ACTIVATIONS:
        if activation not in ("sine", "identity"):
            yield speed("train", ACTIVATION_WIDTH, ACTIVATION_POINTS, activation)
            yield speed("infer", ACTIVATION_WIDTH, ACTIVATION_POINTS, activation)
    for width in FULL_WIDTHS:
        for points in FULL_POINTS[:3]:
            yield fit(width, points)
        yield memory(width, FULL_POINTS[2])


SUITES = {"core": core, "full": full}
"""The rows of each suite, in the order they are measured."""
