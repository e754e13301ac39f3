"""`fit`: a field, a signal and a configuration in, a fitted field and its record out."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from fastsnf import ops
from fastsnf.errors import InputError, RunError
from fastsnf.nn import Field
from fastsnf.signals.signal import Signal
from fastsnf.train.callbacks import Callback
from fastsnf.train.config import FitConfig, make_config
from fastsnf.train.evaluate import Evaluation, evaluate, predict
from fastsnf.train.identity import check_same, identity_of
from fastsnf.train.loop import Loop
from fastsnf.train.losses import outputs_of
from fastsnf.train.optimizers import base_rates, make_optimizer
from fastsnf.train.placement import resolve_device, resolve_precision
from fastsnf.train.points import Points, check_values, split
from fastsnf.train.rebuild import describe_field
from fastsnf.train.result import FitResult
from fastsnf.train.run import RunFolder, open_run
from fastsnf.train.sampler import Sampler
from fastsnf.train.schedule import parse_schedule
from fastsnf.train.state import FitState
from fastsnf.train.step import Step, trainable
from fastsnf.train.stopping import StopRule
from fastsnf.version import __version__


def fit(
    field: Field,
    signal: Signal,
    config: FitConfig | None = None,
    *,
    run: str | os.PathLike[str] | None = None,
    callbacks: Sequence[Callback] = (),
    resume: bool = False,
    record: Mapping[str, Any] | None = None,
    **options: Any,
) -> FitResult:
    """Fit `field` to `signal` in place.

    Args:
        field: [..., D] -> [..., C]; its weights are where the fit starts, so that a loaded field is a warm
            start. It is moved to the device of the configuration.
        signal: D coordinates and C values at N points.
        config: the settings; None takes the defaults.
        run: the run folder to write; None writes nothing. In a run folder, SIGINT and SIGTERM save a
            checkpoint before they stop the fit.
        callbacks: observers; without them nothing is printed.
        resume: go on from the newest checkpoint of `run`. The weights are then bit for bit those of a fit
            that was never stopped, for the same number of threads. The settings must be the run's.
        record: JSON-able facts that ``config.toml`` keeps for the caller, in its table ``[command]``.
        options: fields of `FitConfig`, over those of `config`: ``fit(field, image, steps=500)``.

    Returns:
        The result: metrics, history, and the field that was passed in.

    Raises:
        InputError: for settings, a field, a signal or a run folder that do not fit together.
        RunError: when the loss turns NaN, or the disk is full or fails; earlier checkpoints stay.
        fastsnf.train.interrupt.Interrupted: after SIGINT or SIGTERM, with a checkpoint saved.
    """
    config = make_config(config, options)
    _check(field, signal)
    for callback in callbacks:
        if not isinstance(callback, Callback):
            raise InputError(
                f"expected callbacks of class fastsnf.train.Callback; got {type(callback).__name__}"
            )
    if resume and run is None:
        raise InputError("expected the run folder to resume; got resume=True without run")
    with contextlib.ExitStack() as stack:
        if config.engine != "auto":
            stack.enter_context(ops.use_engine(config.engine))
        job = _Job(field, signal, config, needs_description=run is not None)
        folder = None if run is None else stack.enter_context(open_run(run, resume=resume))
        return job.run(folder, callbacks, resume=resume, record=record)


class _Job:
    """The parts of a fit, put together and checked before anything is written."""

    def __init__(self, field: Field, signal: Signal, config: FitConfig, *, needs_description: bool) -> None:
        self.field, self.signal, self.config = field, signal, config
        device = resolve_device(config.device)
        field.to(device)
        dtype = next(field.parameters()).dtype.to_real()
        self.train, self.held = split(signal, config.holdout)
        check_values(signal, self.train)
        parameters = trainable(field)
        self.points = Points(signal, self.train, device, dtype)
        self.sampler = Sampler(
            self.points.count, config.points_per_step(self.points.count), config.seed, device=device
        )
        self.schedule = parse_schedule(config.schedule_text)
        self.stop = StopRule.of(config, self.sampler.steps_per_epoch)
        self.step = Step(field, make_optimizer(config, parameters), config)
        self.outputs = outputs_of(config.loss)
        self.rates = base_rates(self.step.optimizer)  # before a checkpoint brings those of its step
        weights, biases = field.layer_tensors()
        x = self.points.batch(slice(0, 1))[0]
        engine = ops.chosen(x, weights, biases, spec=field.spec)
        precision = resolve_precision(config.precision, engine, dtype)
        place = {"engine": engine, "device": str(device), "precision": precision}
        self.state = FitState(
            field,
            signal,
            config,
            engine=engine,
            device=str(device),
            precision=precision,
            points=self.points.count,
            points_per_step=self.sampler.batch,
            max_steps=self.stop.max_steps,
            parameters=_count(parameters),
        )
        self.description: dict[str, Any] = {}
        if needs_description:
            described = describe_field(field)
            identity = identity_of(config, self.stop, signal, described["field"], self.sampler.batch, place)
            metadata = {"signal": signal.metadata(), "outputs": self.outputs, "identity": identity}
            self.description = described | metadata

    def run(
        self,
        folder: RunFolder | None,
        callbacks: Sequence[Callback],
        *,
        resume: bool,
        record: Mapping[str, Any] | None,
    ) -> FitResult:
        """Fit, record and return the result."""
        state = self.state
        if folder is not None:
            state.run = folder.path
            self._enter(folder, resume=resume, record=record)
        loop = Loop(
            state,
            step=self.step,
            points=self.points,
            sampler=self.sampler,
            rates=self.rates,
            schedule=self.schedule,
            stop=self.stop,
            evaluate=self._evaluate,
            callbacks=callbacks,
            run=folder,
            description=self.description,
        )
        loop.run()
        final = state.preview if state.preview_step == state.step else self._evaluate(None)
        assert final is not None, "nothing stops the last evaluation"
        if math.isnan(final.psnr):
            raise RunError(
                f"expected finite values after step {state.step}; got NaN: the learning rate is likely too "
                "high: lower lr"
            )
        if folder is not None:
            folder.save_field(state)
            folder.reconstruct(self.signal, final.values)
        result = self._result(final)
        for callback in callbacks:
            callback.on_end(result)
        return result

    def _enter(self, folder: RunFolder, *, resume: bool, record: Mapping[str, Any] | None) -> None:
        """Go back to the newest checkpoint, if there is one, and write the configuration."""
        snapshot = folder.snapshots.newest() if resume else None
        state = self.state
        if snapshot is not None:
            check_same(self.description["identity"], snapshot.identity, str(folder.path))
            snapshot.restore(self.field, self.step.optimizer)
            state.step, state.loss = snapshot.step, snapshot.loss
            state.seconds, state.seconds_steps = snapshot.seconds, snapshot.seconds_steps
            state.points_seen = self.sampler.points_seen(state.step)
        tables = {
            "fastsnf": {
                "version": __version__,
                "torch": torch.__version__,
                "threads": torch.get_num_threads(),
            },
            "fit": self.config.to_dict(),
            "field": self.description["field"],
            "signal": self.description["signal"],
        }
        if record is not None:
            tables["command"] = dict(record)
        state.history = folder.begin(tables, snapshot)

    def _evaluate(self, give_up: Any) -> Evaluation | None:
        values = predict(self.field, self.signal, outputs=self.outputs, stop=give_up)
        if values is None:
            return None
        published = self.config.psnr == "published"
        return evaluate(values, self.signal, train=self.train, held=self.held, published=published)

    def _result(self, final: Evaluation) -> FitResult:
        state = self.state
        return FitResult(
            kind=self.signal.kind,
            steps=state.step,
            seconds=state.seconds,
            seconds_steps=state.seconds_steps,
            points_per_second=state.points_seen / state.seconds if state.seconds > 0 else 0.0,
            psnr=final.psnr,
            loss=state.loss,
            engine=state.engine,
            device=state.device,
            precision=state.precision,
            parameters=state.parameters,
            seed=self.config.seed,
            run=None if state.run is None else str(state.run),
            psnr_holdout=final.psnr_holdout,
            psnr_published=final.psnr_published,
            field=self.field,
            history=state.history,
            values=final.values,
        )


def _check(field: Field, signal: Signal) -> None:
    if not isinstance(field, Field):
        raise InputError(
            f"expected a field of fastsnf; got {type(field).__name__}: fastsnf.accelerate makes one of a "
            "SIREN-like module"
        )
    if not isinstance(signal, Signal):
        raise InputError(
            f"expected a signal of fastsnf; got {type(signal).__name__}: Image.from_array takes an array"
        )
    if (field.in_features, field.out_features) != (signal.in_features, signal.out_features):
        raise InputError(
            f"expected a field of the signal's {signal.in_features} inputs, {signal.out_features} outputs; "
            f"got {field.in_features} and {field.out_features}"
        )


def _count(parameters: Sequence[nn.Parameter]) -> int:
    return sum(p.numel() * (2 if p.is_complex() else 1) for p in parameters)
