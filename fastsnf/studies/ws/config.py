"""The settings of the weight-scaling experiments. No torch here.

The defaults take some minutes on two cores; where they are smaller than the paper's, the help says the
paper's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fastsnf.errors import InputError
from fastsnf.studies.settings import Settings, setting
from fastsnf.studies.ws.published import METHODS, SIGNALS

AXES = ("size", "width", "depth", "picture")
"""What the best factor is compared over."""
MODES = ("none", "both", "weights-only", "rates-only")
"""Neither scaled weights nor scaled rates, both as weight scaling has them, and one without the other."""


def _data() -> Any:
    return setting(
        None, "A picture, or a folder of them (kodim01.png, ...); without it a synthetic one.", "PATH"
    )


def _device() -> Any:
    return setting("auto", "Where to train, as torch names it.", "DEVICE")


def _check_factors(name: str, factors: tuple[float, ...]) -> None:
    """Raise `InputError` where 1, to which all others are compared, is not among the factors."""
    if 1.0 not in factors:
        raise InputError(f"expected 1 among {name}, to which the others are compared; got {factors}")


@dataclass(frozen=True, kw_only=True)
class InitSettings(Settings):
    """Weight scaling before any step: Prop. 3.1 and Fig. 4, 5, 9 and 11. About a minute on two cores."""

    data: str | None = _data()
    images: int = setting(3, "The first so many pictures of the folder.", least=1)
    alphas: tuple[float, ...] = setting(
        (0.25, 0.5, 1.0, 1.5, 2.37, 4.0), "Factors of weight scaling; 1 is SIREN.", "A,A", above=0.0
    )
    tuned: tuple[float, ...] = setting(
        (2.0, 3.0), "Factors of the first omega alone (frequency tuning).", "W,W", above=0.0
    )
    hidden_features: int = setting(512, "Width of the fields of pictures.", "F", least=1)
    hidden_layers: int = setting(3, "Hidden layers after the first.", "L", least=1)
    omega: float = setting(30.0, "Omega of all layers.", "W", above=0.0)
    line_features: int = setting(256, "Width of the fields on a line.", "F", least=1)
    line_omega: float = setting(3000.0, "First omega of the fields on a line.", "W", above=0.0)
    line_points: int = setting(32_768, "Points of the line (the paper: 7 s of sound).", least=64)
    size: int = setting(256, "Pixels along a side of the pictures (the paper: 512).", least=16)
    bands: int = setting(100, "Radial bands of a picture's spectrum.", least=4)
    points: int = setting(256, "Points at which activations are seen.", least=16)
    ntk_points: int = setting(512, "Points of the empirical NTK.", least=16)
    seeds: int = setting(3, "Fields of each kind.", least=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_factors("alphas", self.alphas)


@dataclass(frozen=True, kw_only=True)
class FitsSettings(Settings):
    """What the experiments that train on pictures share."""

    data: str | None = _data()
    images: int = setting(1, "The first so many pictures of the folder.", least=1)
    size: int = setting(256, "Pixels along a side, cropped and resized (the paper: 512).", least=8)
    steps: int = setting(2000, "Most steps of Adam on all training pixels.", least=1)
    lr: float = setting(1e-4, "Learning rate.", "LR", above=0.0)
    omega: float = setting(30.0, "Omega of all layers.", "W", above=0.0)
    hidden_features: int = setting(128, "Width (the paper: 512).", "F", least=1)
    hidden_layers: int = setting(3, "Hidden layers after the first.", "L", least=1)
    seeds: int = setting(1, "Fits of each kind (the paper: 5).", least=1)
    device: str = _device()


@dataclass(frozen=True, kw_only=True)
class HeldSettings(FitsSettings):
    """What those share that train on a coarser grid, to a target, and test between its points."""

    holdout: int = setting(2, "Train on every K-th pixel of both axes, test on the others.", "K", least=2)
    target: float = setting(50.0, "PSNR of the training pixels that ends a fit.", "DB", above=0.0)


@dataclass(frozen=True, kw_only=True)
class TradeoffSettings(HeldSettings):
    """Fig. 2: speed and test PSNR against alpha and against the first omega. About 4 minutes on two cores."""

    alphas: tuple[float, ...] = setting(
        (1.0, 1.25, 1.5, 1.75, 2.0, 2.5, 3.0), "Factors of weight scaling; 1 is SIREN.", "A,A", above=0.0
    )
    tuned: tuple[float, ...] = setting(
        (1.5, 2.0, 3.0, 4.0), "Factors of the first omega alone (frequency tuning).", "W,W", above=0.0
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_factors("alphas", self.alphas)


@dataclass(frozen=True, kw_only=True)
class DecoupleSettings(HeldSettings):
    """Fig. 3: scaled weights and scaled learning rates, together and apart. About 2 minutes on two cores."""

    alpha: float = setting(1.75, "Factor of weight scaling.", "A", above=0.0)
    power: float = setting(1.0, "Of alpha in the rates, times the layers that follow (B.3).", "P", above=0.0)
    modes: tuple[str, ...] = setting(MODES, "What is scaled.", "NAME,NAME", choices=MODES)
    snapshots: int = setting(100, "Points of the curves.", least=1)


@dataclass(frozen=True, kw_only=True)
class OptimalSettings(HeldSettings):
    """Fig. 6 and 7: the best alpha by Eq. 10 over sizes and over pictures. About 6 minutes on two cores.

    The paper: ``--sizes 128,256,512 --widths 128,256,512 --depths 3,4,5 --size 512 --hidden-features 512``.
    """

    images: int = setting(8, "The first so many pictures of the folder.", least=1)
    size: int = setting(128, "Pixels along a side where it is not what changes (the paper: 512).", least=8)
    hidden_layers: int = setting(2, "Hidden layers after the first: depth - 2.", "L", least=1)
    axes: tuple[str, ...] = setting(AXES, "What is changed.", "NAME,NAME", choices=AXES)
    sizes: tuple[int, ...] = setting((64, 128, 256), "Pixels along a side.", "N,N", least=8)
    widths: tuple[int, ...] = setting((64, 128, 256), "Widths.", "F,F", least=1)
    depths: tuple[int, ...] = setting((3, 4, 5), "Linear layers.", "L,L", least=3)
    alphas: tuple[float, ...] = setting(
        (1.0, 1.25, 1.5, 1.75, 2.0, 2.25, 2.5, 3.0), "Factors tried.", "A,A", above=0.0
    )
    share: float = setting(0.95, "Of the test PSNR of alpha = 1 that must be kept.", "S", above=0.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_factors("alphas", self.alphas)


@dataclass(frozen=True, kw_only=True)
class NtkSettings(FitsSettings):
    """Fig. 5 and 10: eNTK and Hessian along training. About 3 minutes on two cores."""

    size: int = setting(128, "Pixels along a side (the paper: 512).", least=8)
    steps: int = setting(150, "Steps of Adam on all training pixels.", least=1)
    alphas: tuple[float, ...] = setting((1.0, 1.5, 2.37), "Factors of weight scaling.", "A,A", above=0.0)
    tuned: tuple[float, ...] = setting(
        (2.0, 3.0), "Factors of the first omega alone (frequency tuning).", "W,W", above=0.0
    )
    points: int = setting(512, "Points of the empirical NTK.", least=16)
    hessian_points: int = setting(512, "Points of the Hessian; 0: no Hessian.", least=0)
    lanczos: int = setting(60, "Steps of Lanczos.", least=6)
    snapshots: int = setting(5, "Times at which they are measured, besides the start.", least=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_factors("alphas", self.alphas)


@dataclass(frozen=True, kw_only=True)
class Table1Settings(Settings):
    """Table 1, and with --long Table 4: weight scaling beside every baseline on one kind of signal.

    A size, a width or steps of 0 are the paper's: images of 512 pixels a side at width 512 and 150 steps
    (300), the others at width 256: ERA5 5,000 steps (15,000), Bach 1,000 (5,000), a grid of 512^3 in 50
    passes (100).
    """

    data: str | None = setting(
        None,
        "Its file, or a folder of such files (png; wav; nc; npz; obj, mat, npy, ...).",
        "PATH",
    )
    signal: str = setting("image", "What the data are.", "KIND", choices=SIGNALS)
    long: bool = setting(False, "Train as long as for Table 4.", "")
    methods: tuple[str, ...] = setting(METHODS, "Fields that are compared.", "NAME,NAME", choices=METHODS)
    files: int = setting(24, "The first so many files of the folder.", least=1)
    steps: int = setting(0, "Steps on all points; of occupancy passes over the grid.", least=0)
    lr: float = setting(1e-4, "Learning rate, as App. E.1 has it for all.", "LR", above=0.0)
    batch: int = setting(100_000, "Points a step of the fits to occupancy, as in the paper.", least=1)
    alpha: float = setting(0.0, "Factor of weight scaling; 0: that of Table 2.", "A", least=0.0)
    size: int = setting(0, "Pixels along a side, or voxels along a mesh's longest side.", least=0)
    hidden_features: int = setting(0, "Width of the real fields.", "F", least=0)
    hidden_layers: int = setting(3, "Hidden layers after the first.", "L", least=1)
    seeds: int = setting(5, "Fits of each kind.", least=1)
    device: str = _device()
