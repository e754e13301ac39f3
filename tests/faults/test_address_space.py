"""Fits in a process whose memory is limited: within the documented budget, and by halves where it is less."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import fastsnf
from fastsnf.signals.bit_rendering import BitRendering
from fastsnf.signals.occupancy import Occupancy
from fastsnf.train import chunks
from fastsnf.train.budget import documented
from fastsnf.train.decode import decode
from tests.cases import count
from tests.train.processes import join, start

resource = pytest.importorskip("resource")
pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="measures with /proc")

SIZE = 512 if count(10) == 10 else 192


def memory(entry: str) -> int:
    """Return bytes from /proc/self/status."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{entry}:"):
            return 1024 * int(line.split()[1])
    raise AssertionError(entry)


def limited(more: int) -> int:
    """Limit the address space to its size now and `more` bytes; return the resident memory now."""
    size = memory("VmSize") + more
    resource.setrlimit(resource.RLIMIT_AS, (size, size))
    return memory("VmRSS")


def ball(points: torch.Tensor) -> torch.Tensor:
    return (points - 0.1).square().sum(1) < 0.5


def within_the_budget(size: int, out: Path) -> None:
    """Fit and decode a ball with so many points a side; write what came of it."""
    torch.set_num_threads(2)
    before = limited(documented(size**3))
    solid = Occupancy.from_function(ball, (size, size, size))
    field = fastsnf.SNF(
        3, 1, 8, 1, first_omega=3.0, hidden_omega=3.0, generator=torch.Generator().manual_seed(0)
    )
    result = fastsnf.fit(field, solid, steps=120, lr=2e-2, batch_size=1 << 14, preview_every=0)
    rendering = decode(field, solid, solid.shape)
    assert isinstance(rendering, BitRendering)
    rendering.write(out.with_suffix(".npz"))
    facts = {
        "iou": result.iou,
        "occupied": rendering.bits.count(),
        "known": solid.voxels.count(),
        "halved": bool(chunks._fitting),
        "peak": memory("VmHWM") - before,
    }
    out.write_text(json.dumps(facts))


def test_a_fit_and_its_decode_keep_to_the_documented_budget(tmp_path):
    out = tmp_path / "facts.json"
    assert join(start(within_the_budget, SIZE, out)) == 0
    facts = json.loads(out.read_text())
    assert facts["peak"] <= documented(SIZE**3)
    assert not facts["halved"], "the budget is enough for the usual chunks"
    assert facts["iou"] > 0.8
    assert abs(facts["occupied"] - facts["known"]) < 0.25 * facts["known"]


def fit_with_activations(more: int | None, out: Path) -> None:
    """Fit by autograd in plain operations, in the memory that is there and `more` bytes."""
    torch.set_num_threads(1)
    solid = Occupancy.from_function(ball, (32, 32, 32))
    field = fastsnf.SNF(3, 1, 64, 2, generator=torch.Generator().manual_seed(0))
    if more is not None:
        limited(more)
    options: dict[str, Any] = {"engine": "reference", "loss": "bce", "preview_every": 0, "steps": 3}
    fastsnf.fit(field, solid, batch_size=1 << 15, **options)
    torch.save((field.state_dict(), bool(chunks._fitting)), out)


def test_where_memory_is_short_chunks_are_halved_and_the_result_stays(tmp_path):
    free, short = tmp_path / "free.pt", tmp_path / "short.pt"
    assert join(start(fit_with_activations, None, free)) == 0
    assert join(start(fit_with_activations, 120_000_000, short)) == 0
    (expected, halved), (found, halved_too) = (torch.load(path) for path in (free, short))
    assert (halved, halved_too) == (False, True)
    for name, value in expected.items():
        assert (found[name] - value).norm() <= 1e-5 * value.norm()
