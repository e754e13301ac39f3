"""The options of ``fastsnf fit`` that say how it is trained: optimizer, batches, loss, adjusted gradients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastsnf.cli.options import choice, default, integer, lr_schedule, number, point_group, whole_or
from fastsnf.ntk.config import FORMS, SAMPLES
from fastsnf.train.config import LOSSES, OPTIMIZERS, SAMPLERS


@dataclass(frozen=True)
class TrainingOptions:
    """How the field is trained."""

    optimizer: Annotated[str | None, choice(OPTIMIZERS), default("adam")] = None
    """Optimizer."""
    lr: Annotated[float | None, number("LR", above=0), default("1e-3; 1e-4 with --batch-size full")] = None
    """Learning rate at the first step."""
    schedule: Annotated[str | None, lr_schedule(), default("cosine; constant when full")] = None
    """How the learning rate changes over the run."""
    loss: Annotated[str | None, choice(LOSSES), default("mse")] = None
    """Loss."""
    batch_size: Annotated[int | str | None, whole_or("full", "N|full"), default("32768")] = None
    """Points a step; full takes the whole signal each step."""
    sampler: Annotated[str | None, choice(SAMPLERS), default("passes")] = None
    """Which points make a step: passes over all, uniform draws, near the surface, or as many in as out."""
    iga: Annotated[bool, default("")] = False
    """Adjust gradients inductively: attenuate leading eigenvalues of the NTK, or with sgd amplify others."""
    iga_group: Annotated[str | None, point_group(), default("patch:32 for images")] = None
    """With --iga: which points form a group; a number is a size."""
    iga_start: Annotated[int | None, integer("I", 0), default("0")] = None
    """With --iga: first eigenvalue that is adjusted, the largest being 0."""
    iga_end: Annotated[int | None, integer("I", 0), default("20")] = None
    """With --iga: first eigenvalue after it that is not adjusted."""
    iga_target: Annotated[int | None, integer("I", 0), default("end; start with sgd")] = None
    """With --iga: eigenvalue that the adjusted ones become."""
    iga_form: Annotated[str | None, choice(FORMS), default("auto, by the optimizer")] = None
    """With --iga: sgd amplifies towards --iga-start, adam attenuates to --iga-end."""
    iga_sample: Annotated[str | None, choice(SAMPLES), default("argmax_lagged")] = None
    """With --iga: which point stands for its group."""
    iga_refresh: Annotated[int | None, integer("K", 1), default("1")] = None
    """With --iga: steps between two computations of the adjustment."""
    seed: Annotated[int | None, integer("N", 0, 2**63 - 1), default("0")] = None
    """Seed of the weights and of the batches."""
