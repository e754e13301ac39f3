"""Fits of large grids: points a second beside the bare step and eager PyTorch, and the memory they take."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn

from benchmarks import child, machine, timer
from benchmarks.baselines import EagerField
from benchmarks.gate import GateError
from benchmarks.occupancy.figures import Figure, record, spread_of
from benchmarks.occupancy.memory import watched
from benchmarks.occupancy.shapes import ball_grid
from benchmarks.sides import trainer_step
from fastsnf.nn import SNF
from fastsnf.signals import Occupancy
from fastsnf.train.config import FitConfig
from fastsnf.train.loop import Loop
from fastsnf.train.plan import Plan, make_plan

WIDTH, BATCH, STEPS = 256, 32_768, 6
"""Of the fits; steps of one timed run."""
SIZES = (512, 1024, 2048)
MOST_GB = {512: 0.3, 1024: 0.4, 2048: 0.8}
"""The most memory of a fit above the imported process, by the side of the grid."""
LEAST_BARE, LEAST_LARGE, LEAST_EAGER = 85.0, 95.0, 2.8
BARE, EAGER = "bare step", "eager"
ENDLESS = 10**9
"""Steps of a fit that is stopped when it has been measured."""


def field_of(width: int = WIDTH) -> SNF:
    """Return the field that is fitted."""
    generator = torch.Generator().manual_seed(0)
    return SNF(3, 1, width, 3, first_omega=10.0, hidden_omega=10.0, alpha=3.7, generator=generator)


def plan_of(signal: Occupancy, batch: int = BATCH, width: int = WIDTH) -> Plan:
    """Return the plan of a fit that goes on until nobody asks for steps."""
    return make_plan(field_of(width), signal, FitConfig(steps=ENDLESS, batch_size=batch, schedule="constant"))


def fit_steps(plan: Plan) -> Callable[[], None]:
    """Return what makes `STEPS` steps of the trainer's own loop, with all that belongs to them."""
    steps = Loop(plan.start(), plan, (), None).steps()

    def run() -> None:
        for _ in range(STEPS):
            next(steps)

    return run


def bare_steps(plan: Plan) -> Callable[[], None]:
    """Return what makes as many steps on one batch whose coordinates and values lie in memory."""
    x, y, _ = plan.points.tensors(plan.sampler.indices(0))
    step = trainer_step(field_of(plan.field.hidden_features), x, y)

    def run() -> None:
        for _ in range(STEPS):
            step()

    return run


def eager_steps(plan: Plan, signal: Occupancy) -> Callable[[], None]:
    """Return what makes as many steps on the same batches in eager PyTorch, as people write it.

    The batches' numbers are given; coordinates and values are made from them.
    """
    field = field_of(plan.field.hidden_features)
    eager = EagerField(*field.layer_tensors(), field.spec)
    optimizer = torch.optim.Adam(eager.parameters(), lr=FitConfig().base_lr)
    octets, side = signal.voxels.tensor(), signal.shape[0]
    batches = itertools.count()

    def run() -> None:
        for _ in range(STEPS):
            index = plan.sampler.indices(next(batches))
            assert isinstance(index, torch.Tensor), "a batch is not everything"
            places = torch.stack([index // side**2, index // side % side, index % side], dim=-1)
            x = places.float() * (2.0 / (side - 1)) - 1.0
            y = (octets[index >> 3] >> (index & 7).to(torch.uint8) & 1).float()[:, None]
            optimizer.zero_grad()
            nn.functional.mse_loss(eager(x), y).backward()
            optimizer.step()

    return run


def check(plan: Plan, signal: Occupancy) -> None:
    """Raise `GateError` unless a step of the fit has the loss of its batch in eager PyTorch."""
    index = plan.sampler.indices(0)
    x, y, _ = plan.points.tensors(index)
    field = field_of(plan.field.hidden_features)
    wanted = float(nn.functional.mse_loss(EagerField(*field.layer_tensors(), field.spec)(x), y))
    found = float(plan.updates.gradients(index))
    if abs(found - wanted) > 1e-4 * wanted or not torch.equal(signal.targets(index), y):
        raise GateError(f"a step's loss is {found}, eager's {wanted}; no time is taken")


def rates(sides: list[int], batch: int, width: int, rounds: int, folder: str) -> dict[str, Any]:
    """Measure fits of grids of some sides in turn with the bare step and with eager PyTorch."""
    signals = {side: ball_grid(side, folder) for side in sides}
    plans = {side: plan_of(signal, batch, width) for side, signal in signals.items()}
    first = sides[0]
    check(plans[first], signals[first])
    names = {side: f"fit of {side}^3" for side in sides}
    runs = {names[side]: fit_steps(plan) for side, plan in plans.items()}
    runs |= {
        BARE: bare_steps(plans[first]),
        EAGER: eager_steps(plan_of(signals[first], batch, width), signals[first]),
    }
    done = timer.measure(runs, peak=machine.fma_peak, rounds=rounds)
    bound = (batch, width) == (BATCH, WIDTH)
    figures = list(compared(done, names, bound))
    work = f"fit, width {width}, 5 linear layers, batches of {batch:,}"
    return record(f"fit-{'-'.join(map(str, sides))}", work, figures, plans[first].place["engine"])


def compared(done: list[timer.Round], names: dict[int, str], bound: bool) -> Iterator[Figure]:
    """Yield the ratios of each round's runs; a round whose machine changed its speed counts for none."""
    first, *larger = names.values()

    def ratios(over: str, under: str) -> list[float]:
        steady = [item for item in done if timer.steady(item, [over, under])] or done
        return [item[over].wall / item[under].wall for item in steady]

    def floor(value: float) -> float | None:
        return value if bound else None

    for name in names.values():
        seconds = [item[name].wall / STEPS for item in done]
        yield spread_of([1e3 * value for value in seconds], f"{name}: a step", "ms")
    yield spread_of([item[BARE].wall / STEPS * 1e3 for item in done], "bare step", "ms")
    shares = [100 * value for value in ratios(BARE, first)]
    yield spread_of(shares, f"{first} / bare step, rate", "%", least=floor(LEAST_BARE))
    for name in larger:
        shares = [100 * value for value in ratios(first, name)]
        yield spread_of(shares, f"{name} / {first}, rate", "%", least=floor(LEAST_LARGE))
    yield spread_of(
        ratios(EAGER, first), f"{first}: times eager, kept allocator", "x", least=floor(LEAST_EAGER)
    )


def memory(side: int, batch: int, width: int, steps: int, folder: str) -> dict[str, Any]:
    """Measure the memory of a fit: building its bits, and steps, a preview and a decode of a part."""
    from fastsnf.train.decode import decode

    plan_of(ball_grid(16), 64, 8).updates.gradients(slice(0, 64))  # loads the code
    with watched() as built:
        signal = ball_grid(side, folder)
    with watched() as peak:
        plan = plan_of(signal, batch, width)
        running = Loop(plan.start(), plan, (), None).steps()
        for _ in range(steps):
            next(running)
        plan.preview()
        decode(plan.field, signal, (min(side, 128),) * 3)
    limit = MOST_GB.get(side) if (batch, width) == (BATCH, WIDTH) else None
    figures = [
        Figure("peak of the fit above the imported process", peak.own / 1e9, "GB", most=limit),
        Figure("pages of the mapped bit file beside it", peak.mapped / 1e9, "GB"),
        Figure("peak while the bits are built", built.own / 1e9, "GB", most=limit),
    ]
    return record(f"memory-{side}", f"memory of a fit of {side}^3, width {width}", figures)


if __name__ == "__main__":
    child.serve(lambda work, **job: (rates if work == "rates" else memory)(**job))
