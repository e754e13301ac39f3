"""SIGINT and SIGTERM: the checkpoint is saved, the exit status is the shell's, resuming is exact."""

from __future__ import annotations

import os
import signal
import threading

import pytest

import fastsnf
from fastsnf.train.interrupt import Interrupt, Interrupted
from tests.cases import count
from tests.train.processes import join, start, wait_for
from tests.train.samples import (
    BATCHES,
    Announce,
    fit_process,
    fit_small,
    same_state,
    small_field,
    small_image,
)

STEPS = 400
SIGNALS = [(signal.SIGINT, 130), (signal.SIGTERM, 143)]


@pytest.fixture(scope="module")
def uninterrupted():
    return fit_small(steps=STEPS)


class Send(fastsnf.train.Callback):
    """Sends this process a signal after some row."""

    def __init__(self, signum: int, step: int) -> None:
        self._signum, self._step = signum, step

    def on_log(self, row, state):
        if row["step"] == self._step:
            os.kill(os.getpid(), self._signum)


@pytest.mark.parametrize(("signum", "status"), SIGNALS)
@pytest.mark.parametrize("trial", range(count(20)))
def test_a_signal_saves_and_exits(signum, status, trial, uninterrupted, tmp_path):
    run, marker = tmp_path / "run", tmp_path / "marker"
    process = start(fit_process, run, marker, {"steps": STEPS * 100})
    wait_for(marker, process)
    os.kill(process.pid, signum)
    assert join(process) == status
    assert fastsnf.load(run).in_features == 2


@pytest.mark.parametrize(("signum", "status"), SIGNALS)
def test_resume_after_a_signal_is_exact(signum, status, uninterrupted, tmp_path):
    with pytest.raises(Interrupted, match="step 100 is saved") as caught:
        fit_small(tmp_path / "run", steps=STEPS, callbacks=[Send(signum, 100)])
    assert caught.value.exit_status == status
    assert caught.value.signum == signum
    resumed = fit_small(tmp_path / "run", steps=STEPS, resume=True)
    assert same_state(resumed.field, uninterrupted.field)
    assert [row["loss"] for row in resumed.history] == [row["loss"] for row in uninterrupted.history]


def test_handlers_are_put_back(tmp_path):
    before = [signal.getsignal(number) for number, _ in SIGNALS]
    fit_small(tmp_path / "run")
    assert [signal.getsignal(number) for number, _ in SIGNALS] == before


def test_second_signal_acts_at_once():
    with Interrupt() as interrupt:
        os.kill(os.getpid(), signal.SIGINT)
        assert interrupt.signum == signal.SIGINT
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_without_a_run_folder_signals_keep_their_meaning():
    with pytest.raises(KeyboardInterrupt) as caught:
        fit_small(callbacks=[Send(signal.SIGINT, 5)])
    assert not isinstance(caught.value, Interrupted)


def test_a_fit_in_another_thread_listens_for_nothing(tmp_path):
    before = [signal.getsignal(number) for number, _ in SIGNALS]
    seen = []

    class Look(Announce):
        def on_log(self, row, state):
            seen.append([signal.getsignal(number) for number, _ in SIGNALS])

    def work():
        fastsnf.fit(small_field(), small_image(), run=tmp_path / "run", callbacks=[Look(tmp_path)], **BATCHES)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen
    assert all(handlers == before for handlers in seen)
