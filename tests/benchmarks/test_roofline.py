"""The bytes and FLOPs that launches claim, against the tensors that are there and the mathematics."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from benchmarks import launches, roofline
from benchmarks.cases import flops_per_point
from benchmarks.launches import Call
from benchmarks.roofline import Ceilings
from fastsnf.engines import triton
from fastsnf.engines.triton import plan
from fastsnf.engines.triton.launch import Launch
from fastsnf.engines.triton.parameters import PRECISIONS
from tests.benchmarks.allocations import Allocations

N = 131_072
POINTS = 512
"""Of eager's steps, which run: so many that its activations outweigh the parameters' gradients."""

SAVED = {"fp32": 4, "tf32": 4, "fast": 2}
COTANGENT = {"fp32": 4, "tf32": 4, "fast": 2}
FP32_SAVES, HALF_SAVES = 0.55, 0.28


def recorded(
    precision: str, width: int = 256, points: int = N, work: str = "train", **options: object
) -> list[Launch]:
    return launches.record(Call(work, "sine", precision, width, points, **options), "sm_90")


def rows_of_points(launch: Launch, points: int) -> tuple[int, int]:
    """Return the bytes read and written of tensors with a row a point."""
    read, written = (
        sum(
            t.numel() * t.element_size()
            for t in tensors
            if t is not None and t.dim() and t.shape[0] == points
        )
        for tensors in (launch.reads, launch.writes)
    )
    return read, written


def place(tensor: Tensor) -> tuple[int, int]:
    """Return what identifies a tensor's memory: its storage and where it starts."""
    return tensor.untyped_storage()._cdata, tensor.storage_offset() * tensor.element_size()


@pytest.mark.parametrize("width", [256, 512])
@pytest.mark.parametrize("precision", PRECISIONS)
def test_bytes_of_a_training_step_are_those_of_one_saved_tensor_a_layer(precision: str, width: int) -> None:
    """First layer: write s. Hidden: read and write s; d and s read, d written; d and s read. Last: s, d."""
    saved, cotangent, hidden = SAVED[precision], COTANGENT[precision], 3
    forward = saved + hidden * 2 * saved
    last = saved + cotangent
    backward = hidden * (cotangent + saved + cotangent) + hidden * (cotangent + saved) + cotangent
    edges = 2 * 4 * 2 + 4 * 3  # x for the first layer's value and gradient, the target
    moved = sum(sum(rows_of_points(launch, N)) for launch in recorded(precision, width))
    assert moved == N * ((forward + last + backward) * width + edges)
    assert (forward + last + backward) == {4: 100, 2: 50}[saved]


@pytest.mark.parametrize("precision", PRECISIONS)
def test_bytes_of_inference_layer_by_layer(precision: str) -> None:
    saved, width = SAVED[precision], 1024
    moved = [launch for launch in recorded(precision, width, work="infer") if launch.name != "pack_weight"]
    total = sum(launch.bytes_read + launch.bytes_written for launch in moved)
    weights = sum(
        t.numel() * t.element_size()
        for one in moved
        for t in one.reads
        if t is not None and t.shape[0] <= width
    )
    assert total - weights == N * ((saved * 8) * width + 4 * 2 + 4 * 3)


@pytest.mark.parametrize("activation", ["sine", "gabor", "sinc"])
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("work", launches.WORKS)
def test_a_launch_claims_what_it_is_given_and_nothing_else(
    work: str, precision: str, activation: str
) -> None:
    call = Call(work, activation, precision, 181, N)
    for launch in launches.record(call, "sm_90"):
        given = [value for value in launch.arguments.values() if isinstance(value, Tensor)]
        claimed = [tensor for tensor in (*launch.reads, *launch.writes) if tensor is not None]
        assert {place(tensor) for tensor in claimed} <= {place(tensor) for tensor in given}, launch
        large = {place(tensor) for tensor in given if tensor.dim() and tensor.shape[0] == N}
        assert large <= {place(tensor) for tensor in claimed}, launch


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_step_allocates_one_tensor_a_layer_and_no_cotangents(precision: str) -> None:
    with Allocations() as memory:
        recorded(precision)
    large = [size for size, _ in memory.made if size >= N * 256]
    inputs = N * 256 * SAVED[precision] * 4
    assert large == [inputs]


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("width", [64, 256])
def test_flops_are_those_of_the_mathematics(precision: str, width: int) -> None:
    total = sum(one.flops for one in recorded(precision, width) if "partials" not in one.name) / N
    bias, coordinates = 2 * width, 2 * launches.IN_FEATURES * width  # a bias column; no gradient of x
    assert total == flops_per_point(width, is_complex=False, training=True) + bias - coordinates


def eager(points: int, width: int) -> tuple[Callable[[], Tensor], list[Tensor]]:
    """Return the forward of eager's field with the mean squared error, and the tensors it starts from."""
    call = Call("train", "sine", "fp32", width, points)
    weights, biases = launches.parameters(call, "cpu")
    given = [tensor.zero_().requires_grad_() for tensor in (*weights, *biases) if tensor is not None]
    x, target = torch.zeros(points, call.in_features), torch.zeros(points, call.out_features)

    def loss() -> Tensor:
        h = x
        for weight, bias in zip(weights[:-1], biases[:-1], strict=True):
            h = torch.sin(30.0 * torch.nn.functional.linear(h, weight, bias))
        return torch.nn.functional.mse_loss(torch.nn.functional.linear(h, weights[-1], biases[-1]), target)

    return loss, [*given, x, target]


def eager_bytes(points: int, width: int) -> tuple[int, int]:
    """Return the bytes that eager keeps for its backward pass, and the most at once in a step."""
    loss, given = eager(points, width)
    kept: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage()._cdata] = tensor.untyped_storage().nbytes()
        return tensor

    with Allocations(given) as memory, torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        loss().backward()
    return sum(kept.values()), memory.peak


@functools.cache
def eager_kept(width: int) -> float:
    """Return the bytes that eager keeps a point."""
    return (eager_bytes(2 * POINTS, width)[0] - eager_bytes(POINTS, width)[0]) / POINTS


def test_eager_keeps_two_tensors_a_layer_and_peaks_with_two_more() -> None:
    """omega u and h of four layers; the peak has a cotangent and its cosine beside them."""
    small, large = eager_bytes(POINTS, 256), eager_bytes(2 * POINTS, 256)
    kept, peak = ((b - a) / (POINTS * 256) for a, b in zip(small, large, strict=True))
    assert kept == pytest.approx(2 * 4 * 4, rel=0.01)
    assert peak == pytest.approx(2 * 4 * 4 + 2 * 4, rel=0.02)


def step_bytes(precision: str, width: int, *, phases: bool = False) -> float:
    """Return the most bytes at once of a step of the engine, a point."""
    peaks = []
    for points in (N, 2 * N):
        with Allocations() as memory:
            recorded(precision, width, points, phases=phases)
        inputs = points * (launches.IN_FEATURES + launches.OUT_FEATURES) * 4
        peaks.append(memory.peak - inputs)
    return (peaks[1] - peaks[0]) / N


@pytest.mark.parametrize("width", [256, 512])
@pytest.mark.parametrize(
    ("precision", "phases", "most"),
    [
        ("fp32", False, FP32_SAVES),
        ("tf32", False, FP32_SAVES),
        ("tf32", True, FP32_SAVES),  # phases are 16 bits, cotangents 32: two of these are not in place
        ("fast", False, HALF_SAVES),
    ],
)
def test_activation_memory_against_what_eager_keeps(
    precision: str, phases: bool, most: float, width: int
) -> None:
    """Against the smaller of eager's two numbers; against its peak there is a fifth more room."""
    assert step_bytes(precision, width, phases=phases) <= most * eager_kept(width)


@pytest.mark.parametrize("width", [256, 512])
@pytest.mark.parametrize(
    ("precision", "most"), [("fp32", FP32_SAVES), ("tf32", FP32_SAVES), ("fast", HALF_SAVES)]
)
def test_what_a_backward_pass_by_hand_needs_kept(precision: str, most: float, width: int) -> None:
    call = Call("train", "sine", precision, width, N)
    weights, _ = launches.parameters(call)
    shapes = [(weight.shape[0], weight.shape[1]) for weight in weights]
    kept = triton.kept_bytes(N, shapes, call.spec, precision) / N
    assert kept == SAVED[precision] * 4 * width
    assert kept <= most * eager_kept(width)


def test_a_sine_on_load_counts_once_for_every_tile_of_columns() -> None:
    for launch in recorded("tf32", 512):
        if launch.name == "linear_fwd":
            tiles = math.ceil(512 / launch.constants["COLUMNS"])
            assert launches.special(launch) == N * 512 * tiles
        if launch.name == "linear_dx":
            assert launches.special(launch) == N * 512


def test_the_bound_is_the_slowest_resource() -> None:
    ceilings = Ceilings("test", bandwidth=1e12, half=1e12, tf32=1e12, fma=1e12, special=1e12)
    rows = roofline.rows_of(recorded("tf32"), "tf32", ceilings)
    for row in rows:
        assert row.bound == row.seconds[row.resource] == max(row.seconds.values())
    forward = next(row for row in rows if row.kernel == "linear_fwd")
    assert forward.resource == "products"
    assert forward.bound == pytest.approx(3 * 2 * N * 256 * 256 / 1e12)


def test_a_chunk_that_fits_the_cache_costs_no_memory_traffic() -> None:
    h200 = Ceilings.h200()
    points = 2**24
    recorded_launches = recorded("tf32", 256, points, work="infer")
    chunk = plan.LEAST_CHUNK * 256 * 4
    rows = roofline.rows_of(recorded_launches, "tf32", h200, cache=chunk)
    memory = sum(row.seconds["memory"] for row in rows) * h200.bandwidth
    assert memory == pytest.approx(points * (2 + 3) * 4)  # x and the outputs alone
    everything = roofline.rows_of(recorded_launches, "tf32", h200)
    assert sum(row.seconds["memory"] for row in everything) * h200.bandwidth > 100 * memory


def test_fp32_products_are_three_tf32_ones() -> None:
    h200 = Ceilings.h200()
    assert h200.products("fp32") == h200.products("tf32") / 3
    assert h200.products("fast") == h200.products("fast", over_rows=True) == 989e12
    assert h200.products("tf32", over_rows=True) == 989e12 / 3
    assert h200.products("fp32", over_rows=True) == 989e12 / 6
    assert h200.special == pytest.approx(3.86e12, rel=0.01)


@pytest.mark.parametrize("work", launches.WORKS)
@pytest.mark.parametrize("activation", ["sine", "gabor"])
def test_the_table_sums_up(work: str, activation: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--work", work, "--activation", activation, "--width", "64", "--points", "4096"]
    assert roofline.main([*arguments, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert roofline.main([*arguments, "--bandwidth", "4.1"]) == 0
    text = capsys.readouterr().out
    assert all(f"| {row['kernel']} |" in text for row in rows)
    assert "bytes a point" in text
    assert "measured bandwidth" in text
    assert sum(row["read"] + row["written"] for row in rows) > 0
