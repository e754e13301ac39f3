"""How long initializers take, the sigma_p of VI3NR by quadrature, and the analysis of an image's field."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch

from benchmarks import child, machine, turns
from benchmarks.cases import IN_FEATURES, OUT_FEATURES
from benchmarks.gate import GateError
from benchmarks.iga import picture
from benchmarks.sides import Run
from benchmarks.timer import Spread, timed
from fastsnf import ops
from fastsnf.nn import SNF, init
from fastsnf.signals import Image
from fastsnf.spec import Activation, Gaussian, make_activation

SUITE = "initializers"
ROUNDS = 21
PUBLISHED = "the paper's grid"
PAPER_S = 0.5
"""Seconds that VI3NR's authors give for sigma_p by their grid of Monte Carlo estimates."""

DRAW, SIGMA_P, ANALYSIS = "draw", "sigma_p", "analysis"
MOST_S = {DRAW: 0.020, SIGMA_P: 0.050, ANALYSIS: 60.0}
"""The most seconds of each kind of work."""


@dataclass(frozen=True)
class InitCase:
    """One piece of work.

    kind: `DRAW`, the parameters of a field of 5 linear layers by the initializer `method`, after its first
    use; `SIGMA_P`, the root of Eq. 13 with empty caches; `ANALYSIS`, all of `fastsnf.analysis.analyze` of a
    field on an image of `size` pixels a side. `most_seconds` bounds the median; None: reported, not bound.
    """

    kind: str
    activation: str = "sine"
    method: str = ""
    width: int = 512
    hidden_layers: int = 3
    size: int = 0
    most_seconds: float | None = None

    @property
    def name(self) -> str:
        """The name of the case in records."""
        if self.kind == ANALYSIS:
            return f"analysis-{self.size}"
        return f"{self.method or self.kind}-{self.activation}"

    @property
    def title(self) -> str:
        """What to say while it is measured."""
        if self.kind == ANALYSIS:
            return f"analysis of {self.size} x {self.size} pixels, width {self.width}"
        what = f"initializer {self.method}" if self.kind == DRAW else "sigma_p, nothing remembered"
        return f"{what}, {self.activation}"

    @property
    def spec(self) -> Activation:
        """The activation, with its own parameters."""
        return make_activation(self.activation, omega=None, scale=None)

    def scaled(self) -> InitCase:
        """Return the case for a quick look, without a bound."""
        return replace(self, width=16, size=min(self.size, 16), most_seconds=None)


ACTIVATIONS = ("sine", "gaussian", "sinc", "gabor-real", "finer", "relu", "tanh", "sigmoid")
"""Those whose sigma_p is solved for, and that VI3NR draws for."""

CASES = (
    *(InitCase(DRAW, method=method, most_seconds=MOST_S[DRAW]) for method in init.INITIALIZERS),
    *(InitCase(DRAW, act, "vi3nr", most_seconds=MOST_S[DRAW]) for act in ACTIVATIONS[1:]),
    *(InitCase(SIGMA_P, act, most_seconds=MOST_S[SIGMA_P]) for act in ACTIVATIONS),
    InitCase(ANALYSIS, width=256, size=512, most_seconds=MOST_S[ANALYSIS]),
)


def field_of(case: InitCase, seed: int = 0) -> SNF:
    """Return the field of a case, drawn by a seed."""
    return SNF(
        IN_FEATURES,
        OUT_FEATURES,
        case.width,
        case.hidden_layers,
        activation=case.spec,
        generator=torch.Generator().manual_seed(seed),
    )


def forget() -> None:
    """Empty every cache of the initializers: integrals, roots, nodes."""
    for name, module in list(sys.modules.items()):
        if name.startswith(init.__name__):
            for value in vars(module).values():
                if hasattr(value, "cache_clear"):
                    value.cache_clear()


def check_draw(field: SNF, method: str) -> None:
    """Raise `GateError` unless an initializer writes every parameter, finite, and by its generator alone."""
    drawn = []
    for seed in (1, 1, 2):
        for parameter in field.parameters():
            parameter.data.fill_(math.nan)
        init.initialize_(field, method, generator=torch.Generator().manual_seed(seed))
        drawn.append([parameter.detach().clone() for parameter in field.parameters()])
    finite = all(bool(parameter.isfinite().all()) for parameter in drawn[0])
    if not finite or not all(map(torch.equal, drawn[0], drawn[1])):
        raise GateError(f"{method}: parameters are not finite or not those of the seed; no time is taken")
    weights = (pair for pair in zip(drawn[0], drawn[2], strict=True) if pair[0].dim() == 2)
    if any(torch.equal(*pair) for pair in weights):
        raise GateError(f"{method}: two seeds give the same weights; no time is taken")


def check_sigma_p(activation: Activation, sigma_p: float | None) -> None:
    """Raise `GateError` unless the condition of VI3NR's Eq. 13 is 1 at the root, or has none at all."""
    if sigma_p is None:  # the condition stays on one side of 1
        sides = {init.condition(activation, sigma) > 1.0 for sigma in (0.01, 0.1, 1.0, 10.0)}
        right = len(sides) == 1
    else:
        right = abs(init.condition(activation, sigma_p) - 1.0) <= 1e-3
    if not right:
        raise GateError(f"sigma_p of {activation} = {sigma_p} does not meet Eq. 13; no time is taken")


def draws(case: InitCase) -> Run:
    """Return one initialization of the case's field, after a first one that has been checked."""
    field, generator = field_of(case), torch.Generator().manual_seed(0)
    check_draw(field, case.method)
    return lambda: init.initialize_(field, case.method, generator=generator)


def solves(case: InitCase) -> Run:
    """Return one solution with empty caches, once torch itself is warm."""
    init.solve_sigma_p(Gaussian(3.0))
    check_sigma_p(case.spec, init.solve_sigma_p(case.spec))

    def run() -> None:
        forget()
        init.solve_sigma_p(case.spec)

    return run


def analyses(case: InitCase) -> Run:
    """Return one analysis, all parts of it, of the case's field and an image of its size."""
    from fastsnf.analysis import analyze

    shape = (case.size, case.size)
    image = Image(shape, OUT_FEATURES, picture(shape, torch.Generator().manual_seed(0)))
    field = field_of(case)
    return lambda: analyze(field, image)


WAYS: dict[str, Callable[[InitCase], Run]] = {DRAW: draws, SIGMA_P: solves, ANALYSIS: analyses}


def seconds_of(run: Run, rounds: int) -> dict[str, Any]:
    """Return the spread of the wall seconds of some runs."""
    return Spread.of([timed(run)[0] for _ in range(rounds)]).to_dict()


def measure(case: dict[str, Any], rounds: int = ROUNDS) -> dict[str, Any]:
    """Check a case, measure it, and return the record."""
    row = InitCase(**case)
    field = field_of(row)
    x = torch.zeros(1, IN_FEATURES)
    started = time.time()
    run = WAYS[row.kind](row)
    found = seconds_of(run, 1 if row.kind == ANALYSIS else rounds)
    published = None
    if row.kind == SIGMA_P:
        published = seconds_of(lambda: init.solve_sigma_p(row.spec, as_published=True), 1)
    return {
        "suite": SUITE,
        "case": row.name,
        **asdict(row),
        "layers": row.hidden_layers + 2,
        "allocator": child.KEPT,
        "seconds": found,
        "published_seconds": published and published["median"],
        "paper_seconds": PAPER_S if row.kind == SIGMA_P else None,
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(started)),
        "engine": ops.chosen(x, *field.layer_tensors(), spec=field.spec),
        "machine": machine.describe(),
    }


def tasks(
    quick: bool, cases: Sequence[InitCase] = CASES
) -> Iterator[tuple[str, Callable[[], dict[str, Any]]]]:
    """Yield the names of the cases with calls that measure them."""
    return turns.tasks("benchmarks.initializers", cases, ROUNDS, quick)


if __name__ == "__main__":
    child.serve(measure)
