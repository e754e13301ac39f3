"""The loop: step, record, preview, save, stop."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Sequence
from typing import Any

import torch

from fastsnf.errors import RunError
from fastsnf.train.callbacks import Callback
from fastsnf.train.diverged import diverged
from fastsnf.train.evaluate import Evaluation
from fastsnf.train.interrupt import Interrupt, Interrupted
from fastsnf.train.optimizers import set_rates
from fastsnf.train.pacing import Clock, LogPace, PreviewPace
from fastsnf.train.points import Points
from fastsnf.train.run import RunFolder
from fastsnf.train.sampler import Sampler
from fastsnf.train.schedule import Schedule
from fastsnf.train.state import FitState
from fastsnf.train.step import Step
from fastsnf.train.stopping import StopRule

READ_EVERY = 16
"""Steps between two looks at the loss on a device where looking means waiting for it."""

Evaluate = Callable[[Callable[[], bool] | None], Evaluation | None]
"""Evaluates the field at every point; gives up, with None, once its argument returns True."""


class Loop:
    """Runs a fit from the state it is given to its end.

    Args:
        state: moved forward step by step.
        step, points, sampler: what an update does, and with which points.
        rates, schedule: its learning rates, before the schedule, and their factor.
        stop: when to end.
        evaluate: the field at all points.
        callbacks: called between steps.
        run: where to record; None records nothing.
        description: the metadata of a checkpoint of this run.
    """

    def __init__(
        self,
        state: FitState,
        *,
        step: Step,
        points: Points,
        sampler: Sampler,
        rates: Sequence[float],
        schedule: Schedule,
        stop: StopRule,
        evaluate: Evaluate,
        callbacks: Sequence[Callback],
        run: RunFolder | None,
        description: dict[str, Any],
    ) -> None:
        self._state = state
        self._step, self._points, self._sampler = step, points, sampler
        self._schedule, self._stop, self._evaluate = schedule, stop, evaluate
        self._callbacks, self._run, self._description = callbacks, run, description
        self._rates = rates
        self._waits = next(state.field.parameters()).device.type != "cpu"
        self._previews = run is not None or any(
            type(c).on_preview is not Callback.on_preview for c in callbacks
        )

    def run(self) -> None:
        """Step until a stop rule is reached.

        Raises:
            RunError: when the loss is not finite, or the disk fails.
            Interrupted: after SIGINT or SIGTERM, with a checkpoint saved; only in a run folder, since without
            one
                there is nothing to save and signals keep their meaning.
        """
        state, interrupt = self._state, Interrupt()
        for callback in self._callbacks:
            callback.on_start(state)
        with interrupt if self._run is not None else contextlib.nullcontext():
            if state.step == 0:
                self._save()
            self._clock = Clock(state.seconds, state.seconds_steps)
            self._log_pace = LogPace(state.config.log_every)
            self._preview_pace = PreviewPace(state.config.preview_every, state.seconds)
            self._saved_at = state.seconds
            done = self._stop.reached(state.step, state.seconds)
            while not done and interrupt.signum is None:
                done = self._advance(interrupt)
            self._save()
            if not done and interrupt.signum is not None:
                self._interrupted(interrupt.signum)

    def _advance(self, interrupt: Interrupt) -> bool:
        """Make one step and what is due after it; return whether the fit has reached its end."""
        state = self._state
        progress = self._stop.progress(state.step, self._clock.seconds)
        lr = set_rates(self._step.optimizer, self._rates, self._schedule.multiplier(state.step, progress))
        x, y, w = self._points.batch(self._sampler.indices(state.step))
        loss = self._step.gradients(x, y, w)
        look = not self._waits or state.step % READ_EVERY == 0
        value = float(loss) if look else None
        if value is not None and not math.isfinite(value):
            raise diverged(state, (x, y, w), lr, self._last_saved())
        self._step.optimizer.step()
        state.step += 1
        state.points_seen = self._sampler.points_seen(state.step)
        self._tell_time()
        done = state.stop_requested or self._stop.reached(state.step, state.seconds)
        if value is None and done:
            value = float(loss)
        if value is None:
            return done
        with self._clock.aside():
            state.loss = value
            done = done or self._on_target(value, y, w)
            if self._log_pace.due(state.step, state.seconds) or done:
                self._log(value, self._step.batch_psnr(value, y, w), lr)
            if not done:
                self._preview(interrupt)
                self._checkpoint()
        self._tell_time()
        return done or state.stop_requested

    def _on_target(self, loss: float, y: torch.Tensor, w: torch.Tensor | None) -> bool:
        """Return whether the PSNR over all points has reached the target.

        It is looked at once an epoch at most, and only when the batch has reached it, so that it depends on
        the step alone and costs at most a third of the steps' time near the end.
        """
        target, state = self._stop.target_psnr, self._state
        if target is None or state.step % self._sampler.steps_per_epoch:
            return False
        if self._step.batch_psnr(loss, y, w) < target:
            return False
        state.preview, state.preview_step = self._evaluate(None), state.step
        return state.preview is not None and state.preview.psnr >= target

    def _log(self, loss: float, psnr: float, lr: float) -> None:
        state = self._state
        state.psnr, state.lr = psnr, lr
        row = {"step": state.step, "seconds": round(state.seconds, 6), "loss": loss, "psnr": psnr, "lr": lr}
        state.history.append(row)
        if self._run is not None:
            self._run.log(row)
        for callback in self._callbacks:
            callback.on_log(row, state)

    def _preview(self, interrupt: Interrupt) -> None:
        """Evaluate the field, write the reconstruction and tell the callbacks, if it is time to."""
        state = self._state
        # A forward pass is about a third of a step.
        estimate = state.signal.size * state.seconds_steps / (3 * state.points_seen)
        if not self._previews or not self._preview_pace.due(state.seconds, estimate):
            return
        before = self._clock.seconds
        preview = self._evaluate(lambda: interrupt.signum is not None)
        if preview is None:
            return
        state.preview, state.preview_step = preview, state.step
        if self._run is not None:
            self._run.reconstruct(state.signal, preview.values)
        for callback in self._callbacks:
            callback.on_preview(state)
        now = self._clock.seconds
        self._preview_pace.done(now, now - before)

    def _checkpoint(self) -> None:
        if self._clock.seconds - self._saved_at >= self._state.config.checkpoint_every:
            self._save()
            self._saved_at = self._clock.seconds

    def _save(self) -> None:
        state = self._state
        if self._run is None:
            return
        progress = {
            "step": state.step,
            "seconds": state.seconds,
            "seconds_steps": state.seconds_steps,
            "loss": state.loss,
            "threads": torch.get_num_threads(),
        }
        self._run.snapshots.save(state.field, self._step.optimizer, progress, self._description)

    def _interrupted(self, signum: int) -> None:
        assert self._run is not None, "signals are only listened for with a run folder"
        self._run.save_field(self._state)
        raise Interrupted(
            signum, f"step {self._state.step} is saved in {self._run.path}: resume the run to go on"
        )

    def _last_saved(self) -> str | None:
        if self._run is None:
            return None
        try:
            snapshot = self._run.snapshots.newest()
        except RunError:
            return None
        return None if snapshot is None else f"step {snapshot.step} in {self._run.path}"

    def _tell_time(self) -> None:
        state = self._state
        state.seconds = self._clock.seconds
        state.seconds_steps = self._clock.steps_of(state.seconds)
