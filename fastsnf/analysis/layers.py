"""Activations, pre-activations and gradients of every linear layer, and what their distributions are near."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from fastsnf.analysis.apart import any_engine
from fastsnf.analysis.distributions import Arcsine, Distance, distance_to_arcsine, distance_to_normal
from fastsnf.analysis.panels import Line, Lines, Panel, draw_panels
from fastsnf.errors import InputError
from fastsnf.train.evaluate import values_at
from fastsnf.train.losses import LOSSES

BINS = 60
"""Bars of a histogram."""


@dataclass(frozen=True)
class Sample:
    """What is known of numbers: all points and units of a layer; both parts of complex ones.

    Attributes:
        count, mean, deviation: of the numbers.
        to_arcsine: distance to arcsine(-1, 1).
        to_normal: distance to the normal distribution of their mean and deviation.
        centres, density: [60], a histogram over their range.
    """

    count: int
    mean: float
    deviation: float
    to_arcsine: Distance
    to_normal: Distance
    centres: Tensor
    density: Tensor

    def row(self) -> dict[str, Any]:
        """Return the numbers of a table, JSON-able."""
        return {
            "mean": self.mean,
            "deviation": self.deviation,
            "ks_arcsine": self.to_arcsine.ks,
            "w1_arcsine": self.to_arcsine.wasserstein,
            "ks_normal": self.to_normal.ks,
            "w1_normal": self.to_normal.wasserstein,
        }


@dataclass(frozen=True)
class LayerRow:
    """One linear layer of a field.

    Attributes:
        name: of the module.
        omega: of the activation that follows, 1 where there is none: phases are ``omega u``.
        inputs: what arrives: the coordinates, then the activations of the layer before.
        pre_activations: ``u = W h + b``.
        gradients: derivatives with respect to u of each point's own loss.
    """

    name: str
    omega: float
    inputs: Sample
    pre_activations: Sample
    gradients: Sample

    def row(self) -> dict[str, Any]:
        """Return the numbers of a table, JSON-able."""
        return {
            "layer": self.name,
            "omega": self.omega,
            "phase_deviation": self.omega * self.pre_activations.deviation,
            "inputs": self.inputs.row(),
            "pre_activations": self.pre_activations.row(),
            "gradients": self.gradients.row(),
        }


@dataclass(frozen=True)
class LayerStatistics:
    """Every linear layer of a field, in the order in which they are called."""

    layers: tuple[LayerRow, ...]

    def rows(self) -> list[dict[str, Any]]:
        """Return `LayerRow.row` of each."""
        return [layer.row() for layer in self.layers]

    def grid(self) -> list[list[Panel]]:
        """Return three histograms a layer: what arrives, pre-activations, gradients."""
        return [
            [
                _histogram(f"{layer.name}: inputs", layer.inputs, arcsine=True),
                _histogram(f"{layer.name}: pre-activations", layer.pre_activations),
                _histogram(f"{layer.name}: gradients", layer.gradients),
            ]
            for layer in self.layers
        ]

    def draw(self, path: Path | str) -> None:
        """Draw the histograms; raises as `fastsnf.analysis.panels.draw_panels`."""
        draw_panels(self.grid(), path)


def layer_statistics(
    field: nn.Module, x: Tensor, y: Tensor | None = None, *, loss: str = "mse"
) -> LayerStatistics:
    """Return the distributions in every linear layer that a field calls at points x.

    For sine layers under weight scaling what arrives from layer 2 on is near arcsine(-1, 1), and
    pre-activations near a normal distribution whose phase has a deviation of alpha (Proposition 3.1).

    Args:
        field: a field, or another module of `torch.nn.Linear` layers, from [n, D] to [n, C].
        x: coordinates [n, D], of its dtype, on its device.
        y: targets [n, C] for the gradients of ``mse`` or ``bce``; None takes those of the outputs' sum over
            sqrt(C).
        loss: with y.

    Raises:
        InputError: when the field calls no linear layer as a module, or yields values that are not finite.
    """
    with _watched(field) as calls, any_engine(), torch.inference_mode(False), torch.enable_grad():
        out = values_at(field, x.detach().clone().requires_grad_())  # type: ignore[arg-type]
        if not calls:
            raise InputError(
                f"expected a field of linear layers; {type(field).__name__} called no torch.nn.Linear"
            )
        scalar = out.sum() / math.sqrt(out.shape[-1]) if y is None else len(x) * LOSSES[loss](out, y, None)
        gradients = torch.autograd.grad(scalar, [call.out for call in calls], materialize_grads=True)
    rows = [
        LayerRow(call.name, call.omega, _sample(call.given), _sample(call.out), _sample(d))
        for call, d in zip(calls, gradients, strict=True)
    ]
    return LayerStatistics(tuple(rows))


class _Call(NamedTuple):
    name: str
    omega: float
    given: Tensor
    out: Tensor


@contextmanager
def _watched(field: nn.Module) -> Iterator[list[_Call]]:
    """Yield a list that fills with the calls of the linear layers of a field."""
    calls: list[_Call] = []
    kinds = (nn.Linear, *getattr(field, "linear_classes", ()))
    omegas = _omegas(field)
    handles = []
    for name, module in field.named_modules():
        if isinstance(module, kinds):

            def seen(module: nn.Module, given: Any, out: Tensor, name: str = name) -> None:
                calls.append(_Call(name, omegas.get(id(module), 1.0), given[0].detach(), out))

            handles.append(module.register_forward_hook(seen))
    try:
        yield calls
    finally:
        for handle in handles:
            handle.remove()


def _omegas(field: nn.Module) -> dict[int, float]:
    """Return the omega of the activation that follows each linear layer, by the layer's id."""
    return {
        id(module.linear): float(getattr(module.activation, "omega", 1.0))
        for module in field.modules()
        if hasattr(module, "linear") and hasattr(module, "activation")
    }


def _sample(numbers: Tensor) -> Sample:
    """Return what is known of numbers."""
    real = torch.view_as_real(numbers.detach()) if numbers.is_complex() else numbers.detach()
    flat = real.reshape(-1).double().cpu()
    if not bool(flat.isfinite().all()):
        raise InputError("expected layers with finite values; got some that are not")
    low, high = float(flat.min()), float(flat.max())
    width = (high - low) / BINS
    counts = torch.histc(flat, BINS, low, high) if width > 0 else torch.zeros(BINS, dtype=torch.float64)
    centres = low + (torch.arange(BINS, dtype=torch.float64) + 0.5) * width
    density = counts / (len(flat) * width) if width > 0 else counts
    return Sample(
        len(flat),
        float(flat.mean()),
        float(flat.std(correction=0)),
        distance_to_arcsine(flat),
        distance_to_normal(flat),
        centres,
        density,
    )


def _histogram(title: str, sample: Sample, *, arcsine: bool = False) -> Panel:
    """Return a histogram beside the density of a normal, or of the arcsine distribution."""
    x = sample.centres
    lines = [Line("found", x.tolist(), sample.density.tolist())]
    if arcsine and sample.deviation > 0 and bool((x.abs() <= 1).all()):
        half = 0.5 * (x[1] - x[0])
        density = (Arcsine().cdf(x + half) - Arcsine().cdf(x - half)) / (
            2.0 * half
        )  # bar by bar: it has poles
        lines.append(Line(f"arcsine, KS {sample.to_arcsine.ks:.3f}", x.tolist(), density.tolist()))
    elif sample.deviation > 0:
        z = (x - sample.mean) / sample.deviation
        density = torch.exp(-0.5 * z.square()) / (sample.deviation * math.sqrt(2.0 * math.pi))
        lines.append(Line(f"normal, KS {sample.to_normal.ks:.3f}", x.tolist(), density.tolist()))
    return Lines(title, lines, "value", "density")
