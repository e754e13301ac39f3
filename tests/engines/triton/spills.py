"""The builds below sm_90 that may spill registers: kernel, part, constants and how much, by Triton's version.

On sm_90 nothing may. An entry that no build needs is an error of the full compile test, so that the list
shrinks when a tile gets better.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import triton

from fastsnf.engines.triton.build import Report

VERSION = ".".join(triton.__version__.split(".")[:2])


@dataclass(frozen=True)
class Spill:
    """Builds of `kernel` on `architecture` whose constants include `constants` may spill.

    Attributes:
        most: bytes a thread stores and loads of spilled registers, by Triton's version; of another version,
            the largest of them.
    """

    kernel: str
    architecture: str
    most: Mapping[str, int]
    constants: Mapping[str, Any] = field(default_factory=dict)

    @property
    def here(self) -> bool:
        """Whether the version of Triton that runs is said to spill."""
        return self.most.get(VERSION, 1) > 0

    def allows(self, report: Report) -> bool:
        """Return whether the build spills as this entry says, or less."""
        return (
            self.architecture != "sm_90"
            and (report.kernel, report.architecture) == (self.kernel, self.architecture)
            and all(report.constants.get(name) == value for name, value in self.constants.items())
            and report.spill_stores + report.spill_loads <= self.most.get(VERSION, max(self.most.values()))
        )


SPILLS: tuple[Spill, ...] = ()
