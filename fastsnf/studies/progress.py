"""Where a fit inside a study stands."""

from __future__ import annotations

from typing import Any

from fastsnf.studies.study import Progress
from fastsnf.train import Callback, FitState


class Told(Callback):
    """Passes every row of a fit's metrics on as the progress of a study's row."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def on_log(self, row: dict[str, Any], state: FitState) -> None:
        """Tell steps and loss."""
        self._progress(row["step"], state.max_steps or row["step"], row["loss"])
