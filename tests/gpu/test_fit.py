"""`fastsnf.fit` on the GPU: near the CPU's engine, with and without its CUDA graph."""

from __future__ import annotations

import pytest
import torch

import fastsnf
from fastsnf.signals import Samples

pytestmark = pytest.mark.gpu


def picture(side: int = 128) -> Samples:
    """Return a smooth picture of one channel."""
    t = torch.linspace(-1, 1, side)
    values = 0.5 + 0.3 * torch.sin(9 * t)[:, None] * torch.cos(5 * t)[None, :] + 0.1 * torch.sin(31 * t)
    return Samples.from_array(values[..., None])


def fitted(device: str, **options) -> fastsnf.FitResult:
    """Return a fit of the picture from fixed weights."""
    field = fastsnf.SNF(2, 1, 64, 2, generator=torch.Generator().manual_seed(1))
    settings = {"steps": 100, "batch_size": 4096, "seed": 3, "device": device, "preview_every": 0}
    return fastsnf.fit(field, picture(), **{**settings, **options})


def test_gpu_and_cpu_fit_alike():
    gpu, cpu = fitted("cuda", precision="fp32"), fitted("cpu")
    assert gpu.engine == "triton"
    assert abs(gpu.psnr - cpu.psnr) < 0.5
    assert gpu.psnr > 20


@pytest.mark.parametrize(("precision", "most_db"), [("tf32", 0.3), ("fast", 0.6)])
def test_precisions_fit_alike(precision, most_db):
    exact, found = fitted("cuda", precision="fp32", steps=300), fitted("cuda", precision=precision, steps=300)
    assert found.precision == precision
    assert exact.psnr - found.psnr < most_db


@pytest.mark.parametrize("precision", ["fp32", "tf32", "fast"])
def test_the_graph_gives_the_bits_of_single_steps(precision, monkeypatch):
    from fastsnf.train import updates

    recorded = fitted("cuda", precision=precision)
    monkeypatch.setattr(updates, "WARM_UP", 10**9)
    single = fitted("cuda", precision=precision)
    pairs = zip(recorded.field.parameters(), single.field.parameters(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)


def test_a_fit_repeats_its_bits():
    one, other = fitted("cuda", precision="tf32"), fitted("cuda", precision="tf32")
    assert all(
        torch.equal(a, b) for a, b in zip(one.field.parameters(), other.field.parameters(), strict=True)
    )


def test_recording_needs_no_excuse(recwarn):
    fitted("cuda", precision="tf32")
    assert not [warning for warning in recwarn if "CUDA graph" in str(warning.message)]
