"""The settings of VI3NR's studies; the defaults are the paper's where it states them. No torch here."""

from __future__ import annotations

from dataclasses import dataclass

from fastsnf.errors import InputError
from fastsnf.signals.size import parse_size
from fastsnf.studies.settings import Settings, setting
from fastsnf.train.schedule import parse_schedule

PARTS = ("table5", "table8", "fig2b", "fig3", "fig5")
"""Of `vi3nr-images`: the two tables, the grid of one image, the grid by depth, the PSNR against sigma_a."""
BIASES = ("default", "zero", "like-weights")
DISTRIBUTIONS = ("uniform", "normal")


@dataclass(frozen=True, kw_only=True)
class TablesSettings(Settings):
    """VI3NR, Tables 1 to 4: variances, sigma_p, and errors of the 100-layer, 1,000-wide net both ways."""

    seeds: int = setting(20, "Nets of each kind; the paper prints one.", least=1)
    layers: int = setting(100, "Linear layers of the net.", "L", least=1)
    width: int = setting(1000, "Its width.", "M", least=2)
    batch: int = setting(64, "Inputs of a net, each with its own error; the released code: 10,000.", least=1)
    distribution: str = setting(
        "uniform", "Of the weights; the released code: uniform.", "NAME", choices=DISTRIBUTIONS
    )
    samples: tuple[int, ...] = setting(
        (1_000_000, 100_000, 10_000, 1_000), "Sizes of the Monte Carlo samples of Table 4.", "N,N", least=2
    )
    as_published: bool = setting(
        False, "Add sigma_p by the paper's grid and samples, and nets with its printed figures.", ""
    )


@dataclass(frozen=True, kw_only=True)
class HeatmapSettings(Settings):
    """VI3NR, Fig. 2a: one minus the error of Eq. 13 over the activation's parameter and sigma_p."""

    activations: tuple[str, ...] = setting(
        ("gaussian",), "gaussian (the paper), sinc.", "NAME,NAME", choices=("gaussian", "sinc")
    )
    points: int = setting(40, "Values of each axis.", least=2)
    sigma_a_most: float = setting(0.3, "Largest sigma_a; the axis starts one step above 0.", "S", above=0.0)
    a_most: float = setting(4.0, "Largest a of sin(a u) / (a u); likewise.", "A", above=0.0)
    sigma_p_most: float = setting(0.6, "Largest sigma_p with the Gaussian; likewise.", "S", above=0.0)
    sinc_sigma_p_most: float = setting(6.0, "Largest sigma_p with the sinc; likewise.", "S", above=0.0)


@dataclass(frozen=True, kw_only=True)
class ImagesSettings(Settings):
    """VI3NR, Tables 5 and 8, Fig. 2b, 3 and 5: images by initializer; small by default (see the notes)."""

    data: str | None = setting(None, "A picture, or a folder of them (kodim01.png, ...).", "PATH")
    part: tuple[str, ...] = setting(("table5", "table8"), "What to run.", "NAME,NAME", choices=PARTS)
    images: int = setting(8, "The first so many pictures of the folder; grids take the first.", least=1)
    size: str = setting("64x64", "Crop and resize; the paper does not state its own.", "WxH")
    mode: str = setting("gray", "Colours, which the paper does not state.", "NAME", choices=("gray", "rgb"))
    steps: int = setting(300, "Steps of Adam on all pixels, which the paper does not state.", least=1)
    lr: float = setting(3e-4, "Learning rate, which the paper does not state.", "LR", above=0.0)
    schedule: str = setting(
        "cosine", "Of the learning rate, as fastsnf fit takes it; not stated either.", "TEXT"
    )
    layers: int = setting(8, "Layers with an activation, before the linear last one.", "L", least=1)
    hidden_features: int = setting(128, "Width of Tables 5 and 8.", "F", least=1)
    grid_features: int = setting(256, "Width of the grids of Fig. 2b and 3.", "F", least=1)
    depths: tuple[int, ...] = setting((2, 4, 16, 32), "Layers of Fig. 3.", "L,L", least=1)
    sigma_a: tuple[float, ...] = setting(
        (0.02, 0.05, 0.1, 0.2), "Sigma_a of the grids and of Fig. 5.", "S,S", above=0.0
    )
    ratios: tuple[float, ...] = setting(
        (0.2, 0.33, 0.64, 1.2), "Sigma_a / sigma_p of the grids.", "R,R", above=0.0
    )
    stds: tuple[float, ...] = setting(
        (0.03, 0.1, 0.3), "Deviations of random normal; the table has the best mean.", "S,S", above=0.0
    )
    sinc_omega: float = setting(
        30.0, "a of sin(a u) / (a u), which the paper does not state.", "A", above=0.0
    )
    sinc_sigma_p: float = setting(
        0.15,
        "Sigma_p with the sinc; 0.15 is twice Eq. 13's, as the paper's is with the Gaussian.",
        "S",
        above=0.0,
    )
    bias_init: str = setting("default", "Biases at the start.", "NAME", choices=BIASES)
    seeds: int = setting(1, "Trainings of each kind.", least=1)
    device: str = setting("auto", "Where to train, as torch names it.", "DEVICE")

    def __post_init__(self) -> None:
        super().__post_init__()
        parse_size(self.size)
        parse_schedule(self.schedule)
        if min(len(self.sigma_a), len(self.ratios)) < 2:
            raise InputError(
                f"expected at least two values on each axis of the grids; got sigma_a {self.sigma_a} and "
                f"ratios {self.ratios}"
            )


@dataclass(frozen=True, kw_only=True)
class ReconstructionSettings(Settings):
    """What the experiments on sounds and on shapes share; rates, steps and sigma_a are ours."""

    data: str | None = setting(None, "A file, or a folder of them.", "PATH")
    files: int = setting(4, "The first so many files of the folder.", least=1)
    steps: int = setting(1000, "Steps of Adam, which the paper does not state.", least=1)
    lr: float = setting(3e-4, "Learning rate, which the paper does not state.", "LR", above=0.0)
    schedule: str = setting("cosine", "Of the learning rate, as fastsnf fit takes it.", "TEXT")
    batch: int = setting(0, "Points a step; 0: all.", least=0)
    layers: int = setting(8, "Layers with an activation, before the linear last one.", "L", least=1)
    hidden_features: int = setting(128, "Width.", "F", least=1)
    sigma_a: tuple[float, ...] = setting(
        (0.05, 0.1, 0.2), "Sigma_a of the Gaussians; the table has the best mean.", "S,S", above=0.0
    )
    ratio: float = setting(0.5, "Sigma_a / sigma_p (Sec. 4.2: 0.5 to 0.66 for shapes).", "R", above=0.0)
    stds: tuple[float, ...] = setting(
        (0.03, 0.1, 0.3), "Deviations of random normal; the table has the best mean.", "S,S", above=0.0
    )
    bias_init: str = setting("default", "Biases at the start.", "NAME", choices=BIASES)
    seeds: int = setting(1, "Trainings of each kind.", least=1)
    device: str = setting("auto", "Where to train, as torch names it.", "DEVICE")

    def __post_init__(self) -> None:
        super().__post_init__()
        parse_schedule(self.schedule)


@dataclass(frozen=True, kw_only=True)
class AudioSettings(ReconstructionSettings):
    """VI3NR, Table 7: sounds by initializer."""

    layers: int = setting(4, "Layers with an activation: three hidden ones after the first.", "L", least=1)
    hidden_features: int = setting(256, "Width.", "F", least=1)
    sigma_a: tuple[float, ...] = setting(
        (0.005, 0.02, 0.05), "Sigma_a of the Gaussians; the table has the best mean.", "S,S", above=0.0
    )
    ratio: float = setting(0.33, "Sigma_a / sigma_p.", "R", above=0.0)
    bias_init: str = setting("like-weights", "Biases at the start.", "NAME", choices=BIASES)
    stretch: float = setting(100.0, "Of time before the sines, as in SIREN's code.", "S", above=0.0)
    seconds: float = setting(0.0, "Of each file; 0: all.", "S", least=0.0)


@dataclass(frozen=True, kw_only=True)
class SdfSettings(ReconstructionSettings):
    """VI3NR, Table 6: signed distances of meshes by initializer, IoU of the insides."""

    batch: int = setting(10_000, "Points a step.", least=1)
    points: int = setting(500_000, "Samples of a mesh.", least=16)
    resolution: int = setting(64, "Points along a side of the grid on which IoU is measured.", least=8)
    sinc_omega: float = setting(
        30.0, "a of sin(a u) / (a u), which the paper does not state.", "A", above=0.0
    )
    sinc_sigma_p: float = setting(0.15, "Sigma_p with the sinc; ours.", "S", above=0.0)
