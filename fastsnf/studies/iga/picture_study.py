"""What IGA's experiments on pictures share: their rows, and means over pictures and seeds."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from fastsnf.studies.iga.config import PictureSettings
from fastsnf.studies.iga.fits import MODELS, Model, fit_picture, schedule_of
from fastsnf.studies.means import mean, values
from fastsnf.studies.perceptual import why_no_lpips
from fastsnf.studies.pictures import NO_DATA, Picture, path_of, pictures
from fastsnf.studies.study import Outcome, Row, Study, finished, results
from fastsnf.train.placement import resolve_device

P = TypeVar("P", bound=PictureSettings)


class Variant(NamedTuple):
    """A way to train: the side of a group in pixels and its sample point, None for plain gradients.

    `rival` names what takes the place of adjusted gradients: a field of another kind, with plain ones.
    """

    group: int | None = None
    sample: str | None = None
    rival: str | None = None

    @property
    def title(self) -> str:
        """What the paper adds to the name of an architecture."""
        if self == PLAIN:
            return ""
        return "+IGA" if self.rival is None else f"+{self.rival.upper()}"

    def facts(self, model: Model, same_lr: bool) -> dict[str, Any]:
        """Return the facts of its rows that belong to an architecture: its learning rate among them."""
        facts: dict[str, Any] = {"group": self.group, "sample": self.sample}
        if self.rival is not None:
            facts |= {"rival": self.rival, **model.rivals[self.rival]}
        else:
            facts["lr"] = model.lr if self.group is None or same_lr else model.iga_lr
        return facts


PLAIN = Variant()


class PictureStudy(Study[P]):
    """Fits of pictures: every picture, architecture, variant and seed is a row."""

    def __init__(self, settings: P, folder: Path) -> None:
        super().__init__(settings, folder)
        self.pictures: list[Picture] = pictures(settings.data, settings.images, settings.size)

    @abstractmethod
    def variants(self) -> list[Variant]:
        """Return the ways to train, the plain one first."""

    def rows(self) -> list[Row]:
        """Return the rows, picture by picture, so that the first tables are whole early."""
        s = self.settings
        shared = {
            "size": s.size,
            "steps": s.steps,
            "schedule": schedule_of(s.steps, s.drop_at),
            "hidden_features": s.hidden_features,
            "hidden_layers": s.hidden_layers,
            "device": str(resolve_device(s.device)),
        }
        rows = []
        for picture in self.pictures:
            for name in s.models:
                model = MODELS[name]
                for variant in self.variants():
                    for seed in range(s.seeds):
                        group = variant.group
                        facts = {
                            "picture": picture.name,
                            "digest": picture.digest,
                            "model": name,
                            **variant.facts(model, s.same_lr),
                            "end": None if group is None else _end(picture, group, model.end),
                            "refresh": None if group is None else s.refresh,
                            "seed": seed,
                            **shared,
                        }
                        missing = NO_DATA if picture.path is None else None
                        rows.append(Row(facts, label_of(picture.name, name, variant, seed), missing))
        return rows

    def kinds(self) -> list[Variant]:
        """Return the first variant of each kind: they differ in more than groups and sample points."""
        return list({variant.title: variant for variant in reversed(self.variants())}.values())[::-1]

    def train(self, row: Row) -> dict[str, Any]:
        """Fit the picture of a row."""
        path = path_of(self.pictures, row.facts["picture"])
        return fit_picture(row.facts, path, self.folder, self.progress)

    def notes(self, outcomes: Sequence[Outcome]) -> list[str]:
        """Return what a reader of the tables must know."""
        s = self.settings
        notes = [
            f"PSNR: final weights, unclipped, values in [0, 1], after {s.steps:,} steps (the paper: 10,000, "
            "and the best of them).",
            "Learning rates: "
            + ", ".join(
                f"{MODELS[m].title}{variant.title} {variant.facts(MODELS[m], s.same_lr)['lr']:g}"
                for m in s.models
                for variant in self.kinds()
            )
            + ".",
        ]
        if s.size is not None:
            notes.append(f"The pictures are resized to {s.size}: no figure of the paper is for that size.")
        fewer = sorted({row.facts["end"] for row in self._clamped()})
        if fewer:
            ends = ", ".join(map(str, fewer))
            notes.append(f"Where there are fewer groups than eigenvalues wanted, end is the last: {ends}.")
        failures = sum(result["failures"] for result in results(outcomes))
        if failures:
            notes.append(f"{failures} eigen-solves failed; their steps were plain.")
        return notes

    def _clamped(self) -> list[Row]:
        rows = [row for row in self.rows() if row.facts["end"] is not None and row.missing is None]
        return [row for row in rows if row.facts["end"] < MODELS[row.facts["model"]].end]

    def empty_columns(self, outcomes: Sequence[Outcome]) -> list[str]:
        """Return why SSIM or LPIPS columns are empty where they are."""
        found = results(outcomes)
        notes = []
        if any(result["ssim"] is None for result in found):
            notes.append("SSIM is empty: scikit-image was not installed: pip install 'fastsnf[report]'.")
        if any(result["lpips"] is None for result in found) or not found:
            notes.append(f"LPIPS is empty: {why_no_lpips() or 'it was not there when the rows ran'}.")
        return notes


def _end(picture: Picture, group: int, end: int) -> int:
    """Return the model's `end`, or the last eigenvalue of few groups: 24 of 128 x 128 have no 25th."""
    return min(end, picture.groups(group) - 1)


def label_of(picture: str, model: str, variant: Variant, seed: int) -> str:
    """Return a row's name for people."""
    name = f"{picture} {MODELS[model].title}{variant.title}"
    if variant.group is None:
        return f"{name}{' plain' if variant == PLAIN else ''}, seed {seed}"
    return f"{name} {variant.group}x{variant.group} {variant.sample}, seed {seed}"


def gains(outcomes: Sequence[Outcome], model: str, variant: Variant, key: str = "psnr") -> list[float]:
    """Return the gain of a variant over plain training, for each picture and seed that has both."""
    found = []
    for plain in finished(outcomes, model=model, **PLAIN._asdict()):
        same = {name: plain.row.facts[name] for name in ("picture", "seed")}
        for other in finished(outcomes, model=model, **variant._asdict(), **same):
            found.append(float(other.result[key]) - float(plain.result[key]))
    return found


def time_ratio(outcomes: Sequence[Outcome], model: str | None, variant: Variant) -> float | None:
    """Return the time of a variant's step over that of a plain one, mean over the pictures that have both."""
    of_model = {} if model is None else {"model": model}
    plain = mean(values(outcomes, "seconds_step", **of_model, **PLAIN._asdict()))
    other = mean(values(outcomes, "seconds_step", **of_model, **variant._asdict()))
    return None if plain is None or other is None else other / plain
