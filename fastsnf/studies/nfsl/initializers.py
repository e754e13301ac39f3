"""What NFSL's comparisons of initializers share: rows on pictures, Gaussian networks, verdicts and curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import torch

from fastsnf.analysis.panels import Line, Lines
from fastsnf.nn import SNF
from fastsnf.spec import Gaussian
from fastsnf.studies.means import mean, values
from fastsnf.studies.nfsl.config import NORMAL, UNIFORM, ImagesSettings, SisrSettings
from fastsnf.studies.pictures import NO_DATA, Picture, pictures
from fastsnf.studies.study import Finished, Outcome, Row, Study
from fastsnf.train.placement import resolve_device

CURVES = "curves.png"
ROWS = 200
"""Points of a curve."""

FAMILIES = {"normal": NORMAL, "uniform": UNIFORM}
"""The initializers that the paper compares with each other, its own first."""

P = TypeVar("P", bound=ImagesSettings | SisrSettings)


class PictureStudy(Study[P]):
    """Fits of pictures from several initializers.

    Attributes:
        deciding: the settings that, with a picture, an initializer and a seed, decide a fit.
        pictures: the pictures, those that are missing too.
    """

    deciding: ClassVar[tuple[str, ...]]

    def __init__(self, settings: P, folder: Path) -> None:
        super().__init__(settings, folder)
        self.pictures: list[Picture] = pictures(settings.data, settings.images, settings.size)

    def rows(self) -> list[Row]:
        """Return one row for each picture, initializer and seed."""
        s = self.settings
        shared = {name: getattr(s, name) for name in self.deciding}
        shared["device"] = str(resolve_device(s.device))
        return [
            Row(
                {"picture": p.name, "digest": p.digest, "init": init, "seed": seed, **shared},
                f"{p.name} {init}, seed {seed}",
                NO_DATA if p.path is None else None,
            )
            for p in self.pictures
            for init in s.inits
            for seed in range(s.seeds)
        ]


def field_of(facts: Mapping[str, Any]) -> SNF:
    """Return the field of a row, in its initial state."""
    return SNF(
        2,
        3,
        facts["hidden_features"],
        facts["hidden_layers"],
        activation=Gaussian.from_sigma(facts["sigma"]),
        init=facts["init"],
        bias_init="zero",
        generator=torch.Generator().manual_seed(facts["seed"]),
    )


def verdict(outcomes: Sequence[Outcome], family: str, names: Sequence[str]) -> str:
    """Return one line: whether the paper's initializer, the first of `names`, is the best of its family."""
    found = {name: mean(values(outcomes, "psnr", init=name)) for name in names}
    means = {name: psnr for name, psnr in found.items() if psnr is not None}
    own = names[0]
    if own not in means or len(means) < 2:
        return f"{family}: too few rows to compare {own} with the others."
    rival, best = max(((n, m) for n, m in means.items() if n != own), key=lambda pair: pair[1])
    gap = means[own] - best
    word = "above" if gap > 0 else "not above"
    return f"{family}: {own} is {word} all others, {gap:+.2f} dB from the best of them, {rival}."


def curves(found: Sequence[Finished], title: str, names: Sequence[str], what: str) -> Lines:
    """Return the panel of the curves of the rows whose initializer is one of `names`; `what` they show."""
    chosen = [o for o in found if o.row.facts["init"] in names]
    lines = [Line(o.row.facts["init"], o.result["steps"], o.result["psnrs"]) for o in chosen]
    return Lines(title, lines, "step", what)
