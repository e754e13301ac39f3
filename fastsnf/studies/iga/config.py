"""The settings of IGA's experiments; the defaults are the paper's. No torch here."""

from __future__ import annotations

from dataclasses import dataclass

from fastsnf.errors import InputError
from fastsnf.ntk.config import SAMPLES
from fastsnf.signals.size import parse_size
from fastsnf.studies.settings import Settings, setting

METHODS = ("I", "S", "S~", "S~e")
"""Plain gradients; adjusted by the NTK, by the empirical NTK, by that of one point a group."""
MODELS = ("siren", "relu", "pe")
RIVALS = ("fr", "bn")
"""Fourier reparameterization, and batch normalisation."""
TRAININGS = ("plain", *RIVALS, "iga")


@dataclass(frozen=True, kw_only=True)
class ToySettings(Settings):
    """IGA, Experiment 1: adjustments by NTK, empirical NTK and groups, two-layer ReLU nets of many widths."""

    widths: tuple[int, ...] = setting((1024, 2048, 4096, 8192), "Widths of the net.", "M,M", least=1)
    methods: tuple[str, ...] = setting(
        METHODS, "I, S (NTK), S~ (empirical NTK), S~e (groups).", "NAME,NAME", choices=METHODS
    )
    ends: tuple[int, ...] = setting(
        (15,), "The paper's end, counted from 1: it took 11 to 15.", "K,K", least=2
    )
    points: int = setting(1024, "Points on the circle.", least=8)
    group: int = setting(8, "Points of a group.", least=1)
    steps: int = setting(20_000, "Steps of gradient descent.", least=1)
    lr: float = setting(0.1, "Learning rate.", "LR", above=0.0)
    refresh: int = setting(1, "Steps between two adjustments.", least=1)
    seeds: int = setting(1, "Nets of each width.", least=1)
    snapshots: int = setting(200, "Points of the curves.", least=1)
    device: str = setting("auto", "Where to train, as torch names it.", "DEVICE")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.points % self.group:
            raise InputError(
                f"expected points in whole groups; got {self.points} points in groups of {self.group}"
            )
        if max(self.ends) > self.points // self.group:
            raise InputError(
                f"expected ends of at most the {self.points // self.group} groups; got {max(self.ends)}"
            )


@dataclass(frozen=True, kw_only=True)
class LineSettings(Settings):
    """IGA, Experiment 2: spectral errors of six frequencies against the number of balanced eigenvalues."""

    models: tuple[str, ...] = setting(
        ("siren", "relu"), "Architectures.", "NAME,NAME", choices=("siren", "relu")
    )
    groups: tuple[int, ...] = setting((4, 8), "Points of a group; 1 is the whole eNTK.", "P,P", least=1)
    balanced: tuple[int, ...] = setting((2, 4, 6, 8), "Balanced eigenvalues.", "K,K", least=2)
    points: int = setting(2048, "Points on [-1, 1].", least=16)
    steps: int = setting(10_000, "Steps of Adam.", least=1)
    lr: float = setting(5e-5, "Learning rate.", "LR", above=0.0)
    hidden_features: int = setting(256, "Width.", "F", least=1)
    hidden_layers: int = setting(3, "Hidden layers after the first.", "L", least=0)
    omega: float = setting(5.0, "Omega of the sine layers.", "W", above=0.0)
    refresh: int = setting(1, "Steps between two adjustments.", least=1)
    seeds: int = setting(1, "Trainings of each kind.", least=1)
    snapshots: int = setting(100, "Points of the curves.", least=1)
    device: str = setting("auto", "Where to train, as torch names it.", "DEVICE")

    def __post_init__(self) -> None:
        super().__post_init__()
        groups = self.points // max(self.groups)
        if max(self.balanced) > groups:
            raise InputError(
                f"expected at most {groups} balanced eigenvalues, one for each group; "
                f"got {max(self.balanced)}: take smaller groups or more points"
            )


@dataclass(frozen=True, kw_only=True)
class PictureSettings(Settings):
    """What the experiments on Kodak images share."""

    data: str | None = setting(None, "A picture, or a folder of them (kodim01.png, ...).", "PATH")
    images: int = setting(8, "The first so many pictures of the folder.", least=1)
    size: str | None = setting(None, "Crop and resize, where 768x512 takes too long.", "WxH")
    models: tuple[str, ...] = setting(MODELS, "Architectures.", "NAME,NAME", choices=MODELS)
    steps: int = setting(10_000, "Steps of Adam on all pixels.", least=1)
    drop_at: int = setting(3000, "The step at which the learning rate falls to a tenth.", least=1)
    same_lr: bool = setting(False, "Give IGA the learning rate of the plain training.", "")
    refresh: int = setting(1, "Steps between two adjustments.", least=1)
    hidden_features: int = setting(256, "Width.", "F", least=1)
    hidden_layers: int = setting(2, "Hidden layers after the first.", "L", least=0)
    seeds: int = setting(1, "Trainings of each kind.", least=1)
    device: str = setting("auto", "Where to train, as torch names it.", "DEVICE")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.size is not None:
            parse_size(self.size)


@dataclass(frozen=True, kw_only=True)
class ImageSettings(PictureSettings):
    """IGA, Table 1: Kodak images, plain training against IGA, and against its rivals."""

    group: int = setting(32, "Pixels along a side of a group.", "P", least=1)
    sample: str = setting("argmax_lagged", "Which point stands for its group.", "NAME", choices=SAMPLES)
    rival: tuple[str, ...] | None = setting(
        None,
        "Rivals to train too: Fourier reparameterization, batch normalisation.",
        "NAME,NAME",
        many=True,
        choices=RIVALS,
    )


@dataclass(frozen=True, kw_only=True)
class GroupsSettings(PictureSettings):
    """IGA, Table 5: PSNR and time against the size of the groups."""

    images: int = setting(3, "The first so many pictures of the folder.", least=1)
    groups: tuple[int, ...] = setting((16, 32, 64, 128), "Pixels along a side of a group.", "P,P", least=1)
    sample: str = setting("argmax_lagged", "Which point stands for its group.", "NAME", choices=SAMPLES)


@dataclass(frozen=True, kw_only=True)
class SamplingSettings(PictureSettings):
    """IGA, Table 4: which point stands for its group."""

    images: int = setting(3, "The first so many pictures of the folder.", least=1)
    group: int = setting(32, "Pixels along a side of a group.", "P", least=1)
    samples: tuple[str, ...] = setting(
        ("argmax_lagged", "argmax", "argmax_shared_sum", "random_once", "random"),
        "Which point stands for its group.",
        "NAME,NAME",
        choices=SAMPLES,
    )


@dataclass(frozen=True, kw_only=True)
class OccupancySettings(Settings):
    """IGA, Tables 2 and 9: occupancy grids, plain training against IGA and its rivals."""

    data: str | None = setting(None, "A grid or a mesh, or a folder of them (thai_statue, ...).", "PATH")
    files: int = setting(5, "The first so many files of the folder.", least=1)
    size: int = setting(512, "Voxels along a mesh's longest side.", least=8)
    models: tuple[str, ...] = setting(MODELS, "Architectures.", "NAME,NAME", choices=MODELS)
    trainings: tuple[str, ...] = setting(TRAININGS, "Ways to train.", "NAME,NAME", choices=TRAININGS)
    epochs: float = setting(200.0, "Passes over the grid.", "N", above=0.0)
    group: int = setting(256, "Consecutive voxels of a group.", "P", least=1)
    groups: int = setting(512, "Groups a step.", least=1)
    sample: str = setting("center", "Which voxel stands for its group.", "NAME", choices=SAMPLES)
    refresh: int = setting(1, "Steps between two adjustments.", least=1)
    hidden_features: int = setting(256, "Width.", "F", least=1)
    hidden_layers: int = setting(2, "Hidden layers after the first.", "L", least=0)
    seeds: int = setting(1, "Trainings of each kind.", least=1)
    device: str = setting("auto", "Where to train, as torch names it.", "DEVICE")
