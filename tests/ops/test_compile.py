"""torch.compile in one graph, with changing shapes, and torch.export."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from fastsnf import ops, reference
from fastsnf.engines import native
from fastsnf.spec import Activation, FieldSpec, Gabor, Sine
from tests import cases
from tests.engines.problems import Problem
from tests.ops.engines import EVERY_ENGINE, FUSED, NATIVE, every_engine_with
from tests.ops.functions import as_leaves, field_of, present, small
from tests.tolerances import FLOAT32, assert_close

ACTS = pytest.mark.parametrize("act", [Sine(3.0), Gabor(2.0, 1.0)], ids=cases.name)
SOME_ACTS = pytest.mark.parametrize("act", [Gabor(2.0, 1.0), Sine(3.0)][: cases.count(10)], ids=cases.name)
TOLERANCE = 10 * FLOAT32


@pytest.fixture(autouse=True)
def _fresh_graphs() -> Iterator[None]:
    torch.compiler.reset()
    yield
    torch.compiler.reset()


def calls_of_engines(graphs: list[torch.fx.GraphModule]) -> set[str]:
    """Return the names of fastsnf's operators in captured graphs."""
    targets = {str(node.target) for graph in graphs for node in graph.graph.nodes}
    return {name.split(".")[1] for name in targets if name.startswith("fastsnf.")}


@every_engine_with("act", {"sine": Sine(3.0), "gabor": Gabor(2.0, 1.0)}, interpreted=("sine",))
def test_one_graph_forward_and_backward(act: Activation, engine: str) -> None:
    case = small(act, torch.float32, 9)
    results = []
    eager = field_of(case, engine)
    for function in (torch.compile(eager, fullgraph=True, backend="aot_eager"), eager):
        inputs = as_leaves(present(case))
        out = function(*inputs)
        results.append([out.detach(), *torch.autograd.grad(out, inputs, case.d_out)])
    for found, expected in zip(*results, strict=True):
        assert_close(found, expected, TOLERANCE)


@NATIVE
def test_the_graph_calls_the_engine() -> None:
    case, graphs = small(Sine(3.0), torch.float32, 9), []

    def backend(graph: torch.fx.GraphModule, _inputs: list[Tensor]) -> torch.fx.GraphModule:
        graphs.append(graph)
        return graph

    torch.compile(field_of(case), fullgraph=True, backend=backend)(*present(case))
    assert calls_of_engines(graphs) == {"field_fwd"}
    graphs.clear()
    torch.compiler.reset()
    with ops.use_engine("reference"):
        torch.compile(field_of(case), fullgraph=True, backend=backend)(*present(case))
    assert len(graphs) == 1
    assert calls_of_engines(graphs) == set()


@EVERY_ENGINE
def test_changing_numbers_of_points(engine: str) -> None:
    case = small(Sine(3.0), torch.float32, 9)
    compiled = torch.compile(field_of(case, engine), fullgraph=True, backend="aot_eager", dynamic=True)
    for points in (9, 5, 64, 2):
        x = cases.random_points(points, 2)
        inputs = as_leaves([x, *present(case)[1:]])
        out = compiled(*inputs)
        out.sum().backward()
        assert_close(out, reference.forward(x, *case[2:4], case.spec), TOLERANCE)
        assert inputs[0].grad is not None
        assert inputs[0].grad.shape == x.shape


@ACTS
def test_mse_in_one_graph(act: Activation) -> None:
    case = small(act, torch.float32, 9)

    def step(x: Tensor, target: Tensor, weight: Tensor, params: list[Tensor]) -> tuple[Tensor, ...]:
        weights, biases = params[:3], [params[3], None, params[4]]
        result = ops.mse_value_and_grad(x, target, weights, biases, spec=case.spec, sample_weight=weight)
        return result.loss, *result.d_weights, *[d for d in result.d_biases if d is not None]

    given = case.x, case.target, case.sample_weight, present(case)[1:]
    compiled = torch.compile(step, fullgraph=True, backend="aot_eager")
    for found, expected in zip(compiled(*given), step(*given), strict=True):
        assert_close(found, expected, TOLERANCE)


@SOME_ACTS
def test_the_ntk_in_one_graph(act: Activation) -> None:
    case, graphs = small(act, torch.float32, 9), []

    def ntk(x: Tensor, params: list[Tensor]) -> Tensor:
        weights, biases = params[:3], [params[3], None, params[4]]
        with torch.no_grad():
            traced = ops.layer_trace(x, weights, biases, spec=case.spec)
            return ops.ntk_gram(*traced, bias=[True, False, True])

    def backend(graph: torch.fx.GraphModule, _inputs: list[Tensor]) -> torch.fx.GraphModule:
        graphs.append(graph)
        return graph

    given = case.x, present(case)[1:]
    compiled = torch.compile(ntk, fullgraph=True, backend=backend)
    assert_close(compiled(*given), ntk(*given), TOLERANCE)
    if not native.missing():
        assert calls_of_engines(graphs) == {"layer_trace", "ntk_gram"}
    torch.compiler.reset()
    graphs.clear()
    with ops.use_engine("reference"):
        assert_close(torch.compile(ntk, fullgraph=True, backend=backend)(*given), ntk(*given), TOLERANCE)
    assert calls_of_engines(graphs) == set()


@SOME_ACTS
@pytest.mark.parametrize("k", [2, 0])
def test_an_adjusted_step_in_one_graph(act: Activation, k: int) -> None:
    case = small(act, torch.float32, 9)

    def step(x: Tensor, slots: Tensor, vectors: Tensor, params: list[Tensor]) -> tuple[Tensor, ...]:
        weights, biases = params[:3], [params[3], None, params[4]]
        adjustment = ops.Adjustment(ops.Layout(3, 4, slots), vectors, vectors[0])
        result = ops.adjusted_mse_value_and_grad(
            x, case.d_out, weights, biases, spec=case.spec, adjustment=adjustment
        )
        return result.loss, result.largest, *result.d_weights

    slots = torch.tensor([0, 1, 2, 3, 4, 5, 6, 8, 9])
    given = case.x, slots, torch.linspace(-1.0, 1.0, 3 * k).view(3, k), present(case)[1:]
    compiled = torch.compile(step, fullgraph=True, backend="aot_eager")
    for found, expected in zip(compiled(*given), step(*given), strict=True):
        assert_close(found, expected, TOLERANCE)


@FUSED
def test_a_layer_on_a_named_engine_in_one_graph(engine: str) -> None:
    case, graphs = small(Sine(3.0), torch.float32, 9), []

    def layer(x: Tensor, weight: Tensor) -> Tensor:
        return ops.linear_act(x, weight, None, activation=Sine(3.0), engine=engine)

    def backend(graph: torch.fx.GraphModule, _inputs: list[Tensor]) -> torch.fx.GraphModule:
        graphs.append(graph)
        return graph

    compiled = torch.compile(layer, fullgraph=True, backend=backend)
    found = compiled(case.x, case.weights[0])
    assert calls_of_engines(graphs) == {"field_fwd"}
    assert_close(found, reference.linear_act(case.x, case.weights[0], None, Sine(3.0)), TOLERANCE)


@ACTS
def test_linear_act_and_activate_in_one_graph(act: Activation) -> None:
    case = small(act, torch.float32, 9)

    def layer(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return ops.activate(ops.linear_act(x, weight, bias, activation=act), activation=act)

    given = case.x, case.weights[0], case.biases[0]
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    assert_close(compiled(*given), layer(*given), TOLERANCE)


class Module(nn.Module):
    """A field as a module, which export asks for."""

    def __init__(self, case: Problem) -> None:
        super().__init__()
        self.spec = case.spec
        self.params = nn.ParameterList(present(case)[1:])

    def forward(self, x: Tensor) -> Tensor:
        params = list(self.params)
        return ops.field(x, params[:3], [params[3], None, params[4]], spec=self.spec)


@ACTS
def test_export_is_plain_operations(act: Activation) -> None:
    """An exported program must run where fastsnf is not installed."""
    case = small(act, torch.float32, 9)
    points = torch.export.Dim("points", min=2)
    program = torch.export.export(Module(case), (case.x,), dynamic_shapes={"x": {0: points}})
    assert calls_of_engines([program.graph_module]) == set()
    for x in (case.x, cases.random_points(31, 2)):
        assert_close(program.module()(x), reference.forward(x, *case[2:4], case.spec), TOLERANCE)


def test_compile_of_one_layer_field() -> None:
    spec, x, weight = FieldSpec((Sine(3.0),)), cases.random_points(9, 2), torch.randn(4, 2)
    compiled = torch.compile(
        lambda p: ops.field(p, [weight], [None], spec=spec), fullgraph=True, backend="aot_eager"
    )
    assert_close(compiled(x), reference.forward(x, [weight], [None], spec), TOLERANCE)
