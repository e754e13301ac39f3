"""What the user sees of a fit: a header, then one live line or plain lines."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from fastsnf import ops
from fastsnf.cli.counter import PLAIN, REDRAW, Counter, clock
from fastsnf.cli.signal_lines import described
from fastsnf.nn import LayeredField
from fastsnf.train import Callback
from fastsnf.train.parallel import World

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live
    from rich.table import Table

    from fastsnf.train import FitResult, FitState

BAR = 24
"""Characters of the progress bar."""
WITH_BAR = 110
"""Characters of a terminal that has room for the bar beside the line."""


class Header(Callback):
    """Name signal, field, engine and run folder before the first step.

    Args:
        console: where to.
        name: of the input.
        more: further labelled lines: the recipe, what the search of alpha found.
    """

    def __init__(self, console: Console, name: str, more: Sequence[tuple[str, str]] = ()) -> None:
        self._console, self._name, self._more = console, name, more

    def on_start(self, state: FitState) -> None:
        """Print the header."""
        for label, line in [*header(state, self._name), *self._more]:
            self._console.print(f"{label:<8}{line}", soft_wrap=True)


class Progress(Callback):
    """Show the latest row of metrics: on a terminal one live line, elsewhere a line every few seconds."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live: Live | None = None
        self._counter: Counter | None = None
        self._start = (0, 0.0)
        self._due = -math.inf
        self._previewed = False

    def on_start(self, state: FitState) -> None:
        """Open the live line; nothing draws it but `on_log`, since a thread would slow the engine's."""
        from rich.live import Live

        self._start = state.points_seen, state.seconds
        if self._console.is_terminal:
            self._live = Live(console=self._console, auto_refresh=False, transient=True)
            self._live.start()

    def on_log(self, row: dict[str, Any], state: FitState) -> None:
        """Show where the fit stands, unless that was done a moment ago."""
        now = time.monotonic()
        if now < self._due:
            return
        self._due = now + (REDRAW if self._live is not None else PLAIN)
        line = progress_line(state, self._start)
        if self._live is None:
            self._console.print(line, soft_wrap=True)
        else:
            wide = self._console.width >= WITH_BAR
            self._live.update(_bar(line, state) if wide else line, refresh=True)

    def on_preview(self, state: FitState) -> None:
        """Say once where a viewer can watch; of a large signal, what its sampled points say each time."""
        preview = state.preview
        if preview is not None and preview.sampled is not None:
            from fastsnf.analysis.run_report.numbers import said

            known = ", ".join(said(name, value) for name, value in preview.metrics.items())
            self._console.print(f"preview at {preview.sampled:,} points: {known}", soft_wrap=True)
        elif state.run is not None and not self._previewed:
            made = state.run / state.signal.default_name
            if made.exists():  # a solid that is nowhere has no mesh
                self._previewed = True
                self._console.print(
                    f"a first reconstruction is in {made}, renewed as the fit goes on", soft_wrap=True
                )

    def on_evaluate(self, done: int, total: int, state: FitState) -> None:
        """Show how far the last evaluation is, where it takes long."""
        if self._counter is None:
            self.close()
            self._counter = Counter(self._console, "final evaluation")
        self._counter(done, total)

    def on_end(self, result: FitResult) -> None:
        """Close the live line."""
        self.close()

    def close(self) -> None:
        """Give the terminal back, whatever ended the fit."""
        if self._live is not None:
            self._live.stop()
            self._live = None
        if self._counter is not None:
            self._counter.close()
            self._counter = None


def header(state: FitState, name: str) -> list[tuple[str, str]]:
    """Return the labelled lines that say what is fitted, with what, and where."""
    import torch

    signal = state.signal
    shape = " x ".join(map(str, signal.shape))
    channels = f"{signal.out_features} channel{'s' * (signal.out_features > 1)}"
    threads = torch.get_num_threads()
    where = f"cpu, {threads} thread{'s' * (threads > 1)}" if state.device == "cpu" else state.device
    processes = World.current().size
    where = f"{processes} processes of {where}" if processes > 1 else where
    lines = [
        ("signal", f"{name}: {signal.kind}, {shape}, {channels}; {state.points:,} points"),
        *described(signal),
        ("field", f"{state.field.summary()}, {state.parameters:,} parameters"),
        ("engine", f"{state.engine} on {where}, {state.precision}{_passed_over(state)}"),
    ]
    if state.memory:
        lines.append(("memory", state.memory))
    if state.iga is not None:
        lines.append(("iga", state.iga))
    if state.run is not None:
        resumed = f", resumed at step {state.step:,}" if state.step else ""
        lines.append(("run", f"{state.run}{resumed}"))
    return lines


def progress_line(state: FitState, start: tuple[int, float] = (0, 0.0)) -> str:
    """Return step, loss, PSNR, points a second and time left as one line.

    Args:
        state: where the fit stands.
        start: points and seconds that earlier sessions of a resumed run had spent.
    """
    steps = f"{state.step:,}" + (f"/{state.max_steps:,}" if state.max_steps is not None else "")
    parts = [f"step {steps}"]
    if state.loss is not None:
        parts.append(f"loss {state.loss:.3e}")
    if state.psnr is not None and math.isfinite(state.psnr):
        parts.append(f"PSNR {state.psnr:.2f} dB")
    seconds = state.seconds - start[1]
    if seconds > 0:
        parts.append(f"{(state.points_seen - start[0]) / seconds / 1e6:.2f} M points/s")
    left = time_left(state)
    parts.append(f"{clock(left)} left" if left is not None else clock(state.seconds))
    return "  ".join(parts)


def time_left(state: FitState) -> float | None:
    """Return the seconds until the step budget or the time limit ends the fit; None where neither does."""
    bounds = []
    if state.max_steps is not None and state.step:
        bounds.append(state.seconds / state.step * (state.max_steps - state.step))
    if state.config.time_limit is not None:
        bounds.append(state.config.time_limit - state.seconds)
    return max(0.0, min(bounds)) if bounds else None


def _bar(line: str, state: FitState) -> Table:
    """Return a progress bar, where the end is known, with the line beside it."""
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    row = Table.grid(padding=(0, 1))
    cells: list[Any] = [Text(line, no_wrap=True, overflow="ellipsis")]
    left = time_left(state)
    if left is not None:
        cells.insert(0, ProgressBar(total=state.seconds + left, completed=state.seconds, width=BAR))
    row.add_row(*cells)
    return row


def _passed_over(state: FitState) -> str:
    """Return why engines that `auto` would have taken first cannot take the call, where there are any."""
    parameter = next(state.field.parameters())
    x = state.signal.batch(slice(0, 1))[0].to(device=parameter.device, dtype=parameter.dtype.to_real())
    field = state.field
    if not isinstance(field, LayeredField):
        return "" if state.engine == "reference" else " (its layers take the engines one by one)"
    weights, biases = field.layer_tensors()
    reasons = []
    for engine, why in ops.explain(field.encode(x), weights, biases, spec=field.spec):
        if engine == state.engine:
            break
        if engine == "triton" and state.device == "cpu":
            continue  # an engine of GPUs is no choice for a fit on the CPU; `fastsnf info` says what it lacks
        reasons.extend([f"{engine}: {'; '.join(why)}"] if why else [])
    return f" ({', '.join(reasons)})" if reasons else ""
