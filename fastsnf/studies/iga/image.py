"""IGA, Table 1: Kodak pictures, plain gradients against adjusted ones."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from fastsnf.analysis.panels import Bars, Line, Lines, Panel, draw_panels
from fastsnf.studies.iga.config import ImageSettings
from fastsnf.studies.iga.fits import MODELS
from fastsnf.studies.iga.kodak import paper_figure
from fastsnf.studies.iga.picture_study import (
    PLAIN,
    PictureStudy,
    Variant,
    gains,
    mean,
    time_ratio,
    values,
)
from fastsnf.studies.study import Outcome, finished, reasons
from fastsnf.studies.table import EMPTY, Table, figure

PICTURE = "psnr.png"
PAPER_RATIO = 56.33 / 30.00
"""The paper's time of a step with groups of 32 x 32 over that of a plain one (Table 5)."""


class Images(PictureStudy[ImageSettings]):
    """Table 1 and, picture by picture, Tables 6 to 8."""

    name: ClassVar[str] = "iga-image"
    title: ClassVar[str] = "IGA, Table 1: Kodak pictures"

    def variants(self) -> list[Variant]:
        """Return plain training and IGA."""
        return [PLAIN, Variant(self.settings.group, self.settings.sample)]

    def tables(self, outcomes: Sequence[Outcome]) -> list[Table]:
        """Return the means of Table 1, the gains, and the pictures one by one."""
        return [self._means(outcomes), self._gains(outcomes), self._one_by_one(outcomes)]

    def _means(self, outcomes: Sequence[Outcome]) -> Table:
        rows = []
        for model in self.settings.models:
            for variant in self.variants():
                facts = {"model": model, **variant._asdict()}
                training = "plain" if variant == PLAIN else "iga"
                seconds = mean(values(outcomes, "seconds_step", **facts))
                cells = [figure(mean(values(outcomes, key, **facts))) for key in ("psnr", "psnr_best")]
                cells.append(figure(self._paper("psnr", model, training)))
                for key in ("ssim", "lpips"):
                    cells.append(figure(mean(values(outcomes, key, **facts)), 4))
                    cells.append(figure(self._paper(key, model, training), 4))
                cells.append(figure(None if seconds is None else 1e3 * seconds, 1))
                rows.append((f"{MODELS[model].title}{'' if variant == PLAIN else '+IGA'}", *cells))
        return Table(
            f"Means over {_count(len(self.pictures), 'picture')} and {_count(self.settings.seeds, 'seed')}",
            (
                "training",
                *("PSNR", "best", "paper", "SSIM", "paper", "LPIPS", "paper"),
                "ms a step",
            ),
            rows,
            (
                f"IGA: groups of {self.settings.group} x {self.settings.group} pixels, sample point "
                f"{self.settings.sample} (the paper says argmax, its code argmax_shared_sum).",
                "paper: means of Tables 6 to 8 over the same pictures.",
                *self.notes(outcomes),
                *self.empty_columns(outcomes),
                *reasons(outcomes),
            ),
        )

    def _gains(self, outcomes: Sequence[Outcome]) -> Table:
        variant = self.variants()[1]
        rows = []
        for model in self.settings.models:
            found = gains(outcomes, model, variant)
            spread = statistics.stdev(found) if len(found) > 1 else None
            ratio = time_ratio(outcomes, model, variant)
            papers = [self._paper("psnr", model, training) for training in ("iga", "plain")]
            paper = None if papers[0] is None or papers[1] is None else papers[0] - papers[1]
            rows.append(
                (
                    MODELS[model].title,
                    figure(mean(found), sign=True),
                    figure(spread),
                    figure(min(found, default=None), sign=True),
                    figure(mean(gains(outcomes, model, variant, "psnr_best")), sign=True),
                    figure(paper, sign=True),
                    str(len(found)),
                    figure(ratio),
                    figure(PAPER_RATIO),
                )
            )
        return Table(
            "Gain of IGA over plain training, dB",
            (
                "model",
                "gain",
                "spread",
                "least",
                "of the best",
                "paper",
                "pairs",
                "time ratio",
                "paper's ratio",
            ),
            rows,
            (
                "Pairs of a picture and a seed; spread: their standard deviation; of the best: of each "
                "training's best PSNR, which the paper's figures are, gain and the rest being of the last.",
                "paper's ratio: 56.33 ms against 30.00 ms a step (Table 5), three architectures together.",
            ),
        )

    def _one_by_one(self, outcomes: Sequence[Outcome]) -> Table:
        rows = []
        for picture in self.pictures:
            for model in self.settings.models:
                cells = []
                for variant in self.variants():
                    found = values(outcomes, "psnr", picture=picture.name, model=model, **variant._asdict())
                    cells.append(figure(mean(found)) if found else self._why(outcomes, picture.name, model))
                papers = [
                    None if self.settings.size else paper_figure("psnr", model, training, picture.name)
                    for training in ("plain", "iga")
                ]
                rows.append((f"{picture.name} {MODELS[model].title}", *cells, *map(figure, papers)))
        return Table(
            "PSNR, picture by picture, dB (Table 6)",
            ("picture", "plain", "IGA", "paper plain", "paper IGA"),
            rows,
        )

    def _why(self, outcomes: Sequence[Outcome], picture: str, model: str) -> str:
        """Return a word for rows without a result; the notes say more."""
        for outcome in outcomes:
            if (
                outcome.row.facts["picture"] == picture
                and outcome.row.facts["model"] == model
                and outcome.why
            ):
                return outcome.why.partition(":")[0]
        return EMPTY

    def _paper(self, metric: str, model: str, training: str) -> float | None:
        """Return the paper's mean over the pictures of this run, None where it does not have them all."""
        if self.settings.size is not None:
            return None
        return mean([paper_figure(metric, model, training, picture.name) for picture in self.pictures])

    def draw(self, outcomes: Sequence[Outcome], folder: Path) -> list[Path]:
        """Draw the PSNR over the steps for each architecture, and the gains."""
        variant = self.variants()[1]
        panels: list[Panel] = []
        for model in self.settings.models:
            lines = []
            for outcome in finished(outcomes, model=model, seed=0):
                facts, result = outcome.row.facts, outcome.result
                assert result is not None
                name = f"{facts['picture']} {'plain' if facts['group'] is None else 'IGA'}"
                points = [
                    (s, p) for s, p in zip(result["steps"], result["psnrs"], strict=True) if p is not None
                ]
                lines.append(Line(name, [s for s, _ in points], [p for _, p in points]))
            if lines:
                panels.append(Lines(MODELS[model].title, lines, "step", "PSNR (dB)"))
        names = [model for model in self.settings.models if gains(outcomes, model, variant)]
        if names:
            found = [mean(gains(outcomes, model, variant)) or 0.0 for model in names]
            panels.append(Bars("gain of IGA", [MODELS[m].title for m in names], found, "dB"))
        draw_panels([panels], folder / PICTURE, title=self.title)
        return [folder / PICTURE]


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
