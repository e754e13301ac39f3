"""How each kind of row is measured; a row is a JSON-able record."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from benchmarks import launches, roofline
from benchmarks.gpu import cases, ntk, rates, timing
from benchmarks.gpu.sides import PRECISION, Sides, eager_step, make_adam, settings
from benchmarks.sides import Run, trainer_step
from benchmarks.timer import Spread
from fastsnf import fit
from fastsnf.signals import Samples
from fastsnf.train.callbacks import Callback
from fastsnf.train.state import FitState

FIT_BLOCK, FIT_BLOCKS = 10, 6
"""Steps between two looks at the clock, and such blocks of a fit; the first block is not timed."""

FIT_REPEATS = 3
FIT_MEASURED = (
    f"host clock over blocks of {FIT_BLOCK} steps, the device done at both ends; {FIT_BLOCKS - 1} blocks of "
    f"each of {FIT_REPEATS} fits, the first block left out"
)
QUALITY_STEPS, QUALITY_SEEDS = 500, 2
Figures = dict[str, Any]


def speed(row: cases.Row, measured: Figures, until: float) -> Figures:
    """Return seconds, ns a point, TFLOP/s, GB/s and the share of the roofline of every side."""
    sides = Sides.of(row)
    spreads, errors = timing.measure({side: partial(sides.run, side) for side in row.sides}, until=until)
    found: Figures = {}
    for side, spread in spreads.items():
        median = spread["median"]
        found[side] = {
            "seconds": spread,
            "ns_a_point": 1e9 * median / row.case.points,
            "tflop_s": row.case.flops / median / 1e12,
            **bounds(row, side, measured, median),
        }
    return {"sides": found, "errors": errors}


def bounds(row: cases.Row, side: str, measured: Figures, median: float) -> Figures:
    """Return the bytes that a side has to move, their rate, and for fastsnf the share of its bound."""
    case = row.case
    call = launches.Call(
        case.work, case.activation.name, PRECISION.get(side, "tf32"), case.width, case.points,
        phases=side == cases.PHASES,
    )  # fmt: skip
    if side not in PRECISION:
        plain = side.startswith("eager") and not case.activation.is_complex
        return {"gb_s": roofline.eager_bytes(call) / median / 1e9} if plain else {}
    from fastsnf.engines.triton.launch import architecture_of

    try:
        architecture = architecture_of(*torch.cuda.get_device_capability())
        rows = roofline.rows_of(launches.record(call, architecture), call.precision, rates.ceilings(measured))
    except Exception as error:  # a row without its bound is better than no row
        return {"bound_error": timing.said(error)}
    moved, bound = sum(item.read + item.written for item in rows), sum(item.bound for item in rows)
    return {"gb_s": moved / median / 1e9, "bound_seconds": bound, "share": bound / median}


def memory(row: cases.Row, measured: Figures, until: float) -> Figures:
    """Return the bytes of a training step above what is there before it, by side; launched, not replayed."""
    sides, found, errors = Sides.of(row), {}, {}
    for side in row.sides:
        peak: list[int] = []

        def step(side: str = side, peak: list[int] = peak) -> None:
            run = sides.launched(side)
            for _ in range(2):
                run()
            torch.cuda.synchronize()
            torch.cuda.reset_peak_memory_stats()
            before = torch.cuda.memory_allocated()
            run()
            torch.cuda.synchronize()
            peak.append(torch.cuda.max_memory_allocated() - before)

        cause = timing.attempt(side, step, torch.cuda.synchronize)
        if cause is None:
            found[side] = {"peak_bytes": peak[0], "bytes_a_point": peak[0] / row.case.points}
        else:
            errors[side] = cause
    return {"sides": found, "errors": errors}


def fit_step(row: cases.Row, measured: Figures, until: float) -> Figures:
    """Return seconds a step of `fastsnf.fit` and of a loop in eager PyTorch over the same batches' size.

    Mini-batches of N points of a signal of 4 N, by the host's clock: see `FIT_MEASURED`. The sides' fits take
    turns; none begins after `until` once each side has one.
    """
    sides = Sides.of(row)
    side_length = math.isqrt(4 * row.case.points)
    values = torch.rand(side_length, 4 * row.case.points // side_length, 3)
    signal = Samples.from_array(values)
    seconds: dict[str, list[float]] = {side: [] for side in row.sides}
    errors: dict[str, str] = {}
    for turn in range(FIT_REPEATS):
        if turn and time.time() > until:
            break
        for side in timing.rotated(list(row.sides), turn):

            def once(side: str = side) -> None:
                run = fit_of if side in PRECISION else loop_of
                with settings(side):
                    seconds[side] += run(sides, side, signal, row.case.points)

            if side not in errors and (cause := timing.attempt(side, once, torch.cuda.synchronize)):
                errors[side] = cause
    found = {}
    for side, times in seconds.items():
        if times and side not in errors:
            spread = Spread.of(times).to_dict()
            steps = FIT_BLOCK * len(times)
            per_point = 1e9 * spread["median"] / row.case.points
            found[side] = {"seconds": spread, "ns_a_point": per_point, "timed_steps": steps}
    return {"sides": found, "errors": errors, "measured": FIT_MEASURED}


class Blocks(Callback):
    """Notes when each block of steps is done; a row of metrics has waited for the device."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def on_log(self, row: dict[str, Any], state: FitState) -> None:
        """Note the time."""
        torch.cuda.synchronize()
        self.times.append(time.perf_counter())


def a_step(times: list[float]) -> list[float]:
    """Return the seconds a step of every block but the first, whose end is the first time."""
    return [(end - begin) / FIT_BLOCK for begin, end in pairwise(times)]


def fit_of(sides: Sides, side: str, signal: Samples, batch: int) -> list[float]:
    """Return the seconds a step of a fit, by blocks."""
    blocks = Blocks()
    result = fit(
        sides.module(side), signal, steps=FIT_BLOCK * FIT_BLOCKS, batch_size=batch, device="cuda",
        precision=PRECISION[side], preview_every=0, log_every=FIT_BLOCK, callbacks=[blocks],
    )  # fmt: skip
    assert result.engine == "triton", result.engine
    return a_step(blocks.times)


def loop_of(sides: Sides, side: str, signal: Samples, batch: int) -> list[float]:
    """Return the seconds a step of a loop in eager PyTorch, its data on the device, by blocks."""
    field = sides.module(side)
    x, y = signal.coords.to("cuda"), signal.values.to("cuda")
    optimizer = make_adam(field, 1e-3)
    order = torch.randperm(len(x), device="cuda")
    times = []
    for step in range(FIT_BLOCK * FIT_BLOCKS):
        begin = step * batch % (len(x) - batch + 1)
        index = order[begin : begin + batch]
        optimizer.zero_grad(set_to_none=True)
        loss = torch.nn.functional.mse_loss(field(x[index]), y[index])
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        if (step + 1) % FIT_BLOCK == 0:
            torch.cuda.synchronize()
            times.append(time.perf_counter())
    return a_step(times)


def quality(row: cases.Row, measured: Figures, until: float) -> Figures:
    """Return the PSNR after `QUALITY_STEPS` full-batch steps from the same weights, by side and seed."""
    from benchmarks.sides import Problem
    from benchmarks.time_to_psnr import photograph
    from fastsnf.nn import SNF

    image = photograph(math.isqrt(row.case.points))
    x, y = image.coords.to("cuda"), image.values.to("cuda")
    found: Figures = {side: {"psnr": []} for side in row.sides}
    errors: dict[str, str] = {}
    for seed in range(QUALITY_SEEDS):
        generator = torch.Generator().manual_seed(seed)
        field = SNF(2, image.out_features, row.case.width, 3, generator=generator).to("cuda")
        sides = Sides(Problem(row.case, field, x, y))
        for side in row.sides:

            def train(side: str = side, sides: Sides = sides) -> None:
                found[side]["psnr"].append(psnr_after(sides, side, x, y))

            if side not in errors and (cause := timing.attempt(side, train, torch.cuda.synchronize)):
                errors[side] = cause
    return {
        "steps": QUALITY_STEPS,
        "sides": {side: values for side, values in found.items() if values["psnr"] and side not in errors},
        "errors": errors,
    }


def psnr_after(sides: Sides, side: str, x: Tensor, y: Tensor) -> float:
    """Return the PSNR of a side after its steps, evaluated in its own arithmetic."""
    field = sides.module(side)
    step: Run = (
        trainer_step(field, x, y) if side in PRECISION else eager_step(field, x, y)  # type: ignore[arg-type]
    )
    with settings(side):
        for _ in range(QUALITY_STEPS):
            step()
        with torch.inference_mode():
            error = torch.nn.functional.mse_loss(field(x), y)
    return -10.0 * math.log10(float(error))


KINDS: dict[str, Callable[[cases.Row, Figures, float], Figures]] = {
    "speed": speed,
    "memory": memory,
    "fit": fit_step,
    "quality": quality,
    "ntk": ntk.gram,
    "iga": ntk.adjusted,
}
"""What measures each kind of row, given the rates of this run and when to stop."""
