"""The engine inside PyTorch: torch.compile, autocast, double backward, functional transforms."""

from __future__ import annotations

import pytest
import torch

import fastsnf
from benchmarks.gate import relative_error
from fastsnf import ops, reference
from fastsnf.spec import Sine
from tests.gpu.fields import as_doubles, drawn

pytestmark = pytest.mark.gpu


def snf(width: int = 64) -> fastsnf.SNF:
    """Return a small field on the GPU."""
    return fastsnf.SNF(2, 1, width, 2, generator=torch.Generator().manual_seed(1)).cuda()


def test_auto_takes_the_engine_on_the_gpu():
    problem = drawn(Sine(30.0), 1000, 64)
    assert ops.chosen(problem.x, problem.weights, problem.biases, spec=problem.spec) == "triton"
    report = {row["engine"]: row for row in ops.engines_report()}
    assert report["triton"]["available"], report["triton"]["reasons"]
    assert torch.cuda.get_device_name() in report["triton"]["detail"]


def test_auto_follows_the_setting_of_torch():
    problem = drawn(Sine(30.0), 1000, 64)
    call = ("auto", problem.x, problem.weights, problem.spec)
    try:
        for setting, precision in (("highest", "fp32"), ("high", "tf32"), ("medium", "fast")):
            torch.set_float32_matmul_precision(setting)
            assert ops.choose(*call) == ("triton", precision)
    finally:
        torch.set_float32_matmul_precision("highest")


def test_compile_fullgraph():
    field, x = snf(), torch.rand(4099, 2, device="cuda") * 2 - 1
    compiled = torch.compile(field, fullgraph=True)
    plain = field(x)
    plain.sum().backward()
    gradients = [parameter.grad.clone() for parameter in field.parameters()]
    field.zero_grad()
    out = compiled(x)
    out.sum().backward()
    assert relative_error(out, plain.double()) <= 1e-5
    for parameter, gradient in zip(field.parameters(), gradients, strict=True):
        assert relative_error(parameter.grad, gradient.double()) <= 1e-4


def test_autocast_changes_nothing():
    field, x = snf(), torch.rand(1000, 2, device="cuda")
    plain = field(x)
    with torch.autocast("cuda", torch.float16):
        assert torch.equal(field(x), plain)


def test_double_backward():
    """The gradient of a gradient's norm (as an Eikonal loss has it), against float64."""
    problem = drawn(Sine(30.0), 2000, 64, outputs=1, depth=2)

    def penalty(forward, x, weights):
        x = x.detach().clone().requires_grad_()
        weights = [weight.detach().clone().requires_grad_() for weight in weights]
        (d_x,) = torch.autograd.grad(forward(x, weights).sum(), x, create_graph=True)
        return torch.autograd.grad((d_x.norm(dim=-1) - 1).square().mean(), weights)

    def fused(x, weights):
        return ops.field(x, weights, problem.biases, spec=problem.spec, engine="triton", precision="fp32")

    found = penalty(fused, problem.x, problem.weights)
    weights, biases = as_doubles(problem)
    exact = penalty(lambda x, w: reference.forward(x, w, biases, problem.spec), problem.x.double(), weights)
    for ours, truth in zip(found, exact, strict=True):
        assert relative_error(ours, truth) <= 1e-4


def test_functional_transforms_are_right():
    field, x = snf(), torch.rand(50, 2, device="cuda")
    gradient = torch.func.vmap(torch.func.grad(lambda point: field(point).sum()))(x)
    x = x.requires_grad_()
    (truth,) = torch.autograd.grad(field(x).sum(), x)
    assert relative_error(gradient, truth.double()) <= 1e-4


def test_points_of_any_layout():
    problem = drawn(Sine(30.0), 4096, 64)
    plain = ops.field(problem.x, problem.weights, problem.biases, spec=problem.spec, engine="triton")
    spread = torch.full((4096, 4), float("nan"), device="cuda")
    spread[:, ::2] = problem.x
    for x in (spread[:, ::2], problem.x.t().contiguous().t()):
        assert torch.equal(
            ops.field(x, problem.weights, problem.biases, spec=problem.spec, engine="triton"), plain
        )
    shaped = ops.field(
        problem.x.view(64, 64, 2), problem.weights, problem.biases, spec=problem.spec, engine="triton"
    )
    assert torch.equal(shaped, plain.view(64, 64, 3))
