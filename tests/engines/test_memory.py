"""Memory: a workspace that is reused, and a step over a million points within a small one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fastsnf.spec import FieldSpec, Gabor, Sine
from tests import cases
from tests.engines.problems import problem
from tests.engines.runs import everything

MB = 2**20
STATM, STATUS = Path("/proc/self/statm"), Path("/proc/self/status")
pytestmark = pytest.mark.skipif(not STATUS.exists(), reason="needs Linux's /proc")


def resident() -> int:
    """Return the resident memory of this process in bytes."""
    return int(STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_calls_do_not_add_up() -> None:
    problems = [
        problem(FieldSpec.mlp(act, 2), [2, F, F, F, 3], 2000)
        for act in (Sine(30.0), Gabor(20.0, 10.0))
        for F in (96, 33)
    ]

    def rounds(number: int) -> int:
        for _ in range(number):
            for case in problems:
                everything(case)
        return resident()

    before = rounds(3)
    assert rounds(cases.count(200)) - before <= 8 * MB


STEP = """
import sys
from pathlib import Path
import torch
from fastsnf import ops
from fastsnf.spec import FieldSpec, Sine

def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))

def step(points, width):
    spec = FieldSpec.mlp(Sine(30.0), 3)
    widths = [2, width, width, width, width, 3]
    weights = [torch.randn(o, i) * 0.01 for i, o in zip(widths, widths[1:])]
    biases = [torch.zeros(o) for o in widths[1:]]
    x, target = torch.rand(points, 2), torch.rand(points, 3)
    before = peak()
    result = ops.mse_value_and_grad(x, target, weights, biases, spec=spec, engine="native")
    assert result.loss.isfinite()
    return peak() - before

torch.set_num_threads(2)
step(10, 8)
print(step(1_048_576, int(sys.argv[1])))
"""


@pytest.mark.parametrize("width", [64, 256] if cases.count(10) == 10 else [64])
def test_a_step_over_a_million_points_takes_less_than_100_megabytes(width: int) -> None:
    """Above inputs, targets and parameters; VmHWM is the process's own peak, ru_maxrss also its parent's."""
    done = subprocess.run(
        [sys.executable, "-c", STEP, str(width)],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert int(done.stdout) <= 100 * MB


GRAM = """
import torch
from pathlib import Path
from fastsnf.engines import native

def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))

torch.set_num_threads(2)
operands = [torch.rand(1, 3000, width) for width in (2, 32, 32, 32, 32, 3)]
native.gram([operands[0][:, :10]], [operands[1][:, :10]], [True])
before = peak()
gram = native.gram(operands[::2], operands[1::2], [True] * 3)
print(peak() - before)
"""


def test_a_block_of_the_ntk_takes_its_result_and_its_packed_operands() -> None:
    """No product of a layer is stored: each would take as much as the result."""
    done = subprocess.run(
        [sys.executable, "-c", GRAM],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    result, packed = 3000 * 3000 * 4, 3000 * 133 * 4
    assert result <= int(done.stdout) <= result + packed + 16 * MB
