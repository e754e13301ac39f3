"""What the header of a fit says of its signal beyond kind and size."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastsnf.signals import Signal

LABEL = "source"


def described(signal: Signal) -> list[tuple[str, str]]:
    """Return labelled lines for what a user should know of the input; of many a signal none."""
    if signal.kind not in SAYS:
        return []
    facts = [fact for fact in SAYS[signal.kind](signal) if fact]
    lines = [(LABEL, "; ".join(facts))] if facts else []
    return lines + [("note", remark) for remark in getattr(signal, "remarks", [])]


def bytes_text(size: float) -> str:
    """Return a number of bytes for people.

    >>> bytes_text(512), bytes_text(1.8e6), bytes_text(1.074e9)
    ('512 B', '1.8 MB', '1.1 GB')
    """
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def _solid(signal: Any) -> Iterator[str]:
    """Yield where an occupancy grid comes from, how much of it is inside, and where its bits are."""
    yield signal.source
    facts: Mapping[str, Any] = signal.facts
    yield from mesh_facts(facts)
    if signal.threshold is not None:
        yield f"inside above {signal.threshold:g}"
    elif facts.get("two_values") and facts["values"] != [0, 1]:
        low, high = facts["values"]
        yield f"values {low:g} and {high:g}: inside above {(low + high) / 2:g}"
    if facts.get("crop"):
        yield f"crop {facts['crop']}"
    if signal.bits is not None:
        occupied = facts["occupied"] if "occupied" in facts else signal.bits.count()
        yield f"{100 * occupied / signal.size:.2f} % inside"
        size = bytes_text(len(signal.bits.octets))
        yield f"bits {size} in {signal.bits.path}" if signal.bits.path is not None else f"bits {size}"


def mesh_facts(facts: Mapping[str, Any]) -> Iterator[str]:
    """Yield what was found of a mesh: its size, whether it is closed, what rays say; of a grid nothing."""
    if "faces" in facts:
        yield f"{facts['faces']:,} faces"
    if "closed" in facts:
        edges = facts.get("open_edges", 0)
        yield "closed" if facts["closed"] else f"not closed ({edges:,} open edges): inside by winding numbers"
    if facts.get("rays_sampled"):
        yield f"rays differ at {facts.get('rays_differ', 0):,} of {facts['rays_sampled']:,} points"


def _distances(signal: Any) -> Iterator[str]:
    """Yield where signed distances come from."""
    yield signal.source
    yield from mesh_facts(signal.facts)


def _sound(signal: Any) -> Iterator[str]:
    yield f"{signal.duration:.2f} s at {signal.rate:,} Hz"
    yield signal.source
    yield f"divided by {signal.scale:.4g}"


def _map(signal: Any) -> Iterator[str]:
    about: Mapping[str, str] = signal.about
    yield about["long_name"] or about["name"]
    low, high = signal.bounds
    yield f"{low:.6g} to {high:.6g} {about['unit']}".strip()
    yield about["time"]
    yield about["source"]


def _video(signal: Any) -> Iterator[str]:
    yield f"{signal.shape[0]:,} frames of {float(signal.rate):.5g} a second"
    yield signal.source


SAYS: dict[str, Callable[[Any], Iterator[str]]] = {
    "audio": _sound,
    "occupancy": _solid,
    "sdf": _distances,
    "sphere": _map,
    "video": _video,
}
"""The facts of a kind of signal."""
