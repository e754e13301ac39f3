"""The parts of a fit, put together and checked before anything is written."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from fastsnf.nn import Field
from fastsnf.ntk.module import underlying
from fastsnf.ntk.size import check_fits
from fastsnf.signals.progress import Progress
from fastsnf.signals.signal import Signal
from fastsnf.train.adjusted import AdjustedUpdates
from fastsnf.train.budget import Budget, estimate
from fastsnf.train.checks import check_elsewhere, check_kinds, check_last_batch
from fastsnf.train.config import PUBLISHED, FitConfig
from fastsnf.train.cuda_graphs import CudaGraphs
from fastsnf.train.division import check_divisible, make_parts, needs_of
from fastsnf.train.evaluate import Evaluation
from fastsnf.train.grouping import Grouping, make_grouping
from fastsnf.train.identity import identity_of
from fastsnf.train.losses import outputs_of
from fastsnf.train.measure import measure, measure_sample
from fastsnf.train.optimizers import base_rates, make_optimizer
from fastsnf.train.parallel import World
from fastsnf.train.placement import resolve_device, resolve_engine
from fastsnf.train.points import Points, split
from fastsnf.train.published_iou import PublishedIou
from fastsnf.train.rebuild import describe_field
from fastsnf.train.samplers.groups import GroupSampler
from fastsnf.train.samplers.hashing import draws, key_of
from fastsnf.train.samplers.make import PointSampler, make_sampler
from fastsnf.train.schedule import Schedule, parse_schedule
from fastsnf.train.score import Score
from fastsnf.train.state import FitState
from fastsnf.train.step import Step, trainable
from fastsnf.train.stopping import StopRule
from fastsnf.train.updates import RecordedUpdates, Updates, may_record

SETTLED_AT_ONCE = 1 << 16
"""Points at once whose statistics are gathered, in float64."""

STREAMED_PREVIEW, HELD_PREVIEW = 1 << 20, 1 << 22
"""Points up to which a preview measures and draws the whole signal: one that is not held, and any."""
SAMPLED_POINTS = 1 << 18
"""Points that a preview of a larger signal measures, the same ones every time."""


@dataclass(frozen=True)
class Plan:
    """What a fit is made of.

    Attributes:
        field, signal, config: what is fitted, to what, and how.
        train, held: masks [N] of the points that are trained on, and held out (`fastsnf.train.points.split`).
        points, sampler: the training points on the device, and which of them make a step.
        step: loss, gradients and optimizer; rates, schedule: its learning rates before the schedule, and
            their factor.
        updates: what the loop makes of points and step.
        stop: when the fit ends.
        budget: the memory that it will take.
        place: engine, device and precision.
        grouping: the groups of points that are adjusted together, None without `FitConfig.iga`.
    """

    field: Field
    signal: Signal
    config: FitConfig
    train: Tensor | None
    held: Tensor | None
    points: Points
    sampler: PointSampler | GroupSampler
    step: Step
    updates: Updates
    rates: Sequence[float]
    schedule: Schedule
    stop: StopRule
    budget: Budget
    place: dict[str, str]
    grouping: Grouping | None = None

    def settle(self) -> None:
        """Bring what the field's evaluation mode reads beside its parameters up to date."""

        def coordinates() -> Iterator[Tensor]:
            for start in range(0, self.points.count, SETTLED_AT_ONCE):
                end = min(start + SETTLED_AT_ONCE, self.points.count)
                yield self.points.tensors(slice(start, end))[0]

        self.field.settle(coordinates)

    def evaluate(
        self, give_up: Callable[[], bool] | None = None, progress: Progress | None = None
    ) -> Evaluation | None:
        """Return the field's metrics and rendering at every point, or None once `give_up` returns True.

        After each chunk `progress` is told (points done, all of them).
        """
        self.settle()
        signal, outputs = self.signal.evaluation, outputs_of(self.config.loss)
        found = measure(self.field, signal, self._score(), outputs=outputs, stop=give_up, progress=progress)
        return self._watched(found)

    def preview(self, give_up: Callable[[], bool] | None = None) -> Evaluation | None:
        """Return `evaluate`, or of a large signal the metrics at a fixed sample of its points."""
        signal = self.signal.evaluation
        if self.preview_points == signal.size:
            return self.evaluate(give_up)
        self.settle()
        index = draws(SAMPLED_POINTS, signal.size, key_of("preview"))
        outputs = outputs_of(self.config.loss)
        return self._watched(measure_sample(self.field, signal, self._score(), index, outputs=outputs))

    @property
    def preview_points(self) -> int:
        """How many points a preview measures."""
        signal = self.signal.evaluation
        most = HELD_PREVIEW if signal.held else STREAMED_PREVIEW
        return signal.size if signal.size <= most else SAMPLED_POINTS

    def _watched(self, found: Evaluation | None) -> Evaluation | None:
        """Return an evaluation with what was counted during the steps beside what was measured now."""
        if found is not None and self.updates.watch is not None:
            found.metrics["iou_published"] = self.updates.watch.best
        return found

    def _score(self) -> Score:
        published, signal = self.config.psnr == PUBLISHED, self.signal.evaluation
        if signal is not self.signal:  # every point of it counts; those of a mask are the other's
            return Score(signal, published=published)
        return Score(signal, train=self.train, held=self.held, published=published)

    def describe(self) -> dict[str, Any]:
        """Return the metadata of the run's checkpoints: field, signal, outputs and identity.

        Raises:
            InputError: for a field of a class that no checkpoint can hold.
        """
        described = describe_field(self.field)
        identity = identity_of(
            self.config,
            self.stop,
            self.signal,
            described["field"],
            self.sampler.batch,
            self.place,
            None if self.grouping is None else self.grouping.identity(),
            self.sampler.order,
        )
        outputs = outputs_of(self.config.loss)
        return {**described, "signal": self.signal.metadata(), "outputs": outputs, "identity": identity}

    def start(self) -> FitState:
        """Return the state before the first step."""
        return FitState(
            field=self.field,
            signal=self.signal,
            config=self.config,
            engine=self.place["engine"],
            device=self.place["device"],
            precision=self.place["precision"],
            points=self.points.count,
            points_per_step=self.sampler.batch,
            max_steps=self.stop.max_steps,
            memory=str(self.budget),
            iga=None if self.grouping is None else str(self.grouping),
            parameters=sum(p.numel() * (2 if p.is_complex() else 1) for p in trainable(self.field)),
        )


def make_plan(
    field: Field, signal: Signal, config: FitConfig, *, beside: Plan | None = None, written: bool = False
) -> Plan:
    """Return the plan of a fit; the field is moved to its device.

    Args:
        field, signal, config: what is fitted, to what, and how.
        beside: the plan of another fit of this signal, with the same device, dtype and holdout: its points
            serve this one too, and with the same seed and batch size its sampler, so that fits that take
            turns gather once.
        written: whether a run folder gets the reconstruction, whose memory then counts.

    Raises:
        InputError: for a field, a signal and settings that do not fit together or to this machine, or that
            do not fit into the memory limit.
    """
    check_kinds(field, signal)
    check_elsewhere(signal, config)
    check_divisible(field, config)
    device = resolve_device(config.device)
    parameters = trainable(field.to(device).train())
    dtype = parameters[0].dtype.to_real()
    if beside is None:
        train, held = split(signal, config.holdout)
        signal.check(train)
        points = Points(signal, train, device, dtype)
    else:
        train, held, points = beside.train, beside.held, beside.points
    grouping = make_grouping(config, signal, train, points.count)
    sampler = _sampler(config, signal, points, device, beside) if grouping is None else grouping.sampler
    check_last_batch(field, sampler)
    choice = resolve_engine(field, points.tensors(slice(0, 1))[0], config.precision)
    if grouping is not None and not grouping.plain:
        underlying(field)  # now, not at the first step: it has no NTK where the batch couples its points
        check_fits(field, grouping.sampler.groups)
    # Adjusted steps are launched one by one, by the optimizer that a recording has: S = I then has its bits.
    recordable = may_record(field, replace(config, iga=None), points, choice.engine, device)
    recordable = recordable and signal.samples == 1 and World.current().size == 1
    step = Step(field, make_optimizer(config, parameters, recorded=recordable), config, signal)
    if beside is None:
        points.by_number = points.numbered and grouping is None and step.takes_numbers(choice.engine)
    budget = estimate(needs_of(field, signal, config, points, step, sampler, written), config.memory_limit)
    parts = make_parts(field, points, step, budget.chunk)
    updates = Updates(points, step, parts)
    if recordable and grouping is None:
        updates = RecordedUpdates(points, step, field, CudaGraphs(device), parts)
    elif grouping is not None:
        updates = AdjustedUpdates(points, step, field, grouping, device)
    if config.iou == PUBLISHED:
        updates.watch = PublishedIou(field, outputs_of(config.loss), sampler.steps_per_epoch)
    return Plan(
        field=field,
        signal=signal,
        config=config,
        train=train,
        held=held,
        points=points,
        sampler=sampler,
        step=step,
        updates=updates,
        rates=base_rates(config, step.optimizer),  # now, before a checkpoint brings those of its own step
        schedule=parse_schedule(config.schedule_text),
        stop=StopRule.of(config, sampler.steps_per_epoch),
        budget=budget,
        place={"engine": choice.engine, "device": str(device), "precision": choice.precision},
        grouping=grouping,
    )


def _sampler(
    config: FitConfig, signal: Signal, points: Points, device: torch.device, beside: Plan | None
) -> PointSampler:
    if beside is not None and not isinstance(beside.sampler, GroupSampler):
        other = beside.sampler
        if (other.name, other.seed, other.batch) == (
            config.sampler,
            config.seed,
            config.points_per_step(points.count),
        ):
            return other
    home = device if points.resident else "cpu"  # where the batches are gathered
    return make_sampler(config, signal, points.count, home)
