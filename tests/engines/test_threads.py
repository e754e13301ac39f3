"""Threads: reproducible, close to each other, without the GIL, safe from several callers and after a fork."""

from __future__ import annotations

import itertools
import multiprocessing
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection

import pytest
import torch

from fastsnf.engines import native
from fastsnf.engines.native import call, extension
from fastsnf.spec import Activation, FieldSpec, Gabor, Sine
from tests import cases
from tests.engines.problems import Problem, problem
from tests.engines.runs import EVERY_VARIANT, VARIANTS, assert_same_bits, everything
from tests.tolerances import THREADS, error, largest

COUNTS = (1, 2, 3, 7)
ACTS = pytest.mark.parametrize("act", [Sine(30.0), Gabor(20.0, 10.0)], ids=cases.name)


def some_problem(act: Activation = cases.ACTIVATIONS[0], points: int = 3001, seed: int = 0) -> Problem:
    return problem(FieldSpec.mlp(act, 2), [2, 48, 48, 48, 3], points, gen=cases.generator(seed))


@EVERY_VARIANT
@ACTS
@pytest.mark.parametrize("threads", COUNTS)
def test_the_same_bits_for_the_same_count(threads: int, act: Activation, variant: str) -> None:
    torch.set_num_threads(threads)
    with native.use_variant(variant):
        assert_same_bits(everything(some_problem(act)), everything(some_problem(act)))


@EVERY_VARIANT
@pytest.mark.parametrize("act", cases.ACTIVATIONS, ids=cases.name)
def test_counts_agree(act: Activation, variant: str) -> None:
    case, steps = some_problem(act, cases.count(60_000)), {}
    for threads in COUNTS:
        torch.set_num_threads(threads)
        with native.use_variant(variant):
            steps[threads] = everything(case)
    for a, b in itertools.combinations(COUNTS, 2):
        for name, tensor in steps[a].items():
            assert error(steps[b][name], tensor) <= THREADS * largest(tensor), (a, b, name)


@EVERY_VARIANT
@pytest.mark.parametrize("points", [1, 2, 31, 33, 97, 1000])
def test_more_threads_than_work(points: int, variant: str) -> None:
    case = some_problem(points=points)
    with native.use_variant(variant):
        torch.set_num_threads(1)
        one = everything(case)
        torch.set_num_threads(7)
        seven = everything(case)
    for name, tensor in one.items():
        assert error(seven[name], tensor) <= THREADS * largest(tensor), name


def test_changing_the_count_between_calls() -> None:
    case = some_problem()
    expected = {}
    for threads in (2, 7, 1, 3, 2, 1, 7, 3):
        torch.set_num_threads(threads)
        assert_same_bits(everything(case), expected.setdefault(threads, everything(case)))


@pytest.fixture
def no_forced_switches() -> Iterator[None]:
    """Let a Python thread lose the GIL only where it gives it away."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1000.0)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("no_forced_switches")
def test_another_python_thread_runs_meanwhile() -> None:
    torch.set_num_threads(1)
    case = problem(FieldSpec.mlp(Sine(30.0), 2), [2, 256, 256, 256, 1], 20_000)
    x, layers, _kept = call.prepare(case.x, case.weights, case.biases, case.spec)
    out = torch.empty(20_000, 1)
    arguments = VARIANTS[-1], layers, 20_000, x.data_ptr(), out.data_ptr(), 1
    forward, turns, done = native.module().forward, itertools.count(), threading.Event()
    started, taken = threading.Event(), 0

    def count_turns() -> None:
        nonlocal taken
        while not done.is_set():
            taken = next(turns)
            started.set()
            time.sleep(0)

    other = threading.Thread(target=count_turns)
    other.start()
    started.wait()
    before = taken
    forward(*arguments)
    after = taken
    done.set()
    other.join()
    assert after > before


@pytest.mark.parametrize("threads", [1, 3])
def test_calls_from_several_python_threads(threads: int) -> None:
    torch.set_num_threads(threads)
    problems = [some_problem(act, 200 + 300 * i, i) for i, act in enumerate(cases.ACTIVATIONS)]
    alone = [everything(case) for case in problems]

    def run(i: int) -> dict[str, torch.Tensor]:
        torch.set_num_threads(threads)
        return everything(problems[i % len(problems)])

    with ThreadPoolExecutor(5) as pool:
        results = list(pool.map(run, range(cases.count(400))))
    for i, result in enumerate(results):
        assert_same_bits(result, alone[i % len(problems)])


def test_variants_from_several_python_threads() -> None:
    """The variant is chosen for a block of one thread, not for its neighbours."""
    case = some_problem(points=300)
    expected = {}
    for variant in VARIANTS:
        with native.use_variant(variant):
            expected[variant] = everything(case)

    def run(variant: str) -> None:
        for _ in range(20):
            with native.use_variant(variant):
                assert_same_bits(everything(case), expected[variant])

    with ThreadPoolExecutor(len(VARIANTS)) as pool:
        assert list(pool.map(run, VARIANTS)) == [None] * len(VARIANTS)


def test_torch_may_run_a_parallel_region_before_and_after() -> None:
    """The engine takes torch's threads: neither leaves anything behind for the other."""
    torch.set_num_threads(3)
    case, numbers = some_problem(), torch.rand(1 << 18, generator=cases.generator(0))
    expected, total = everything(case), numbers.mul(3.0)
    for _ in range(cases.count(100)):
        assert torch.equal(numbers.mul(3.0), total)
        assert_same_bits(everything(case), expected)


def _load_and_send(end: Connection) -> None:
    extension.load.cache_clear()  # as if the child were the first to need the extension
    _send_sum(end, some_problem(points=700))


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_child_that_loads_the_extension_itself_takes_threads_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    torch.set_num_threads(3)
    calls = []
    module = native.module()
    monkeypatch.setattr(extension, "_PROCESS", -1)
    extension.load.cache_clear()
    monkeypatch.setattr(module, "own_threads", lambda: calls.append("own"))
    assert native.module() is module
    assert calls == ["own"]
    monkeypatch.undo()
    extension.load.cache_clear()
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    child = context.Process(target=_load_and_send, args=(theirs,))
    child.start()
    assert ours.poll(timeout=60)
    case = some_problem(points=700)
    assert ours.recv() == native.forward(case.x, case.weights, case.biases, case.spec).tolist()
    child.join(timeout=60)
    assert child.exitcode == 0


def _send_sum(end: Connection, case: Problem) -> None:
    end.send(native.forward(case.x, case.weights, case.biases, case.spec).tolist())


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
@pytest.mark.parametrize("threads", [1, 3])
def test_a_forked_child_computes_the_same(threads: int) -> None:
    torch.set_num_threads(threads)
    case = some_problem(points=700)
    expected = native.forward(case.x, case.weights, case.biases, case.spec).tolist()
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    child = context.Process(target=_send_sum, args=(theirs, case))
    child.start()
    assert ours.poll(timeout=60)
    assert ours.recv() == expected
    child.join(timeout=60)
    assert child.exitcode == 0
    assert native.forward(case.x, case.weights, case.biases, case.spec).tolist() == expected
