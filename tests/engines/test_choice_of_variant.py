"""Which instruction set runs: the widest, the one of FASTSNF_CPU, or that of `use_variant`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from fastsnf.engines import native
from fastsnf.engines.native import call
from fastsnf.spec import FieldSpec, Sine
from tests.engines.runs import EVERY_VARIANT, VARIANTS

PROBE = """
import torch
from fastsnf import ops
from fastsnf.engines import native
from fastsnf.spec import FieldSpec, Sine
x, spec = torch.zeros(3, 2), FieldSpec((Sine(30.0),))
weights, biases = [torch.ones(1, 2)], [None]
print(native.detail())
print(ops.chosen(x, weights, biases, spec=spec))
print(dict(ops.explain(x, weights, biases, spec=spec))["native"])
ops.field(x, weights, biases, spec=spec)
"""


def probe(variant: str) -> list[str]:
    """Return what a process with FASTSNF_CPU says: detail, the engine of a call, the native one's reasons."""
    environment = os.environ | {"FASTSNF_CPU": variant}
    done = subprocess.run(
        [sys.executable, "-c", PROBE],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    return done.stdout.splitlines()


@EVERY_VARIANT
def test_the_environment_names_the_variant(variant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTSNF_CPU", variant)
    assert native.detail().startswith(f"{variant}, ")
    with native.use_variant(VARIANTS[0]):
        assert native.detail().startswith(f"{VARIANTS[0]}, ")
    monkeypatch.setenv("FASTSNF_CPU", "")
    assert native.detail().startswith(f"{VARIANTS[0]}, ")


def test_an_unknown_name_in_the_environment_is_a_reason() -> None:
    detail, engine, reasons = probe("sse9")
    assert detail == ""
    assert engine == "reference"
    assert "expected FASTSNF_CPU to be one that runs on this processor" in reasons
    assert "got 'sse9'" in reasons
    assert all(variant in reasons for variant in VARIANTS)


@EVERY_VARIANT
def test_a_block_names_the_variant(variant: str) -> None:
    outside = native.detail()
    with native.use_variant(variant):
        assert native.detail() == f"{variant}, {torch.get_num_threads()} threads"
    assert native.detail() == outside


def test_blocks_nest() -> None:
    with native.use_variant(VARIANTS[-1]):
        with native.use_variant(VARIANTS[0]):
            assert native.detail().startswith(VARIANTS[0])
        assert native.detail().startswith(VARIANTS[-1])


def test_a_block_refuses_an_unknown_name() -> None:
    with pytest.raises(
        ValueError, match=r"expected the variant to be one that runs on this processor .*; got 'sse9'"
    ):
        native.use_variant("sse9").__enter__()
    assert native.detail().startswith(native.module().variant(""))


def test_the_baseline_runs_everywhere() -> None:
    assert VARIANTS[-1] == "baseline"
    assert set(VARIANTS) <= {name for name, _, _ in native.module().variants()}


@pytest.mark.parametrize(
    ("device", "dtype", "shape", "reason"),
    [
        ("cuda", torch.float32, (3, 2), "tensors are on cuda, it runs on the CPU"),
        ("cpu", torch.float64, (3, 2), "tensors are torch.float64, it computes in torch.float32"),
        ("cpu", torch.float32, (3, 5000), "a layer has 5000 inputs or outputs, it takes at most 4096"),
    ],
)
def test_reasons(device: str, dtype: torch.dtype, shape: tuple[int, int], reason: str) -> None:
    assert native.reasons(device, dtype, [shape]) == [reason]


def test_the_codes_are_those_of_the_kernels() -> None:
    """A layer whose code the extension does not know is refused, not guessed."""
    codes = sorted(native.ACTIVATION_CODES.values())
    assert codes == list(range(len(codes)))
    x, weight, spec = torch.ones(1, 1), torch.ones(1, 1), FieldSpec((Sine(30.0),))
    _, [layer], _kept = call.prepare(x, [weight], [None], spec)
    unknown = (*layer[:3], len(codes), *layer[4:])
    with pytest.raises(ValueError, match="known activation code"):
        native.module().forward("", [unknown], 1, x.data_ptr(), x.data_ptr(), 1)
