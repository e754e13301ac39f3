"""Adaptive Gauss-Kronrod quadrature of expectations under N(0, sigma^2), for many sigma at once.

Gauss-Hermite nodes lie some sigma / sqrt(n) apart, so an activation that is narrower than that falls between
them. Here panels are split where the two rules of a panel disagree, down to the width of a feature: around 0
the first panels are already geometric, elsewhere they see features of some 0.005 sigma and wider.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

Integrand = Callable[[Tensor], Tensor]
"""Maps u [n] to the rows [K, n] whose expectations are wanted, in float64."""

REACH = 37.0
"""The integral ends at this many sigma, where exp(-t^2 / 2) is 1e-298: float64 hardly holds smaller ones."""

_TAIL = 28.0
"""Where the integrand still counts beyond this many sigma, it grows faster than the normal density falls."""

_TAIL_SHARE = 1e-6
_NARROW = 1e-12
_SPLIT = 4
_WIDEST_ROUND = 40_000
"""Panels of one round: 21 numbers of 8 bytes each in some ten arrays."""

_NODES = (
    0.995657163025808080735527280689003,
    0.973906528517171720077964012084452,
    0.930157491355708226001207180059508,
    0.865063366688984510732096688423493,
    0.780817726586416897063717578345042,
    0.679409568299024406234327365114874,
    0.562757134668604683339000099272694,
    0.433395394129247190799265943165784,
    0.294392862701460198131126603103866,
    0.148874338981631210884826001129720,
    0.0,
)
"""The non-negative nodes of Kronrod's 21 points; every second one is of Gauss's 10 (Piessens et al. 1983)."""

_KRONROD = (
    0.011694638867371874278064396062192,
    0.032558162307964727478818972459390,
    0.054755896574351996031381300244580,
    0.075039674810919952767043140916190,
    0.093125454583697605535065465083366,
    0.109387158802297641899210590325805,
    0.123491976262065851077958109585166,
    0.134709217311473325928054001771707,
    0.142775938577060080797094273138717,
    0.147739104901338491374841515972068,
    0.149445554002916905664936468389821,
)
_GAUSS = (
    0.066671344308688137593568809893332,
    0.149451349150580593145863396957658,
    0.219086362515982043995534934228163,
    0.269266719309996355091226921569469,
    0.295524224714752870173815619188769,
)


@dataclass(frozen=True)
class Effort:
    """How far the quadrature goes.

    Attributes:
        rtol: the error wanted, relative to each result. step: the width of the first panels, in sigma.
        rounds: of splitting at most. nodes: evaluations at most.
    """

    rtol: float = 1e-10
    step: float = 0.1
    rounds: int = 30
    nodes: int = 4_000_000


EXACT = Effort()
ROUGH = Effort(rtol=1e-6, step=0.6, rounds=0)
"""One pass, for scans: the error estimate says where it does not do."""


def expectations(integrand: Integrand, sigmas: Tensor, effort: Effort = EXACT) -> tuple[Tensor, Tensor]:
    """Return E[g_k(u)] of u ~ N(0, sigma_s^2) and estimates of the absolute errors, both [K, S].

    Args:
        integrand: u [n] -> g(u) [K, n] in float64. A row that changes sign is held to the size of its
            absolute value.
        sigmas: [S], positive.
        effort: accuracy and limits.

    Returns:
        Infinite where the integrand outgrows the normal density, NaN where it is NaN. An error above
        `effort.rtol` of the value says that the limits came first.
    """
    low, high = _first_panels(effort.step)
    count = sigmas.numel()
    panels = _Panels(
        low.repeat(count),
        high.repeat(count),
        torch.arange(count, device="cpu").repeat_interleave(low.numel()),
    )
    found = _estimate(integrand, sigmas, panels)
    nodes = 21 * panels.owner.numel()
    for _ in range(effort.rounds):
        split = _to_split(found, count, effort.rtol)
        if nodes >= effort.nodes or not bool(split.any()):
            break
        panels = found.panels.take(split).divided()
        nodes += 21 * panels.owner.numel()
        found = _Estimate.join([found.take(~split), _estimate(integrand, sigmas, panels)])
    return _sums(found, count)


@dataclass(frozen=True)
class _Panels:
    """Intervals [low, high] [P] of t = u / sigma, each of the sigma with index `owner` [P]."""

    low: Tensor
    high: Tensor
    owner: Tensor

    def take(self, chosen: Tensor) -> _Panels:
        return _Panels(self.low[chosen], self.high[chosen], self.owner[chosen])

    def divided(self) -> _Panels:
        width = (self.high - self.low) / _SPLIT
        low = torch.stack([self.low + k * width for k in range(_SPLIT)], dim=-1)
        high = torch.cat([low[:, 1:], self.high.unsqueeze(1)], dim=-1)
        return _Panels(low.flatten(), high.flatten(), self.owner.repeat_interleave(_SPLIT))


@dataclass(frozen=True)
class _Estimate:
    """Panels with their integrals, those of absolute values and the error estimates, [K, P] each."""

    panels: _Panels
    value: Tensor
    size: Tensor
    error: Tensor

    def take(self, chosen: Tensor) -> _Estimate:
        rows = (self.value[:, chosen], self.size[:, chosen], self.error[:, chosen])
        return _Estimate(self.panels.take(chosen), *rows)

    @staticmethod
    def join(parts: list[_Estimate]) -> _Estimate:
        panels = _Panels(
            *(torch.cat([getattr(p.panels, n) for p in parts]) for n in ("low", "high", "owner"))
        )
        return _Estimate(
            panels, *(torch.cat([getattr(p, n) for p in parts], dim=1) for n in ("value", "size", "error"))
        )


def _estimate(integrand: Integrand, sigmas: Tensor, panels: _Panels) -> _Estimate:
    """Apply both rules to every panel; the error is QUADPACK's estimate of the 21-point rule's."""
    nodes, kronrod, gauss = _rules()
    half = 0.5 * (panels.high - panels.low)
    t = (0.5 * (panels.high + panels.low)).unsqueeze(1) + half.unsqueeze(1) * nodes
    density = torch.exp(-0.5 * t.square()) * (half / math.sqrt(2.0 * math.pi)).unsqueeze(1)
    u = t * sigmas[panels.owner].unsqueeze(1)
    g = integrand(u.flatten()).reshape(-1, *t.shape) * density
    value, size = g @ kronrod, g.abs() @ kronrod
    spread = (g - 0.5 * value.unsqueeze(-1)).abs() @ kronrod
    difference = (value - g @ gauss).abs()
    error = torch.where(
        spread > 0, spread * (200.0 * difference / spread).pow(1.5).clamp(max=1.0), difference
    )
    return _Estimate(panels, value, size, torch.maximum(error, 2e-16 * size))


def _to_split(estimate: _Estimate, count: int, rtol: float) -> Tensor:
    """Return which panels [P] to split: those above their share of an allowed error that is not met."""
    owner = estimate.panels.owner
    size = _by_owner(estimate.size, owner, count)
    allowed = rtol * size
    open_ = _by_owner(estimate.error, owner, count) > allowed
    share = allowed / torch.bincount(owner, minlength=count).clamp(min=1)
    split = (open_[:, owner] & (estimate.error > share[:, owner])).any(dim=0)
    if int(split.sum()) * _SPLIT <= _WIDEST_ROUND:
        return split
    relative = (estimate.error / size[:, owner]).nan_to_num(0.0).amax(dim=0).where(split, 0.0)
    worst = relative.topk(_WIDEST_ROUND // _SPLIT).indices
    return torch.zeros_like(split).index_fill_(0, worst, True)


def _sums(estimate: _Estimate, count: int) -> tuple[Tensor, Tensor]:
    """Return the integrals and errors by sigma, infinite where the tail outgrows the density."""
    panels = estimate.panels
    value, error = (_by_owner(rows, panels.owner, count) for rows in (estimate.value, estimate.error))
    size = _by_owner(estimate.size, panels.owner, count)
    outer = torch.minimum(panels.low.abs(), panels.high.abs()) >= _TAIL * (1 - 1e-12)
    tail = _by_owner(estimate.size * outer, panels.owner, count)
    heavy = tail > _TAIL_SHARE * size
    # what panels as narrow as float64 allows still hold is a pole: its integral is that of the rounding
    narrow = panels.high - panels.low <= _NARROW * torch.maximum(panels.low.abs(), panels.high.abs())
    error = error + _by_owner(estimate.size * narrow, panels.owner, count)
    return value.masked_fill(heavy, math.inf), error.masked_fill(heavy, math.inf)


def _by_owner(rows: Tensor, owner: Tensor, count: int) -> Tensor:
    """Return the sums [K, S] of rows [K, P] over the panels of each sigma."""
    return rows.new_zeros(rows.shape[0], count).index_add_(1, owner, rows)


@cache
def _rules() -> tuple[Tensor, Tensor, Tensor]:
    """Return the 21 nodes in (-1, 1), Kronrod's weights and Gauss's, 0 at the nodes that are not its own."""
    right = torch.tensor(_NODES[:-1], dtype=torch.float64, device="cpu")
    nodes = torch.cat([-right, torch.zeros(1, dtype=torch.float64, device="cpu"), right.flip(0)])
    half = torch.tensor(_KRONROD, dtype=torch.float64, device="cpu")
    gauss = torch.zeros(11, dtype=torch.float64, device="cpu")
    gauss[1::2] = torch.tensor(_GAUSS, dtype=torch.float64, device="cpu")
    return nodes, torch.cat([half, half[:-1].flip(0)]), torch.cat([gauss, gauss[:-1].flip(0)])


@cache
def _first_panels(step: float) -> tuple[Tensor, Tensor]:
    """Return the first panels of one sigma: even ones to 6, wider beyond, geometric ones around 0."""
    even = [step * k for k in range(1, round(6.0 / step) + 1)]
    near = [step * 4.0**-k for k in range(10, 0, -1)]
    far = [6.6, 7.2, 7.8, 8.4, 9.0, 9.6, 14.0, 20.0, _TAIL, REACH]
    right = torch.tensor([0.0, *near, *even, *far], dtype=torch.float64, device="cpu")
    edges = torch.cat([-right.flip(0), right[1:]])
    return edges[:-1], edges[1:]
