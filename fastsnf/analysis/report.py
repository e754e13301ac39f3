"""`analyze`: everything that this package can say about one field and its signal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from dataclasses import field as entry
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fastsnf.analysis.apart import unchanged
from fastsnf.analysis.config import DEFAULT_PARTS, HESSIAN_POINTS, HESSIAN_STEPS, NTK_STEPS, PARTS, POINTS
from fastsnf.analysis.course import errors_at
from fastsnf.analysis.frequencies import Spectrum, function_spectrum, signal_spectrum, spectra_panels
from fastsnf.analysis.hessian import HessianSpectrum, hessian_spectrum
from fastsnf.analysis.kernel import NtkSpectrum, alignment_panel, ntk_spectrum
from fastsnf.analysis.layers import LayerStatistics, layer_statistics
from fastsnf.analysis.leading import LeadingSpectrum, leading_spectrum
from fastsnf.analysis.panels import Panel, draw_panels
from fastsnf.analysis.points import Points, data_at, field_at, sampled_points
from fastsnf.errors import InputError, check_whole, unknown
from fastsnf.nn import Field
from fastsnf.ntk import SpectrumError
from fastsnf.signals.signal import Signal
from fastsnf.train.losses import LOGITS, VALUES

SPECTRUM_POINTS = 1 << 24
"""Points of a grid whose spectrum is taken at most: 0.6 GB of complex numbers for one channel."""

Result = NtkSpectrum | dict[str, Spectrum] | HessianSpectrum | LayerStatistics | LeadingSpectrum


@dataclass(frozen=True)
class Analysis:
    """What was found, part by part.

    Attributes:
        found: by the names of `fastsnf.analysis.config.PARTS`; the spectrum is a dict with ``field`` and,
            where there is one, ``signal``.
        missing: why a part that was asked for is not there, by its name.
    """

    found: dict[str, Result] = entry(default_factory=dict)
    missing: dict[str, str] = entry(default_factory=dict)

    @property
    def ntk(self) -> NtkSpectrum | None:
        """The NTK's spectrum at sampled points."""
        part = self.found.get("ntk")
        return part if isinstance(part, NtkSpectrum) else None

    @property
    def hessian(self) -> HessianSpectrum | None:
        """The Hessian's spectrum at sampled points."""
        part = self.found.get("hessian")
        return part if isinstance(part, HessianSpectrum) else None

    def to_dict(self) -> dict[str, Any]:
        """Return every number but the arrays, JSON-able but for inf; ``missing`` says what is not there."""
        numbers: dict[str, Any] = {}
        for name, part in self.found.items():
            if isinstance(part, dict):
                numbers[name] = {key: spectrum.row() for key, spectrum in part.items()}
            elif isinstance(part, LayerStatistics):
                numbers[name] = part.rows()
            else:
                numbers[name] = part.row()
        return {**numbers, "missing": self.missing}

    def grids(self) -> dict[str, list[list[Panel]]]:
        """Return the rows of panels of every picture by its name."""
        grids: dict[str, list[list[Panel]]] = {}
        for name, part in self.found.items():
            if isinstance(part, dict):
                grids[name] = [spectra_panels(part)]
            elif isinstance(part, LayerStatistics):
                grids[name] = part.grid()
            else:
                grids[name] = [part.panels()]
        sampled, whole = self.ntk, self.found.get("ntk-all")
        if (
            sampled is not None
            and isinstance(whole, LeadingSpectrum)
            and sampled.alignment
            and whole.alignment
        ):
            both = {f"{sampled.points:,} points": sampled.alignment, "all points": whole.alignment}
            grids["ntk-all"][0].append(alignment_panel(both))
        return grids

    def draw(self, folder: Path | str) -> list[Path]:
        """Draw every part as ``<part>.png`` in a folder, which is made, and return the pictures.

        Raises:
            InputError: when matplotlib is not installed, naming the extra, or the folder cannot be written.
            RunError: when the disk is full or fails.
        """
        folder = Path(folder)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(
                f"expected a folder for pictures; got {str(folder)!r}: {error.strerror}"
            ) from None
        pictures = []
        for name, grid in self.grids().items():
            pictures.append(folder / f"{name}.png")
            draw_panels(grid, pictures[-1])
        return pictures


def analyze(
    field: Field,
    signal: Signal | None = None,
    *,
    only: Sequence[str] | None = None,
    points: int = POINTS,
    hessian_points: int = HESSIAN_POINTS,
    hessian_steps: int = HESSIAN_STEPS,
    ntk_steps: int = NTK_STEPS,
    outputs: str = VALUES,
    seed: int = 0,
    told: Callable[[str], None] = lambda part: None,
) -> Analysis:
    """Return what there is to say about a field at its present parameters.

    The parts: ``ntk`` (spectrum, condition number and kernel-task alignment at `points` sampled points),
    ``spectrum`` (frequencies on the signal's whole grid, beside the signal's), ``hessian`` (condition number
    of the loss at `hessian_points` sampled points), ``layers`` (distributions at `points` points) and, only
    where it is named, ``ntk-all`` (leading eigenvalues and alignment at all points). A part that the field or
    the signal has not got leaves its reason in `Analysis.missing`.

    Args:
        field: any field, on any device.
        signal: what it is fitted to; one without data, as a checkpoint describes it, or None leaves out what
            needs targets. Without one, points are drawn from [-1, 1]^D.
        only: names of parts; None for all but ``ntk-all``.
        points: of the NTK and the layers; time grows as their cube.
        hessian_points, hessian_steps: of the Hessian, whose time grows as their product.
        ntk_steps: products of ``ntk-all``.
        outputs: what the field returns, ``values`` or ``logits`` (then the loss is ``bce``).
        seed: of the points and start vectors.
        told: called with the name of each part before it is computed.

    Raises:
        InputError: for an unknown part, numbers below 1, or a signal of other sizes than the field's.
    """
    parts = _parts(only)
    for name, number in (("points", points), ("hessian_points", hessian_points), ("ntk_steps", ntk_steps)):
        check_whole(name, number, 1)
    if signal is not None and signal.samples > 1:
        signal = signal.evaluation  # the field's own outputs are what is analysed
    _check_sizes(field, signal)
    subject = _Subject(field, signal, outputs, seed)
    ways: dict[str, Callable[[], Result]] = {
        "ntk": lambda: subject.ntk(points),
        "spectrum": subject.spectrum,
        "hessian": lambda: subject.hessian(hessian_points, hessian_steps),
        "layers": lambda: subject.layers(points),
        "ntk-all": lambda: subject.ntk_all(ntk_steps),
    }
    analysis = Analysis()
    with unchanged(field):
        for part in parts:
            told(part)
            try:
                analysis.found[part] = ways[part]()
            except (InputError, SpectrumError) as error:
                analysis.missing[part] = " ".join(str(error).split())
    return analysis


@dataclass(frozen=True)
class _Subject:
    """A field and its signal, as every part takes them."""

    field: Field
    signal: Signal | None
    outputs: str
    seed: int

    def ntk(self, count: int) -> NtkSpectrum:
        x, y = self._sample(count)
        errors = None if y is None else self._errors(x, y)
        return ntk_spectrum(self.field, x, errors, average=min(5, len(x)))

    def ntk_all(self, steps: int) -> LeadingSpectrum:
        if self.signal is None:
            raise InputError("expected a signal, to know all of its points; got none")
        everything = sampled_points(self.signal, self.signal.size)
        data = self._data(everything)
        if data is None:
            x = self._placed(self.signal.coordinates_of(self.signal.shape, everything))
            return leading_spectrum(self.field, x, steps=steps, seed=self.seed)
        return leading_spectrum(self.field, data.x, self._errors(data.x, data.y), steps=steps, seed=self.seed)

    def spectrum(self) -> dict[str, Spectrum]:
        if self.signal is None:
            raise InputError("expected a signal, to know its grid; got none")
        signal = self.signal.evaluation
        if len(signal.shape) == 1 < signal.in_features:
            raise InputError("expected points on a grid, for a spectrum; got scattered ones")
        if signal.size > SPECTRUM_POINTS:
            raise InputError(
                f"expected a grid of at most {SPECTRUM_POINTS:,} points, for its spectrum; got {signal.shape}"
            )
        values = field_at(self.field, signal, torch.arange(signal.size), outputs=self.outputs)
        found = {"field": function_spectrum(values.reshape(*signal.shape, signal.out_features))}
        if _has_data(signal):
            found["signal"] = signal_spectrum(signal)
        return found

    def hessian(self, count: int, steps: int) -> HessianSpectrum:
        x, y, w = self._targets(count)
        loss = "bce" if self.outputs == LOGITS else "mse"
        return hessian_spectrum(self.field, x, y, weights=w, loss=loss, steps=steps, seed=self.seed)

    def layers(self, count: int) -> LayerStatistics:
        x, y = self._sample(count)
        return layer_statistics(self.field, x, y, loss="bce" if self.outputs == LOGITS else "mse")

    def _targets(self, count: int) -> Points:
        if self.signal is None or not _has_data(self.signal):
            raise InputError(
                "expected a signal with its data, for a loss; got none: give the file it was fitted to"
            )
        return data_at(self.field, self.signal, sampled_points(self.signal, count, seed=self.seed))

    def _sample(self, count: int) -> tuple[Tensor, Tensor | None]:
        """Return coordinates of `count` points and, where there are some, the signal's values."""
        if self.signal is None:
            generator = torch.Generator().manual_seed(self.seed)
            uniform = torch.rand(count, self.field.in_features, generator=generator, dtype=torch.float64)
            return self._placed(2.0 * uniform - 1.0), None
        index = sampled_points(self.signal, count, seed=self.seed)
        data = self._data(index)
        if data is not None:
            return data.x, data.y
        return self._placed(self.signal.coordinates_of(self.signal.shape, index)), None

    def _data(self, index: Tensor) -> Points | None:
        if self.signal is None or not _has_data(self.signal):
            return None
        return data_at(self.field, self.signal, index)

    def _errors(self, x: Tensor, y: Tensor) -> Tensor:
        return errors_at(self.field, x, y, outputs=self.outputs)

    def _placed(self, x: Tensor) -> Tensor:
        parameter = next(self.field.parameters())
        return x.to(parameter.device, parameter.dtype.to_real())


def _parts(only: Sequence[str] | None) -> list[str]:
    """Return the parts that are asked for, each once, in the order of `PARTS`."""
    wanted = DEFAULT_PARTS if only is None else ([only] if isinstance(only, str) else only)
    for part in wanted:
        if part not in PARTS:
            raise unknown("a part of the analysis", part, PARTS)
    return [part for part in PARTS if part in wanted]


def _check_sizes(field: Field, signal: Signal | None) -> None:
    if signal is None:
        return
    has, wanted = (field.in_features, field.out_features), (signal.in_features, signal.out_features)
    if has != wanted:
        raise InputError(
            f"expected a signal of {has[0]} coordinates and {has[1]} channels, as the field has them; "
            f"got {wanted[0]} and {wanted[1]}"
        )


def _has_data(signal: Signal) -> bool:
    """Return whether a signal has its values, or is only described."""
    try:
        return bool(len(signal.targets(slice(0, 1))))
    except InputError:
        return False
