"""Batches in chunks: the gradient of the whole, whatever memory allows, and never the whole in memory."""

from __future__ import annotations

import pytest
import torch

import fastsnf
from fastsnf.errors import RunError
from fastsnf.signals.occupancy import Occupancy
from fastsnf.train import chunks, division
from fastsnf.train.config import FitConfig
from fastsnf.train.parts import Parts
from fastsnf.train.points import Points
from fastsnf.train.step import Step, trainable
from fastsnf.train.updates import RecordedUpdates, Updates
from tests.cases import count
from tests.train.samples import BATCHES, fit_small, holey_samples, same_state, small_field, small_image
from tests.train.tape import TapeGraphs

pytestmark = pytest.mark.usefixtures("new_process")

CPU = torch.device("cpu")
TOLERANCE = 1e-6


def make_parts(loss="mse", *, weighted=False, chunk=None, dtype=torch.float32, **options):
    field = small_field(**options).to(dtype)
    points = Points(holey_samples() if weighted else small_image(), None, CPU, dtype)
    optimizer = torch.optim.Adam(trainable(field))
    return field, Parts(points, Step(field, optimizer, FitConfig(loss=loss)), chunk=chunk)


def index_of(kind: str) -> torch.Tensor | slice:
    if kind == "slice":
        return slice(3, 320)
    return torch.randperm(360, generator=torch.Generator().manual_seed(5))[:101]


@pytest.mark.parametrize("chunk", [1, 7, 100])
@pytest.mark.parametrize("kind", ["slice", "index"])
@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
@pytest.mark.parametrize("loss", ["mse", "bce"])
def test_chunks_give_the_gradient_of_the_whole(loss, weighted, kind, chunk):
    """In float64, where rounding leaves no doubt."""
    field, whole = make_parts(loss, weighted=weighted, dtype=torch.float64)
    other, parted = make_parts(loss, weighted=weighted, chunk=chunk, dtype=torch.float64)
    losses = [float(parts.gradients(index_of(kind))) for parts in (whole, parted)]
    assert losses[1] == pytest.approx(losses[0], rel=1e-12)
    for first, second in zip(field.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(second.grad, first.grad, rtol=1e-9, atol=1e-14)
    assert whole.error is None
    assert sum(len(x) for x, _, _ in parted.batches(index_of(kind))) == (317 if kind == "slice" else 101)


def test_complex_gradients_and_those_that_are_missing():
    options = {"activation": "gabor", "scale": 5.0}
    field, whole = make_parts(**options)
    other, parted = make_parts(chunk=10, **options)
    for parts in (whole, parted):
        parts.gradients(index_of("index"))
    for first, second in zip(field.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(second.grad, first.grad, rtol=1e-4, atol=1e-7)
    field, parted = make_parts(chunk=10)
    frozen = next(field.parameters())
    frozen.requires_grad_(False)
    parted.gradients(index_of("index"))
    assert frozen.grad is None


def test_the_psnr_of_a_batch_in_parts_is_that_of_the_whole(monkeypatch):
    for loss in ("mse", "bce"):
        expected = fit_small(loss=loss)
        monkeypatch.setattr(division, "largest_chunk", lambda *args: 33)
        found = fit_small(loss=loss)
        monkeypatch.undo()
        assert not same_state(found.field, expected.field), "it is the same to rounding alone"
        for row, other in zip(found.history, expected.history, strict=True):
            assert row["psnr"] == pytest.approx(other["psnr"], rel=1e-5)
            assert row["loss"] == pytest.approx(other["loss"], rel=1e-5)


class Allocator:
    """Lets the gradients of a step run out of memory at the calls `failing`, half of them half done."""

    def __init__(self, monkeypatch, failing, failure=None) -> None:
        self.calls, self.sizes = 0, []
        self._gradients, self._failing = Step.gradients, failing
        self._failure = failure or RuntimeError("DefaultCPUAllocator: can't allocate memory")
        monkeypatch.setattr(Step, "gradients", lambda step, *batch: self(step, *batch))

    def __call__(self, step, x, y, w=None):
        self.calls += 1
        self.sizes.append(len(x))
        if self.calls in self._failing:
            if self.calls % 2:
                self._gradients(step, x, y, w)
            raise self._failure
        return self._gradients(step, x, y, w)


FULL = {**BATCHES, "steps": 10, "batch_size": "full", "lr": 1e-3, "optimizer": "sgd", "schedule": "constant"}


@pytest.mark.parametrize("call", range(1, 40 + 1, 40 // count(40)))
@pytest.mark.parametrize("loss", ["mse", "bce"])
def test_a_batch_that_memory_has_no_room_for_is_taken_in_halves(loss, call, monkeypatch):
    def fit():
        return fastsnf.fit(small_field(), small_image((64, 48)), **{**FULL, "loss": loss})

    expected = fit()
    allocator = Allocator(monkeypatch, {call, call + 1})
    found = fit()
    assert found.steps == expected.steps
    if allocator.calls > call:
        assert 3072 in allocator.sizes[:call]
        assert max(allocator.sizes[call + 1 :]) <= 768
    for first, second in zip(expected.field.parameters(), found.field.parameters(), strict=True):
        assert (first - second).norm() <= TOLERANCE * first.norm()
    assert found.psnr == pytest.approx(expected.psnr, abs=1e-4)


def test_what_fitted_holds_for_the_next_fit(monkeypatch):
    allocator = Allocator(monkeypatch, {1})
    fastsnf.fit(small_field(), small_image((64, 48)), **FULL)
    first = len(allocator.sizes)
    fastsnf.fit(small_field(1), small_image((64, 48)), **FULL)
    assert max(allocator.sizes[first:]) == 1536


def test_where_the_smallest_chunk_does_not_fit_the_run_ends_and_its_checkpoint_stays(monkeypatch, tmp_path):
    allocator = Allocator(monkeypatch, range(7, 1000), torch.OutOfMemoryError("CUDA out of memory. Tried"))
    options = {**FULL, "checkpoint_every": 0.0}
    with pytest.raises(RunError, match=r"expected memory for 256 points at a time; got: CUDA out of memory"):
        fastsnf.fit(small_field(), small_image((64, 48)), run=tmp_path / "run", **options)
    assert allocator.sizes[6:] == [3072, 1536, 768, 384, 256]
    monkeypatch.undo()
    chunks.forget()
    resumed = fastsnf.fit(small_field(), small_image((64, 48)), run=tmp_path / "run", resume=True, **options)
    straight = fastsnf.fit(small_field(), small_image((64, 48)), **options)
    assert same_state(resumed.field, straight.field)


def test_a_loss_that_may_couple_points_is_never_divided(monkeypatch):
    def spread(out, target, weights):
        return (out - out.mean()).square().mean()

    allocator = Allocator(monkeypatch, {2}, MemoryError())
    with pytest.raises(MemoryError):
        fastsnf.fit(small_field(), small_image((64, 48)), **{**FULL, "loss": spread})
    assert allocator.sizes == [3072, 3072]


def test_recorded_steps_give_way_to_chunks(monkeypatch):
    field = small_field()
    points = Points(small_image(), None, CPU, torch.float32, packed=True)
    optimizer = torch.optim.Adam(trainable(field))
    step = Step(field, optimizer, FitConfig())
    graphs = TapeGraphs()
    parts = Parts(points, step, chunk=480, key="recorded")
    updates = RecordedUpdates(points, step, field, graphs, parts)
    chunks.limit(200, "recorded")
    for _ in range(6):
        updates.gradients(slice(0, 480))
        updates.update()
    assert graphs.records == 0
    assert sum(len(x) for x, _, _ in updates.batches()) == 480


@pytest.mark.parametrize("engine", ["native", "reference"])
@pytest.mark.parametrize("loss", ["mse", "bce"])
def test_a_full_batch_of_a_signal_that_is_not_held_never_has_its_coordinates(engine, loss, monkeypatch):
    """48^3 points, in chunks of at most 4096: what is in memory at once is bounded by the chunk."""
    solid = Occupancy.from_function(lambda x: x.square().sum(1) < 0.5, (48, 48, 48))
    made = []
    coordinates_of = Occupancy.batch

    def batch(self, index):
        x, y, w = coordinates_of(self, index)
        made.append(len(x))
        return x, y, w

    monkeypatch.setattr(Occupancy, "batch", batch)
    monkeypatch.setattr(division, "largest_chunk", lambda *args: 4096)
    chunks.limit(4096, ("measure", 8))
    tensors = fastsnf.ops.GridPoints.coordinates
    monkeypatch.setattr(
        fastsnf.ops.GridPoints, "coordinates", lambda points: made.append(len(points)) or tensors(points)
    )
    field = fastsnf.SNF(3, 1, 8, 1, generator=torch.Generator().manual_seed(0))
    options = {"steps": 2, "batch_size": "full", "loss": loss, "engine": engine, "preview_every": 0}
    result = fastsnf.fit(field, solid, **options)
    assert result.steps == 2
    assert max(made, default=0) <= 4096
    if (engine, loss) != ("native", "mse"):
        assert made.count(4096) >= 2 * (48**3 // 4096)


def test_the_whole_last_batch_is_there_for_who_asks_why_it_diverged():
    _, parted = make_parts(chunk=50)
    updates = Updates(parted._points, parted._step, parted)
    updates.gradients(slice(0, 480))
    assert [len(x) for x, _, _ in updates.batches()] == [50] * 9 + [30]
    assert updates.batch[0].shape == (30, 2)
