"""The same call gives the same bits: repeated, in chunks, on another stream; and beyond 2^31 elements."""

from __future__ import annotations

import pytest
import torch

from benchmarks.gate import relative_error
from fastsnf import ops
from fastsnf.spec import Sine
from tests.gpu import fields
from tests.gpu.calls import BITS
from tests.gpu.fields import PRECISIONS, drawn

pytestmark = pytest.mark.gpu


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("act", BITS, ids=lambda act: act.name)
def test_repeats(act, precision):
    problem = drawn(act, 131_072 + 5, 128)
    first = fields.step(problem, precision)
    for _ in range(5):
        fields.poison()
        fields.assert_same_bits(first, fields.step(problem, precision))


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("act", BITS, ids=lambda act: act.name)
def test_chunks(act, precision, monkeypatch):
    from fastsnf.engines.triton import plan

    problem = drawn(act, 100_003, 128)
    whole = fields.step(problem, precision)
    monkeypatch.setattr(plan, "CHUNK_BYTES", 16 << 20)
    fields.assert_same_bits(whole, fields.step(problem, precision))


@pytest.mark.parametrize("precision", PRECISIONS)
def test_kept_and_computed_again(precision, monkeypatch):
    from fastsnf.ops import registration

    problem = drawn(Sine(30.0), 50_001, 128)
    kept = fields.by_autograd(problem, precision)
    monkeypatch.setattr(registration, "KEEPING", ())
    again = fields.by_autograd(problem, precision)
    # The output of a call that keeps nothing may come from the network-fused kernel.
    del kept["scalars[0]"], again["scalars[0]"]
    fields.assert_same_bits(kept, again)


def test_streams():
    problem = drawn(Sine(30.0), 131_072, 128)
    first = fields.step(problem, "tf32")
    streams = [torch.cuda.Stream() for _ in range(3)]
    torch.cuda.synchronize()
    for stream in streams * 2:
        with torch.cuda.stream(stream):
            found = fields.step(problem, "tf32")
        stream.synchronize()
        fields.assert_same_bits(first, found)


def test_a_recorded_step_gives_the_same_bits():
    problem = drawn(Sine(30.0), 16_384, 128)
    first = fields.step(problem, "tf32")
    graph, stream = torch.cuda.CUDAGraph(), torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        fields.step(problem, "tf32")
    torch.cuda.current_stream().wait_stream(stream)
    with torch.cuda.graph(graph):
        found = fields.step(problem, "tf32")
    graph.replay()
    torch.cuda.synchronize()
    fields.assert_same_bits(first, found)


@pytest.mark.parametrize("precision", ["tf32", "fast"])
def test_buffers_of_more_than_2_31_elements(precision):
    """8.4 million rows of 256: the last rows, alone and within, in the output and in every gradient."""
    rows, last = 2**23 + 2**15 + 3, 1000
    if torch.cuda.mem_get_info()[0] < 70 << 30:
        pytest.skip("less than 70 GB of free GPU memory")
    problem = drawn(Sine(30.0), rows, 256, depth=1)
    problem.d_out[:-last] = 0.0
    found = fields.by_autograd(problem, precision)
    end = problem._replace(x=problem.x[-last:].clone(), d_out=problem.d_out[-last:].clone())
    alone = fields.by_autograd(end, precision)
    out, d_x = found.pop("scalars[0]"), found.pop("scalars[1]")
    assert torch.equal(out[-last:], alone.pop("scalars[0]"))
    assert torch.equal(d_x[-last:], alone.pop("scalars[1]"))
    assert not d_x[:-last].any()
    for name in alone:
        assert relative_error(found[name], alone[name].double()) <= 1e-5, name


def test_memory_that_does_not_suffice_halves_the_chunks(monkeypatch):
    """A chunk that does not fit is halved, and the gradient keeps its bits."""
    from fastsnf.engines.triton import field

    problem = drawn(Sine(30.0), 100_003, 128)
    whole, real, failed = fields.step(problem, "tf32"), field._saved, []

    def saved(*arguments):
        if len(failed) < 2:
            failed.append(1)
            raise torch.OutOfMemoryError("as if")
        return real(*arguments)

    from fastsnf.engines.triton import plan

    monkeypatch.setattr(plan, "CHUNK_BYTES", 1 << 30)
    monkeypatch.setattr(field, "_saved", saved)
    monkeypatch.setattr(field, "_fitting", {})
    fields.assert_same_bits(whole, fields.step(problem, "tf32"))
    assert len(failed) == 2


def test_a_mix_of_devices_is_refused():
    from fastsnf.errors import InputError

    problem = drawn(Sine(30.0), 100, 32)
    with pytest.raises(InputError):
        ops.field(problem.x.cpu(), problem.weights, problem.biases, spec=problem.spec)
