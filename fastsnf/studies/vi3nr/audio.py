"""VI3NR, Table 7: sounds fitted from different initializers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from fastsnf.signals import Audio, Signal
from fastsnf.studies.means import mean
from fastsnf.studies.study import Outcome, reasons
from fastsnf.studies.table import EMPTY, Table, figure
from fastsnf.studies.vi3nr.config import AudioSettings
from fastsnf.studies.vi3nr.fits import Start
from fastsnf.studies.vi3nr.reconstruction import Reconstruction, gaussian_lines, siren_lines
from fastsnf.train import FitResult

TABLE_7: Mapping[str, Mapping[str, float]] = {
    "SIREN + random normal": {"bach": 35.5, "counting": 19.4, "two speakers": 30.79},
    "SIREN + SIREN init": {"bach": 0.005, "counting": 0.37, "two speakers": 0.018},
    "Gaussian + random normal": {"bach": 6.57, "counting": 5.10, "two speakers": 1.35},
    "Gaussian + VI3NR, Monte Carlo": {"bach": 1.17, "counting": 1.36, "two speakers": 0.25},
    "Gaussian + VI3NR": {"bach": 0.48, "counting": 1.49, "two speakers": 0.24},
}
"""Mean squared errors times 1,000."""


class Sounds(Reconstruction[AudioSettings]):
    """Table 7 of the paper."""

    name: ClassVar[str] = "vi3nr-audio"
    title: ClassVar[str] = "VI3NR, Table 7: sounds by initializer"
    kind: ClassVar[str] = "audio"
    metric: ClassVar[str] = "mse"
    less_is_better: ClassVar[bool] = True

    def lines(self) -> Mapping[str, Sequence[Start]]:
        """Return the starts of each line; sines see time stretched, as SIREN's code does.

        VI3NR's first weights follow the spread of their input, so that a stretch changes nothing of them.
        """
        s = self.settings
        sines = {
            label: [replace(found, stretch=s.stretch) for found in starts]
            for label, starts in siren_lines(s).items()
        }
        return {**sines, **gaussian_lines(s)}

    def more_facts(self) -> dict[str, Any]:
        """Return the seconds that are taken of each file."""
        return {"seconds": self.settings.seconds}

    def open(self, path: Path) -> Signal:
        """Return the first seconds of a sound, mono, divided by its largest value."""
        return Audio.open(path, channels="mono", duration=self.settings.seconds or None)

    def figures(self, result: FitResult, signal: Signal) -> dict[str, Any]:
        """Return the mean squared error, and the ratio of the sound to it in dB."""
        return {"mse": 10.0 ** (-result.psnr / 10.0), **result.metrics}

    def tables(self, outcomes: Sequence[Outcome]) -> list[Table]:
        """Return the error of each line on each file, beside the paper's of that sound."""
        rows = []
        for label, starts in self.lines().items():
            cells: list[str] = []
            for path in self.paths:
                numbers, _ = self.best(outcomes, starts, file=path.name)
                printed = paper_figure(label, path.stem)
                cells += [
                    figure(mean([1e3 * number for number in numbers]), 4),
                    EMPTY if printed is None else f"{printed:g}",
                ]
            rows.append((label, *(cells or [EMPTY, EMPTY])))
        heads = [head for path in self.paths for head in (path.stem, "paper")] or ["sound", "paper"]
        return [
            Table(
                f"{self.title}, mean squared error x 1,000",
                ("training", *heads),
                rows,
                (self.note(), *reasons(outcomes)),
            )
        ]


def paper_figure(label: str, stem: str) -> float | None:
    """Return the paper's figure for a file, by a name that contains the sound's."""
    name = stem.lower().replace("_", " ")
    return next((printed for sound, printed in TABLE_7[label].items() if sound in name), None)
