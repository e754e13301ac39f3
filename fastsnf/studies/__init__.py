"""Studies: papers' tables and figures, run again beside the papers' numbers.

A study is a class of `fastsnf.studies.study.Study` with settings of `fastsnf.studies.settings.Settings`; an
entry in `fastsnf.studies.registry.STUDIES` makes it one of ``fastsnf reproduce``. Names resolve on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {"STUDIES": "registry", "Report": "runner", "reproduce": "runner"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'fastsnf.studies' has no attribute {name!r}")
    return getattr(import_module(f"fastsnf.studies.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
