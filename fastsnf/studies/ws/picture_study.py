"""What the weight-scaling experiments on pictures share: the pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from fastsnf.studies.study import Row, Study
from fastsnf.studies.ws.config import FitsSettings, InitSettings
from fastsnf.studies.ws.sources import Source, sources

P = TypeVar("P", bound=InitSettings | FitsSettings)


class PictureStudy(Study[P]):
    """A study of the user's pictures, or of the synthetic one.

    Attributes:
        sources: the pictures, those that are missing too.
    """

    def __init__(self, settings: P, folder: Path) -> None:
        super().__init__(settings, folder)
        self.sources: list[Source] = sources(settings.data, settings.images)

    def source_of(self, row: Row) -> Source:
        """Return the picture of a row."""
        return next(source for source in self.sources if source.name == row.facts["picture"])
