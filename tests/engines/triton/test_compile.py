"""Every kernel that the engine launches, built for every part without a GPU, by what the compiler made of it.

A test process interprets kernels, so the builds are made in processes of their own.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import fastsnf
from fastsnf.engines.triton.launch import ARCHITECTURES, INTERPRETER
from tests import cases
from tests.engines.triton import broken_kernels, calls, verdict
from tests.engines.triton.compile_worker import launches_of
from tests.engines.triton.spills import SPILLS, Spill
from tests.engines.triton.verdict import Outcome

ENGINE = Path(fastsnf.__file__).parent / "engines" / "triton"
CALLS = "tests.engines.triton.calls"
WORKERS = 2
PRODUCTS = ("linear_fwd", "linear_dx", "linear_dw", "complex_fwd", "complex_dx", "complex_dw")

needs_full = pytest.mark.skipif(cases.count(10) < 10, reason="an hour of compiling; runs with --all")


@pytest.fixture(scope="module")
def broken() -> Outcome:
    """What the worker says of kernels with faults."""
    return verdict.compiled("tests.engines.triton.broken_kernels:calls", "sm_90", WORKERS)


@pytest.fixture(scope="module")
def quick() -> Outcome:
    """What the worker says of the quick set on sm_90."""
    return verdict.compiled(f"{CALLS}:quick", "sm_90", WORKERS)


def launched_kernels() -> set[str]:
    """Return the names of the kernels that the engine's source gives to `launch`."""
    names = set()
    for path in ENGINE.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "launch":
                kernel = node.args[0]
                names.add(kernel.attr if isinstance(kernel, ast.Attribute) else ast.unparse(kernel))
    return names


def test_the_quick_set_builds_without_fault_or_spill(quick: Outcome) -> None:
    assert not (wrong := verdict.judge(quick, SPILLS)), "\n".join(wrong)
    assert quick.launched > len(quick.reports) > 0


def test_products_run_on_the_tensor_cores(quick: Outcome) -> None:
    assert set(PRODUCTS) <= verdict.kernels(quick)
    assert verdict.products(quick, PRODUCTS) == []


def test_every_kernel_of_the_engine_is_in_the_quick_set() -> None:
    """On one part or another: tiles decide whether sums of groups are launched."""
    found = [launches_of(calls.quick(), architecture)[0] for architecture in ARCHITECTURES]
    assert launched_kernels() == {launch.name for launches in found for _, launch in launches}


@needs_full
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_everything_builds_and_spills_only_where_listed(architecture: str) -> None:
    outcome = verdict.compiled(f"{CALLS}:full", architecture, WORKERS)
    wrong = verdict.judge(outcome, SPILLS) + verdict.stale(outcome, SPILLS)
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("architecture", [INTERPRETER, *ARCHITECTURES])
def test_every_call_has_a_configuration(architecture: str) -> None:
    every = cases.count(10) == 10
    launched, missing = launches_of(calls.spelt() if every else calls.some_spelt(), architecture)
    assert missing == []
    assert len(launched) > 1_000


def test_a_missing_configuration_is_caught() -> None:
    for architecture, names in (("sm_90", ["no entry"]), ("sm_80", ["no entry", "no entry here"])):
        _, missing = launches_of(broken_kernels.calls(), architecture)
        assert [name for name, _ in missing] == names


@pytest.mark.parametrize(
    ("call", "said"),
    [
        ("sine", "holds CUDA's sine with its slow path"),
        ("spills", "spill stores"),
        ("without tensor cores", "matrix products and no tensor-core instruction"),
        ("shared memory", "bytes of shared memory of 232448"),
        ("shared memory", "wgmma instructions that wait for each other"),
        ("no entry", "no_such_op.json has no tile in fp32 with sine on sm_90"),
        ("does not compile", "arange's range must be a power of 2"),
    ],
)
def test_a_fault_is_caught(broken: Outcome, call: str, said: str) -> None:
    found = [line for line in verdict.judge(broken, ()) if call in line]
    assert any(said in line for line in found), found


def test_a_sound_kernel_is_not(broken: Outcome) -> None:
    assert not [line for line in verdict.judge(broken, ()) if line.startswith("sound[")]
    assert "sound" in verdict.kernels(broken)


def test_an_entry_of_the_list_allows_its_spills_and_no_more(broken: Outcome) -> None:
    (report,) = [report for report, _ in broken.reports if report.kernel == "crowded"]
    count = report.spill_stores + report.spill_loads
    here = report.__class__(**{**report.to_dict(), "architecture": "sm_80"})
    assert Spill("crowded", "sm_80", {"3.7": count, "3.6": count}).allows(here)
    assert Spill("crowded", "sm_80", {"3.7": count, "3.6": count}, {"ROWS": 128}).allows(here)
    assert not Spill("crowded", "sm_80", {"3.7": count - 1, "3.6": count - 1}).allows(here)
    assert not Spill("crowded", "sm_80", {"3.7": count, "3.6": count}, {"ROWS": 64}).allows(here)
    assert not Spill("crowded", "sm_89", {"3.7": count, "3.6": count}).allows(here)


def test_no_entry_allows_spills_on_sm_90(broken: Outcome) -> None:
    (report,) = [report for report, _ in broken.reports if report.kernel == "crowded"]
    assert not Spill("crowded", "sm_90", {"3.7": 10**6, "3.6": 10**6}).allows(report)
    assert all(entry.architecture != "sm_90" for entry in SPILLS)


def test_an_entry_that_no_build_needs_is_named(broken: Outcome) -> None:
    outcome = Outcome(
        [
            (report.__class__(**{**report.to_dict(), "architecture": "sm_80"}), calls)
            for report, calls in broken.reports
        ]
    )
    needed, other = Spill("crowded", "sm_80", {"3.7": 10**6}), Spill("sound", "sm_80", {"3.7": 10**6})
    assert verdict.stale(outcome, [needed, other]) == [f"{other} is not needed"]
    assert verdict.stale(outcome, [Spill("sound", "sm_89", {"3.7": 10**6})]) == []
