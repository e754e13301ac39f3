"""What VI3NR's reconstructions of sounds and of shapes share: lines of starts, each fitted to every file."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any, ClassVar, TypeVar

from fastsnf.analysis.panels import Line, Lines, draw_panels
from fastsnf.signals import Signal
from fastsnf.spec import Activation, Gaussian, Sinc, Sine
from fastsnf.studies.files import NO_DATA, digest_of_file, file_called, files_of
from fastsnf.studies.fitting import curve_of, fit_in, full_batch, run_folder
from fastsnf.studies.means import values
from fastsnf.studies.study import Outcome, Row, Study, results
from fastsnf.studies.vi3nr.config import ReconstructionSettings
from fastsnf.studies.vi3nr.fits import MONTE_CARLO, Start, field_of, random_starts, start_of
from fastsnf.train import FitConfig, FitResult
from fastsnf.train.placement import resolve_device

CURVES = "curves.png"
ROWS = 100
"""Points of a curve."""

R = TypeVar("R", bound=ReconstructionSettings)


class Reconstruction(Study[R]):
    """Fits of every file from the starts of every line; of a line's starts the best mean counts.

    Attributes:
        kind: of the signals. metric: what is compared; less_is_better: whether small figures are good.
        paths: the files, none without data.
    """

    kind: ClassVar[str]
    metric: ClassVar[str]
    less_is_better: ClassVar[bool] = False

    def __init__(self, settings: R, folder: Path) -> None:
        super().__init__(settings, folder)
        self.paths = files_of(settings.data, self.kind, settings.files)

    @abstractmethod
    def lines(self) -> Mapping[str, Sequence[Start]]:
        """Return the starts of each line of the table."""

    def config(self, facts: Mapping[str, Any]) -> FitConfig:
        """Return the settings of a row's fit."""
        return full_batch(facts, ROWS, batch_size=facts["batch"] or "full")

    @abstractmethod
    def open(self, path: Path) -> Signal:
        """Return the signal of a file."""

    @abstractmethod
    def figures(self, result: FitResult, signal: Signal) -> dict[str, Any]:
        """Return what a fit gave, `metric` among it."""

    def rows(self) -> list[Row]:
        """Return one row for each file, start and seed."""
        s = self.settings
        found: dict[str, Row] = {}
        shared = {name: getattr(s, name) for name in ("steps", "lr", "schedule", "batch", "bias_init")}
        paths: Sequence[Path | None] = self.paths or [None]
        for path in paths:
            for label, starts in self.lines().items():
                for start in starts:
                    for seed in range(s.seeds):
                        facts = {
                            "file": path.name if path else None,
                            "digest": digest_of_file(path),
                            **start.facts(),
                            **self.more_facts(),
                            **shared,
                            "seed": seed,
                            "device": str(resolve_device(s.device)),
                        }
                        name = f"{path.stem if path else self.kind}, {label}, seed {seed}"
                        row = Row(facts, name, None if path else NO_DATA)
                        found.setdefault(json.dumps(facts, sort_keys=True), row)
        return list(found.values())

    def more_facts(self) -> dict[str, Any]:
        """Return what decides the signals besides their files."""
        return {}

    def train(self, row: Row) -> dict[str, Any]:
        """Fit the file of a row from its start."""
        facts = row.facts
        path = file_called(self.paths, facts["file"])
        signal = self.open(path)
        run = run_folder(self.folder, facts, path.stem, facts["init"], facts["seed"])

        def make() -> Any:
            return field_of(facts, signal.out_features, signal.in_features)

        result = fit_in(run, make, signal, self.config(facts), self.progress)
        return {**self.figures(result, signal), "engine": result.engine, **curve_of(result)}

    def best(
        self, outcomes: Sequence[Outcome], starts: Sequence[Start], **facts: Any
    ) -> tuple[list[float], Start | None]:
        """Return the figures of the start with the best mean, and that start; none for no finished row."""
        found = []
        for start in starts:
            numbers = values(outcomes, self.metric, **start.facts(), **facts)
            if numbers:
                found.append((numbers, start))
        key: Callable[[tuple[list[float], Start]], float] = lambda pair: fmean(pair[0])  # noqa: E731
        choose = min if self.less_is_better else max
        return choose(found, key=key, default=([], None))

    def draw(self, outcomes: Sequence[Outcome], folder: Path) -> list[Path]:
        """Draw the PSNR of the best start of each line over the steps, on the first file."""
        if not self.paths:
            return []
        curves = []
        for label, starts in self.lines().items():
            _, start = self.best(outcomes, starts, file=self.paths[0].name)
            if start is not None:
                result = results(outcomes, **start.facts(), file=self.paths[0].name)[0]
                curves.append(Line.known(label, result["steps"], result["psnrs"]))
        if not curves:
            return []
        draw_panels(
            [[Lines(self.paths[0].stem, curves, "step", "PSNR (dB)")]], folder / CURVES, title=self.title
        )
        return [folder / CURVES]

    def note(self) -> str:
        """Return the settings that the paper does not state."""
        s = self.settings
        stds, sigmas = (", ".join(f"{value:g}" for value in values) for values in (s.stds, s.sigma_a))
        points = f"{s.batch:,} points" if s.batch else "all points"
        return (
            f"{s.steps:,} steps of Adam, lr {s.lr:g} {s.schedule}, {points} a step, biases {s.bias_init}, "
            f"{s.layers} layers of {s.hidden_features} units and a linear one; random normal: the best of "
            f"deviations {stds}, Gaussian: the best of sigma_a {sigmas} (the paper searched both, and does "
            "not state what it found)."
        )


def gaussians(s: ReconstructionSettings) -> list[Activation]:
    """Return the Gaussians that are tried."""
    return [Gaussian.from_sigma(sigma) for sigma in s.sigma_a]


def gaussian_lines(s: ReconstructionSettings) -> dict[str, list[Start]]:
    """Return the three lines of Gaussians: sigma_p is sigma_a over the ratio."""
    pairs = [(Gaussian.from_sigma(sigma), sigma / s.ratio) for sigma in s.sigma_a]
    return {
        "Gaussian + random normal": random_starts(s, *gaussians(s)),
        "Gaussian + VI3NR, Monte Carlo": [
            start_of(s, gaussian, "vi3nr", sigma_p=sigma_p, **MONTE_CARLO) for gaussian, sigma_p in pairs
        ],
        "Gaussian + VI3NR": [start_of(s, gaussian, "vi3nr", sigma_p=sigma_p) for gaussian, sigma_p in pairs],
    }


def siren_lines(s: ReconstructionSettings) -> dict[str, list[Start]]:
    """Return the two lines of sines."""
    return {
        "SIREN + random normal": random_starts(s, Sine(30.0)),
        "SIREN + SIREN init": [start_of(s, Sine(30.0), "siren")],
    }


def sinc_lines(s: ReconstructionSettings, omega: float, sigma_p: float) -> dict[str, list[Start]]:
    """Return the two lines of sincs."""
    sinc = Sinc(omega)
    return {
        "Sinc + random normal": random_starts(s, sinc),
        "Sinc + VI3NR, Monte Carlo": [start_of(s, sinc, "vi3nr", sigma_p=sigma_p, **MONTE_CARLO)],
    }
