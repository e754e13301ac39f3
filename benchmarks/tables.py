"""Markdown tables of the records: every floor, what was measured, and whether it holds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks import floors, iga, initializers, ntk
from benchmarks.cases import WORKS
from benchmarks.child import INSTALLED, KEPT
from benchmarks.occupancy import figures as occupancy
from benchmarks.occupancy import suite as occupancy_suite
from benchmarks.sides import COMPILED, EAGER, FASTSNF

NONE = ""

NOTE = (
    "Medians; ratios are of medians of one run in which the sides take turns; the share is of the FMA peak "
    "measured around each repetition, by useful FLOPs."
)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def times(value: float | None) -> str:
    """Return a ratio as ``3.42 x``."""
    return NONE if value is None else f"{value:.2f} ×"


def at_least(value: float | None, percent: bool = False) -> str:
    """Return a floor as ``>= 3.2 x`` or ``>= 78 %``."""
    if value is None:
        return NONE
    return f"≥ {100 * value:.0f} %" if percent else f"≥ {value:.1f} ×"


def percent_of(spread: dict[str, Any] | None) -> str:
    """Return a share as its median and quartiles."""
    if spread is None:
        return NONE
    return f"{100 * spread['median']:.0f} % ({100 * spread['q25']:.0f}–{100 * spread['q75']:.0f})"


def milliseconds(record: dict[str, Any], side: str) -> str:
    """Return the median wall time of a side."""
    found = record["sides"].get(side)
    return NONE if found is None else f"{1e3 * found['seconds']['median']:.1f}"


def verdict(record: dict[str, Any]) -> str:
    """Return yes, NO, or why there is no answer."""
    answers = [item.holds for item in floors.verdicts(record)]
    if not answers:
        return NONE
    if None in answers:
        return "not measured: no steady rounds" if record["rounds"] else "not measured"
    return "yes" if all(answers) else "**NO**"


def work_of(record: dict[str, Any]) -> str:
    """Return a row's name: work, activation, width, points, instruction set."""
    activation = record["activation"]["name"]
    parts = [WORKS[record["work"]], NONE if activation == "sine" else activation, f"width {record['width']}"]
    parts += [f"{record['points']:,} points", f"{record['variant']} forced" if record["variant"] else NONE]
    return ", ".join(part for part in parts if part)


def speed_table(records: Sequence[dict[str, Any]]) -> str:
    """Return the table of training and inference."""
    header = ["work", "fastsnf ms", "eager ms", "× eager, kept allocator", "floor"]
    header += ["% of FMA peak (quartiles)", "floor", "holds", "× eager as installed", "× torch.compile"]
    installed = {record["case"]: record for record in records if record.get("allocator") == INSTALLED}
    rows = []
    for record in records:
        if record.get("allocator") != KEPT:
            continue
        other = installed.get(record["case"])
        rows.append([
            work_of(record), milliseconds(record, FASTSNF), milliseconds(record, EAGER),
            times(floors.ratio(record, EAGER)), at_least(record["floor_ratio"]),
            percent_of(floors.share(record)), at_least(record["floor_share"], percent=True), verdict(record),
            times(floors.ratio(other, EAGER)) if other else NONE, times(floors.ratio(record, COMPILED)),
        ])  # fmt: skip
    return table(header, rows)


def memory_table(records: Sequence[dict[str, Any]]) -> str:
    """Return the table of peak memory."""
    rows = []
    for record in records:
        limit = record["limit_mb"]
        holds = NONE if limit is None else "yes" if record["peak_mb"] <= limit else "**NO**"
        step = f"training step, width {record['width']}, {record['points']:,} points"
        rows.append(
            [
                step,
                record["side"],
                f"{record['peak_mb']:,.0f} MB",
                f"≤ {limit:.0f} MB" if limit else NONE,
                holds,
            ]
        )
    return table(["work", "side", "peak above inputs, targets, parameters", "limit", "holds"], rows)


def psnr_table(records: Sequence[dict[str, Any]]) -> str:
    """Return the table of the time to a quality."""
    header = ["side", "initializer", "target", "steps", "seconds", "PSNR reached"]
    rows = []
    for record in records:
        seconds = f"{record['seconds']:.1f}" if record["reached"] else f"not within {record['seconds']:.0f}"
        rows.append([
            record["side"], record["init"], f"{record['target_db']:g} dB", str(record["steps"]), seconds,
            f"{record['psnr']:.2f} dB",
        ])  # fmt: skip
    return table(header, rows)


def ntk_table(records: Sequence[dict[str, Any]]) -> str:
    """Return the table of whole NTKs."""
    header = ["work", "fastsnf ms", f"{ntk.JACOBIANS} ms", "eager formula ms", f"× {ntk.JACOBIANS}", "floor"]
    header += ["holds", "× eager formula", "error against float64 (eager)"]
    rows = []
    for record in records:
        work = (
            f"eNTK of {record['points']:,} points, {record['layers']} linear layers, width {record['width']}"
        )
        rows.append([
            work, milliseconds(record, FASTSNF), milliseconds(record, ntk.JACOBIANS),
            milliseconds(record, EAGER), times(floors.ratio(record, ntk.JACOBIANS)),
            at_least(record["floor_ratio"]), verdict(record), times(floors.ratio(record, EAGER)),
            f"{record['error']:.1e} ({record['eager_error']:.1e})",
        ])  # fmt: skip
    return table(header, rows)


def iga_table(records: Sequence[dict[str, Any]]) -> str:
    """Return the table of adjusted steps."""
    header = [
        "work",
        "sample points",
        "groups",
        "plain ms",
        "adjusted ms",
        "adjusted / plain",
        "at most",
        "holds",
    ]
    rows = []
    for record in records:
        height, width = record["shape"]
        limit = record["most_ratio"]
        rows.append([
            f"step of {height} × {width} pixels, {record['layers']} linear layers, width {record['width']}, "
            f"patches of {record['patch']}, end {record['end']}",
            record["sample"], f"{record['groups']:,}", milliseconds(record, iga.PLAIN),
            milliseconds(record, iga.ADJUSTED), times(floors.ratio(record, iga.ADJUSTED)),
            NONE if limit is None else f"≤ {limit:.2f} ×", verdict(record),
        ])  # fmt: skip
    return table(header, rows)


def short(seconds: float) -> str:
    """Return a time in milliseconds, from one second on in seconds.

    >>> short(0.00123), short(0.5), short(12.34)
    ('1.2 ms', '500 ms', '12.3 s')
    """
    if seconds >= 1:
        return f"{seconds:.1f} s"
    return f"{1e3 * seconds:.1f} ms" if seconds < 0.01 else f"{1e3 * seconds:.0f} ms"


def initializers_table(records: Sequence[dict[str, Any]]) -> str:
    """Return the table of initializers, sigma_p and the analysis."""
    header = [
        "work",
        "median (quartiles)",
        "at most",
        "holds",
        "the paper's grid here",
        "the paper's own time",
    ]
    rows = []
    for record in records:
        size, layers, width = record["size"], record["layers"], record["width"]
        work = {
            initializers.DRAW: f"{record['method']}, {layers} linear layers, width {width}",
            initializers.SIGMA_P: "σ_p, nothing remembered",
            initializers.ANALYSIS: f"analysis of {size} × {size} pixels, width {width}",
        }[record["kind"]]
        found, limit = record["seconds"], record["most_seconds"]
        others = [record["published_seconds"], record["paper_seconds"]]
        rows.append([
            f"{work}, {record['activation']}",
            f"{short(found['median'])} ({short(found['q25'])}–{short(found['q75'])})",
            NONE if limit is None else f"≤ {short(limit)}", verdict(record),
            *(NONE if value is None else short(value) for value in others),
        ])  # fmt: skip
    return table(header, rows)


def occupancy_table(records: Sequence[dict[str, Any]]) -> str:
    """Return the table of occupancy grids."""
    return table(
        ["work", "median (quartiles)", "floor or ceiling", "holds"], occupancy_suite.rows_of(records)
    )


def machine_line(record: dict[str, Any]) -> str:
    """Return the machine and versions in one line."""
    machine, peak, copy = record["machine"], record.get("peak_gflop_s"), record.get("copy_gb_s")
    parts = [machine["cpu"], f"{machine['threads']} threads", f"torch {machine['torch']}"]
    parts += [f"fastsnf {machine['fastsnf']} ({record['engine']}, {machine['variant']})"]
    parts += (
        [f"FMA peak {peak['median']:.0f} GFLOP/s ({peak['least']:.0f}–{peak['most']:.0f})"] if peak else []
    )
    parts += [f"copy {copy:.1f} GB/s"] if copy else []
    return ", ".join(parts) + "; " + record["time"] + "."


def document(records: Sequence[dict[str, Any]], failures: Sequence[str], command: str) -> str:
    """Return all tables with the command that made them, the machine, and what has no figure and why."""
    speed = [record for record in records if "allocator" in record and "suite" not in record]
    grams = [record for record in records if record.get("suite") == ntk.SUITE]
    adjusted = [record for record in records if record.get("suite") == iga.SUITE]
    drawn = [record for record in records if record.get("suite") == initializers.SUITE]
    grids = [record for record in records if record.get("suite") == occupancy.SUITE]
    memory = [record for record in records if record["case"] == "memory"]
    psnr = [record for record in records if record["case"] == "time-to-psnr"]
    parts = [f"Made by `{command}`."]
    if speed:
        parts += [machine_line(speed[0]), NOTE, speed_table(speed)]
    suites = (
        *((grams, ntk_table), (adjusted, iga_table), (drawn, initializers_table)),
        (grids, occupancy_table),
    )
    for found, table_of in suites:
        parts += [machine_line(found[0]), table_of(found)] if found else []
    parts += [memory_table(memory)] if memory else []
    parts += [psnr[0]["what"], psnr_table(psnr)] if psnr else []
    parts += [f"No figure: {failure}" for failure in failures]
    return "\n\n".join(parts) + "\n"
