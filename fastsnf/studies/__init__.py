"""Studies: papers' tables and figures, run again beside the papers' numbers.

A study is a class of `fastsnf.studies.study.Study` with settings of `fastsnf.studies.settings.Settings`; an
entry in `fastsnf.studies.registry.STUDIES` makes it one of ``fastsnf reproduce``. Names resolve on first use.
"""

from __future__ import annotations

from fastsnf.lazy import on_first_use

_HOMES = {"STUDIES": "registry", "Report": "runner", "reproduce": "runner"}

__getattr__, __dir__ = on_first_use(__name__, _HOMES)
