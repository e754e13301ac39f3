"""A module as the NTK sees it: its trainable parameters, what it may not contain, and points that fit it."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parameter import is_lazy

from fastsnf.errors import InputError
from fastsnf.nn import Field
from fastsnf.nn.normalization import Normalization
from fastsnf.nn.plain import only_layers


def underlying(field: nn.Module) -> tuple[nn.Module, bool]:
    """Return the module itself where `torch.compile` wrapped it, and whether it is a field's layers alone.

    Raises:
        InputError: for anything but a module, for one without trainable parameters, on several devices or of
            other dtypes than float32 and float64, and for batch normalisation by the batch.
    """
    if not isinstance(field, nn.Module):
        raise InputError(f"expected a field, or another torch.nn.Module; got {type(field).__name__}")
    module = getattr(field, "_orig_mod", field)
    plain = only_layers(module)
    if not plain:
        _refuse_coupling(module)
        for name, parameter in module.named_parameters():
            if is_lazy(parameter):
                raise InputError(
                    f"expected parameters with shapes; got {name!r} of a lazy module: call it once"
                )
    _check_parameters([parameter for parameter in module.parameters() if parameter.requires_grad])
    return module, plain


def trainable(module: nn.Module) -> dict[str, nn.Parameter]:
    """Return the parameters that require grad by name, a shared one once."""
    return {name: parameter for name, parameter in module.named_parameters() if parameter.requires_grad}


def describe(module: nn.Module) -> tuple[torch.dtype, torch.device]:
    """Return the real dtype and the device of the trainable parameters."""
    parameter = next(p for p in module.parameters() if p.requires_grad)
    return parameter.dtype.to_real(), parameter.device


def check_points(module: nn.Module, x: Tensor, *, dimensions: tuple[int, ...]) -> Tensor:
    """Return x [..., N, D] detached.

    Raises:
        InputError: unless it has one of the numbers of dimensions, at least one point, and the dtype, device
            and coordinates of the module.
    """
    if not isinstance(x, Tensor):
        raise InputError(f"expected x as a torch.Tensor; got {type(x).__name__}: use torch.as_tensor(x)")
    forms = " or ".join({2: "[N, D]", 3: "[B, N, D]"}[count] for count in dimensions)
    if x.dim() not in dimensions or not x.numel():
        raise InputError(f"expected x of shape {forms} with at least one point; got {list(x.shape)}")
    dtype, device = describe(module)
    if x.dtype != dtype:
        raise InputError(f"expected x of the parameters' dtype {dtype}; got {x.dtype}: use x.to({dtype})")
    if x.device != device:
        raise InputError(f"expected x on {device}, as the parameters; got {x.device}: move one with .to()")
    if isinstance(module, Field) and x.shape[-1] != module.in_features:
        raise InputError(f"expected x of shape [..., {module.in_features}]; got {list(x.shape)}")
    return x.detach()


def _check_parameters(given: list[nn.Parameter]) -> None:
    """Raise unless there are parameters, of one precision and on one device."""
    if not given:
        raise InputError(
            "expected a field with trainable parameters; got all frozen: call requires_grad_() on it"
        )
    dtypes, devices = {p.dtype.to_real() for p in given}, {p.device for p in given}
    if len(dtypes) > 1 or not dtypes <= {torch.float32, torch.float64}:
        names = ", ".join(sorted(map(str, dtypes)))
        raise InputError(f"expected parameters of float32 or of float64 (real or complex); got {names}")
    if len(devices) > 1:
        raise InputError(f"expected parameters on one device; got {', '.join(sorted(map(str, devices)))}")


def _refuse_coupling(module: nn.Module) -> None:
    """Raise for a layer that normalises by the batch: an output then depends on every point of the call."""
    for name, part in module.named_modules():
        by_batch = isinstance(part, _BatchNorm) and (part.training or part.running_mean is None)
        if by_batch or (isinstance(part, Normalization) and part.training):
            raise InputError(
                f"expected outputs that depend on their own point alone; got a {type(part).__name__} in "
                f"{name!r}, which normalises by the batch and so couples its points: no point has a gradient "
                "of its own. Remove it, or take its running statistics with field.eval()"
            )
