"""The settings of inductive gradient adjustment. No torch here: the command line reads this module."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, NamedTuple

from fastsnf.errors import InputError, nearest, unknown

SAMPLES = ("argmax_lagged", "argmax", "argmax_shared_sum", "center", "random", "random_once")
FORMS = ("auto", "adam", "sgd")
KINDS = ("patch", "cube", "run", "ray")
"""Kinds of groups that a text names, each followed by ``:size``."""

MOST = 2**63 - 1


class GroupText(NamedTuple):
    """What ``kind:size`` says."""

    kind: str
    size: int


@dataclass(frozen=True)
class IGA:
    """How to adjust gradients (Eq. 4 to 6 and 9 of the IGA paper).

    Args:
        group: how points form groups: ``patch:32`` (32 x 32 pixels), ``cube:8``, ``run:256`` (consecutive
            points), ``ray:64`` (64 samples a ray), a number (the size, of the kind that the signal's axes
            suggest), a `fastsnf.ntk.Groups`, what `Groups.of` takes (the group of every point, or the points
            of every group), or None for the papers' choice for the signal: patches of 32 x 32, runs of 256 in
            one and three dimensions.
        start, end: eigenvalues ``lambda_start .. lambda_(end - 1)``, counted from 0, are adjusted; the rest
            of the spectrum keeps its gradients. Equal ones adjust nothing.
        target: the eigenvalue that they become; None for the form's own.
        form: ``sgd`` amplifies towards ``lambda_start``, ``adam`` attenuates to ``lambda_end``; ``auto``
            is ``sgd`` for the optimizer of that name and ``adam`` for every other.
        sample: which point stands for its group. ``argmax_lagged``: that of the largest residual in the
            previous pass, which costs nothing. ``argmax``: of this pass, as the paper says, for one more
            forward pass. ``argmax_shared_sum``: what the released code does, the sum over all groups'
            offsets. ``center``, ``random`` (anew each step), ``random_once``.
        refresh: steps between two computations of the adjustment.
        seed: of ``random`` and ``random_once``.

    Raises:
        InputError: for a setting of another type or out of range.
    """

    group: Any = None
    start: int = 0
    end: int = 20
    target: int | None = None
    form: str = "auto"
    sample: str = "argmax_lagged"
    refresh: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (("start", 0), ("end", 0), ("refresh", 1), ("seed", 0)):
            _check_whole(name, getattr(self, name), least)
        if self.target is not None:
            _check_whole("target", self.target, 0)
        if self.start > self.end:
            raise InputError(f"expected start <= end; got start={self.start}, end={self.end}")
        if self.sample not in SAMPLES:
            raise unknown("the sample point", self.sample, SAMPLES)
        if self.form not in FORMS:
            raise unknown("the form", self.form, FORMS)
        object.__setattr__(self, "group", _checked_group(self.group))

    def target_of(self, optimizer: str = "adam") -> int:
        """Return the index of the eigenvalue that the adjusted ones become, under an optimizer's form."""
        if self.target is not None:
            return self.target
        return self.start if self.form_of(optimizer) == "sgd" else self.end

    def form_of(self, optimizer: str = "adam") -> str:
        """Return ``sgd`` or ``adam``: the form under an optimizer of that name."""
        if self.form != "auto":
            return self.form
        return "sgd" if optimizer == "sgd" else "adam"

    def pairs(self, optimizer: str = "adam") -> int:
        """Return how many leading eigenpairs the adjustment reads, 0 where it adjusts nothing."""
        return 0 if self.start == self.end else max(self.end, self.target_of(optimizer) + 1)

    def to_dict(self) -> dict[str, Any]:
        """Return the settings that are not None, JSON-able; groups given as points are told by a digest."""
        settings = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        if hasattr(self.group, "describe"):
            settings["group"] = self.group.describe()
        return {name: value for name, value in settings.items() if value is not None}


def parse_group(text: str) -> GroupText:
    """Return what a text such as ``patch:32`` says.

    Raises:
        InputError: unless it is a kind, a colon and a whole number of at least 1.
    """
    kind, colon, size = text.partition(":")
    if kind not in KINDS or not colon:
        listed = ", ".join(f"{kind}:SIZE" for kind in KINDS)
        hint = "" if kind in KINDS else nearest(kind, KINDS)
        raise InputError(f"expected the group as {listed} or a number; got {text!r}{hint}")
    if not (size.isascii() and size.isdigit() and 1 <= int(size) <= MOST):
        raise InputError(f"expected a whole number of at least 1 after {kind!r} and a colon; got {text!r}")
    return GroupText(kind, int(size))


def _checked_group(group: Any) -> Any:
    """Return the group setting: None, a size, a text that parses, or `Groups`."""
    if group is None or hasattr(group, "describe"):
        return group
    if isinstance(group, str):
        if group.isascii() and group.isdigit():  # "32" from a command line
            group = int(group)
        else:
            parse_group(group)
            return group
    if isinstance(group, int) or not hasattr(group, "__len__"):
        _check_whole("the group's size", group, 1)
        return group
    from fastsnf.ntk.groups import Groups  # torch: whoever has an index has loaded it, or will

    return Groups.of(group)


def _check_whole(name: str, value: Any, least: int) -> None:
    """Raise `InputError` unless `value` is a whole number in [least, 2^63)."""
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= MOST:
        raise InputError(f"expected {name} to be a whole number of at least {least}; got {value!r}")
