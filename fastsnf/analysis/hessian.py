"""The Hessian of the loss: its products with vectors, its extreme eigenvalues, its condition number."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import grad, jvp, vmap

from fastsnf.analysis.apart import any_engine, in_dtype
from fastsnf.analysis.krylov import lanczos
from fastsnf.analysis.panels import Drawn, Line, Lines, Panel
from fastsnf.errors import InputError, check_whole, unknown
from fastsnf.ntk.jacobian import Network, Parameters
from fastsnf.train.config import LOSSES
from fastsnf.train.losses import Loss, make_loss

METHODS = ("auto", "exact", "lanczos")
MOST_EXACT = 2_000
"""Parameters up to which `auto` computes the whole matrix."""
ROWS_AT_ONCE = 1 << 26
"""Numbers of activations that rows of the whole matrix may hold together."""
CHUNK_POINTS = 1 << 13
"""Points of one Hessian-vector product at once."""


@dataclass(frozen=True)
class HessianSpectrum(Drawn):
    """Eigenvalues of the Hessian of the loss, all or those that Lanczos' method shows.

    Attributes:
        values: [P] eigenvalues or [m] Ritz values, largest first.
        residuals: [m], how far from each Ritz value an eigenvalue is at most; None when exact.
        steps: m, the Lanczos steps; None when exact.
        parameters: P, a complex one being two.
        points: that the loss is a mean over.
        average: 3 as in the source.
        unit: rounding unit of the arithmetic.

    Source: Section C.3 of Yeom et al. 2025, "Fast training of sinusoidal neural fields via scaling
    initialization".
    """

    values: Tensor
    residuals: Tensor | None
    steps: int | None
    parameters: int
    points: int
    average: int = 3
    unit: float = torch.finfo(torch.float64).eps

    @property
    def largest(self) -> Tensor:
        """Return the `average` values of largest magnitude, with their signs, largest magnitude first."""
        return self._by_magnitude()[: self.average]

    @property
    def smallest(self) -> Tensor:
        """Return the `average` values of smallest magnitude, with their signs, smallest magnitude first."""
        return self._by_magnitude().flip(0)[: self.average]

    @property
    def condition(self) -> float:
        """Return the mean magnitude of `largest` over that of `smallest`; inf where rounding hides those.

        After m Lanczos steps it is a lower bound that grows with m: compare it at equal m only.
        """
        top, bottom = float(self.largest.abs().mean()), float(self.smallest.abs().mean())
        return top / bottom if bottom > self.parameters * self.unit * top else math.inf

    @property
    def label(self) -> str:
        """Return what `smallest` are, in words."""
        if self.steps is None:
            return f"smallest of all {self.parameters:,} eigenvalues"
        return f"smallest Ritz values of {self.steps} Lanczos steps"

    def _by_magnitude(self) -> Tensor:
        return self.values[self.values.abs().sort(descending=True, stable=True).indices]

    def row(self) -> dict[str, Any]:
        """Return the numbers of a table, JSON-able but for inf."""
        return {
            "condition": self.condition,
            "method": "exact" if self.steps is None else "lanczos",
            "steps": self.steps,
            "parameters": self.parameters,
            "points": self.points,
            "largest": self.largest.tolist(),
            "smallest": self.smallest.tolist(),
            "smallest_are": self.label,
        }

    def panels(self, name: str = "Hessian") -> list[Panel]:
        """Return the magnitudes of all values."""
        magnitudes = self._by_magnitude().abs().tolist()
        what = "all eigenvalues" if self.steps is None else f"Ritz values of {self.steps} Lanczos steps"
        line = Line(name, list(range(1, len(magnitudes) + 1)), magnitudes)
        return [
            Lines(f"Hessian: {what}, condition {self.condition:.3g}", [line], "index", "|value|", log=True)
        ]


def hessian_spectrum(
    field: nn.Module,
    x: Tensor,
    y: Tensor,
    *,
    weights: Tensor | None = None,
    loss: str | Loss = "mse",
    steps: int = 30,
    average: int = 3,
    method: str = "auto",
    seed: int = 0,
    chunk: int | None = None,
    dtype: torch.dtype | None = None,
) -> HessianSpectrum:
    """Return extreme eigenvalues of the Hessian of the loss with respect to all trainable parameters.

    Products with the Hessian are forward derivatives of gradients, some points at a time; they take torch's
    plain operations, whatever the engine, since fused ones have no second derivative of their own. Where a
    module has no forward derivatives, gradients of gradients take their place. FINER's detached factor is a
    constant here too.

    Args:
        field: a field, or another module from [n, D] to [n, C]; one that couples its points (batch
            normalisation) takes all of them at once.
        x, y: coordinates [N, D] and targets [N, C], of the field's dtype, on its device.
        weights: [N] of 0 or more, None for ones.
        loss: ``mse``, ``bce``, or a callable ``(out, target, weights) -> 0-d`` that is a weighted mean.
        steps: m of Lanczos' method; more find smaller eigenvalues.
        average: values at each end of the condition number.
        method: ``exact`` takes P products and P^2 numbers; ``auto`` takes it for fields of up to 2,000
            parameters.
        seed: of the start vector.
        chunk: points at once; None for 8,192.
        dtype: None for float64 when exact, the field's own otherwise.

    Raises:
        InputError: for shapes, losses or methods that do not fit, or products that are not finite.
    """
    if method not in METHODS:
        raise unknown("method", method, METHODS)
    count = sum(p.numel() * (2 if p.is_complex() else 1) for p in field.parameters() if p.requires_grad)
    exact = method == "exact" or (method == "auto" and count <= MOST_EXACT)
    real = dtype or (torch.float64 if exact else x.dtype)
    moved = None if weights is None else weights.to(real)
    products = HessianProducts(in_dtype(field, real), x.to(real), y.to(real), moved, loss=loss, chunk=chunk)
    if not 1 <= average <= products.count:
        raise InputError(f"expected average from 1 to {products.count}, the parameters; got {average!r}")
    unit = torch.finfo(real).eps
    if exact:
        values = torch.linalg.eigvalsh(products.matrix().double()).flip(0).cpu()
        return HessianSpectrum(values, None, None, products.count, len(x), average, unit)
    if steps < 2 * average and steps < products.count:
        raise InputError(
            f"expected at least {2 * average} Lanczos steps, for {average} at each end; got {steps}"
        )
    generator = torch.Generator().manual_seed(seed)
    start = torch.randn(products.count, 1, generator=generator, dtype=torch.float64).to(x.device, real)
    (found,) = lanczos(products, start, steps)
    return HessianSpectrum(found.values, found.residuals, found.steps, products.count, len(x), average, unit)


class HessianProducts:
    """The Hessian of the loss at the field's present parameters as a function of vectors [P, k].

    Args:
        field, x, y, weights, loss, chunk: as in `hessian_spectrum`.

    Attributes:
        count: P. Parameters lie one after another in the module's order, complex ones as [..., 2].
    """

    def __init__(
        self,
        field: nn.Module,
        x: Tensor,
        y: Tensor,
        weights: Tensor | None = None,
        *,
        loss: str | Loss = "mse",
        chunk: int | None = None,
    ) -> None:
        if isinstance(loss, str) and loss not in LOSSES:
            raise unknown("the loss", loss, LOSSES)
        if x.dim() != 2 or y.dim() != 2 or len(x) != len(y) or not len(x):
            raise InputError(f"expected x [N, D] and y [N, C]; got {list(x.shape)} and {list(y.shape)}")
        if chunk is not None:
            check_whole("chunk", chunk, 1)
        if not any(p.requires_grad for p in field.parameters()):
            raise InputError("expected a field with trainable parameters; got all frozen")
        self._network = Network(field)
        self._x, self._y = x.detach(), y.detach()
        self._weights = x.new_ones(len(x)) if weights is None else weights.detach()
        self._loss = make_loss(loss)
        self._chunk = chunk or (CHUNK_POINTS if self._separate() else len(x))
        self._forwards = True
        self.count = self._network.count

    def __call__(self, v: Tensor) -> Tensor:
        """Return the Hessian times v, [P, k] -> [P, k]."""
        with any_engine():
            return torch.stack([self._flat(self._product(column)) for column in v.detach().unbind(1)], dim=1)

    def matrix(self) -> Tensor:
        """Return the Hessian [P, P], symmetric."""
        unit = torch.eye(self.count, dtype=self._x.dtype, device=self._x.device)
        numbers = len(self._x) * max(1, int(math.sqrt(self.count)))
        rows = max(1, ROWS_AT_ONCE // (8 * numbers))
        with any_engine():
            try:
                full = vmap(lambda row: self._flat(self._once(row)), chunk_size=rows)(unit)
            except torch.OutOfMemoryError:
                raise
            except (RuntimeError, NotImplementedError):  # no batching rule somewhere
                full = torch.stack([self._flat(self._product(row)) for row in unit])
        return 0.5 * (full + full.mT)

    def _product(self, v: Tensor) -> Parameters:
        """Return the Hessian times v [P], by forward derivatives of gradients where there are such."""
        if self._forwards:
            try:
                return self._once(v)
            except torch.OutOfMemoryError:
                raise
            except (RuntimeError, NotImplementedError):
                self._forwards = False
        return self._twice(v)

    def _once(self, v: Tensor) -> Parameters:
        along = self._named(v)
        total = {name: torch.zeros_like(part) for name, part in along.items()}
        for loss in self._losses():
            part = jvp(grad(loss), (self._network.parameters,), (along,))[1]
            total = {name: total[name] + part[name] for name in total}
        return total

    def _twice(self, v: Tensor) -> Parameters:
        along = self._named(v)
        total = {name: torch.zeros_like(part) for name, part in along.items()}
        for loss in self._losses():
            with torch.enable_grad():
                leaves = {n: p.clone().requires_grad_() for n, p in self._network.parameters.items()}
                first = torch.autograd.grad(
                    loss(leaves), list(leaves.values()), create_graph=True, materialize_grads=True
                )
                linear = [(g, along[name]) for name, g in zip(leaves, first, strict=True) if g.requires_grad]
                second = torch.autograd.grad(
                    [g for g, _ in linear],
                    list(leaves.values()),
                    [d for _, d in linear],
                    materialize_grads=True,
                )
            for name, part in zip(total, second, strict=True):
                total[name] += part.detach()
        return total

    def _losses(self) -> list[Callable[[Parameters], Tensor]]:
        """Return the parts of the loss, one a chunk of points; their sum is the weighted mean."""
        whole = float(self._weights.sum()) or 1.0
        parts: list[Callable[[Parameters], Tensor]] = []
        for start in range(0, len(self._x), self._chunk):
            here = slice(start, start + self._chunk)
            x, y, w = self._x[here], self._y[here], self._weights[here]
            share = float(w.sum()) / whole
            if share:
                parts.append(self._part(x, y, w, share))
        return parts

    def _part(self, x: Tensor, y: Tensor, w: Tensor, share: float) -> Callable[[Parameters], Tensor]:
        def loss(parameters: Parameters) -> Tensor:
            return share * self._loss(self._network(parameters, x), y, w)

        return loss

    def _separate(self) -> bool:
        """Return whether the field treats its points one by one, so that the loss is a sum over chunks."""
        try:
            self._network.channels(self._x)
        except InputError:
            return False
        return True

    def _named(self, v: Tensor) -> Parameters:
        sizes = [part.numel() for part in self._network.parameters.values()]
        parts = zip(self._network.parameters.items(), v.split(sizes), strict=True)
        return {name: piece.view(part.shape) for (name, part), piece in parts}

    def _flat(self, parts: Parameters) -> Tensor:
        return torch.cat([part.reshape(-1) for part in parts.values()])
