"""Adjusted steps on a GPU: against the CPU in float64, beside load, and how often they wait."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import fastsnf
from fastsnf import ops
from fastsnf.ntk import adjuster as adjusters
from fastsnf.ntk.adjuster import Adjuster
from fastsnf.ntk.config import IGA, SAMPLES
from fastsnf.ntk.empirical import empirical_ntk
from fastsnf.ntk.groups import Groups
from fastsnf.ntk.side_stream import SideStream
from fastsnf.ntk.spectrum import leading
from fastsnf.spec import FieldSpec, Identity
from fastsnf.train.callbacks import Callback
from tests.gpu.fields import DEVICE
from tests.ntk.test_adjuster import make_field, problem
from tests.train.samples import same_state, small_field, small_image

pytestmark = pytest.mark.gpu

GROUPS = {
    "full": Groups.patches((36, 40), 4),
    "ragged": Groups.patches((35, 38), 4),
    "few": Groups.patches((17, 16), 4),
    "index": Groups.of((torch.arange(900) ** 2 % 997 % 150).unique(return_inverse=True)[1]),
}
"""Of 90, 90, 20 and 146 groups: more than 64 take the block method."""

END = 4
WAITS = "argmax_shared_sum"
"""The released code's mode, which asks for the residuals' offsets."""

UPDATE = 1e-4
"""Of a step's largest gradient: float32 against float64, each with an S of its own."""


def steps(
    device: str,
    groups: Groups,
    sample: str,
    *,
    kind: str = "sine",
    double: bool = False,
    weighted: bool = False,
    plain: bool = True,
    load: int = 0,
    count: int = 3,
) -> list[Tensor]:
    """Return the gradients of some steps of plain descent, in float64 on the CPU."""
    dtype = torch.float64 if double else torch.float32
    field: nn.Module = make_field(kind).to(dtype) if double else make_field(kind)
    field = field.to(device)
    if not plain:
        field.register_forward_hook(lambda module, given, out: out)
    x, y = (tensor.to(dtype) for tensor in problem(groups))
    w = None
    if weighted:
        gen = torch.Generator().manual_seed(3)
        w = torch.rand(groups.size, generator=gen) * (torch.rand(groups.size, generator=gen) < 0.7)
        y, w = torch.where(w[:, None] > 0, y, torch.nan), w.to(dtype)
    adjuster = Adjuster(IGA(end=END, sample=sample), groups, device=device)
    batch = adjuster.arrange(*(None if t is None else t.to(device) for t in (x, y, w)))
    found = []
    for _ in range(count):
        if load:
            torch.cuda._sleep(load)
        adjuster.value_and_grad(field, *batch)
        for parameter in field.parameters():
            assert parameter.grad is not None
            grad = torch.view_as_real(parameter.grad) if parameter.is_complex() else parameter.grad
            found.append(grad.double().cpu())
            with torch.no_grad():
                parameter.sub_(parameter.grad, alpha=0.02)
    assert (adjuster.failures, adjuster.short) == (0, 0)
    return found


def assert_near(found: list[Tensor], exact: list[Tensor], tolerance: float) -> None:
    most = max(float(t.abs().max()) for t in exact)
    worst = max(float((a - b).abs().max()) for a, b in zip(found, exact, strict=True))
    assert worst <= tolerance * most, f"{worst:.2e} of {most:.2e}"


@pytest.mark.parametrize("sample", SAMPLES)
@pytest.mark.parametrize(
    ("groups", "weighted"), [("full", False), ("ragged", True), ("few", False), ("index", False)]
)
def test_steps_are_those_of_the_cpu_in_float64(groups: str, sample: str, weighted: bool) -> None:
    exact = steps("cpu", GROUPS[groups], sample, double=True, weighted=weighted)
    assert_near(steps(DEVICE, GROUPS[groups], sample, weighted=weighted), exact, UPDATE)


@pytest.mark.parametrize("kind", ["gabor", "relu", "gaussian"])
def test_other_activations(kind: str) -> None:
    exact = steps("cpu", GROUPS["full"], "center", kind=kind, double=True)
    assert_near(steps(DEVICE, GROUPS["full"], "center", kind=kind), exact, 10 * UPDATE)


def test_fields_in_float64() -> None:
    exact = steps("cpu", GROUPS["ragged"], "argmax_lagged", double=True)
    assert_near(steps(DEVICE, GROUPS["ragged"], "argmax_lagged", double=True), exact, 1e-9)


def test_a_field_with_a_hook() -> None:
    exact = steps("cpu", GROUPS["few"], "argmax_lagged", double=True)
    assert_near(steps(DEVICE, GROUPS["few"], "argmax_lagged", plain=False), exact, UPDATE)


@pytest.mark.parametrize("sample", SAMPLES)
def test_the_side_stream_changes_no_bit(monkeypatch: pytest.MonkeyPatch, sample: str) -> None:
    """Late inputs on the main stream: what did not wait for them, or was reused too early, would show."""
    beside = steps(DEVICE, GROUPS["ragged"], sample, weighted=True, load=20_000_000, count=5)

    class InTurn(SideStream):
        def __init__(self, device: torch.device | str) -> None:
            super().__init__("cpu")

    monkeypatch.setattr(adjusters, "SideStream", InTurn)
    in_turn = steps(DEVICE, GROUPS["ragged"], sample, weighted=True, count=5)
    assert all(map(torch.equal, beside, in_turn))


@contextlib.contextmanager
def matmul_precision(name: str) -> Iterator[None]:
    torch.set_float32_matmul_precision(name)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision("highest")


def test_tf32_does_not_reach_the_matrix_and_its_eigenpairs() -> None:
    field = make_field().to(DEVICE)
    x = problem(GROUPS["full"])[0][:100].to(DEVICE)

    def work() -> list[Tensor]:
        gram = empirical_ntk(field, x)
        pairs = leading(gram, END + 1, method="block")
        residual = torch.ones(100, 3, device=DEVICE)
        adjuster = Adjuster(IGA(end=END), Groups.runs(100, 1), device=DEVICE)
        return [gram, pairs.values, pairs.vectors, adjuster.transform(residual, gram)]

    exact = work()
    with matmul_precision("high"):
        rounded = work()
        assert torch.get_float32_matmul_precision() == "high"
    assert all(map(torch.equal, exact, rounded))


def test_tf32_does_not_reach_the_correction_on_the_reference_engine() -> None:
    """Its field takes torch's products; with the residuals of one layer of integers those are exact."""
    groups = GROUPS["full"]
    gen = torch.Generator().manual_seed(0)
    x, y = torch.ones(groups.size, 2, device=DEVICE), torch.rand(groups.size, 3, generator=gen).to(DEVICE)
    weights, biases = [torch.ones(3, 2, device=DEVICE)], [torch.zeros(3, device=DEVICE)]
    vectors = torch.linalg.qr(torch.randn(groups.count, 5, generator=gen))[0].to(DEVICE)
    layout = groups.members(device=DEVICE).layout
    s = ops.Adjustment(layout, vectors, torch.full((5,), 0.9, device=DEVICE))

    def bias_gradient() -> Tensor:
        found = ops.adjusted_mse_value_and_grad(
            x, y, weights, biases, spec=FieldSpec((Identity(),)), adjustment=s, engine="reference"
        )
        assert found.d_biases[0] is not None
        return found.d_biases[0]  # a sum of adjusted residuals, no product

    exact = bias_gradient()
    with matmul_precision("high"):
        assert torch.equal(bias_gradient(), exact)


def waits(work: Any) -> list[str]:
    """Return what torch says of each moment at which `work` waits for the device."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            work()
        finally:
            torch.cuda.set_sync_debug_mode("default")
    return [str(one.message) for one in caught if "called a synchronizing" in str(one.message)]


@pytest.mark.parametrize("batch", [None, 80])
@pytest.mark.parametrize("sample", [sample for sample in SAMPLES if sample != WAITS])
@pytest.mark.parametrize("groups", ["full", "ragged"])
def test_a_step_waits_for_each_round_of_its_eigenpairs_alone(
    monkeypatch: pytest.MonkeyPatch, groups: str, sample: str, batch: int | None
) -> None:
    looks: list[Tensor] = []
    tolist = Tensor.tolist

    def spy(tensor: Tensor) -> Any:
        looks.append(tensor)
        return tolist(tensor)

    partition = GROUPS[groups]
    field = make_field().to(DEVICE)
    adjuster = Adjuster(IGA(end=END, sample=sample), partition, device=DEVICE, batch=batch)
    x, y = (tensor.to(DEVICE) for tensor in problem(partition))
    arranged = adjuster.arrange(x, y)

    def step() -> None:
        if batch is None:
            adjuster.value_and_grad(field, *arranged)
            return
        members = adjuster.members(torch.randperm(partition.count)[:batch])
        adjuster.value_and_grad(field, x[members.points], y[members.points], members=members)

    for _ in range(2):
        step()
    monkeypatch.setattr(Tensor, "tolist", spy)
    found = waits(step)
    assert 1 <= len(looks) <= 4
    assert len(found) == len(looks), found
    assert adjuster.fallbacks == 0


FITS: dict[str, tuple[IGA, dict[str, Any]]] = {
    "argmax_lagged": (IGA("patch:2", end=6), {}),
    "random_once": (IGA("patch:2", end=6, sample="random_once"), {}),
    "refresh": (IGA("patch:2", end=6, refresh=3), {}),
    "mini-batches": (IGA("patch:2", end=6), {"batch_size": 80 * 4}),
    "cut patches": (IGA("patch:7", end=2, sample="random"), {"batch_size": 4 * 49}),
}


def fit(iga: IGA, **options: Any) -> Any:
    settings: dict[str, Any] = {
        "steps": 20,
        "batch_size": "full",
        "log_every": 5,
        "preview_every": 0,
        "device": DEVICE,
    }
    return fastsnf.fit(small_field(), small_image(), iga=iga, **{**settings, **options})


@pytest.mark.parametrize(("iga", "options"), FITS.values(), ids=FITS)
def test_a_fit_goes_on_to_the_same_bits(iga: IGA, options: dict[str, Any], tmp_path: Any) -> None:
    class Stop(Callback):
        def on_log(self, row: dict[str, Any], state: Any) -> None:
            if row["step"] == 10:
                state.stop()

    whole = fit(iga, **options)
    assert whole.history[-1]["loss"] < whole.history[0]["loss"]
    fit(iga, run=tmp_path / "run", callbacks=[Stop()], **options)
    resumed = fit(iga, run=tmp_path / "run", resume=True, **options)
    assert resumed.steps == whole.steps == 20
    assert same_state(whole.field, resumed.field)


def test_a_fit_that_adjusts_nothing_has_the_bits_of_the_plain_one() -> None:
    """Though that one runs as a CUDA graph."""
    plain = fastsnf.fit(small_field(), small_image(), steps=20, batch_size="full", device=DEVICE)
    assert same_state(plain.field, fit(IGA("patch:7", end=0)).field)


def test_weights_that_are_not_finite_are_counted_and_nothing_breaks() -> None:
    groups = GROUPS["full"]
    field = make_field().to(DEVICE)
    adjuster = Adjuster(IGA(end=END), groups, device=DEVICE)
    batch = adjuster.arrange(*(tensor.to(DEVICE) for tensor in problem(groups)))
    with torch.no_grad():
        next(field.parameters())[0, 0] = torch.nan
    loss = adjuster.value_and_grad(field, *batch)
    assert bool(loss.isnan())
    assert adjuster.failures == 1
    torch.cuda.synchronize()
