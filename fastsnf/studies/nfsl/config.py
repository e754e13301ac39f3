"""The settings of the studies of NFSL, their defaults small enough for a CPU."""

from __future__ import annotations

from dataclasses import dataclass

from fastsnf.errors import InputError
from fastsnf.signals.size import parse_size
from fastsnf.studies.settings import Settings, setting

NORMAL = ("nfsl-normal", "lecun-normal", "xavier-normal", "kaiming-normal")
UNIFORM = ("nfsl-uniform", "lecun-uniform", "xavier-uniform", "kaiming-uniform")
STANDARD = ("lecun-normal", "xavier-normal", "kaiming-normal")
INITS = (*NORMAL, *UNIFORM)
PARTS = ("shallow", "deep", "normal", "uniform")
OPTIMIZERS = ("adam", "sgd")


@dataclass(frozen=True, kw_only=True)
class ImagesSettings(Settings):
    """NFSL, Fig. 1: full-batch training of Gaussian networks from each initializer."""

    data: str | None = setting(None, "A picture, or a folder of them (kodim01.png, ...).", "PATH")
    images: int = setting(1, "The first so many pictures of the folder.", least=1)
    size: str = setting("128x128", "Crop and resize; the paper does not say its size.", "WxH")
    inits: tuple[str, ...] = setting(INITS, "Initializers.", "NAME,NAME", choices=INITS)
    sigma: float = setting(0.1, "Deviation of the Gaussian activation.", "S", above=0.0)
    optimizer: str = setting("adam", "adam, or sgd for plain descent.", "NAME", choices=OPTIMIZERS)
    lr: float = setting(1e-3, "Learning rate; the paper's is not public.", "LR", above=0.0)
    steps: int = setting(1000, "Steps on all pixels.", least=1)
    hidden_features: int = setting(256, "Width.", "F", least=1)
    hidden_layers: int = setting(3, "Hidden layers after the first: the paper's four in all.", "L", least=0)
    seeds: int = setting(3, "Trainings of each initializer.", least=1)
    device: str = setting("auto", "Where to train, as torch names it.", "DEVICE")

    def __post_init__(self) -> None:
        super().__post_init__()
        parse_size(self.size)


@dataclass(frozen=True, kw_only=True)
class ScalingSettings(Settings):
    """NFSL, Fig. 3 and 4: the fewest parameters that reach a PSNR, against the number of samples."""

    data: str | None = setting(None, "A picture for all parts but shallow.", "PATH")
    parts: tuple[str, ...] = setting(
        PARTS,
        "shallow, deep (Fig. 3, left and right), normal, uniform (Fig. 4).",
        "PART,PART",
        choices=PARTS,
    )
    curve_samples: tuple[int, ...] = setting(
        (10, 20, 50, 75, 100, 125, 150, 175, 200), "Samples of the curve, as in the paper.", "N,N", least=2
    )
    pixels: tuple[int, ...] = setting(
        (250, 500, 1000, 2000), "Samples of the picture; the paper: 1,000 to 200,000.", "N,N", least=2
    )
    curve_psnr: float = setting(35.0, "PSNR to reach on the curve.", "DB")
    pixel_psnr: float = setting(25.0, "PSNR to reach on the picture.", "DB")
    size: str = setting("512x512", "Crop and resize the picture, as in the paper.", "WxH")
    omega: float = setting(
        30.0, "Frequency of sin(omega x)/x on the curve; the paper's is not public.", "W", above=0.0
    )
    pixel_omega: float = setting(3.0, "The same on the picture, through four layers.", "W", above=0.0)
    sigma: float = setting(5.0, "Deviation of the random features, cycles per unit.", "S", above=0.0)
    width: int = setting(64, "Width of the first three layers of the deep networks.", "F", least=1)
    most_width: int = setting(1024, "Widest varied layer that is tried.", "F", least=2)
    optimizer: str = setting("adam", "adam, or sgd for plain descent.", "NAME", choices=OPTIMIZERS)
    lr: float = setting(1e-3, "Learning rate; the paper's is not public.", "LR", above=0.0)
    steps: int = setting(1000, "Steps on all samples within which the PSNR must be reached.", least=1)
    seeds: int = setting(1, "Searches of each kind.", least=1)
    device: str = setting("auto", "Where to train, as torch names it.", "DEVICE")

    def __post_init__(self) -> None:
        super().__post_init__()
        width, height = parse_size(self.size)
        if max(self.pixels) > width * height:
            raise InputError(
                f"expected at most {width * height} pixels, as --size {self.size} has; got "
                f"{max(self.pixels)}: take fewer, or a larger --size"
            )


@dataclass(frozen=True, kw_only=True)
class OccupancySettings(Settings):
    """NFSL, Sec. 5.3 (Table 1, Fig. 6): a wavelet field of an occupancy grid from each initializer."""

    data: str | None = setting(None, "The Thai statue's grid, another grid, or a mesh.", "PATH")
    size: int = setting(512, "Voxels along a mesh's longest side.", least=8)
    inits: tuple[str, ...] = setting(INITS, "Initializers.", "NAME,NAME", choices=INITS)
    omega: float = setting(10.0, "Frequency of the wavelet; the paper's is not public.", "W", above=0.0)
    scale: float = setting(40.0, "Scale of the wavelet, as in WIRE's script.", "S", above=0.0)
    lr: float = setting(5e-3, "Learning rate, as in WIRE's script.", "LR", above=0.0)
    passes: int = setting(200, "Passes over the grid, as in WIRE's script.", least=1)
    batch: int = setting(200_000, "Points a step, as in WIRE's script.", least=1)
    hidden_features: int = setting(256, "Width F: F / sqrt 2 complex features.", "F", least=1)
    hidden_layers: int = setting(2, "Hidden layers after the first, as in WIRE's script.", "L", least=0)
    seeds: int = setting(1, "Trainings of each initializer.", least=1)
    device: str = setting("auto", "Where to train, as torch names it.", "DEVICE")


@dataclass(frozen=True, kw_only=True)
class SisrSettings(Settings):
    """NFSL, Sec. 5.2 (Fig. 5): super-resolution through average pooling, from each initializer."""

    data: str | None = setting(None, "A picture, or a folder of them (the paper: one of DIV2K).", "PATH")
    images: int = setting(1, "The first so many pictures of the folder.", least=1)
    size: str = setting("256x256", "Crop and resize; the paper does not say its size.", "WxH")
    factor: int = setting(4, "Pixels along a side that are averaged.", "K", least=2)
    inits: tuple[str, ...] = setting(INITS, "Initializers.", "NAME,NAME", choices=INITS)
    sigma: float = setting(0.1, "Deviation of the Gaussian activation.", "S", above=0.0)
    lr: float = setting(1e-3, "Learning rate; the paper's is not public.", "LR", above=0.0)
    steps: int = setting(1000, "Steps on all pixels of the small picture.", least=1)
    hidden_features: int = setting(256, "Width.", "F", least=1)
    hidden_layers: int = setting(1, "Hidden layers after the first: the paper's two in all.", "L", least=0)
    seeds: int = setting(3, "Trainings of each initializer.", least=1)
    device: str = setting("auto", "Where to train, as torch names it.", "DEVICE")

    def __post_init__(self) -> None:
        super().__post_init__()
        width, height = parse_size(self.size)
        if width % self.factor or height % self.factor:
            raise InputError(
                f"expected --size divisible by --factor {self.factor}; got {self.size}: choose another"
            )
