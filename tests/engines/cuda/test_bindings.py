"""What crosses into the extension is checked there; importing it and calling it wrongly need no GPU."""

from __future__ import annotations

import random
import subprocess
import sys
from types import ModuleType
from typing import Any

import pytest
import torch

from fastsnf.engines import cuda
from tests.cases import count

GOOD = 4096
"""An address that every check accepts."""

OPERAND = (GOOD, 4, 20, 4, False)
GRAM: dict[str, Any] = {
    "out": GOOD, "batch": 2, "n": 5, "layers": [(OPERAND, OPERAND, True)], "device": 0, "stream": 0,
}  # fmt: skip
EIGH: dict[str, Any] = {
    "matrix": GOOD, "values": GOOD, "vectors": GOOD, "batch": 2, "m": 5, "device": 0, "stream": 0,
}  # fmt: skip

BAD_OPERANDS = (
    ((0, 4, 20, 4, False), "pointer to"),
    ((GOOD + 2, 4, 20, 4, False), "aligned"),
    ((GOOD + 4, 4, 20, 4, True), "aligned"),
    ((GOOD, 0, 20, 4, False), "units"),
    ((GOOD, -1, 20, 4, False), "units"),
    ((GOOD, 2**31, 20, 4, False), "units"),
    ((GOOD, 4, -20, 4, False), "strides"),
    ((GOOD, 4, 20, -4, False), "strides"),
    ((GOOD, 4, 2**62, 4, False), "strides"),
)


@pytest.mark.parametrize(("operand", "message"), BAD_OPERANDS)
@pytest.mark.parametrize("which", [0, 1])
def test_bad_operands(
    extension: ModuleType, which: int, operand: tuple[int, int, int, int, bool], message: str
) -> None:
    layer = [OPERAND, OPERAND, True]
    layer[which] = operand
    with pytest.raises(ValueError, match=message):
        extension.gram(**{**GRAM, "layers": [(OPERAND, OPERAND, True), tuple(layer)]})


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("out", 0, "output"),
        ("out", GOOD + 4, "aligned to 16"),
        ("batch", 0, "batch"),
        ("batch", -1, "batch"),
        ("batch", 2**31, "batch"),
        ("n", 0, "1 to 65536 points; got 0"),
        ("n", 65537, "points"),
        ("layers", [], "layers"),
        ("layers", [(OPERAND, OPERAND, True)] * 4097, "layers"),
        ("device", -1, "device"),
    ],
)
def test_bad_calls_of_gram(extension: ModuleType, name: str, value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        extension.gram(**{**GRAM, name: value})


def test_a_batch_beyond_the_grid(extension: ModuleType) -> None:
    with pytest.raises(ValueError, match="grid of thread blocks"):
        extension.gram(**{**GRAM, "batch": 300_000, "n": 4096})


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("matrix", 0, "pointers"),
        ("values", 0, "pointers"),
        ("vectors", 0, "pointers"),
        ("vectors", GOOD + 1, "aligned"),
        ("batch", 0, "batch"),
        ("batch", 2**40, "batch"),
        ("m", 0, "1 to 64 rows; got 0"),
        ("m", 65, "rows"),
        ("device", -1, "device"),
    ],
)
def test_bad_calls_of_eigh_small(extension: ModuleType, name: str, value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        extension.eigh_small(**{**EIGH, name: value})


def test_a_device_that_is_not_there(extension: ModuleType) -> None:
    with pytest.raises(RuntimeError, match="choosing the CUDA device"):
        extension.eigh_small(**{**EIGH, "device": 7})


FUZZ = (None, "x", -1, 0, 1, 3, 2**16 + 1, 2**31, 2**63 - 1, 2**63, 2**64 - 1, 2**70, 1.5, [], (), [(1, 2)])


def test_fuzzed_calls_raise_and_do_not_crash(extension: ModuleType) -> None:
    """One argument of each call is wrong, the others good, so that no call reaches a kernel."""
    dice = random.Random(0)
    raised = 0
    for _ in range(count(2000)):
        call, good = dice.choice([(extension.gram, GRAM), (extension.eigh_small, EIGH)])
        arguments = dict(good)
        name = dice.choice([name for name in good if name not in ("device", "stream")])
        arguments[name] = dice.choice(FUZZ)
        arguments["device"] = -1  # what is good by chance stops here
        with pytest.raises((ValueError, TypeError)):
            call(**arguments)
        raised += 1
    assert raised == count(2000)


built = pytest.mark.skipif(cuda._load()[0] is None, reason="fastsnf._cuda is not built")


@built
def test_the_built_module_checks_before_it_asks_for_a_gpu() -> None:
    module = cuda.module()
    for name, value in (("n", 0), ("batch", -1), ("layers", []), ("out", 0)):
        with pytest.raises(ValueError):
            module.gram(**{**GRAM, name: value})
    assert module.MOST_SIDE == cuda.MOST_SIDE


@built
@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_the_built_module_without_a_gpu_is_an_error_and_no_crash() -> None:
    code = f"""
from fastsnf import _cuda
try:
    _cuda.gram(**{GRAM})
except RuntimeError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "CUDA" in done.stdout


def test_reasons_name_every_cause() -> None:
    why = cuda.gram_reasons(torch.device("cpu"), torch.float64, [(2, 2**25)])
    text = "; ".join(why)
    assert "torch.float64" in text
    assert str(2**25) in text
    assert cuda.missing() in text or "tensors are on cpu" in text


def test_without_the_extension_both_causes_are_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    note = tmp_path / "_cuda_not_built.txt"
    note.write_text("nvcc: exit status 1: no such flag\n")
    monkeypatch.setattr(cuda, "NOT_BUILT", note)
    monkeypatch.setitem(sys.modules, "fastsnf._cuda", None)
    monkeypatch.delattr("fastsnf._cuda", raising=False)
    module, cause = cuda._load.__wrapped__()
    assert module is None
    assert "nvcc: exit status 1: no such flag" in cause
    assert "_cuda" in cause
