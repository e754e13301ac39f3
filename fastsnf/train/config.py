"""The settings of a fit. No torch here: the command line reads this module for its help."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from fastsnf.errors import InputError, nearest, unknown
from fastsnf.ntk.config import IGA
from fastsnf.train.schedule import parse_schedule

OPTIMIZERS = ("adam", "adamw", "sgd")
LOSSES = ("mse", "bce")
PRECISIONS = ("auto", "fp32", "tf32", "fast")
PUBLISHED = "published"
PSNRS = ("plain", PUBLISHED)
IOUS = ("plain", PUBLISHED)
PASSES = "passes"
SAMPLERS = (PASSES, "uniform", "surface", "balanced")
FULL = "full"


@dataclass(frozen=True, kw_only=True)
class FitConfig:
    """How to fit; every default is the contract's.

    Stop rules (the first reached ends the fit; none given: 1,000 steps):
        steps: optimizer updates.
        epochs: passes over the training points, fractions allowed.
        target_psnr: decibels over all training points, unclipped. Alone, it sets no bound on the time.
        time_limit: seconds, previews and checkpoints included.

    Optimization:
        optimizer: ``adam``, ``adamw``, ``sgd`` (torch's defaults), or a callable ``params -> Optimizer``,
            which then owns its learning rates.
        lr: base learning rate; default 1e-3, and 1e-4 with ``batch_size="full"``.
        schedule: ``constant``, ``exponential:F`` (down to F times lr at the end), ``step:N:F`` (times F every
            N steps), ``once:N:F`` (times F from step N on) or ``cosine`` (down to 0 at the end); default
            cosine, and constant with ``batch_size="full"`` or an optimizer callable. The end is the step
            budget; with a time limit alone, that time; with a target alone it is unknown, and cosine and
            exponential stay constant.
        loss: ``mse``; ``bce`` (the field's outputs are logits); or a callable ``(out, target, weights) -> 0-d
            tensor`` with out and target [B, C] and weights [B] or None.
        batch_size: points a step; default 32,768, the whole signal when that is smaller; ``full`` takes it
            whole.
        sampler: which points make a step. ``passes``: every point once an epoch, in a pseudo-random order.
            ``uniform``: independent draws. ``surface``, of an occupancy grid: half of them from the blocks of
            8^3 voxels at its surface. ``balanced``: half of them occupied and half not, each half uniform.
            Except of passes, an epoch is as many points as the signal has, and the loss is that of the points
            drawn: near the surface, or of the rarer kind, errors count more.
        seed: of the batches, which on a GPU are others than on the CPU. The field's weights are the caller's.
        iga: inductive gradient adjustment (`fastsnf.ntk.IGA`), for the MSE alone. A batch is then whole
            groups of points: with the default batch size all of them up to 4,096, else 512 a step; with a
            number as many as it has room for.

    Where and how:
        device: ``auto`` (cuda when there is one) or a torch device.
        precision: ``fp32``, ``tf32`` or ``fast``, which an engine that lacks it refuses; ``auto`` is what the
            engine has, and follows `torch.get_float32_matmul_precision` where it has several.
        engine: ``auto`` or an engine's name.
        memory_limit: bytes that the fit may take on top of the imported library, by the estimate of
            `fastsnf.train.budget`: batches and evaluations are then taken in smaller chunks, which changes
            the result by rounding alone. A fit that does not fit in the smallest is refused.
        holdout: train on every K-th point of each axis, K >= 2, and report ``psnr_holdout`` on the others.
        psnr: ``published`` adds the weight-scaling paper's own variant to the summary.
        iou: ``published`` adds ``iou_published`` for comparison: as WIRE's code measures, from what the field
            says of each batch before its update, over an epoch, and the best of all epochs that came to their
            end (NaN before). That is one more forward pass a step.

    What is recorded, in seconds unless said otherwise:
        log_every: a row of metrics every so many steps; default: at most one per 0.05 s, fewer on long runs.
            On a GPU each row waits for the device; by default that is once in 16 steps.
        preview_every: seconds between previews; default: the first after about 2 s, then as often as costs at
            most 3 % of the time; 0: none.
        checkpoint_every: seconds between checkpoints of a run folder; 0: after every step.
    """

    default_steps: ClassVar[int] = 1000
    default_batch: ClassVar[int] = 32_768

    steps: int | None = None
    epochs: float | None = None
    target_psnr: float | None = None
    time_limit: float | None = None
    optimizer: str | Callable[..., Any] = "adam"
    lr: float | None = None
    schedule: str | None = None
    loss: str | Callable[..., Any] = "mse"
    batch_size: int | str | None = None
    sampler: str = PASSES
    seed: int = 0
    iga: IGA | None = None
    device: str = "auto"
    precision: str = "auto"
    engine: str = "auto"
    memory_limit: int | None = None
    holdout: int | None = None
    psnr: str = "plain"
    iou: str = "plain"
    log_every: int | None = None
    preview_every: float | None = None
    checkpoint_every: float = 30.0

    def __post_init__(self) -> None:
        for name, least in (("steps", 1), ("holdout", 2), ("log_every", 1), ("memory_limit", 1)):
            _check_whole(name, getattr(self, name), least)
        for name in ("epochs", "time_limit", "lr"):
            _check_number(name, getattr(self, name), above=0.0)
        _check_number("target_psnr", self.target_psnr)
        for name in ("preview_every", "checkpoint_every"):
            _check_number(name, getattr(self, name), least=0.0)
        if self.seed is None or self.checkpoint_every is None:
            raise InputError("expected seed and checkpoint_every to be numbers; got None")
        _check_whole("seed", self.seed, 0, most=2**63 - 1)
        _check_batch_size(self.batch_size)
        _check_choice("the loss", self.loss, LOSSES, or_callable=True)
        _check_choice("the optimizer", self.optimizer, OPTIMIZERS, or_callable=True)
        _check_choice("the precision", self.precision, PRECISIONS)
        _check_choice("psnr", self.psnr, PSNRS)
        _check_choice("iou", self.iou, IOUS)
        _check_choice("the sampler", self.sampler, SAMPLERS)
        if self.schedule is not None:
            parse_schedule(self.schedule)
        _check_iga(self.iga, self.loss)
        self._check_sampler()
        if self.lr is not None and callable(self.optimizer):
            raise InputError(
                f"expected no lr beside an optimizer callable; got lr={self.lr}: set it inside the callable"
            )

    def _check_sampler(self) -> None:
        """Raise for what only passes over all points can do."""
        if self.sampler == PASSES:
            return
        others: dict[str, tuple[Any, str]] = {
            "iga": (self.iga, "whose batches are whole groups"),
            "batch_size='full'": (self.batch_size == FULL, "which takes every point"),
            "iou='published'": (self.iou == PUBLISHED, "which is measured once at every point of an epoch"),
        }
        if self.sampler != "uniform":
            others["holdout"] = (self.holdout, "which trains on a part of the grid")
        for what, (given, why) in others.items():
            if given:
                raise InputError(
                    f"expected the sampler {PASSES} with {what}, {why}; got {self.sampler}: drop one of them"
                )

    @property
    def base_lr(self) -> float:
        """The base learning rate of a named optimizer."""
        if self.lr is not None:
            return self.lr
        return 1e-4 if self.batch_size == FULL else 1e-3

    @property
    def schedule_text(self) -> str:
        """The schedule, its default resolved."""
        if self.schedule is not None:
            return self.schedule
        return "constant" if self.batch_size == FULL or callable(self.optimizer) else "cosine"

    def points_per_step(self, points: int) -> int:
        """Return the batch size for a signal of so many training points; `iga` has batches of its own."""
        if self.batch_size == FULL:
            return points
        wanted = self.default_batch if self.batch_size is None else int(self.batch_size)
        return min(wanted, points)

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as JSON-able values, without those that are None; callables by name."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {name: describe(value) for name, value in values.items() if value is not None}


def make_config(config: FitConfig | None, options: Mapping[str, Any]) -> FitConfig:
    """Return `config` (default: all defaults) with `options` in place of its values.

    Raises:
        InputError: for an option that does not exist, naming the nearest, or a value out of range.
    """
    names = [field.name for field in dataclasses.fields(FitConfig)]
    for name in options:
        if name not in names:
            raise InputError(f"expected an option of FitConfig; got {name!r}{nearest(name, names)}")
    if config is not None and not isinstance(config, FitConfig):
        raise InputError(f"expected config to be a FitConfig; got {type(config).__name__}")
    return dataclasses.replace(config or FitConfig(), **options)


def describe(value: Any) -> Any:
    """Return a JSON-able stand-in for a setting: itself, the name of a callable, the settings of `IGA`."""
    if isinstance(value, IGA):
        return value.to_dict()
    if callable(value):
        module, name = (
            getattr(value, "__module__", ""),
            getattr(value, "__qualname__", type(value).__qualname__),
        )
        return f"callable {module}.{name}"
    return value


def _check_whole(name: str, value: Any, least: int, most: float = math.inf) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int):
        raise InputError(f"expected {name} to be a whole number; got {value!r}")
    if not least <= value <= most:
        limit = least if value < least else int(most)
        raise InputError(
            f"expected {name} to be {'at least' if value < least else 'at most'} {limit}; got {value}"
        )


def _check_number(name: str, value: Any, *, above: float = -math.inf, least: float = -math.inf) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise InputError(f"expected {name} to be a finite number; got {value!r}")
    if value <= above:
        raise InputError(f"expected {name} to be above {above:g}; got {value}")
    if value < least:
        raise InputError(f"expected {name} to be at least {least:g}; got {value}")


def _check_batch_size(value: Any) -> None:
    if isinstance(value, str):
        if value != FULL:
            raise InputError(
                f"expected batch_size to be a whole number or {FULL!r}; got {value!r}{nearest(value, [FULL])}"
            )
        return
    _check_whole("batch_size", value, 1)


def _check_iga(iga: Any, loss: Any) -> None:
    if iga is None:
        return
    if not isinstance(iga, IGA):
        raise InputError(f"expected iga to be a fastsnf.ntk.IGA; got {type(iga).__name__}")
    if loss != "mse":
        raise InputError(
            f"expected the loss mse with iga, which adjusts the residuals of the MSE; got {describe(loss)}: "
            "drop the loss or iga"
        )


def _check_choice(what: str, value: Any, names: tuple[str, ...], *, or_callable: bool = False) -> None:
    if (or_callable and callable(value)) or (isinstance(value, str) and value in names):
        return
    raise unknown(what, value, names)
