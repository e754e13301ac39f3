"""IGA, Table 1: Kodak pictures, plain gradients against adjusted ones and the rivals of those."""

from __future__ import annotations

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
    time_ratio,
)
from fastsnf.studies.means import deviation, mean, values
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
        """Return plain training, the rivals, and IGA: the order of Table 1."""
        s = self.settings
        return [PLAIN, *(Variant(rival=name) for name in s.rival or ()), Variant(s.group, s.sample)]

    def tables(self, outcomes: Sequence[Outcome]) -> list[Table]:
        """Return the means of Table 1, the gains, and the pictures one by one."""
        return [self._means(outcomes), self._gains(outcomes), self._one_by_one(outcomes)]

    def _means(self, outcomes: Sequence[Outcome]) -> Table:
        rows = []
        for model in self.settings.models:
            for variant in self.variants():
                facts = {"model": model, **variant._asdict()}
                training = training_of(variant)
                seconds = mean(values(outcomes, "seconds_step", **facts))
                cells = [figure(mean(values(outcomes, key, **facts))) for key in ("psnr", "psnr_best")]
                cells.append(figure(self._paper("psnr", model, training)))
                for key in ("ssim", "lpips"):
                    cells.append(figure(mean(values(outcomes, key, **facts)), 4))
                    cells.append(figure(self._paper(key, model, training), 4))
                cells.append(figure(None if seconds is None else 1e3 * seconds, 1))
                rows.append((f"{MODELS[model].title}{variant.title}", *cells))
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
                *self._rivals(),
                *self.notes(outcomes),
                *self.empty_columns(outcomes),
                *reasons(outcomes),
            ),
        )

    def _gains(self, outcomes: Sequence[Outcome]) -> Table:
        rows = []
        for model in self.settings.models:
            for variant in self.variants()[1:]:
                found = gains(outcomes, model, variant)
                papers = [self._paper("psnr", model, name) for name in (training_of(variant), "plain")]
                paper = None if papers[0] is None or papers[1] is None else papers[0] - papers[1]
                rows.append(
                    (
                        f"{MODELS[model].title}{variant.title}",
                        figure(mean(found), sign=True),
                        figure(deviation(found)),
                        figure(min(found, default=None), sign=True),
                        figure(mean(gains(outcomes, model, variant, "psnr_best")), sign=True),
                        figure(paper, sign=True),
                        str(len(found)),
                        figure(time_ratio(outcomes, model, variant)),
                        figure(PAPER_RATIO if variant.rival is None else None),
                    )
                )
        return Table(
            "Gain over plain training, dB",
            (
                "training",
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
        names = [variant.title.removeprefix("+") or "plain" for variant in self.variants()]
        for picture in self.pictures:
            for model in self.settings.models:
                cells = []
                for variant in self.variants():
                    found = values(outcomes, "psnr", picture=picture.name, model=model, **variant._asdict())
                    cells.append(figure(mean(found)) if found else self._why(outcomes, picture.name, model))
                papers = [
                    None if self.settings.size else paper_figure("psnr", model, training, picture.name)
                    for training in map(training_of, self.variants())
                ]
                rows.append((f"{picture.name} {MODELS[model].title}", *cells, *map(figure, papers)))
        return Table(
            "PSNR, picture by picture, dB (Table 6)",
            ("picture", *names, *(f"paper {name}" for name in names)),
            rows,
        )

    def _rivals(self) -> list[str]:
        """Return what a reader must know about the rivals."""
        notes = []
        if "fr" in (self.settings.rival or ()):
            heights = ", ".join(f"{MODELS[m].title} {MODELS[m].rivals['fr']['factor']:g}" for m in MODELS)
            notes.append(
                f"+FR: 128 low and 128 high frequencies, 32 phases, bases of height {heights} (the paper "
                "tuned SIREN's for each picture)."
            )
        if "bn" in (self.settings.rival or ()):
            notes.append(
                "+BN: before the activation, in ReLU after it, as the released code; it has no settings for "
                "SIREN, whose rate is that of plain training."
            )
        return notes

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
        panels: list[Panel] = []
        for model in self.settings.models:
            lines = []
            for outcome in finished(outcomes, model=model, seed=0):
                facts, result = outcome.row.facts, outcome.result
                kind = Variant(facts["group"], facts["sample"], facts.get("rival"))
                name = f"{facts['picture']} {kind.title.removeprefix('+') or 'plain'}"
                lines.append(Line.known(name, result["steps"], result["psnrs"]))
            if lines:
                panels.append(Lines(MODELS[model].title, lines, "step", "PSNR (dB)"))
        bars = {
            f"{MODELS[model].title}{variant.title}": mean(gains(outcomes, model, variant))
            for model in self.settings.models
            for variant in self.variants()[1:]
        }
        found = {name: gain for name, gain in bars.items() if gain is not None}
        if found:
            panels.append(Bars("gain over plain", list(found), list(found.values()), "dB"))
        draw_panels([panels], folder / PICTURE, title=self.title)
        return [folder / PICTURE]


def training_of(variant: Variant) -> str:
    """Return the key of a variant in the paper's tables, `fastsnf.studies.iga.kodak.PAPER`."""
    return variant.rival or ("plain" if variant == PLAIN else "iga")


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
