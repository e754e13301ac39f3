"""Observers of a fit: the NTK's and the Hessian's conditioning along training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from fastsnf.analysis.apart import unchanged
from fastsnf.analysis.hessian import HessianSpectrum, hessian_spectrum
from fastsnf.analysis.kernel import NtkSpectrum, alignment_panel, ntk_spectrum
from fastsnf.analysis.panels import Drawn, Line, Lines, Panel
from fastsnf.analysis.points import data_at, sampled_points
from fastsnf.errors import InputError, check_whole
from fastsnf.signals.signal import Signal
from fastsnf.train import Callback, FitResult, FitState
from fastsnf.train.evaluate import values_at
from fastsnf.train.losses import Loss, outputs_of, to_values


class _Trace(Callback):
    """Measures at step 0, at the first row of metrics at or after each step that is due, and at the end.

    Rows of metrics are the trainer's: `FitConfig.log_every` says at which steps there are some.
    """

    def __init__(self, points: int, every: int | None, steps: Sequence[int] | None, seed: int) -> None:
        if (every is None) == (steps is None):
            raise InputError("expected every=N or steps=[...], one of both; got both or neither")
        if every is not None:
            check_whole("every", every, 1)
        self._points, self._every, self._seed = points, every, seed
        self._wanted = sorted(steps or [])
        self._signal: Signal | None = None
        self._loss: str | Loss = "mse"
        self._next = 0
        self.steps: list[int] = []

    def on_start(self, state: FitState) -> None:
        """Measure the field that the fit starts from."""
        self._signal, self._loss = state.signal, state.config.loss
        self._index = sampled_points(state.signal, self._points, seed=self._seed)
        self._measure(state.field, state.step)

    def on_log(self, row: dict[str, Any], state: FitState) -> None:
        """Measure if it is time to."""
        if state.step >= self._next:
            self._measure(state.field, state.step)

    def on_end(self, result: FitResult) -> None:
        """Measure the fitted field."""
        if not self.steps or self.steps[-1] != result.steps:
            self._measure(result.field, result.steps)

    def _measure(self, field: nn.Module, step: int) -> None:
        if self.steps and self.steps[-1] == step:
            return
        if self._every is not None:
            self._next = step - step % self._every + self._every
        else:
            self._next = next((wanted for wanted in self._wanted if wanted > step), 1 << 62)
        self.steps.append(step)
        assert self._signal is not None, "a fit starts before it logs"
        with unchanged(field):
            self._take(field, self._signal)

    def _take(self, field: nn.Module, signal: Signal) -> None:
        raise NotImplementedError


@dataclass(frozen=True)
class NtkCourse(Drawn):
    """NTK spectra of a field along its training, at the same points.

    Attributes:
        steps: of the T measurements.
        spectra: one each.
    """

    steps: tuple[int, ...]
    spectra: tuple[NtkSpectrum, ...]

    @property
    def conditions(self) -> Tensor:
        """Return the condition numbers [T] of Fig. 5a."""
        return torch.tensor([spectrum.condition for spectrum in self.spectra], dtype=torch.float64)

    @property
    def values(self) -> Tensor:
        """Return the eigenvalues [T, n], largest first."""
        return torch.stack([spectrum.values for spectrum in self.spectra])

    def energies_at(self, thresholds: Sequence[float]) -> Tensor:
        """Return E(t) [T, m] of Eq. 9 at thresholds t [m]."""
        return torch.stack([spectrum.energy_at(thresholds) for spectrum in self.spectra])

    def panels(self, name: str = "NTK") -> list[Panel]:
        """Return the condition number over steps and the alignment at up to six of them (Fig. 5)."""
        line = Line(name, self.steps, self.conditions.tolist())
        shown = range(0, len(self.steps), max(1, -(-len(self.steps) // 6)))
        curves = {
            f"step {self.steps[i]:,}": alignment for i in shown if (alignment := self.spectra[i].alignment)
        }
        return [
            Lines("NTK condition number, Fig. 5a", [line], "step", "condition number", log=True),
            alignment_panel(curves),
        ]


class NtkTrace(_Trace):
    """Follows the NTK's spectrum and its alignment with the errors through a fit.

    Args:
        points: sampled from the signal once (`sampled_points`).
        every: steps between two measurements, or
        steps: at which to measure; the start and the end always are.
        average: eigenvalues at each end of the condition number.
        seed: of the points.

    Attributes:
        course: what was measured so far.

    >>> trace = NtkTrace(512, every=100)
    >>> fit(field, image, steps=1000, log_every=100, callbacks=[trace])  # doctest: +SKIP
    >>> trace.course.draw("ntk.png")  # doctest: +SKIP
    """

    def __init__(
        self,
        points: int = 1024,
        *,
        every: int | None = None,
        steps: Sequence[int] | None = None,
        average: int = 5,
        seed: int = 0,
    ) -> None:
        super().__init__(points, every, steps, seed)
        self._average = average
        self._spectra: list[NtkSpectrum] = []

    @property
    def course(self) -> NtkCourse:
        """What was measured so far."""
        return NtkCourse(tuple(self.steps), tuple(self._spectra))

    def _take(self, field: nn.Module, signal: Signal) -> None:
        x, y, _ = data_at(field, signal, self._index)
        errors = errors_at(field, x, y, outputs=outputs_of(self._loss))
        self._spectra.append(ntk_spectrum(field, x, errors, average=self._average))


@dataclass(frozen=True)
class HessianCourse(Drawn):
    """Hessian spectra of a field along its training, at the same points.

    Attributes:
        steps: of the T measurements.
        spectra: one each.
    """

    steps: tuple[int, ...]
    spectra: tuple[HessianSpectrum, ...]

    @property
    def conditions(self) -> Tensor:
        """Return the condition numbers [T] of Fig. 10."""
        return torch.tensor([spectrum.condition for spectrum in self.spectra], dtype=torch.float64)

    def panels(self, name: str = "Hessian") -> list[Panel]:
        """Return the condition number over steps (Fig. 10)."""
        line = Line(name, self.steps, self.conditions.tolist())
        label = self.spectra[0].label if self.spectra else "no measurements"
        return [Lines(f"Hessian condition number: {label}", [line], "step", "condition number", log=True)]


class HessianTrace(_Trace):
    """Follows the Hessian of the fit's own loss through a fit.

    Args:
        points: sampled from the signal once (`sampled_points`).
        every: steps between two measurements, or
        steps: at which to measure; the start and the end always are.
        lanczos_steps: m; the same at every measurement, so that they compare.
        seed: of the points and the start vector.

    Attributes:
        course: what was measured so far.
    """

    def __init__(
        self,
        points: int = 2048,
        *,
        every: int | None = None,
        steps: Sequence[int] | None = None,
        lanczos_steps: int = 30,
        seed: int = 0,
    ) -> None:
        super().__init__(points, every, steps, seed)
        self._lanczos_steps = lanczos_steps
        self._spectra: list[HessianSpectrum] = []

    @property
    def course(self) -> HessianCourse:
        """What was measured so far."""
        return HessianCourse(tuple(self.steps), tuple(self._spectra))

    def _take(self, field: nn.Module, signal: Signal) -> None:
        x, y, w = data_at(field, signal, self._index)
        self._spectra.append(
            hessian_spectrum(
                field, x, y, weights=w, loss=self._loss, steps=self._lanczos_steps, seed=self._seed
            )
        )


def errors_at(field: nn.Module, x: Tensor, y: Tensor, *, outputs: str) -> Tensor:
    """Return ``y - f(x)`` [n, C], of the signal's values whatever the field's outputs stand for."""
    with torch.no_grad():
        return y - to_values(values_at(field, x), outputs)  # type: ignore[arg-type]
