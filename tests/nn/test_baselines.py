"""What the fields that are no plain chains have in common: copies, conversions, compilers, NTK, engines."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Callable

import pytest
import torch

from fastsnf import ops
from fastsnf.encodings import Positional
from fastsnf.errors import EngineError, InputError
from fastsnf.nn import FIELDS, MFN, Field, FourierReparameterized, NormalizedField, Wire2d, from_config
from fastsnf.ntk import NtkOperator, empirical_ntk
from tests import cases
from tests.tolerances import FLOAT32, FLOAT64, assert_close

BASES = {"low": 3, "high": 2, "phases": 4}
MAKE: dict[str, Callable[..., Field]] = {
    "mfn-fourier": lambda **k: MFN(2, 3, 8, 2, input_scale=20.0, **k),
    "mfn-gabor": lambda **k: MFN(2, 3, 8, 2, filters="gabor", input_scale=20.0, alpha=3.0, bias=False, **k),
    "wire2d": lambda **k: Wire2d(2, 3, 9, 1, first_omega=9.0, hidden_omega=4.0, scale=3.0, **k),
    "bn": lambda **k: NormalizedField(2, 3, 8, 1, encoding=Positional(3), order="after", **k),
    "cn-sine": lambda **k: NormalizedField(2, 3, 8, 1, activation="sine", first_omega=9.0, norm="cross", **k),
    "fr-relu": lambda **k: FourierReparameterized(2, 3, 8, 2, encoding=Positional(2), **BASES, **k),
    "fr-sine": lambda **k: FourierReparameterized(
        2, 3, 8, 2, activation="sine", first_omega=9.0, **BASES, **k
    ),
}


@pytest.fixture(params=MAKE)
def make(request: pytest.FixtureRequest) -> Callable[..., Field]:
    """Return the constructor of a small field, whose draws are seeded."""
    build = MAKE[request.param]
    return lambda **options: build(**{"generator": cases.generator(1), **options})


def test_points_of_any_shape(make: Callable[..., Field]) -> None:
    field = make(dtype=torch.float64).eval()
    x = cases.random_points(4, 5, 2, dtype=torch.float64)
    out = field(x)
    assert out.shape == (4, 5, 3)
    assert_close(field(x.reshape(-1, 2)).reshape(4, 5, 3), out, FLOAT64)
    assert_close(field(cases.transposed(x)), out, FLOAT64)
    assert_close(field(x[1, 2]), out[1, 2], FLOAT64)
    assert field(x[:0]).shape == (0, 5, 3)
    with pytest.raises(InputError, match=r"shape \[\.\.\., 2\]"):
        field(x[..., :1])


def test_a_field_comes_back_from_its_name_and_config(make: Callable[..., Field]) -> None:
    for dtype in (torch.float32, torch.float64):
        field = make(dtype=dtype)
        assert FIELDS[field.name] is type(field)
        config = json.loads(json.dumps(field.config()))
        state = torch.get_rng_state()
        twin = from_config(field.name, config)
        assert torch.equal(torch.get_rng_state(), state)
        assert twin.config() == field.config()
        assert twin.summary() == field.summary()
        twin.load_state_dict(field.state_dict())
        x = cases.random_points(9, 2, dtype=dtype)
        assert torch.equal(twin.eval()(x), field.eval()(x))


def test_a_description_on_meta_costs_no_memory(make: Callable[..., Field]) -> None:
    config = {**make().config(), "hidden_features": 10**5}
    twin = from_config(make().name, config, device="meta")
    assert all(tensor.is_meta for tensor in (*twin.parameters(), *twin.buffers()))
    with pytest.raises(InputError, match="constructor arguments"):
        from_config(make().name, {**make().config(), "width": 3})


def test_copies_compute_the_same_and_share_nothing(make: Callable[..., Field]) -> None:
    field = make()
    x = cases.random_points(9, 2)
    before = field(x).detach()
    for twin in (copy.deepcopy(field), pickle.loads(pickle.dumps(field))):
        with torch.no_grad():
            for parameter in twin.parameters():
                parameter.add_(1.0)
        assert not torch.equal(twin(x), before)
        assert torch.equal(field(x), before)


def test_conversions_take_complex_numbers_and_fixed_ones_along(make: Callable[..., Field]) -> None:
    field = make()
    x = cases.random_points(30, 2)
    out = field(x).detach()
    double = copy.deepcopy(field).double()
    assert double.dtype == torch.float64
    assert {tensor.dtype.to_real() for tensor in double.state_dict().values()} == {torch.float64}
    assert_close(double(x.double()).float(), out, 10 * FLOAT32)
    back = double.float()
    assert_close(back(x), out, 10 * FLOAT32)
    assert double.config() == field.config()


def test_the_generator_decides(make: Callable[..., Field]) -> None:
    a, b, other = make(), make(), make(generator=cases.generator(2))
    for name, value in a.state_dict().items():
        assert torch.equal(value, b.state_dict()[name])
    x = cases.random_points(9, 2)
    assert not torch.equal(a(x), other(x))


@pytest.mark.parametrize("name", ["mfn-gabor", "wire2d", "cn-sine", "fr-sine"])
def test_dynamo_traces_the_whole_field(name: str) -> None:
    field = MAKE[name](generator=cases.generator(1)).eval()
    x = cases.random_points(12, 2)
    compiled = torch.compile(field, backend="eager", fullgraph=True)
    assert_close(compiled(x), field(x), FLOAT32)
    torch._dynamo.reset()


def test_autocast_changes_nothing(make: Callable[..., Field]) -> None:
    field = make().eval()
    x = cases.random_points(12, 2)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(field(x.bfloat16()), field(x.bfloat16().float()))


def test_the_ntk_is_that_of_autograd(make: Callable[..., Field]) -> None:
    """A complex parameter counts as its real and its imaginary part."""
    field = make(dtype=torch.float64).eval()
    x = cases.random_points(6, 2, dtype=torch.float64)
    rows = []
    for point in x:
        grads = torch.autograd.grad(field(point[None]).sum() / 3**0.5, list(field.parameters()))
        rows.append(
            torch.cat([torch.view_as_real(g).flatten() if g.is_complex() else g.flatten() for g in grads])
        )
    jacobian = torch.stack(rows)
    gram = empirical_ntk(field, x)
    assert_close(gram, jacobian @ jacobian.mT, 100 * FLOAT64)
    v = torch.randn(6, dtype=torch.float64)
    assert_close(NtkOperator(field, x) @ v, gram @ v, 100 * FLOAT64)


def test_second_derivatives(make: Callable[..., Field]) -> None:
    """Of the field along a coordinate, against differences of the first."""
    if "relu" in str(make().config().get("activation", "")):
        pytest.skip("piecewise linear")
    field = make(dtype=torch.float64).eval()
    x = (0.5 * cases.random_points(5, 2, dtype=torch.float64)).requires_grad_()

    def slope(at: torch.Tensor) -> torch.Tensor:
        return torch.autograd.grad(field(at).sum(), at, create_graph=True)[0]

    second = torch.autograd.grad(slope(x)[:, 0].sum(), x)[0][:, 0]
    step = torch.tensor([1e-5, 0.0], dtype=torch.float64)
    by_differences = (slope(x + step) - slope(x - step))[:, 0] / 2e-5
    assert_close(second, by_differences.detach(), 1e-5)


def test_an_engine_is_taken_where_there_are_fused_layers(make: Callable[..., Field]) -> None:
    field = make().eval()
    x = cases.random_points(9, 2)
    out = field(x)
    with ops.use_engine("reference"):
        assert field.choose_engine(x).engine == "reference"
        assert_close(field(x), out, 10 * FLOAT32)
    if isinstance(field, NormalizedField):
        assert field.choose_engine(x).engine == "reference"
        with ops.use_engine("native"), pytest.raises(EngineError, match="plain operations"):
            field.choose_engine(x)
