"""Search for tiles on this machine's GPU: `fastsnf bench --tune`, or `python -m benchmarks.tune`.

For every op, precision, width and class of activations, the declared candidates (`benchmarks.tiles`) pass
three gates: compiled without spills and within the shared memory; a field's step with them is right; its
launches, timed in turn with the tile that is in use, are faster. The best goes into ``tiles/OP.json`` of this
architecture. Searches that are done are logged, so that what was stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.gate import relative_error
from benchmarks.launches import HIDDEN_LAYERS, Call
from benchmarks.tiles import CLASSES, OPS, SIZES, candidates, describe, entry_of, write
from fastsnf import ops
from fastsnf.engines import triton
from fastsnf.engines.triton import tile_table
from fastsnf.engines.triton.launch import Launch, architecture, recording
from fastsnf.engines.triton.parameters import PRECISIONS
from fastsnf.engines.triton.tile_table import FOLDER, Asked, Tile
from fastsnf.errors import EngineError, InputError

WIDTHS = (64, 128, 256, 512)
POINTS, GATE_POINTS = 131_072, 2_048
ROUNDS, REPEATS = 7, 10

GAIN = 0.98
"""A candidate replaces the tile in use when it takes less than this share of its time."""

WORSE = 2.0
"""A candidate's error may be this many times that of the tile in use: sums in another order."""

LUCK = 1e-6
"""Relative error that passes whatever the tile in use has."""

Timer = Callable[[Callable[[], None]], float]
"""Seconds of one call, on a device that is warm."""

Gate = Callable[[Sequence[Launch], str], list[str]]
"""What is wrong with the builds of launches on an architecture."""


@dataclass(frozen=True)
class Search:
    """One search: an op in a precision, at a width, for a class of activations."""

    op: str
    precision: str
    activation: str
    width: int
    hidden_layers: int = HIDDEN_LAYERS

    @property
    def name(self) -> str:
        """The search in the log."""
        return f"{self.op} {self.precision} {self.activation} {self.width}"

    def call(self, points: int) -> Call:
        """Return the call whose launches are timed."""
        work = "train" if OPS[self.op].call == "step" else "infer"
        given = (work, self.activation, self.precision, self.width, points)
        return Call(*given, hidden_layers=self.hidden_layers)


@dataclass(frozen=True)
class Trial:
    """What a candidate came to: why it was left out, or its time over that of the tile in use."""

    tile: Tile
    why_not: str = ""
    ratio: float = float("inf")


def searches(names: Sequence[str], precisions: Sequence[str], widths: Sequence[int]) -> Iterator[Search]:
    """Yield every search, the ops that cost most first."""
    for op in OPS:
        for precision in precisions if op in names else ():
            for activation in CLASSES:
                if OPS[op].is_complex in (None, activation == "gabor"):
                    yield from (Search(op, precision, activation, width) for width in widths)


class Problem:
    """The field, points and exact results of a search, on a device."""

    def __init__(self, search: Search, points: int, device: torch.device) -> None:
        self.search, self.device = search, device
        self.call = call = search.call(points)
        gen = torch.Generator().manual_seed(0)
        self.x = (torch.rand(points, call.in_features, generator=gen) * 2 - 1).to(device)
        self.y = torch.rand(points, call.out_features, generator=gen).to(device)
        self.weights, self.biases = [], []
        for layer, (fan_in, fan_out) in enumerate(zip(call.widths[:-1], call.widths[1:], strict=True)):
            dtype = torch.complex64 if call.spec.complex_weights(layer) else torch.float32
            scale = 1.0 / (30.0 * fan_in**0.5)
            self.weights.append((torch.randn(fan_out, fan_in, generator=gen, dtype=dtype) * scale).to(device))
            self.biases.append((torch.randn(fan_out, generator=gen, dtype=dtype) * scale).to(device))

    def run(self) -> list[Tensor]:
        """Run the engine's call and return everything it computes."""
        from fastsnf.engines.triton import field

        given, precision = (self.weights, self.biases, self.call.spec), self.call.precision
        if OPS[self.search.op].call == "step":
            loss, d_weights, d_biases = field.mse_value_and_grad(self.x, self.y, *given, None, precision)
            return [loss, *d_weights, *(d for d in d_biases if d is not None)]
        run = field.forward if OPS[self.search.op].call == "forward" else field.forward_keep
        result = run(self.x, *given, precision)
        return [result if isinstance(result, Tensor) else result[0]]

    def exact(self) -> list[Tensor]:
        """Return the same in float64, of the reference."""
        wide = [
            [t.to(torch.complex128 if t.is_complex() else torch.float64) for t in tensors]
            for tensors in (self.weights, self.biases)
        ]
        x, y, spec = self.x.double(), self.y.double(), self.call.spec
        if OPS[self.search.op].call == "step":
            loss, d_weights, d_biases = ops.mse_value_and_grad(x, y, *wide, spec=spec, engine="reference")
            return [loss, *d_weights, *(d for d in d_biases if d is not None)]
        return [ops.field(x, *wide, spec=spec, engine="reference")]

    def error(self, exact: Sequence[Tensor]) -> float:
        """Return the largest relative error of the engine's results, infinite where one is not finite."""
        errors = [relative_error(value, wanted) for value, wanted in zip(self.run(), exact, strict=True)]
        return max(error if error == error else float("inf") for error in errors)

    def launches(self) -> list[Launch]:
        """Return the op's launches of a call, on buffers that hold random numbers."""
        with recording(architecture()) as recorded:
            self.run()
        found = [launch for launch in recorded if launch.name == OPS[self.search.op].kernel]
        for launch in found:
            for tensor in launch.arguments.values():
                if isinstance(tensor, Tensor):
                    _fill(tensor)
        return found


class Tuner:
    """The gates and the clock of a search on one device; tests give their own."""

    def __init__(
        self,
        device: torch.device,
        *,
        timer: Timer,
        gate: Gate,
        points: int = POINTS,
        gate_points: int = GATE_POINTS,
        deadline: float = float("inf"),
    ) -> None:
        self.device, self.timer, self.gate, self.deadline = device, timer, gate, deadline
        self.points, self.gate_points = points, gate_points

    def asked(self, search: Search) -> tuple[Tile, Asked]:
        """Return the tile in use for a search's calls, and the calls; none where the field lacks the op."""
        entries = tile_table.table(search.op).get(architecture(), [])
        if not entries:
            raise LookupError(f"tiles/{search.op}.json has no entry for {architecture()} to start from")
        sizes = {name: entries[0][name] for name in SIZES}
        any_tile = Tile(**sizes, options=entries[0].get("options", {}))
        meta = Problem(search, self.points, torch.device("meta"))
        # `any_tile` may not divide the sum: what was asked is noted all the same.
        with (
            tile_table.forced(search.op, any_tile) as asked,
            recording(architecture()),
            suppress(LookupError),
        ):
            meta.run()
        if not asked:
            return any_tile, []
        precision, act, columns, depth = asked[0]
        return tile_table.find(search.op, precision, act=act, columns=columns, depth=depth), asked

    def rejected(self, search: Search, tile: Tile) -> list[str]:
        """Return why a candidate cannot be used, by what the compiler makes of it."""
        meta = Problem(search, self.points, torch.device("meta"))
        try:
            with tile_table.forced(search.op, tile), recording(architecture()) as recorded:
                meta.run()
        except LookupError as error:
            return [str(error)]
        return self.gate([one for one in recorded if one.name == OPS[search.op].kernel], architecture())

    def trials(self, search: Search, base: Tile, tiles: Sequence[Tile]) -> Iterator[Trial]:
        """Yield what every candidate comes to; stops at the deadline.

        Raises:
            TimeoutError: at the deadline.
        """
        small = Problem(search, self.gate_points, self.device)
        large = Problem(search, self.points, self.device)
        exact = small.exact()
        most = max(WORSE * small.error(exact), LUCK)
        for tile in tiles:
            if time.monotonic() > self.deadline:
                raise TimeoutError
            why = self.rejected(search, tile)
            if not why:
                with tile_table.forced(search.op, tile):
                    error = small.error(exact)
                why = [] if error <= most else [f"error {error:.1e}, with the tile in use {most / WORSE:.1e}"]
            if why:
                yield Trial(tile, why[0])
            else:
                yield Trial(tile, ratio=self.ratio(search, large, base, tile))

    def ratio(self, search: Search, problem: Problem, base: Tile, tile: Tile) -> float:
        """Return the time of a candidate over that of the tile in use: median over alternating rounds."""
        runs = []
        for one in (base, tile):
            with tile_table.forced(search.op, one):
                runs.append(partial(_replay, problem.launches()))
        ratios = []
        for turn in range(ROUNDS):
            order = (0, 1) if turn % 2 else (1, 0)
            seconds = {side: self.timer(runs[side]) for side in order}
            ratios.append(seconds[1] / seconds[0])
        return statistics.median(ratios)

    def search(self, search: Search, folder: Path = FOLDER) -> dict[str, Any] | None:
        """Try every candidate, write the best where it beats the tile in use, and return the record.

        None where the field has no such op.
        """
        base, asked = self.asked(search)
        if not asked:
            return None
        trials = list(self.trials(search, base, list(candidates(search.op, base))))
        best = min(trials, key=lambda trial: trial.ratio, default=Trial(base))
        if best.ratio < GAIN:
            write(search.op, architecture(), entry_of(search.op, best.tile, asked, search.activation), folder)
        return {
            "search": search.name,
            "architecture": architecture(),
            "in_use": describe(base),
            "best": describe(best.tile),
            "ratio": best.ratio,
            "written": best.ratio < GAIN,
            "trials": [
                {**describe(trial.tile), "ratio": trial.ratio, "why_not": trial.why_not} for trial in trials
            ],
        }


def compiled(launches: Sequence[Launch], on: str, workers: int = 1) -> list[str]:
    """Return what the compiler's report has against launches: faults, spills, failures."""
    from fastsnf.engines.triton.build import builds_of, compile_all

    why: list[str] = []
    for _, report in compile_all(builds_of(launches, on), workers):
        why += [report] if isinstance(report, str) else [*report.faults(), *report.spills()]
    return why


def event_timer(run: Callable[[], None]) -> float:
    """Return the seconds of one call, by CUDA events around `REPEATS` after one that warms up."""
    run()
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    for _ in range(REPEATS):
        run()
    end.record()
    end.synchronize()
    return float(start.elapsed_time(end)) / 1e3 / REPEATS


def require_gpu() -> torch.device:
    """Return the GPU to tune on.

    Raises:
        EngineError: there is none that the engine runs on.
    """
    why = triton.missing()
    if not why and triton.interpreted():
        why = "TRITON_INTERPRET=1 is set: kernels are interpreted on the CPU"
    if why:
        raise EngineError(f"expected an NVIDIA GPU to search tiles on; got none that the engine takes: {why}")
    return torch.device("cuda", torch.cuda.current_device())


def run(tuner: Tuner, wanted: Sequence[Search], log: Path, folder: Path) -> None:
    """Make the searches that the log does not hold yet, until the tuner's deadline."""
    done = set()
    if log.is_file():
        rows = map(json.loads, log.read_text(encoding="utf-8").splitlines())
        done = {row["search"] for row in rows if row["architecture"] == architecture()}
    log.parent.mkdir(parents=True, exist_ok=True)
    for search in wanted:
        if search.name in done:
            continue
        try:
            record = tuner.search(search, folder)
        except TimeoutError:
            print(f"time is up in {search.name}; the same command goes on there", flush=True)
            return
        except LookupError as error:
            print(f"{search.name}: {error}", flush=True)
            continue
        if record is not None:
            with log.open("a", encoding="utf-8") as file:
                file.write(json.dumps(record) + "\n")
            verdict = "written" if record["written"] else "kept what is in use"
            print(f"{search.name}: best {record['ratio']:.3f} of the time, {verdict}", flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Search on this machine's GPU; exit status 2 where there is none."""
    parser = argparse.ArgumentParser(prog="fastsnf bench --tune", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--ops", nargs="+", default=list(OPS), choices=OPS)
    parser.add_argument("--precision", nargs="+", default=list(PRECISIONS), choices=PRECISIONS)
    parser.add_argument("--width", nargs="+", type=int, default=list(WIDTHS))
    parser.add_argument("--time-limit", type=float, default=float("inf"), help="seconds; goes on next time")
    parser.add_argument("--workers", type=int, default=8, help="processes that compile")
    results = Path(__file__).resolve().parent / "results"
    parser.add_argument("--log", type=Path, default=results / "tune.jsonl", help="searches done, one a line")
    options = parser.parse_args(sys.argv[1:] if argv is None else argv)
    try:
        device = require_gpu()
    except InputError as error:
        print(f"fastsnf: {error}", file=sys.stderr)
        return 2
    deadline = time.monotonic() + options.time_limit
    gate = partial(compiled, workers=options.workers)
    tuner = Tuner(device, timer=event_timer, gate=gate, deadline=deadline)
    run(tuner, list(searches(options.ops, options.precision, options.width)), options.log, FOLDER)
    return 0


def _fill(tensor: Tensor) -> None:
    if tensor.is_floating_point():
        tensor.uniform_(-0.5, 0.5)
    elif not tensor.is_complex():
        tensor.random_(-1000, 1000) if tensor.dtype != torch.uint8 else tensor.random_()


def _replay(launches: Sequence[Launch]) -> None:
    for one in launches:
        one.kernel[one.grid](**one.arguments, **one.constants, num_warps=one.warps, num_stages=one.stages)


if __name__ == "__main__":
    sys.exit(main())
