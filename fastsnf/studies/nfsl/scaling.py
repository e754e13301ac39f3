"""NFSL, Fig. 3 and 4: how the parameters that gradient descent needs grow with the samples."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from fastsnf.analysis.panels import Line, Lines, Panel, draw_panels
from fastsnf.signals import Image
from fastsnf.studies.means import mean
from fastsnf.studies.nfsl.config import NORMAL, STANDARD, UNIFORM, ScalingSettings
from fastsnf.studies.nfsl.networks import Points, curve, network, parameters, pixels, steps_to
from fastsnf.studies.pictures import Picture, pictures
from fastsnf.studies.study import Outcome, Row, Study, reasons, results
from fastsnf.studies.table import EMPTY, Table, figure
from fastsnf.train.placement import resolve_device

PICTURE = "parameters.png"
NO_DATA = "no data: give --data PATH, a picture"
NARROWEST = 2


class Part(NamedTuple):
    """A half of a figure: its title, its networks (activation, initializer), whether they are deep."""

    title: str
    networks: tuple[tuple[str, str], ...]
    deep: bool


PARTS: dict[str, Part] = {
    "shallow": Part(
        "Fig. 3 left: one hidden layer, a curve",
        tuple((activation, init) for activation in ("sinc", "relu-pe") for init in STANDARD),
        deep=False,
    ),
    "deep": Part(
        "Fig. 3 right: four hidden layers, a picture",
        tuple((activation, init) for activation in ("sinc", "relu-pe") for init in STANDARD),
        deep=True,
    ),
    "normal": Part(
        "Fig. 4 left: normal initializers, a picture", tuple(("sinc", init) for init in NORMAL), deep=True
    ),
    "uniform": Part(
        "Fig. 4 right: uniform initializers, a picture", tuple(("sinc", init) for init in UNIFORM), deep=True
    ),
}

THEOREMS = {
    (False, "sinc"): "N^1.5 (4.2)",
    (False, "relu-pe"): "N^2 (Nguyen)",
    (True, "sinc"): "N^2.5 (4.4)",
    (True, "relu-pe"): "N^3 (Nguyen)",
}
"""How the parameters grow, by depth and activation, from standard normal initializers (Eq. 4.1, 4.4)."""
OWN = {False: "N (4.7)", True: "N^2 (4.9)"}
"""How they grow from the paper's normal initializer (Eq. 4.12, 4.14)."""


class Scaling(Study[ScalingSettings]):
    """Figures 3 and 4 of the paper: a row is the search for the narrowest network that gets there."""

    name: ClassVar[str] = "nfsl-scaling"
    title: ClassVar[str] = "NFSL, Fig. 3 and 4: parameters needed against samples"

    def __init__(self, settings: ScalingSettings, folder: Path) -> None:
        super().__init__(settings, folder)
        found = pictures(settings.data, 1, settings.size) if settings.data is not None else []
        self.picture: Picture | None = found[0] if found else None
        self._image: Image | None = None

    def rows(self) -> list[Row]:
        """Return one row for each part, network, number of samples and seed; parts share equal rows."""
        s = self.settings
        shared = {name: getattr(s, name) for name in ("most_width", "optimizer", "lr", "steps")}
        shared["device"] = str(resolve_device(s.device))
        rows: dict[tuple[Any, ...], Row] = {}
        for part in map(PARTS.__getitem__, s.parts):
            for activation, init in part.networks:
                for samples in s.pixels if part.deep else s.curve_samples:
                    for seed in range(s.seeds):
                        key = (activation, init, part.deep, samples, seed)
                        facts = {
                            "activation": activation,
                            "init": init,
                            "deep": part.deep,
                            "samples": samples,
                            "seed": seed,
                            "omega": self._omega(activation, deep=part.deep),
                            "sigma": None if activation == "sinc" else s.sigma,
                            "width": s.width if part.deep else None,
                            "psnr": s.pixel_psnr if part.deep else s.curve_psnr,
                            "picture": self.picture.digest if part.deep and self.picture else None,
                            "size": s.size if part.deep else None,
                            **shared,
                        }
                        what = "pixels" if part.deep else "samples"
                        missing = NO_DATA if part.deep and self.picture is None else None
                        label = f"{activation} {init}, {samples:,} {what}, seed {seed}"
                        rows.setdefault(key, Row(facts, label, missing))
        return list(rows.values())

    def _omega(self, activation: str, *, deep: bool) -> float | None:
        if activation != "sinc":
            return None
        return self.settings.pixel_omega if deep else self.settings.omega

    def train(self, row: Row) -> dict[str, Any]:
        """Find the narrowest network of a row that reaches the PSNR within the steps."""
        facts = row.facts
        points = self._points(facts)
        shape = (points[0].shape[1], points[1].shape[1])
        tried: dict[int, int | None] = {}

        def converges(width: int) -> bool:
            tried[width] = steps_to(network(facts, width, shape), points, facts, self.progress)
            return tried[width] is not None

        width = narrowest(converges, NARROWEST, facts["most_width"])
        return {
            "width": width,
            "parameters": None if width is None else parameters(network(facts, width, shape)),
            "tried": sorted([w, steps] for w, steps in tried.items()),
        }

    def _points(self, facts: Mapping[str, Any]) -> Points:
        if not facts["deep"]:
            return curve(facts["samples"])
        if self._image is None:
            assert self.picture is not None, "a row without data does not run"
            assert self.picture.path is not None, "the user gave it"
            self._image = Image.open(self.picture.path, mode="rgb", size=facts["size"])
        return pixels(self._image, facts["samples"], facts["seed"])

    def tables(self, outcomes: Sequence[Outcome]) -> list[Table]:
        """Return a table for each part: parameters for every number of samples, and the fitted exponent."""
        return [self._table(outcomes, PARTS[name]) for name in self.settings.parts]

    def _table(self, outcomes: Sequence[Outcome], part: Part) -> Table:
        counts = self.settings.pixels if part.deep else self.settings.curve_samples
        psnr = self.settings.pixel_psnr if part.deep else self.settings.curve_psnr
        rows, slopes = [], {}
        for activation, init in part.networks:
            needed = [self._needed(outcomes, part, activation, init, samples) for samples in counts]
            slopes[activation, init] = exponent(counts, needed)
            theorem = theorem_of(part, activation, init)
            cells = [EMPTY if value is None else f"{value:,.0f}" for value in needed]
            rows.append((f"{activation} {init}", *cells, figure(slopes[activation, init]), theorem))
        relevant = [o for o in outcomes if o.row.facts["deep"] == part.deep]
        return Table(
            f"NFSL, {part.title}: parameters that reach {psnr:g} dB within {self.settings.steps:,} steps",
            ("network", *(f"N = {count:,}" for count in counts), "exponent", "theorem"),
            rows,
            (
                *claims(part, outcomes, counts, self._needed),
                "The exponent is the slope of log(parameters) over log(N) by least squares. A theorem bounds "
                "what suffices for a global minimum of the training loss; a PSNR needs less.",
                f"{EMPTY}: no width of at most {self.settings.most_width:,} got there. Optimizer's settings, "
                "frequencies and steps: ours, the paper's are in a supplement that is not public.",
                *reasons(relevant),
            ),
        )

    def _needed(
        self, outcomes: Sequence[Outcome], part: Part, activation: str, init: str, samples: int
    ) -> float | None:
        """Return the parameters needed, mean over the seeds; None where one seed never got there."""
        facts = {"deep": part.deep, "activation": activation, "init": init, "samples": samples}
        return mean([result["parameters"] for result in results(outcomes, **facts)])

    def draw(self, outcomes: Sequence[Outcome], folder: Path) -> list[Path]:
        """Draw parameters over samples, a panel a part."""
        panels: list[Panel] = []
        for part in map(PARTS.__getitem__, self.settings.parts):
            counts = self.settings.pixels if part.deep else self.settings.curve_samples
            lines = []
            for activation, init in part.networks:
                needed = [self._needed(outcomes, part, activation, init, samples) for samples in counts]
                lines.append(Line.known(f"{activation} {init}", counts, needed))
            if any(line.x for line in lines):
                panels.append(Lines(part.title, lines, "samples", "parameters", log=True, x_log=True))
        if not panels:
            return []
        draw_panels([panels], folder / PICTURE, title=self.title)
        return [folder / PICTURE]


def theorem_of(part: Part, activation: str, init: str) -> str:
    """Return the exponent of a network's theorem; those of sinc networks are for normal draws alone.

    >>> theorem_of(PARTS["uniform"], "sinc", "nfsl-uniform")
    'none (normal: N^2 (4.9))'
    """
    found = OWN[part.deep] if init.startswith("nfsl") else THEOREMS[part.deep, activation]
    return f"none (normal: {found})" if init.endswith("uniform") else found


Needed = Callable[[Sequence[Outcome], Part, str, str, int], float | None]


def narrowest(converges: Callable[[int], bool], least: int, most: int) -> int | None:
    """Return the narrowest width from `least` to `most` that converges, None if none is found.

    Doubles until one does, then halves the gap to the last that did not, as if every wider one converged too.

    >>> narrowest(lambda width: width >= 37, 2, 4096)
    37
    """
    low, high = least - 1, least
    while not converges(high):
        if high == most:
            return None
        low, high = high, min(2 * high, most)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if converges(middle) else (middle, high)
    return high


def exponent(samples: Sequence[int], needed: Sequence[float | None]) -> float | None:
    """Return the slope of log(needed) over log(samples) by least squares, None for fewer than two points.

    >>> round(exponent([10, 20, 40], [100.0, 400.0, 1600.0]), 6)
    2.0
    """
    pairs = [
        (math.log(n), math.log(value)) for n, value in zip(samples, needed, strict=True) if value is not None
    ]
    if len(pairs) < 2:
        return None
    x_mean = sum(x for x, _ in pairs) / len(pairs)
    y_mean = sum(y for _, y in pairs) / len(pairs)
    spread = sum((x - x_mean) ** 2 for x, _ in pairs)
    return sum((x - x_mean) * (y - y_mean) for x, y in pairs) / spread


def claims(part: Part, outcomes: Sequence[Outcome], counts: Sequence[int], needed: Needed) -> list[str]:
    """Return what the figure claims, and at how many numbers of samples it holds here."""
    own = [pair for pair in part.networks if pair[1].startswith("nfsl")]
    first = own or [pair for pair in part.networks if pair[0] == "sinc"]
    rivals = [pair for pair in part.networks if pair not in first]

    def of(pair: tuple[str, str], samples: int) -> float:
        value = needed(outcomes, part, *pair, samples)
        return math.inf if value is None else value

    holds = compared = 0
    for samples in counts:
        ours, theirs = max(of(pair, samples) for pair in first), min(of(pair, samples) for pair in rivals)
        if ours == theirs == math.inf or not _complete(outcomes, part, samples):
            continue
        compared += 1
        holds += ours < theirs
    what = first[0][1] if own else "every sinc network"
    return [
        f"The paper: {what} needs the fewest parameters. Here at {holds} of {compared} numbers of samples "
        "that can be compared; no width that got there counts as infinitely many."
    ]


def _complete(outcomes: Sequence[Outcome], part: Part, samples: int) -> bool:
    """Return whether every network of a part has been tried on so many samples."""
    return all(
        results(outcomes, deep=part.deep, activation=activation, init=init, samples=samples)
        for activation, init in part.networks
    )
