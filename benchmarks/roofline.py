"""Bounds of the Triton engine by arithmetic: `python -m benchmarks.roofline [--width W] [--precision P]`.

The engine's own run is recorded on tensors without memory, kernel by kernel; no kernel runs and no GPU is
needed. A kernel takes at least as long as its bytes take on the memory bus, its products on the matrix units,
its other arithmetic on the FMA pipes, its sines and exponentials on the special-function units: the longest
of these is its bound, and the sum over kernels the bound of a step. Inference runs in chunks whose
activations stay in the second-level cache; they count as bytes and not as time. What a real kernel adds
(loops too short to hide their start, launches, all other instructions) is not in it.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks import launches
from benchmarks.launches import HIDDEN_LAYERS, Call
from fastsnf.engines.triton.launch import ARCHITECTURES, Launch
from fastsnf.engines.triton.parameters import PRECISIONS
from fastsnf.engines.triton.plan import CACHE_BYTES
from fastsnf.spec import ACTIVATIONS

EAGER_FORWARD_BYTES = 24
"""Bytes a feature and activated layer that eager's forward moves: u written, u read and omega u written, that
read and h written, h read by the next product."""

EAGER_STEP_BYTES = 72
"""The same of a training step: the backward moves twice as much."""

SPLIT_PRODUCTS = 3
"""Products on the matrix unit for one in `fp32`: 3xTF32."""

SPLIT_ROW_PRODUCTS = {"fast": 1, "tf32": 3, "fp32": 6}
"""16-bit products for one of a weight gradient: it sums over rows, where the unit reads 16 bits alone."""


@dataclass(frozen=True)
class Ceilings:
    """Rates of a GPU: bytes/s, dense FLOP/s by type, evaluations/s of the special-function units."""

    name: str
    bandwidth: float
    half: float
    tf32: float
    fma: float
    special: float

    @classmethod
    def h200(cls) -> Ceilings:
        """Return the datasheet's rates of an H200: 132 multiprocessors at the clock that its rates imply."""
        clock = 989e12 / (132 * 4096)  # dense 16-bit FLOP a clock and multiprocessor: 4096
        return cls("H200 (datasheet)", 4.8e12, 989e12, 495e12, 67e12, 132 * 16 * clock)

    def products(self, precision: str, *, over_rows: bool = False) -> float:
        """Return the rate of useful FLOPs of products in `precision`; `over_rows`: of weight gradients."""
        if over_rows:
            return self.half / SPLIT_ROW_PRODUCTS[precision]
        return {"fast": self.half, "tf32": self.tf32, "fp32": self.tf32 / SPLIT_PRODUCTS}[precision]


@dataclass(frozen=True)
class Row:
    """All launches of one kernel with the same constants and sizes.

    `seconds` by resource: ``memory``, ``products``, ``fma``, ``special``; of all its launches.
    """

    kernel: str
    count: int
    flops: int
    read: int
    written: int
    special: int
    seconds: dict[str, float]

    @property
    def resource(self) -> str:
        """What the kernel waits for."""
        return max(self.seconds, key=lambda name: self.seconds[name])

    @property
    def bound(self) -> float:
        """Seconds that it takes at least."""
        return max(self.seconds.values())


def row_of(kernel: str, group: Sequence[Launch], precision: str, ceilings: Ceilings, cache: int) -> Row:
    """Return the row of launches of one kernel."""
    flops = sum(launch.flops for launch in group)
    read, written = sum(launch.bytes_read for launch in group), sum(launch.bytes_written for launch in group)
    special = sum(launches.special(launch) for launch in group)
    on_matrix_units = launches.has_products(group[0])
    rate = ceilings.products(precision, over_rows=kernel in launches.OVER_ROWS)
    seconds = {
        "memory": sum(crossing(launch, cache) for launch in group) / ceilings.bandwidth,
        "products": flops / rate if on_matrix_units else 0.0,
        "fma": 0.0 if on_matrix_units else flops / ceilings.fma,
        "special": special / ceilings.special,
    }
    return Row(kernel, len(group), flops, read, written, special, seconds)


def crossing(launch: Launch, cache: int) -> int:
    """Return the bytes of tensors that are not in the cache: those in more than `cache` bytes of memory."""
    return sum(
        tensor.numel() * tensor.element_size()
        for tensor in (*launch.reads, *launch.writes)
        if tensor is not None and tensor.untyped_storage().nbytes() > cache
    )


def rows_of(recorded: Iterable[Launch], precision: str, ceilings: Ceilings, *, cache: int = 0) -> list[Row]:
    """Return the rows of recorded launches, in the order in which their kernels are first met.

    Args:
        cache: tensors of at most so many bytes stay in the second-level cache, as chunks of inference do.
    """
    groups: dict[Any, list[Launch]] = {}
    for launch in recorded:
        groups.setdefault((launch.name, launches.sizes(launch)), []).append(launch)
    return [row_of(name, group, precision, ceilings, cache) for (name, _), group in groups.items()]


def eager_bytes(call: Call) -> int:
    """Return the bytes that eager float32 moves for a call, activations of its sine layers alone."""
    factor = EAGER_STEP_BYTES if call.work == "train" else EAGER_FORWARD_BYTES
    return factor * call.width * (call.hidden_layers + 1) * call.points


def table(call: Call, rows: Sequence[Row], ceilings: Ceilings) -> str:
    """Return the table of a call: a line a kernel, the sum, and the counts a point."""
    names = ("memory", "products", "fma", "special")
    lines = [
        f"{call.title}; {ceilings.name}: {ceilings.bandwidth / 1e12:g} TB/s, "
        f"{ceilings.products(call.precision) / 1e12:.0f} TFLOP/s of useful products",
        "",
        "| kernel | launches | GFLOP | MB read | MB written | special, 10⁶ | "
        + " | ".join(f"{name}, µs" for name in names)
        + " | bound, µs | by |",
        "|---" * 12 + "|",
    ]
    for row in rows:
        times = " | ".join(f"{row.seconds[name] * 1e6:.1f}" for name in names)
        lines.append(
            f"| {row.kernel} | {row.count} | {row.flops / 1e9:.2f} | {row.read / 1e6:.2f} "
            f"| {row.written / 1e6:.2f} | {row.special / 1e6:.1f} | {times} "
            f"| {row.bound * 1e6:.1f} | {row.resource} |"
        )
    total, flops = sum(row.bound for row in rows), sum(row.flops for row in rows)
    moved, special = sum(row.read + row.written for row in rows), sum(row.special for row in rows)
    eager = eager_bytes(call)
    lines += [
        "",
        f"sum of the bounds: {total * 1e6:.1f} µs, {total / call.points * 1e9:.3f} ns a point, "
        f"{call.points / total / 1e6:.0f} million points/s, {flops / total / 1e12:.0f} TFLOP/s",
        f"a point: {flops / call.points:.0f} FLOP, {moved / call.points:.0f} bytes, "
        f"{special / call.points:.0f} evaluations of special functions",
        f"eager float32 moves {eager / call.points:.0f} bytes a point: {eager / moved:.1f} times as many",
    ]
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Print the bounds of the calls asked for."""
    arguments = parser().parse_args(sys.argv[1:] if argv is None else argv)
    ceilings = Ceilings.h200()
    given = {
        "bandwidth": arguments.bandwidth and arguments.bandwidth * 1e12,
        "half": arguments.half and arguments.half * 1e12,
        "tf32": arguments.tf32 and arguments.tf32 * 1e12,
        "fma": arguments.fma and arguments.fma * 1e12,
        "special": arguments.special and arguments.special * 1e12,
    }
    rates = {name: value for name, value in given.items() if value}
    if rates:
        ceilings = Ceilings(**{**asdict(ceilings), "name": "measured " + ", ".join(sorted(rates)), **rates})
    for work in (arguments.work,) if arguments.work != "all" else launches.WORKS:
        call = Call(
            work,
            arguments.activation,
            arguments.precision,
            arguments.width,
            arguments.points,
            hidden_layers=arguments.hidden_layers,
            phases=arguments.phases,
        )
        recorded = launches.record(call, arguments.architecture)
        cache = CACHE_BYTES if work == "infer" else 0
        rows = rows_of(recorded, call.precision, ceilings, cache=cache)
        if arguments.json:
            print(json.dumps([{"call": asdict(call), **asdict(row), "bound": row.bound} for row in rows]))
        else:
            print(table(call, rows, ceilings), end="\n\n")
    return 0


def parser() -> argparse.ArgumentParser:
    """Return the options."""
    result = argparse.ArgumentParser(
        prog="python -m benchmarks.roofline", description=(__doc__ or "").split("\n")[0]
    )
    result.add_argument("--work", default="all", choices=(*launches.WORKS, "all"))
    result.add_argument(
        "--activation", default="sine", choices=[name for name in ACTIVATIONS if name != "identity"]
    )
    result.add_argument("--precision", default="tf32", choices=PRECISIONS)
    result.add_argument("--width", type=int, default=256)
    result.add_argument("--points", type=int, default=2**20)
    result.add_argument("--hidden-layers", type=int, default=HIDDEN_LAYERS)
    result.add_argument("--phases", action="store_true", help="16-bit phases of a sine in tf32")
    result.add_argument(
        "--architecture", default="sm_90", choices=ARCHITECTURES, help="whose tiles are taken"
    )
    result.add_argument("--json", action="store_true")
    for name, what in (
        ("bandwidth", "TB/s copied"),
        ("half", "dense 16-bit TFLOP/s"),
        ("tf32", "dense tf32 TFLOP/s"),
        ("fma", "fp32 TFLOP/s"),
        ("special", "10^12 special functions/s"),
    ):
        result.add_argument(f"--{name}", type=float, help=f"measured {what}, in place of the datasheet's")
    return result


if __name__ == "__main__":
    sys.exit(main())
