"""IGA, Tables 4 and 5: which point stands for its group, and how large groups are."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, TypeVar

from fastsnf.analysis.panels import Bars, Line, Lines, Panel, draw_panels
from fastsnf.studies.iga.config import GroupsSettings, PictureSettings, SamplingSettings
from fastsnf.studies.iga.fits import MODELS
from fastsnf.studies.iga.picture_study import (
    PLAIN,
    PictureStudy,
    Variant,
    gains,
    time_ratio,
)
from fastsnf.studies.means import mean, values
from fastsnf.studies.study import Outcome, reasons
from fastsnf.studies.table import Table, figure

Q = TypeVar("Q", bound=PictureSettings)

PLAIN_PSNR = {"relu": 24.09, "pe": 30.46, "siren": 33.70}
"""Plain training in Tables 4 and 5: means over Kodak 1 to 3, dB."""
GROUPS_PSNR = {
    16: {"relu": 25.49, "pe": 34.25, "siren": 34.87},
    32: {"relu": 25.44, "pe": 34.09, "siren": 34.85},
    64: {"relu": 25.19, "pe": 32.54, "siren": 34.10},
    128: {"relu": 25.06, "pe": 32.08, "siren": 33.75},
}
"""Table 5, by the side of a group."""
GROUPS_MS = {None: 30.00, 16: 256.51, 32: 56.33, 64: 39.76, 128: 39.61}
"""Table 5: milliseconds a step, mean over the three architectures."""
SAMPLES_PSNR = {
    "SLR": {"relu": 25.44, "pe": 34.09, "siren": 34.85},
    "RSI": {"relu": 25.52, "pe": 33.77, "siren": 33.76},
    "RI": {"relu": 25.19, "pe": 34.05, "siren": 33.69},
}
"""Table 4: the largest residual, a random point drawn once, one drawn at every step."""
SAMPLES = {
    "argmax_lagged": ("argmax_lagged: largest residual of the step before", "SLR"),
    "argmax": ("argmax: largest residual, as the paper says", "SLR"),
    "argmax_shared_sum": ("argmax_shared_sum: as the released code", "SLR"),
    "random_once": ("random_once", "RSI"),
    "random": ("random", "RI"),
    "center": ("center", None),
}
"""What our sample points are called in the table, and which of the paper's rows is theirs."""


class Ablation(PictureStudy[Q]):
    """A table of variants against architectures."""

    heading: ClassVar[str]
    picture: ClassVar[str]

    @abstractmethod
    def label(self, variant: Variant) -> str:
        """Return a variant's name in the table."""

    @abstractmethod
    def paper(self, variant: Variant, model: str) -> float | None:
        """Return the paper's PSNR, None where it has none."""

    @abstractmethod
    def paper_ms(self, variant: Variant) -> float | None:
        """Return the paper's milliseconds a step, None where it has none."""

    def tables(self, outcomes: Sequence[Outcome]) -> list[Table]:
        """Return the table, the paper's figures beside ours."""
        models = self.settings.models
        rows = []
        for variant in self.variants():
            facts = variant._asdict()
            cells = []
            for model in models:
                cells.append(figure(mean(values(outcomes, "psnr", model=model, **facts))))
                cells.append(figure(self.paper(variant, model)))
            gain = mean([gain for model in models for gain in gains(outcomes, model, variant)])
            papers = [_less(self.paper(variant, model), PLAIN_PSNR[model]) for model in models]
            seconds = mean(values(outcomes, "seconds_step", **facts))
            is_plain = variant == PLAIN
            cells += [
                figure(None if is_plain else gain, sign=True),
                figure(None if is_plain else mean(papers), sign=True),
                figure(None if seconds is None else 1e3 * seconds, 1),
                figure(self.paper_ms(variant), 1),
                figure(time_ratio(outcomes, None, variant)),
            ]
            rows.append((self.label(variant), *cells))
        columns = [head for model in models for head in (MODELS[model].title, "paper")]
        return [
            Table(
                self.heading,
                ("training", *columns, "gain", "paper", "ms a step", "paper", "time ratio"),
                rows,
                (
                    f"dB, means over {', '.join(picture.name for picture in self.pictures)}; the paper's: "
                    "over Kodak 1 to 3, and its gain is the mean of the architectures shown.",
                    *self.notes(outcomes),
                    *reasons(outcomes),
                ),
            )
        ]


class GroupSizes(Ablation[GroupsSettings]):
    """Table 5."""

    name: ClassVar[str] = "iga-groups"
    title: ClassVar[str] = "IGA, Table 5: the size of groups"
    heading: ClassVar[str] = "PSNR and time against the size of groups (Table 5)"
    picture: ClassVar[str] = "groups.png"

    def variants(self) -> list[Variant]:
        """Return plain training and every size."""
        return [PLAIN, *(Variant(group, self.settings.sample) for group in self.settings.groups)]

    def label(self, variant: Variant) -> str:
        """Return the size in pixels."""
        return "plain" if variant.group is None else f"{variant.group} x {variant.group}"

    def paper(self, variant: Variant, model: str) -> float | None:
        """Return the PSNR of Table 5."""
        if variant.group is None:
            return PLAIN_PSNR[model]
        return GROUPS_PSNR.get(variant.group, {}).get(model)

    def paper_ms(self, variant: Variant) -> float | None:
        """Return the milliseconds of Table 5."""
        return GROUPS_MS.get(variant.group)

    def draw(self, outcomes: Sequence[Outcome], folder: Path) -> list[Path]:
        """Draw PSNR and time over the size."""
        sizes = [variant for variant in self.variants() if variant.group is not None]
        psnrs, times = [], []
        for model in self.settings.models:
            title, sides = MODELS[model].title, [float(v.group or 0) for v in sizes]
            found = [mean(values(outcomes, "psnr", model=model, **v._asdict())) for v in sizes]
            psnrs.append(Line.known(title, sides, found))
            times.append(Line.known(title, sides, [time_ratio(outcomes, model, v) for v in sizes]))
        panels: list[Panel] = [
            Lines(
                "PSNR",
                psnrs,
                "side of a group (pixels)",
                "PSNR (dB)",
                x_log=True,
            ),
            Lines(
                "time",
                times,
                "side of a group (pixels)",
                "step / plain step",
                x_log=True,
            ),
        ]
        draw_panels([panels], folder / self.picture, title=self.title)
        return [folder / self.picture]


class SamplePoints(Ablation[SamplingSettings]):
    """Table 4."""

    name: ClassVar[str] = "iga-sampling"
    title: ClassVar[str] = "IGA, Table 4: which point stands for its group"
    heading: ClassVar[str] = "PSNR against the sample point (Table 4)"
    picture: ClassVar[str] = "sampling.png"

    def variants(self) -> list[Variant]:
        """Return plain training and every sample point."""
        return [PLAIN, *(Variant(self.settings.group, sample) for sample in self.settings.samples)]

    def label(self, variant: Variant) -> str:
        """Return our name for a sample point and the paper's."""
        if variant.sample is None:
            return "plain"
        name, paper = SAMPLES[variant.sample]
        return name if paper is None else f"{name} ({paper})"

    def paper(self, variant: Variant, model: str) -> float | None:
        """Return the PSNR of Table 4."""
        if variant.sample is None:
            return PLAIN_PSNR[model]
        row = SAMPLES[variant.sample][1]
        return None if row is None else SAMPLES_PSNR[row].get(model)

    def paper_ms(self, variant: Variant) -> float | None:
        """Return None: Table 4 has no times."""
        return None

    def tables(self, outcomes: Sequence[Outcome]) -> list[Table]:
        """Return the table, with what the paper's rows are."""
        (table,) = super().tables(outcomes)
        note = (
            "SLR, RSI, RI: the paper's names of largest residual, random once, random. Its code sums the "
            "gradients of all groups' largest points (argmax_shared_sum), so that SLR may be that."
        )
        return [Table(table.title, table.columns, table.rows, (note, *table.notes))]

    def draw(self, outcomes: Sequence[Outcome], folder: Path) -> list[Path]:
        """Draw the PSNR of every sample point."""
        panels: list[Panel] = []
        for model in self.settings.models:
            found = []
            for variant in self.variants():
                psnr = mean(values(outcomes, "psnr", model=model, **variant._asdict()))
                if psnr is not None:
                    found.append((variant.sample or "plain", psnr))
            if found:
                names, heights = [name for name, _ in found], [psnr for _, psnr in found]
                panels.append(Bars(MODELS[model].title, names, heights, "PSNR (dB)"))
        draw_panels([panels], folder / self.picture, title=self.title)
        return [folder / self.picture]


def _less(value: float | None, other: float) -> float | None:
    return None if value is None else value - other
