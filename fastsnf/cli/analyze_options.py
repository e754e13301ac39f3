"""The options of ``fastsnf analyze``: its own, and those of ``fit`` that name signal and field."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import textwrap
import typing
from collections.abc import Mapping
from typing import Annotated, Any

import tyro
from tyro.constructors import PrimitiveConstructorSpec

from fastsnf.analysis.config import (
    DEFAULT_PARTS,
    HESSIAN_POINTS,
    HESSIAN_STEPS,
    NTK_STEPS,
    PARTS,
    POINTS,
)
from fastsnf.cli.fit_field import FIELD
from fastsnf.cli.fit_options import AUTO, FitOptions
from fastsnf.cli.options import default, integer, text
from fastsnf.cli.parse import option_name
from fastsnf.errors import InputError, unknown

SIGNAL = ("kind", "size", "squeeze", "mode")
"""Options of ``fit`` that say how a signal is read."""
FRESH = ("field", *FIELD)
"""Options of ``fit`` that say what a fresh field is."""
MOST_POINTS = 1_000_000


def parts() -> PrimitiveConstructorSpec[Any]:
    """Return the annotation of parts of an analysis, with commas between them."""

    def parse(values: list[str]) -> tuple[str, ...]:
        names = tuple(name.strip() for name in values[0].split(","))
        for name in names:
            if name not in PARTS:
                raise unknown("a part of the analysis", name, PARTS)
        return names

    return PrimitiveConstructorSpec(
        nargs=1,
        metavar="PART,...",
        instance_from_str=parse,
        is_instance=lambda value: True,
        str_from_instance=lambda value: [",".join(value or ())],
    )


@dataclasses.dataclass(frozen=True)
class OwnOptions:
    """Explain a field: NTK spectrum, condition numbers, alignment, frequencies, distributions per layer.

    Of a run folder (or a .safetensors file) it is the fitted field; of an input file a fresh one, as fit
    would start from.
    """

    input: Annotated[str, tyro.conf.Positional, text("RUN|INPUT")]
    """A run folder, a .safetensors file of a field, or an input file."""
    signal: Annotated[str | None, text("FILE"), default("the file that the run records")] = None
    """With a run: the file that it was fitted to. Without it, what needs no target is left."""
    out: Annotated[str | None, text("DIR"), default("RUN/analysis; runs/<name>-analysis")] = None
    """Where analysis.json and the pictures go."""
    only: Annotated[tuple[str, ...] | None, parts(), default(",".join(DEFAULT_PARTS))] = None
    """Parts: ntk, spectrum, hessian, layers; ntk-all takes products over all points."""
    points: Annotated[int | None, integer("N", 1, MOST_POINTS), default(str(POINTS))] = None
    """Sampled points of the NTK and the layers; time grows as N cubed."""
    hessian_points: Annotated[int | None, integer("N", 1), default(str(HESSIAN_POINTS))] = None
    """Sampled points of the loss."""
    hessian_steps: Annotated[int | None, integer("M", 6), default(str(HESSIAN_STEPS))] = None
    """Lanczos steps on the Hessian, unless the field is so small that all of it is computed."""
    ntk_steps: Annotated[int | None, integer("M", 1), default(str(NTK_STEPS))] = None
    """Lanczos steps of ntk-all."""
    seed: Annotated[int, integer("N", 0, 2**63 - 1), default("0")] = 0
    """Seed of the points, the start vectors and a fresh field."""
    device: Annotated[str, text("DEVICE"), default("auto, cuda when there is one")] = "auto"
    """Where to compute, as torch names it."""
    json: Annotated[bool, default("")] = False
    """Print one JSON object on the last line of stdout, and the tables on stderr."""


def options_class() -> type[Any]:
    """Return the dataclass of all options: the command's own and those that it shares with ``fit``."""
    shared = {field.name: field for field in dataclasses.fields(FitOptions)}
    hints = typing.get_type_hints(FitOptions, include_extras=True)
    helps = documented(FitOptions)
    fields = []
    for name in (*SIGNAL, *FRESH):
        kind, *extra = typing.get_args(hints[name])
        note = tyro.conf.arg(help=helps.get(name, ""))
        fields.append((name, Annotated[(kind, *extra, note)], shared[name].default))
    made = dataclasses.make_dataclass("AnalyzeOptions", fields, bases=(OwnOptions,), frozen=True)
    made.__doc__ = OwnOptions.__doc__
    return made


def documented(options: type[Any]) -> Mapping[str, str]:
    """Return the strings below the fields of a dataclass, by field."""
    body = ast.parse(textwrap.dedent(inspect.getsource(options))).body[0]
    assert isinstance(body, ast.ClassDef), "the source of a class"
    found = {}
    for entry, after in zip(body.body, body.body[1:], strict=False):
        if not (isinstance(entry, ast.AnnAssign) and isinstance(entry.target, ast.Name)):
            continue
        if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
            found[entry.target.id] = str(after.value.value)
    return found


def fit_options(options: Any, path: str) -> FitOptions:
    """Return what ``fit PATH`` would be given to make the signal and the field of these options.

    Raises:
        InputError: for ``--alpha auto``, a search that is no part of an analysis.
    """
    if options.alpha == AUTO:
        raise InputError("expected --alpha A as a number; got auto: fastsnf tune searches it")
    shared = {name: getattr(options, name) for name in (*SIGNAL, *FRESH)}
    return FitOptions(input=path, seed=options.seed, **shared)


def refuse_fresh(options: Any, source: str) -> None:
    """Raise `InputError` for an option of a fresh field beside a run, which brings its own."""
    for name in FRESH:
        if getattr(options, name) is not None:
            raise InputError(
                f"expected no {option_name(name)} with the field of {source}, which is what it is: drop it"
            )
