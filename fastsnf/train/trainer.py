"""`fit`: a field, a signal and a configuration in, a fitted field and its record out."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import os
import signal as signals
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch

from fastsnf.errors import InputError, RunError
from fastsnf.nn import Field
from fastsnf.signals.signal import Signal
from fastsnf.train.callbacks import Callback
from fastsnf.train.config import FitConfig, make_config
from fastsnf.train.evaluate import Evaluation
from fastsnf.train.identity import check_same
from fastsnf.train.loop import Loop
from fastsnf.train.losses import outputs_of
from fastsnf.train.parallel import joined
from fastsnf.train.placement import as_configured, as_placed
from fastsnf.train.plan import Plan, make_plan
from fastsnf.train.recorder import Recorder
from fastsnf.train.result import FitResult
from fastsnf.train.run import open_run
from fastsnf.train.state import FitState
from fastsnf.train.together import start_together
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

    On a GPU the steps of a plain field run as a CUDA graph (`fastsnf.train.updates.may_record` says when),
    the data stay there, and the host looks at the loss every `fastsnf.train.loop.READ_EVERY` steps, so that a
    row of metrics, a checkpoint or the news of a loss that is not finite may come so many steps late.

    With ``iga`` (`fastsnf.ntk.IGA`) the residuals of each step are adjusted before they become gradients
    (inductive gradient adjustment); loss and PSNR stay those of the plain MSE, and the state of the
    adjustment is part of every checkpoint.

    Processes that torchrun started, or that share a torch.distributed group, make one fit together, all with
    the same arguments: see `fastsnf.train.parallel`. The first of them alone calls callbacks and writes, and
    has the rendering of the result; weights and metrics are those of a single process, to rounding.

    Steps are made in training mode; the field is returned in evaluation mode, which is the same for most.

    Args:
        field: [..., D] -> [..., C]; its weights are where the fit starts, so that a loaded field is a warm
            start. It is moved to the device of the configuration.
        signal: D coordinates and C values at N points.
        config: the settings; None takes the defaults.
        run: the run folder to write; None writes nothing. In a run folder, SIGINT and SIGTERM save a
            checkpoint before they stop the fit.
        callbacks: observers; without them nothing is printed.
        resume: go on from the newest checkpoint of `run`. The weights are then bit for bit those of a fit
            that was never stopped, for the same number of threads or on the same kind of GPU. The settings
            must be the run's.
        record: JSON-able facts that ``config.toml`` keeps for the caller, in its table ``[command]``.
        options: fields of `FitConfig`, over those of `config`: ``fit(field, image, steps=500)``.

    Returns:
        The result: metrics, history, and the field that was passed in.

    Raises:
        InputError: for settings, a field, a signal or a run folder that do not fit together.
        RunError: when the loss turns NaN, the GPU's memory does not suffice, or the disk is full or fails;
            earlier checkpoints stay.
        fastsnf.train.interrupt.Interrupted: after SIGINT or SIGTERM, with a checkpoint saved.
    """
    settings = make_config(config, options)
    for callback in callbacks:
        if not isinstance(callback, Callback):
            raise InputError(
                f"expected callbacks of class fastsnf.train.Callback; got {type(callback).__name__}"
            )
    if resume and run is None:
        raise InputError("expected the run folder to resume; got resume=True without run")
    with contextlib.ExitStack() as stack:
        world = stack.enter_context(joined())
        stack.enter_context(as_configured(settings))
        plan = world.each(lambda: make_plan(field, signal, settings, written=run is not None))
        stack.enter_context(as_placed(settings, plan.place))
        state, watchers = plan.start(), callbacks if world.first else ()

        def enter() -> Recorder | None:
            if run is None:
                return None
            folder = stack.enter_context(open_run(run, resume=resume))
            recorder = Recorder(folder, plan.step.optimizer, plan.updates, plan.describe())
            _enter(recorder, plan, state, resume=resume, record=record)
            return recorder

        recorder = start_together(world, plan, state, enter)
        Loop(state, plan, watchers, recorder, guarded=run is not None).run()
        with _saved(state, recorder):
            final = world.from_first(lambda: _finish(plan, state, recorder, watchers), sent=_told)
        result = _result(plan, state, *final)
        field.eval()
        field.outputs = outputs_of(settings.loss)  # which `fastsnf.save` and `Field.at` go by
        for callback in watchers:
            callback.on_end(result)
        return result


def _enter(
    recorder: Recorder, plan: Plan, state: FitState, *, resume: bool, record: Mapping[str, Any] | None
) -> None:
    """Go back to the newest checkpoint, if there is one to resume, and write the configuration."""
    folder, description = recorder.folder, recorder.description
    state.run = folder.path
    snapshot = folder.snapshots.newest() if resume else None
    if snapshot is not None:
        check_same(description["identity"], snapshot.identity, str(folder.path))
        snapshot.restore(plan.field, plan.step.optimizer)
        plan.updates.load_state_dict(snapshot.state_of_updates())
        state.step, state.loss = snapshot.step, snapshot.loss
        state.seconds, state.seconds_steps = snapshot.seconds, snapshot.seconds_steps
        state.points_seen = plan.sampler.points_seen(state.step)
    tables = {
        "fastsnf": {"version": __version__, "torch": torch.__version__, "threads": torch.get_num_threads()},
        "fit": plan.config.to_dict(),
        "field": description["field"],
        "signal": description["signal"],
    }
    if record is not None:
        tables["command"] = dict(record)
    state.history = folder.begin(tables, snapshot)


@contextlib.contextmanager
def _saved(state: FitState, recorder: Recorder | None) -> Iterator[None]:
    """Say of a signal after the last step that the run is saved: a large grid takes long to measure."""
    try:
        yield
    except KeyboardInterrupt as error:
        if recorder is None:
            raise
        status = getattr(error, "exit_status", 128 + signals.SIGINT)
        raise recorder.interrupted(state, status - 128) from error


def _finish(
    plan: Plan, state: FitState, recorder: Recorder | None, callbacks: Sequence[Callback]
) -> tuple[Evaluation, str | None]:
    """Evaluate the final weights and write what a run folder ends with; return metrics, what is left out."""

    def progress(done: int, total: int) -> None:
        for callback in callbacks:
            callback.on_evaluate(done, total, state)

    final = state.preview if state.preview_step == state.step else None
    if final is None or final.rendering is None:
        final = plan.evaluate(progress=progress)
    assert final is not None, "nothing stops the last evaluation"
    assert final.rendering is not None, "it is of every point"
    if math.isnan(final.psnr):
        raise RunError(
            f"expected finite values after step {state.step}; got NaN: the learning rate is likely too "
            "high: lower lr"
        )
    left_out = None
    if recorder is not None:
        recorder.folder.save_field(state)
        left_out = recorder.folder.reconstruct(final.rendering)
    return final, left_out


def _told(final: tuple[Evaluation, str | None]) -> tuple[Evaluation, str | None]:
    """Return what other processes get of the last evaluation: its numbers."""
    return dataclasses.replace(final[0], rendering=None), final[1]


def _result(plan: Plan, state: FitState, final: Evaluation, left_out: str | None) -> FitResult:
    """Return the result, whose rendering is empty in a process that was only told the numbers."""
    signal = plan.signal.evaluation
    return FitResult(
        kind=plan.signal.kind,
        steps=state.step,
        seconds=state.seconds,
        seconds_steps=state.seconds_steps,
        points_per_second=state.points_seen / state.seconds if state.seconds > 0 else 0.0,
        metrics=final.metrics,
        loss=state.loss,
        engine=state.engine,
        device=state.device,
        precision=state.precision,
        parameters=state.parameters,
        seed=plan.config.seed,
        run=None if state.run is None else str(state.run),
        iga=plan.updates.report(),
        left_out=left_out,
        field=plan.field,
        history=state.history,
        rendering=final.rendering or signal.rendering(signal.shape),
    )
