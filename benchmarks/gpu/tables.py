"""Markdown tables of the GPU records: every figure, every floor, and what has no figure and why."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.gpu import cases, ntk_tables
from benchmarks.gpu.record import RECORDS
from benchmarks.tables import table, times

TABLES = "gpu-tables.md"
NOT_MEASURED = "not measured yet"
WORKS = {"train": "training step", "infer": "inference"}

Row = dict[str, Any]


def latest(rows: Sequence[Row]) -> dict[str, Row]:
    """Return the last measured row of each key; failures are left out."""
    return {row["key"]: row for row in rows if row["kind"] not in ("failure", "poison", "tests")}


def median(row: Row | None, side: str) -> float | None:
    """Return a side's median seconds, if it was measured."""
    found = row["sides"].get(side) if row else None
    return float(found["seconds"]["median"]) if found else None


def ratio(row: Row | None, side: str, against: str) -> float | None:
    """Return how many times longer `against` takes than `side`."""
    own, other = median(row, side), median(row, against)
    return None if own is None or other is None else other / own


def floor_ratio(found: dict[str, Row], floor: cases.Floor, points: int) -> tuple[float | None, str]:
    """Return how many times longer the other side of a floor takes at a size, and that side's name.

    Of torch.compile the fastest side in the same precision counts, each beside ours in the row of its own.
    """
    rows = [found.get(cases.speed("train", floor.width, points).key)]
    autotuned = cases.autotuned()
    if (autotuned.case.width, autotuned.case.points) == (floor.width, points):
        rows.append(found.get(autotuned.key))
    values = [
        (value, against)
        for row in rows
        for against in cases.COMPILED.get(floor.against, (floor.against,))
        if (value := ratio(row, floor.side, against)) is not None
    ]
    return min(values, default=(None, floor.against))


def verdict(holds: bool | None) -> str:
    """Return yes, NO or that there is no figure."""
    return NOT_MEASURED if holds is None else "yes" if holds else "**NO**"


def floors_table(found: dict[str, Row]) -> str:
    """Return every floor beside what was measured, at each size of the core."""
    lines: list[list[str]] = []
    for floor in cases.FLOORS:
        for points in cases.CORE_POINTS:
            value, against = floor_ratio(found, floor, points)
            what = f"training step, W = {floor.width}, N = {points:,}, {floor.side} against {against}"
            holds = None if value is None else value >= floor.least
            lines.append([what, f"≥ {floor.least:g} ×", times(value) or NOT_MEASURED, verdict(holds)])
    for side, least in cases.RATES.items():
        row = found.get(cases.speed("infer", 256, cases.RATE_POINTS).key)
        seconds = median(row, side)
        rate = None if seconds is None else cases.RATE_POINTS / seconds
        said = NOT_MEASURED if rate is None else f"{rate / 1e9:.2f}"
        holds = None if rate is None else rate >= least
        what = f"inference, W = 256, N = {cases.RATE_POINTS:,}, {side}, 10⁹ points/s"
        lines.append([what, f"≥ {least / 1e9:g}", said, verdict(holds)])
    lines += _memory_floors(found) + _quality_floors(found)
    lines += [
        [what, floor, said or NOT_MEASURED, verdict(holds)]
        for what, floor, said, holds in ntk_tables.floors(found)
    ]
    return table(["work", "floor", "measured", "holds"], lines)


def _memory_floors(found: dict[str, Row]) -> list[list[str]]:
    row, lines = found.get(cases.memory(256, cases.CORE_POINTS[0]).key), []
    for side, most in cases.MEMORY.items():
        sides = row["sides"] if row else {}
        both = side in sides and cases.EAGER_FP32 in sides
        value = sides[side]["peak_bytes"] / sides[cases.EAGER_FP32]["peak_bytes"] if both else None
        said = NOT_MEASURED if value is None else f"{value:.2f} ×"
        holds = None if value is None else value <= most
        lines.append([f"memory of a training step, {side} over eager", f"≤ {most:g} ×", said, verdict(holds)])
    return lines


def _quality_floors(found: dict[str, Row]) -> list[list[str]]:
    row = found.get(cases.Row("quality", cases.QUALITY_CASE, ()).key)
    lines = []
    for side, most in cases.QUALITY.items():
        below = shortfall(row, side)
        said = NOT_MEASURED if below is None else f"{below:+.3f} dB"
        holds = None if below is None else below <= most
        lines.append([f"PSNR at equal steps, eager fp32 − {side}", f"≤ {most:g} dB", said, verdict(holds)])
    return lines


def shortfall(row: Row | None, side: str) -> float | None:
    """Return by how many dB a side's mean PSNR is below eager float32's."""
    sides = row["sides"] if row else {}
    if side not in sides or cases.EAGER_FP32 not in sides:
        return None
    eager, own = sides[cases.EAGER_FP32]["psnr"], sides[side]["psnr"]
    count = min(len(eager), len(own))
    return (sum(eager[:count]) - sum(own[:count])) / count


def speed_table(rows: Sequence[Row], kind: str) -> str:
    """Return medians with quartiles of every side, its rates and its share of the roofline."""
    header = ["work", "side", "ms (quartiles)", "ns/point", "TFLOP/s", "GB/s", "of the roofline", "runs"]
    header += ["eager fp32 ÷", "eager TF32 ÷"]
    lines = []
    for row in rows:
        for side, values in row["sides"].items():
            spread = values["seconds"]
            share = values.get("share")
            lines.append([
                title(row, kind), side,
                f"{1e3 * spread['median']:.3f} ({1e3 * spread['q25']:.3f}–{1e3 * spread['q75']:.3f})",
                f"{values['ns_a_point']:.2f}", number(values.get("tflop_s")), number(values.get("gb_s")),
                f"{100 * share:.0f} %" if share else "", str(spread["count"]),
                times(ratio(row, side, cases.EAGER_FP32)), times(ratio(row, side, cases.EAGER_TF32)),
            ])  # fmt: skip
        lines += [[title(row, kind), side, cause[:120], *[""] * 7] for side, cause in row["errors"].items()]
    return table(header, lines)


def fit_table(rows: Sequence[Row]) -> str:
    """Return the same of whole steps of `fit`, whose runs are blocks of steps, and how they were timed."""
    said = sorted({row["measured"] for row in rows if "measured" in row})
    return "\n\n".join([speed_table(rows, "fit"), *(f"Steps of `fit`: {how}." for how in said)])


def title(row: Row, kind: str) -> str:
    """Return a row's work, activation, width and points."""
    case = row["case"]
    work = "step of `fit`" if kind == "fit" else WORKS[case["work"]]
    return f"{work}, {case['activation']['name']}, W = {case['width']}, N = {case['points']:,}"


def number(value: float | None) -> str:
    """Return a figure with three digits, nothing for none."""
    return "" if value is None else f"{value:.3g}"


def memory_table(rows: Sequence[Row]) -> str:
    """Return the memory of a training step by side."""
    lines = []
    for row in rows:
        for side, values in row["sides"].items():
            peak = f"{values['peak_bytes'] / 1e6:,.0f} MB"
            lines.append([title(row, "memory"), side, peak, f"{values['bytes_a_point']:.0f}"])
    return table(["work", "side", "peak above what is there before", "bytes/point"], lines)


def quality_table(rows: Sequence[Row]) -> str:
    """Return the PSNR at equal steps by side."""
    lines = []
    for row in rows:
        for side, values in row["sides"].items():
            shown = ", ".join(f"{value:.3f}" for value in values["psnr"])
            lines.append(
                [f"astronaut, gray, {row['steps']} steps", side, shown, _signed(shortfall(row, side))]
            )
    return table(["work", "side", "PSNR by seed, dB", "eager fp32 − side, dB"], lines)


def _signed(value: float | None) -> str:
    return "" if value is None else f"{value:+.3f}"


def machine_line(row: Row) -> str:
    """Return GPU, versions and date of a row in one line."""
    machine = row["machine"]
    parts = [str(machine["gpu"]), f"torch {machine['torch']}", f"CUDA {machine['cuda']}"]
    parts += [f"triton {machine['triton']}", f"Python {machine['python']}"]
    parts += [f"fastsnf {machine['fastsnf']} at {machine['commit']}"]
    return ", ".join(parts) + f"; {row['time']}."


def document(rows: Sequence[Row], command: str) -> str:
    """Return all tables with the command that made them."""
    found = latest(rows)
    parts = [f"Made by `{command}`."]
    if not rows:
        return f"{parts[0]}\n\nGPU: {NOT_MEASURED}.\n"
    parts.append(machine_line(rows[-1]))
    rates = [row for row in found.values() if row["kind"] == "rates"]
    if rates:
        shown = ", ".join(f"{name} {value / 1e12:.3g}" for name, value in rates[-1]["rates"].items())
        parts.append(f"Measured rates, 10¹² a second (bytes, FLOP, evaluations): {shown}.")
    parts.append(floors_table(found))
    for kind, make in (
        ("speed", lambda chosen: speed_table(chosen, "speed")),
        ("fit", fit_table),
        ("memory", memory_table),
        ("quality", quality_table),
        ("ntk", ntk_tables.gram_table),
        ("iga", ntk_tables.adjusted_table),
    ):
        chosen = [row for row in found.values() if row["kind"] == kind]
        parts += cases.MANNERS if chosen and kind == "speed" else []
        parts += [make(chosen)] if chosen else []
    failures = [row for row in rows if row["kind"] in ("failure", "poison") and row["key"] not in found]
    parts += [f"No figure: {row['key']} {row.get('side', '')}: {row['error']}" for row in failures]
    return "\n\n".join(parts) + "\n"


def write(folder: Path, command: str) -> str:
    """Write the tables of a folder's records beside them and return them."""
    import json

    path = folder / RECORDS
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    text = document([json.loads(line) for line in lines if line.endswith("}")], command)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / TABLES).write_text(text, encoding="utf-8")
    return text
