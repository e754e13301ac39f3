"""Where a fit runs: the engine and the precision that its field takes."""

from __future__ import annotations

import pytest
import torch

import fastsnf
from fastsnf import ops
from fastsnf.errors import InputError
from fastsnf.train.placement import resolve_engine


def field(activation: str = "sine", dtype: torch.dtype = torch.float32) -> fastsnf.SNF:
    return fastsnf.SNF(2, 3, 8, 1, activation=activation, dtype=dtype)


@pytest.mark.parametrize(
    ("dtype", "precision"), [(torch.float32, "fp32"), (torch.float64, "fp64")], ids=["float32", "float64"]
)
def test_auto_names_what_it_takes(dtype: torch.dtype, precision: str) -> None:
    module, x = field(dtype=dtype), torch.zeros(1, 2, dtype=dtype)
    weights, biases = module.layer_tensors()
    choice = resolve_engine(module, x, "auto")
    assert choice.engine == ops.chosen(x, weights, biases, spec=module.spec)
    assert choice.precision == precision


def test_a_precision_that_no_engine_has_is_refused_with_every_reason() -> None:
    with pytest.raises(InputError, match=r"got 'fast': triton: .*, native: .*, reference: .* fp32 only"):
        resolve_engine(field(), torch.zeros(1, 2), "fast")


def test_the_engine_of_the_block() -> None:
    with ops.use_engine("reference"):
        assert resolve_engine(field(), torch.zeros(1, 2), "fp32") == ("reference", "fp32")


def test_a_complex_field_that_runs_layer_by_layer_takes_the_reference() -> None:
    """Complex layers are fused in a whole field only."""
    module, x = field("gabor"), torch.zeros(1, 2)
    module.net[0].register_forward_hook(lambda *_: None)
    assert resolve_engine(module, x, "auto") == ("reference", "fp32")
    with pytest.raises(InputError, match="it computes in fp32 only"):
        resolve_engine(module, x, "tf32")
