"""The loop: step, record, preview, save, stop."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence

from torch import Tensor

from fastsnf.train.callbacks import Callback
from fastsnf.train.diverged import diverged
from fastsnf.train.interrupt import Interrupt, Interrupted
from fastsnf.train.optimizers import set_rates
from fastsnf.train.pacing import Clock, LogPace, LookPace, PreviewPace
from fastsnf.train.parallel import PeerLost, World
from fastsnf.train.plan import Plan
from fastsnf.train.recorder import Recorder
from fastsnf.train.state import FitState

READ_EVERY = 16
"""Steps between two looks at the loss on a device where looking means waiting for it."""


class Loop:
    """Runs a fit from the state it is given to its end.

    Args:
        state: moved forward step by step.
        plan: what a step is, and when the fit ends.
        callbacks: called between steps.
        recorder: what writes the run folder; None writes nothing.
        guarded: whether signals wait for the end of a step; by default where there is something to save. Of
            several processes the first alone has callbacks and a recorder, and all are guarded or none is.
    """

    _signum: int | None

    def __init__(
        self,
        state: FitState,
        plan: Plan,
        callbacks: Sequence[Callback],
        recorder: Recorder | None,
        *,
        guarded: bool | None = None,
    ) -> None:
        self._state, self._plan, self._callbacks, self._recorder = state, plan, callbacks, recorder
        self._interrupt = Interrupt()
        watched = any(type(callback).on_preview is not Callback.on_preview for callback in callbacks)
        every = state.config.preview_every if watched or recorder is not None else 0.0
        self._previews = PreviewPace(every, state.seconds)
        self._rows = LogPace(state.config.log_every)
        self._looks = _look_pace(state, plan)
        self._unseen: Tensor | None = None
        self._rate = 0.0
        self._finite = state.step
        self._world = World.current()
        self._guarded = recorder is not None if guarded is None else guarded
        self._now, self._signum = state.seconds, None

    def run(self) -> None:
        """Step until a stop rule is reached; raises as `steps`."""
        for _ in self.steps():
            pass

    def steps(self) -> Iterator[None]:
        """Step until a stop rule is reached, giving way after every step, so that fits can take turns.

        Raises:
            RunError: when the loss is not finite, or the disk fails.
            fastsnf.train.interrupt.Interrupted: after SIGINT or SIGTERM, with a checkpoint saved; only in a
                run folder, since without one there is nothing to save and signals keep their meaning.
        """
        state, recorder = self._state, self._recorder
        for callback in self._callbacks:
            callback.on_start(state)
        with self._interrupt if self._guarded else contextlib.nullcontext(), self._saving_if_left():
            if recorder is not None and state.step == 0:
                self._save(recorder)
            self._clock = Clock(state.seconds, state.seconds_steps)
            self._saved_at = state.seconds
            done = self._plan.stop.reached(state.step, state.seconds)
            done = self._agreed(done)
            while not done and self._signum is None:
                done = self._advance()
                yield
            self._look(state.step)
            if recorder is not None:
                self._save(recorder)
            if not done and self._signum is not None:
                raise self._interrupted(self._signum)

    def _interrupted(self, signum: int) -> Interrupted:
        """Return what a signal ends the fit with; the process that writes has saved."""
        if self._recorder is None:
            interrupted = Interrupted(signum, "the first process saves")
            interrupted.told_elsewhere = True
            return interrupted
        return self._recorder.interrupted(self._state, signum)

    @contextlib.contextmanager
    def _saving_if_left(self) -> Iterator[None]:
        """Save before going when another process is gone: the steps so far are whole."""
        try:
            yield
        except PeerLost:
            if self._recorder is not None:
                self._save(self._recorder)
            raise

    def _advance(self) -> bool:
        """Make one step and what is due after it; return whether the fit has reached its end."""
        state, plan = self._state, self._plan
        seconds = self._clock.seconds if self._world.size == 1 else self._now
        progress = plan.stop.progress(state.step, seconds)
        lr = set_rates(plan.step.optimizer, plan.rates, plan.schedule.multiplier(state.step, progress))
        self._rate, self._unseen = lr, plan.updates.gradients(plan.sampler.indices(state.step))
        look = self._looks.due(state.step + 1)
        if look:
            self._look(state.step + 1)
        plan.updates.update()
        state.step += 1
        state.points_seen = plan.sampler.points_seen(state.step)
        self._tell_time()
        done = state.stop_requested or plan.stop.reached(state.step, state.seconds)
        if look or done:
            if not look:
                self._look(state.step)
                self._tell_time()
            if self._world.first:
                with self._clock.aside():
                    done = self._after(lr, done)
            self._tell_time()
        return self._agreed(done or state.stop_requested)

    def _agreed(self, done: bool) -> bool:
        """Return whether the fit is done, and note the time and the signal that all processes go by.

        The first of them decides. A signal that any of them gets stops them all.
        """
        if self._world.size == 1:
            self._signum = self._interrupt.signum
            return done
        mine = [float(done), self._clock.seconds] if self._world.first else [0.0, 0.0]
        ended, self._now, signum = self._world.largest([*mine, float(self._interrupt.signum or 0)])
        self._signum = int(signum) or None
        return bool(ended)

    def _look(self, step: int) -> None:
        """Read the loss of step number `step`, unless that is done; on a GPU this waits for it.

        Raises:
            RunError: when it is not finite.
        """
        if self._unseen is None:
            return
        loss, self._unseen = float(self._unseen), None
        if not math.isfinite(loss):
            saved = None if self._recorder is None else self._recorder.last_saved()
            batches = self._plan.updates.batches()
            error = diverged(self._state, batches, self._rate, saved, step=step, finite=self._finite)
            error.told_elsewhere = not self._world.first
            raise error
        self._state.loss, self._finite = loss, step

    def _after(self, lr: float, done: bool) -> bool:
        """Do what is due after a step at the rate `lr`; return whether the fit is done."""
        state = self._state
        done = done or self._on_target()
        if self._rows.due(state.step, state.seconds) or done:
            self._log(lr)
        if not done:
            self._preview()
            self._checkpoint()
        return done

    def _on_target(self) -> bool:
        """Return whether the PSNR over all points has reached the target.

        It is looked at once an epoch at most, and only when the batch has reached it, so that it depends on
        the step alone and costs at most a third of the steps' time near the end.
        """
        state, plan = self._state, self._plan
        target = plan.stop.target_psnr
        if target is None or state.step % plan.sampler.steps_per_epoch or state.loss is None:
            return False
        if plan.updates.batch_psnr(state.loss) < target:
            return False
        state.preview, state.preview_step = plan.evaluate(), state.step
        return state.preview is not None and state.preview.psnr >= target

    def _log(self, lr: float) -> None:
        """Record a row of metrics: loss and PSNR are those of the last batch, before its update."""
        state = self._state
        assert state.loss is not None, "a row follows a step"
        state.psnr, state.lr = self._plan.updates.batch_psnr(state.loss), lr
        row = {
            "step": state.step,
            "seconds": round(state.seconds, 6),
            "loss": state.loss,
            "psnr": state.psnr,
            "lr": lr,
        }
        state.history.append(row)
        if self._recorder is not None:
            self._recorder.folder.log(row)
        for callback in self._callbacks:
            callback.on_log(row, state)

    def _preview(self) -> None:
        """Evaluate the field, write the reconstruction and tell the callbacks, if it is time to.

        A large signal is measured at a sample of its points, and then nothing is written.
        """
        state = self._state
        # A forward pass is about a third of a step.
        estimate = self._plan.preview_points * state.seconds_steps / (3 * state.points_seen)
        if not self._previews.due(state.seconds, estimate):
            return
        before = self._clock.seconds
        preview = self._plan.preview(lambda: self._interrupt.signum is not None)
        if preview is None:
            return
        state.preview, state.preview_step = preview, state.step
        if self._recorder is not None and preview.rendering is not None:
            self._recorder.folder.reconstruct(preview.rendering)
        for callback in self._callbacks:
            callback.on_preview(state)
        now = self._clock.seconds
        self._previews.done(now, now - before)

    def _save(self, recorder: Recorder) -> None:
        """Write a checkpoint, whose field is ready for evaluation mode."""
        self._plan.settle()
        recorder.save(self._state)

    def _checkpoint(self) -> None:
        due = self._saved_at + self._state.config.checkpoint_every
        if self._recorder is not None and self._clock.seconds >= due:
            self._save(self._recorder)
            self._saved_at = self._clock.seconds

    def _tell_time(self) -> None:
        state = self._state
        state.seconds = self._clock.seconds
        state.seconds_steps = self._clock.steps_of(state.seconds)


def _look_pace(state: FitState, plan: Plan) -> LookPace:
    """Return when the loss is looked at: wherever the step itself asks for a row, a target, a checkpoint."""
    config = state.config
    if state.device == "cpu" or config.checkpoint_every == 0:
        return LookPace(1)
    exact = [] if config.log_every is None else [config.log_every]
    if config.target_psnr is not None:
        exact.append(plan.sampler.steps_per_epoch)
    return LookPace(READ_EVERY, exact)
