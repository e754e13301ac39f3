"""What is measured, and the floor that each row has to reach: the one table of cases."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

from fastsnf.spec import Activation, Finer, Gabor, Gaussian, RealGabor, Sinc, Sine

Work = Literal["train", "infer", "by-hand"]

WORKS: dict[str, str] = {
    "train": "training step (forward, MSE, backward, Adam)",
    "infer": "inference",
    "by-hand": "step by hand (field(x), mse_loss, backward, Adam)",
}
"""The kinds of work, as the tables name them."""

IN_FEATURES = 2
OUT_FEATURES = 3
HIDDEN_LAYERS = 3
SINE = Sine(30.0)
TRAIN_POINTS = 65_536
INFER_POINTS = 1_048_576
GABOR_POINTS = 36_864

MEMORY_POINTS = 1_048_576
MEMORY_WIDTH = 256
MEMORY_LIMIT_MB = 100.0


@dataclass(frozen=True)
class Case:
    """One kind of work on one network: 2 inputs, `layers` linear layers of `width`, 3 outputs.

    `floor_ratio` is the least ratio of medians, eager with the kept allocator over fastsnf; `floor_share` the
    least share of the machine's FMA peak, by useful FLOPs. None: reported, not bound.
    """

    work: Work
    width: int
    points: int
    activation: Activation = SINE
    floor_ratio: float | None = None
    floor_share: float | None = None
    against_installed: bool = False
    against_compile: bool = False
    variant: str | None = None

    @property
    def name(self) -> str:
        """The name of the case in records and on the command line."""
        act = "" if self.activation.name == "sine" else f"-{self.activation.name}"
        return f"{self.work}{act}-{self.width}" + (f"-{self.variant}" if self.variant else "")

    @property
    def layers(self) -> int:
        """The number of linear layers."""
        return HIDDEN_LAYERS + 2

    @property
    def flops(self) -> int:
        """Useful FLOPs of one call: what the mathematics asks for, whatever an engine computes again."""
        return self.points * flops_per_point(self.width, self.activation.is_complex, self.work != "infer")

    def scaled(self, points: int) -> Case:
        """Return the case on fewer points, without floors: a rate of a small batch says nothing."""
        return replace(self, points=min(points, self.points), floor_ratio=None, floor_share=None)

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able description, part of every record."""
        return {
            "case": self.name,
            "work": self.work,
            "activation": self.activation.to_dict(),
            "width": self.width,
            "layers": self.layers,
            "points": self.points,
            "in_features": IN_FEATURES,
            "out_features": OUT_FEATURES,
            "flops": self.flops,
            "floor_ratio": self.floor_ratio,
            "floor_share": self.floor_share,
            "variant": self.variant,
        }


def flops_per_point(width: int, is_complex: bool, training: bool) -> int:
    """Return the useful FLOPs of one point: 2 sum(fan_in fan_out), three times that for a training step.

    Sines, recomputation and the optimizer are not counted. A complex layer of F features counts as the real
    2F x 2F matrix it expands to; its first layer is real, and of its last only the real part is computed.
    """
    lanes = 2 * width if is_complex else width
    products = IN_FEATURES * width + HIDDEN_LAYERS * lanes * lanes + lanes * OUT_FEATURES
    return (6 if training else 2) * products


TRAIN = (
    Case(
        "train",
        256,
        TRAIN_POINTS,
        floor_ratio=3.2,
        floor_share=0.78,
        against_installed=True,
        against_compile=True,
    ),
    Case("train", 128, TRAIN_POINTS, floor_ratio=4.5, floor_share=0.75, against_installed=True),
    Case("train", 512, TRAIN_POINTS, floor_ratio=2.4, floor_share=0.75, against_installed=True),
    Case("train", 100, TRAIN_POINTS, floor_ratio=3.0, floor_share=0.60),
    Case("train", 181, TRAIN_POINTS, floor_ratio=3.0, floor_share=0.70),
    Case("by-hand", 256, TRAIN_POINTS, floor_ratio=2.4, against_installed=True),
    Case("train", 181, GABOR_POINTS, Gabor(20.0, 10.0), floor_ratio=4.5),
    Case("train", 256, TRAIN_POINTS, Gaussian(10.0), floor_ratio=3.0),
    Case("train", 256, TRAIN_POINTS, Sinc(30.0), floor_ratio=3.0),
    Case("train", 256, TRAIN_POINTS, Finer(30.0), floor_ratio=3.0),
    Case("train", 256, TRAIN_POINTS, RealGabor(20.0, 10.0)),
)

INFER = (
    Case(
        "infer",
        256,
        INFER_POINTS,
        floor_ratio=2.9,
        floor_share=0.80,
        against_installed=True,
        against_compile=True,
    ),
)


def avx2(cases: tuple[Case, ...]) -> tuple[Case, ...]:
    """Return the cases with a floor on the share of the peak, on the AVX2 variant and against its peak."""
    return tuple(
        Case(
            case.work, case.width, case.points, case.activation, floor_share=case.floor_share, variant="avx2"
        )
        for case in cases
        if case.floor_share is not None
    )


SUITES: dict[str, tuple[Case, ...]] = {
    "train": TRAIN + avx2(TRAIN),
    "infer": INFER + avx2(INFER),
}
"""The cases of each suite, in the order they are measured."""


def find(name: str) -> Case:
    """Return the case called `name`.

    Raises:
        KeyError: there is none.
    """
    return {case.name: case for suite in SUITES.values() for case in suite}[name]
