"""The groups of points that a fit adjusts together, and how many of them make a step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from fastsnf.errors import InputError
from fastsnf.ntk.config import IGA
from fastsnf.ntk.groups import Groups, make_groups
from fastsnf.signals.signal import Signal
from fastsnf.train.config import FULL, FitConfig
from fastsnf.train.samplers.groups import GroupSampler

WHOLE_GROUPS = 4096
"""Up to so many groups are all in every step, unless a batch size says otherwise."""
GROUPS_PER_STEP = 512
"""Groups a step of a larger signal, as the authors of the IGA paper take them for occupancy."""
MOST_GROUPS = 16_384
"""Groups a step at most: their NTK matrix takes 1 GiB in float32."""


@dataclass(frozen=True)
class Grouping:
    """The partition of a fit's training points and the batches of groups.

    Attributes:
        iga: the settings; groups: of the training points, numbered as `fastsnf.train.points.Points` does;
        sampler: which groups make a step; optimizer: its name, which chooses the form where `iga` does not.
    """

    iga: IGA
    groups: Groups
    sampler: GroupSampler
    optimizer: str

    @property
    def target(self) -> int:
        """The index of the eigenvalue that the adjusted ones become."""
        return self.iga.target_of(self.optimizer)

    @property
    def plain(self) -> bool:
        """Whether nothing is adjusted: S = I."""
        return self.iga.start == self.iga.end

    def identity(self) -> dict[str, Any]:
        """Return what the adjusted gradients depend on: settings, groups, groups a step."""
        return {**self.iga.to_dict(), "target": self.target, "groups_per_step": self.sampler.groups}

    def __str__(self) -> str:
        """Say what is adjusted: ``384 patches of 32 x 32, lambda_0..19 -> lambda_20, argmax_lagged``."""
        iga = self.iga
        if self.plain:
            return f"{self.groups}, no eigenvalue adjusted"
        count, per_step = self.groups.count, self.sampler.groups
        batch = f", {per_step} a step" if per_step < count else ""
        adjusted = f"lambda_{iga.start}" + (f"..{iga.end - 1}" if iga.end - iga.start > 1 else "")
        refresh = f", every {iga.refresh} steps" if iga.refresh > 1 else ""
        return f"{self.groups}{batch}, {adjusted} -> lambda_{self.target}, {iga.sample}{refresh}"


def make_grouping(config: FitConfig, signal: Signal, train: Tensor | None, points: int) -> Grouping | None:
    """Return the groups of a fit, None for one without adjustment.

    Args:
        config: the settings.
        signal: whose points they are.
        train: mask [N] of the training points, None for all.
        points: how many those are.

    Raises:
        InputError: for groups that do not fit the points, or a batch of too few or too many groups.
    """
    if config.iga is None:
        return None
    optimizer = "adam" if callable(config.optimizer) else config.optimizer
    groups = groups_of(config.iga, signal, train, points, config.holdout)
    least = max(1, config.iga.pairs(optimizer))
    if groups.count < least:
        raise InputError(
            f"expected at least {least} groups for {_range(config.iga, optimizer)}; got {groups}: lower end "
            "or target, or take smaller groups"
        )
    per_step = groups_per_step(config, groups, least)
    sampler = GroupSampler(groups, per_step, config.seed, least=least)
    return Grouping(config.iga, groups, sampler, optimizer)


def groups_of(iga: IGA, signal: Signal, train: Tensor | None, points: int, holdout: int | None) -> Groups:
    """Return the groups of the training points: of the lattice that `holdout` keeps, and without holes.

    Raises:
        InputError: for groups of another number of points.
    """
    if isinstance(iga.group, Groups):
        if iga.group.size == points:
            return iga.group
        if train is None or iga.group.size != signal.size:
            raise InputError(
                f"expected groups of the {points:,} training points"
                + ("" if train is None else f", or of all {signal.size:,} points")
                + f"; got groups of {iga.group.size:,}"
            )
        return iga.group.restricted(train)
    step = holdout or 1
    groups = make_groups(iga.group, [-(-size // step) for size in signal.shape])
    if train is None or groups.size == points:
        return groups
    lattice = train.reshape(signal.shape)[tuple(slice(None, None, step) for _ in signal.shape)]
    return groups.restricted(lattice.reshape(-1))


def groups_per_step(config: FitConfig, groups: Groups, least: int) -> int:
    """Return how many groups make a step: the batch size in whole groups.

    Raises:
        InputError: when these are fewer than the eigenpairs need, or more than one step can take.
    """
    size = config.batch_size
    if size is None:
        wanted = groups.count if groups.count <= WHOLE_GROUPS else max(GROUPS_PER_STEP, least)
    elif size == FULL:
        wanted = groups.count
    else:
        wanted = min(int(size) // groups.offsets, groups.count)
    if wanted < least:
        raise InputError(
            f"expected a batch of at least {least} groups of {groups.offsets} points, which the eigenpairs "
            f"need; got batch_size={size}, {wanted} groups: take batch_size {least * groups.offsets} or "
            "more, smaller groups, or a lower end"
        )
    if wanted > MOST_GROUPS:
        gigabytes = wanted**2 * 4 / 2**30
        raise InputError(
            f"expected at most {MOST_GROUPS:,} groups a step; got {wanted:,}, whose NTK matrix takes "
            f"{gigabytes:,.1f} GiB: take batch_size {MOST_GROUPS * groups.offsets} or less, or larger groups"
        )
    return wanted


def _range(iga: IGA, optimizer: str) -> str:
    return f"start={iga.start}, end={iga.end}, target={iga.target_of(optimizer)}"
