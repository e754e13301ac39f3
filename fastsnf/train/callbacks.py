"""What a caller may do while a fit runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastsnf.train.result import FitResult
    from fastsnf.train.state import FitState


class Callback:
    """Base of observers of a fit; every method does nothing until it is overridden.

    They run between two steps, in the order given, and their time counts into ``seconds`` but not into
    ``seconds_steps``. An exception from one ends the fit.
    """

    def on_start(self, state: FitState) -> None:
        """Act before the first step; a resumed fit is at `state.step` > 0."""

    def on_log(self, row: dict[str, Any], state: FitState) -> None:
        """Act on a row of metrics: step, seconds, loss, psnr, lr."""

    def on_preview(self, state: FitState) -> None:
        """Act on `state.preview`, how well the field matches the signal at every point, or at a sample."""

    def on_evaluate(self, done: int, total: int, state: FitState) -> None:
        """Act on so many points, of `total`, being measured with the final weights."""

    def on_end(self, result: FitResult) -> None:
        """Act on the result of a fit that reached its end."""
