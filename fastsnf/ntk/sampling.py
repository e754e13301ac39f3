"""Which point stands for its group in the empirical NTK, and the layouts in which it is found.

Everything here is in rows of an arranged batch: points in groups, offset by offset (`Members`). A point of
weight 0 is never chosen where its group has another.
"""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor

from fastsnf.errors import InputError
from fastsnf.ntk.groups import Members
from fastsnf.ntk.upload import uploaded
from fastsnf.ops import Layout

KEPT = ("argmax_lagged", "random_once")
"""Modes in which a group's point is kept from one step to another."""

NEEDS_RESIDUALS = ("argmax", "argmax_shared_sum")
"""Modes that read the residuals of the current pass."""

_NONE = -1


class SamplePoints:
    """The row of each group's sample point, step by step.

    Args:
        sample: one of `fastsnf.ntk.config.SAMPLES`.
        seed: of the random ones.
        count: groups of the whole signal; what is kept is kept for each of them, whichever are in a batch.
        device: of the batches.
    """

    def __init__(self, sample: str, *, seed: int, count: int, device: torch.device | str = "cpu") -> None:
        self.sample, self._seed = sample, seed
        self._kept = torch.full((count,), _NONE, device=device) if sample in KEPT else None
        self._once: Tensor | None = None

    def rows(
        self,
        members: Members,
        step: int,
        w: Tensor | None = None,
        residual: Tensor | None = None,
    ) -> Tensor:
        """Return the row [n] int64 of each group's sample point.

        Args:
            members: the batch, M points in n groups.
            step: how many steps were taken; with the seed, all that ``random`` depends on.
            w: weights [M] of its points, None for ones.
            residual: [M, C], of this pass and times sqrt(w); read in the modes `NEEDS_RESIDUALS`.
        """
        if self.sample in NEEDS_RESIDUALS:
            if residual is None:
                raise InputError(
                    f"expected residuals for {self.sample!r}; got none: pass them, or take center"
                )
            return largest_rows(residual, members.layout, w)
        if self.sample == "random":
            uniform = _uniform(members.layout.groups, self._seed, "step", step)
            return ranked_rows(members, w, uploaded(uniform, members.points.device))
        if self._kept is None:
            return self._center(members, w)
        return self._kept_rows(members, w)

    def observe(self, members: Members, largest: Tensor) -> None:
        """Take the row [n] of each group's largest residual, for the next step of ``argmax_lagged``."""
        if self.sample == "argmax_lagged":
            self._keep(members, largest)

    def state_dict(self) -> dict[str, Tensor]:
        """Return what is kept between steps, as tensors."""
        return {} if self._kept is None else {"kept": self._kept.clone()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Take what `state_dict` returned.

        Raises:
            InputError: when it is of other groups or another mode.
        """
        if self._kept is None:
            return
        if "kept" not in state or state["kept"].shape != self._kept.shape:
            got = list(state["kept"].shape) if "kept" in state else "none"
            raise InputError(f"expected the kept points of {len(self._kept)} groups; got {got}")
        self._kept.copy_(state["kept"])

    def _keep(self, members: Members, rows: Tensor) -> None:
        assert self._kept is not None
        offsets = offsets_of(rows, members.layout)
        if members.ids is None:
            self._kept.copy_(offsets)
        else:
            self._kept[members.ids] = offsets

    def _kept_rows(self, members: Members, w: Tensor | None) -> Tensor:
        """Return the kept points; the center, or the drawn point, of groups whose own is not usable."""
        assert self._kept is not None
        offsets = self._kept if members.ids is None else self._kept[members.ids]
        rows = rows_at(offsets.clamp(min=0), members.layout)
        usable = offsets != _NONE
        if w is not None:
            usable &= w[rows] != 0
        if usable.device.type == "cpu" and bool(usable.all()):  # on a GPU, to ask is to wait
            return rows
        if self.sample == "argmax_lagged":
            return torch.where(usable, rows, self._center(members, w))
        if self._once is None:
            self._once = uploaded(_uniform(len(self._kept), self._seed, "once"), self._kept.device)
        uniform = self._once if members.ids is None else self._once[members.ids]
        rows = torch.where(usable, rows, ranked_rows(members, w, uniform))
        self._keep(members, rows)
        return rows

    def _center(self, members: Members, w: Tensor | None) -> Tensor:
        if members.middle is None:
            return ranked_rows(members, w)
        rows = rows_at(members.middle, members.layout)
        if w is None:
            return rows
        usable = w[rows] != 0
        if usable.device.type == "cpu" and bool(usable.all()):
            return rows
        return torch.where(usable, rows, ranked_rows(members, w))


def rows_at(offsets: Tensor, layout: Layout) -> Tensor:
    """Return the rows [n] of the points at an offset [n] of each group, any row where there is none."""
    slots = offsets * layout.groups + torch.arange(layout.groups, device=offsets.device)
    if layout.slots is None:
        return slots
    return torch.searchsorted(layout.slots, slots).clamp(max=len(layout.slots) - 1)


def offsets_of(rows: Tensor, layout: Layout) -> Tensor:
    """Return the offset of the points in rows [n]."""
    slots = rows if layout.slots is None else layout.slots[rows]
    return slots // layout.groups


def ranked_rows(members: Members, w: Tensor | None = None, fraction: Tensor | None = None) -> Tensor:
    """Return the row of one point a group: the one in the middle, or at a fraction [n] in [0, 1) of them.

    Counted are the group's points of weight above 0, all where it has none: the middle of P is number P // 2.
    """
    layout, device = members.layout, members.points.device
    if layout.slots is None and w is None:  # nothing to count
        sizes = torch.full((layout.groups,), layout.offsets, device=device)
        return rows_at(_rank(sizes, fraction), layout)
    there = _table(torch.ones((), dtype=torch.bool, device=device), layout)
    counted = there if w is None else _table(w != 0, layout)
    counted = torch.where(counted.any(dim=0), counted, there)
    before = counted.cumsum(dim=0, dtype=torch.int32) - 1
    chosen = counted & (before == _rank(counted.sum(dim=0), fraction))
    return rows_at(chosen.to(torch.uint8).argmax(dim=0), layout)


def _rank(sizes: Tensor, fraction: Tensor | None) -> Tensor:
    """Return which of so many points, int64 [n]."""
    if fraction is None:
        return sizes // 2
    return torch.minimum((fraction * sizes).to(torch.int64), sizes - 1)


def largest_rows(residual: Tensor, layout: Layout, w: Tensor | None = None) -> Tensor:
    """Return the row of each group's point with the largest ``sum_c |r_c|`` of weighted residuals r [M, C].

    NaN counts as the largest. With weights w [M], points of weight 0 count as the least.
    """
    size = residual.abs().sum(dim=1).nan_to_num(nan=torch.inf)
    if w is not None:
        size = torch.where(w != 0, size, -1.0)
    return rows_at(_table(size, layout, missing=-2.0).argmax(dim=0), layout)


def _table(rows: Tensor, layout: Layout, missing: float = 0.0) -> Tensor:
    """Return rows [M], or one value for all, as [offsets, groups]."""
    total = layout.offsets * layout.groups
    if layout.slots is None:
        return rows.expand(total).reshape(layout.offsets, layout.groups)
    table = torch.full((total,), missing, dtype=rows.dtype, device=rows.device)
    table[layout.slots] = rows
    return table.reshape(layout.offsets, layout.groups)


def _uniform(n: int, *key: object) -> Tensor:
    """Return n numbers in [0, 1), float64, that depend on the key alone: the same on every device."""
    digest = hashlib.sha256(":".join(map(str, key)).encode()).digest()
    seed = int.from_bytes(digest[:8], "little", signed=True)
    return torch.rand(n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
