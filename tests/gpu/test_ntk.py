"""The CUDA extension on a GPU against float64: blocks of the empirical NTK, small eigen-decompositions."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from fastsnf import ops
from fastsnf.engines import cuda
from fastsnf.errors import EngineError, InputError
from fastsnf.reference import ntk
from fastsnf.reference.ntk import LayerTrace
from fastsnf.spec import FieldSpec, Sine
from tests import cases
from tests.engines.problems import problem
from tests.gpu import fields
from tests.gpu.fields import DEVICE, to, width_of
from tests.tolerances import RATIO

pytestmark = pytest.mark.gpu

POINTS = (1, 2, 31, 64, 65, 200, 513)
EPS = 2.0**-23


@pytest.fixture(autouse=True)
def _built() -> None:
    """Fail, and do not skip, where the extension is missing: it is what these tests are for."""
    assert cuda.missing() == ""


def traced(spec: FieldSpec, widths: Sequence[int], points: int, batch: int, seed: int = 0) -> LayerTrace:
    """Return the float32 trace of a random field at [batch, points, D]; what follows takes it as exact."""
    gen = torch.Generator().manual_seed(seed)
    case = problem(spec, list(widths), batch * points, gen=gen)
    x = case.x.to(DEVICE).double().view(batch, points, -1)
    weights, biases = to(case.weights, DEVICE), to(case.biases, DEVICE)
    wide = [w.to(torch.promote_types(w.dtype, torch.float64)) for w in weights]
    wide_biases = [None if b is None else b.to(torch.promote_types(b.dtype, torch.float64)) for b in biases]
    d_out = x.new_full((*x.shape[:-1], widths[-1]), widths[-1] ** -0.5)
    found = ntk.layer_trace(x, wide, wide_biases, spec, d_out)
    return LayerTrace(*([narrow(t) for t in part] for part in found))


def narrow(tensor: Tensor) -> Tensor:
    """Return a tensor in single precision."""
    return tensor.to(torch.complex64 if tensor.is_complex() else torch.float32)


def widened(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Return tensors in double precision."""
    return [t.to(torch.promote_types(t.dtype, torch.float64)) for t in tensors]


def error(gram: Tensor, exact: Tensor) -> float:
    """Return the largest error in units of each block's largest entry."""
    return float(((gram - exact).abs() / exact.abs().amax(dim=(1, 2), keepdim=True)).max())


def judged(inputs: list[Tensor], cotangents: list[Tensor], bias: list[bool]) -> Tensor:
    """Assert that the engine's K is symmetric and within twice eager float32's own error; return it."""
    fields.poison()
    found = ops.ntk_gram(inputs, cotangents, bias=bias, engine="cuda")
    exact = ntk.ntk_gram(widened(inputs), widened(cotangents), bias)
    eager = ntk.ntk_gram(inputs, cotangents, bias)
    assert torch.equal(found, found.mT)
    own, others = error(found, exact), error(eager, exact)
    assert own <= max(RATIO * others, EPS * (2 + len(inputs)) / 2), f"{own:.3g} against eager's {others:.3g}"
    return found


@pytest.mark.parametrize("act", cases.ACTIVATIONS, ids=cases.name)
def test_every_activation(act) -> None:
    trace = traced(FieldSpec.mlp(act, 3), [2, *[width_of(act)] * 4, 3], 513, 1)
    judged(*trace, [True] * 5)


@pytest.mark.parametrize("batch", [1, 5])
@pytest.mark.parametrize("points", POINTS)
def test_odd_sizes(points: int, batch: int) -> None:
    trace = traced(FieldSpec.mlp(Sine(3.0), 2), [3, 37, 37, 37, 2], points, batch)
    judged(*trace, [True, False, True, False])


@pytest.mark.parametrize("layers", [1, 2, 40])
def test_any_number_of_layers(layers: int) -> None:
    generator = torch.Generator(DEVICE).manual_seed(0)
    a = [torch.randn(2, 70, 9, device=DEVICE, generator=generator) for _ in range(layers)]
    d = [torch.randn(2, 70, 5, device=DEVICE, generator=generator) for _ in range(layers)]
    judged(a, d, [layer % 2 == 0 for layer in range(layers)])


def test_large_tiles_and_small_tiles_agree() -> None:
    """Many blocks take the large tiles, one of them alone the small ones."""
    trace = traced(FieldSpec.mlp(Sine(3.0), 1), [2, 100, 100, 3], 200, 60)
    whole = judged(*trace, [True] * 3)
    alone = judged(*([t[7:8] for t in part] for part in trace), [True] * 3)
    torch.testing.assert_close(whole[7:8], alone, rtol=1e-5, atol=1e-5 * float(alone.abs().max()))


def test_operands_as_they_lie_in_memory() -> None:
    generator = torch.Generator(DEVICE).manual_seed(1)
    wide = torch.full((2, 90, 40), float("nan"), device=DEVICE)
    wide[:, :, 3:20] = torch.randn(2, 90, 17, device=DEVICE, generator=generator)
    row = torch.randn(3, device=DEVICE, generator=generator).expand(2, 90, 3)
    across = torch.randn(2, 5, 90, device=DEVICE, generator=generator).mT
    turned = torch.randn(2, 90, 3, dtype=torch.complex64, device=DEVICE, generator=generator).conj()
    judged([wide[:, :, 3:20], across], [row, across], [True, False])
    judged([turned], [turned.resolve_conj()], [True])


def test_the_largest_blocks_and_the_most() -> None:
    one = torch.randn(1, 4096, 7, device=DEVICE)
    judged([one], [one], [True])
    many = torch.randn(4096, 9, 7, device=DEVICE)
    judged([many], [many], [True])


def test_nothing_is_allocated_but_the_output() -> None:
    a, d = torch.randn(8, 512, 256, device=DEVICE), torch.randn(8, 512, 256, device=DEVICE)
    ops.ntk_gram([a], [d], engine="cuda")
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    out = ops.ntk_gram([a], [d], engine="cuda")
    assert torch.cuda.max_memory_allocated() - before == out.numel() * 4


def test_the_current_stream_is_used() -> None:
    """Operands that another stream writes late are seen by the calls of that stream."""
    a = torch.randn(2, 100, 33, device=DEVICE)
    expected, late = ops.ntk_gram([a], [a], engine="cuda"), torch.full_like(a, torch.nan)
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        torch.cuda._sleep(50_000_000)
        late.copy_(a)
        found = ops.ntk_gram([late], [late], engine="cuda")
        values, _ = cuda.eigh_small(found[:, :50, :50])
    torch.cuda.current_stream().wait_stream(stream)
    assert torch.equal(found, expected)
    assert bool(values.isfinite().all())


def test_a_cuda_graph_replays_both() -> None:
    a = torch.randn(1, 60, 20, device=DEVICE)

    def work() -> list[Tensor]:
        gram = ops.ntk_gram([a], [a], engine="cuda")
        return [gram, *cuda.eigh_small(gram)]

    work()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        kept = work()
    a.copy_(torch.randn_like(a))
    graph.replay()
    assert all(map(torch.equal, kept, work()))


def test_wrong_devices_are_refused() -> None:
    a = torch.randn(1, 4, 3)
    with pytest.raises(EngineError, match="tensors are on cpu"):
        ops.ntk_gram([a], [a], engine="cuda")
    with pytest.raises(InputError):
        ops.ntk_gram([a.to(DEVICE)], [a], engine="cuda")
    with pytest.raises(EngineError, match=r"torch\.float64"):
        ops.ntk_gram([a.to(DEVICE).double()], [a.to(DEVICE).double()], engine="cuda")
    assert torch.cuda.is_available()  # and the GPU still answers
    torch.cuda.synchronize()


def symmetric(m: int, values: Tensor) -> Tensor:
    """Return a float32 matrix [1, m, m] near a spectrum."""
    basis, _ = torch.linalg.qr(torch.randn(m, m, dtype=torch.float64, device=DEVICE))
    matrix = (basis * values.to(DEVICE)) @ basis.mT
    return (0.5 * (matrix + matrix.mT)).float()[None]


@pytest.mark.parametrize("m", [1, 2, 3, 17, 28, 63, 64])
def test_small_eigen_decompositions(m: int) -> None:
    spectra = [torch.randn(m).double(), torch.logspace(0, -12, m).double(), (torch.arange(m) // 4).double()]
    matrices = torch.cat([symmetric(m, values) for values in spectra] * 50)
    fields.poison()
    values, vectors = cuda.eigh_small(matrices)
    exact = matrices.double()
    scale = exact.abs().amax(dim=(1, 2))[:, None].clamp_min(1e-30) * m
    assert bool((values.diff(dim=-1) >= 0).all())
    assert bool(((values - torch.linalg.eigvalsh(exact)).abs() <= EPS * scale).all())
    columns = vectors.double()
    residual = (exact @ columns - columns * values.double()[:, None, :]).norm(dim=1)
    assert bool((residual <= EPS * scale).all())
    unity = columns.mT @ columns - torch.eye(m, dtype=torch.float64, device=DEVICE)
    assert float(unity.abs().max()) <= 2 * EPS * max(4.0, m**0.5)
    again = cuda.eigh_small(matrices)
    assert torch.equal(values, again[0])
    assert torch.equal(vectors, again[1])


def test_a_matrix_that_is_not_finite_gives_nan_alone() -> None:
    matrices = torch.cat([symmetric(9, torch.arange(9).double()) for _ in range(3)])
    matrices[1, 2, 7] = float("nan")
    values, vectors = ops.small_eigh(matrices)
    assert bool(values[1].isnan().all())
    assert bool(vectors[1].isnan().all())
    assert bool(values[[0, 2]].isfinite().all())


def test_nothing_waits_for_the_device() -> None:
    a = torch.randn(2, 64, 20, device=DEVICE)
    ops.small_eigh(ops.ntk_gram([a], [a]))
    torch.cuda.set_sync_debug_mode("error")
    try:
        ops.small_eigh(ops.ntk_gram([a], [a]))
    finally:
        torch.cuda.set_sync_debug_mode("default")
