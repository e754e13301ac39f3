"""`Encoder`: the originals' formulas, precision, moves between dtypes, and what a hostile file asks for."""

from __future__ import annotations

import copy
import math
import pickle

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

import fastsnf
from fastsnf.encodings import Encoding, FourierFeatures, Positional
from fastsnf.errors import InputError
from fastsnf.nn import SNF, Encoder
from tests.cases import generator

SPECS = [Positional(10), Positional(4, include_input=False), FourierFeatures(32, 10.0)]


def coordinates(n: int, d: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Points of [-1, 1]^D, both ends among them."""
    x = 2.0 * torch.rand(n, d, generator=generator(3), dtype=dtype) - 1.0
    x[0], x[1] = -1.0, 1.0
    return x


def published_positional(x: Tensor, frequencies: int) -> Tensor:
    """The loop of siren/modules.py and wire/modules/relu.py."""
    parts = [x]
    for i in range(frequencies):
        for j in range(x.shape[-1]):
            parts.append(torch.sin((2**i) * math.pi * x[..., j]).unsqueeze(-1))
            parts.append(torch.cos((2**i) * math.pi * x[..., j]).unsqueeze(-1))
    return torch.cat(parts, dim=-1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("d", "frequencies"), [(1, 16), (2, 10), (3, 10), (4, 4)])
def test_positional_is_the_published_loop_bit_for_bit(d: int, frequencies: int, dtype: torch.dtype) -> None:
    x = coordinates(50, d, dtype)
    encoder = Encoder(Positional(frequencies), d, dtype=dtype)
    expected = published_positional(x, frequencies)
    assert encoder.out_features == expected.shape[-1] == d * (2 * frequencies + 1)
    assert torch.equal(encoder(x), expected)
    without = Encoder(Positional(frequencies, include_input=False), d, dtype=dtype)
    assert torch.equal(without(x), expected[:, d:])


def test_positional_without_pi_is_finers() -> None:
    x = coordinates(9, 2, torch.float64)
    encoder = Encoder(Positional(3, include_input=False, factor=1.0), 2, dtype=torch.float64)
    expected = [f(2.0**i * x[:, j]) for i in range(3) for j in range(2) for f in (torch.sin, torch.cos)]
    torch.testing.assert_close(encoder(x), torch.stack(expected, dim=-1), rtol=0, atol=1e-15)


@pytest.mark.parametrize("unit", [True, False])
@pytest.mark.parametrize("d", [1, 2, 5])
def test_fourier_features_are_the_published_formula(d: int, unit: bool) -> None:
    encoder = Encoder(FourierFeatures(16, 10.0, unit), d, generator=generator(), dtype=torch.float64)
    matrix = torch.randn(16, d, generator=generator(), dtype=torch.float64) * 10.0  # B
    x = coordinates(20, d, torch.float64)
    v = (x + 1.0) / 2.0 if unit else x
    phase = 2.0 * math.pi * v @ matrix.T
    expected = torch.cat([phase.sin(), phase.cos()], dim=-1)
    assert encoder.out_features == 32
    torch.testing.assert_close(encoder(x), expected, rtol=0, atol=1e-12)


def test_fourier_frequencies_have_the_deviation_asked_for() -> None:
    encoder = Encoder(FourierFeatures(20_000, 7.0), 2, generator=generator())
    drawn = encoder.frequencies / (2.0 * math.pi)
    assert float(drawn.std()) == pytest.approx(7.0, rel=4.0 / math.sqrt(2.0 * 40_000))  # 4 standard errors
    assert abs(float(drawn.mean())) < 4.0 * 7.0 / math.sqrt(40_000)


@pytest.mark.parametrize("frequencies", [10, 16, 22])
def test_float32_phases_are_off_as_if_the_coordinate_were(frequencies: int) -> None:
    x = coordinates(2000, 1)
    f32 = Encoder(Positional(frequencies, include_input=False), 1)(x).double()
    f64 = Encoder(Positional(frequencies, include_input=False), 1, dtype=torch.float64)(x.double())
    octaves = math.pi * 2.0 ** torch.arange(frequencies, dtype=torch.float64).repeat_interleave(2)
    bound = 2.0**-23 * octaves * x.double().abs() + 2.0**-22
    assert bool(((f32 - f64).abs() <= bound).all())


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_neither_autocast_nor_tf32_reaches_the_phases(spec: Encoding, monkeypatch) -> None:
    encoder, x = Encoder(spec, 2, generator=generator()), coordinates(30, 2)
    expected = encoder(x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(encoder(x), expected)
    called = []
    with Recorder(called):
        encoder(x)
    products = {"mm", "addmm", "bmm", "matmul", "einsum"}  # the operations that TF32 rounds
    assert not products & {name.partition(".")[0] for name, _ in called}


class Recorder(TorchDispatchMode):
    """Notes each operation and how many numbers it writes."""

    def __init__(self, calls: list[tuple[str, int]]) -> None:
        super().__init__()
        self.calls = calls

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        held = {arg.untyped_storage().data_ptr() for arg in args if isinstance(arg, Tensor)}
        view = out.untyped_storage().data_ptr() in held
        self.calls.append((func.__name__, 0 if view else out.numel()))
        return out


@pytest.mark.parametrize(("spec", "d"), [(Positional(10), 2), (Positional(16), 1), (FourierFeatures(256), 2)])
def test_encoding_is_a_small_part_of_a_step_of_width_256(spec: Encoding, d: int) -> None:
    calls: list[tuple[str, int]] = []
    encoder, points = Encoder(spec, d, generator=generator()), 64
    x = coordinates(points, d)
    with torch.no_grad(), Recorder(calls):
        encoder(x)
    waves = sum(written for name, written in calls if name.split(".")[0] in ("sin", "cos"))
    written = sum(written for _, written in calls)
    features = encoder.out_features
    assert waves <= points * features
    assert written <= 4 * points * features
    field = SNF(d, 3, 256, 3, activation="relu", encoding=spec)
    step = 6 * points * sum(parameter.numel() for parameter in field.parameters())  # operations
    assert 40 * waves + written < 0.02 * step  # 40: a sine with its range reduction
    assert sum(bool(written) for _, written in calls) <= 8  # kernels to launch


def test_nothing_is_read_back_from_the_device() -> None:
    for spec in SPECS:
        encoder = Encoder(spec, 2).to("meta")
        out = encoder(torch.empty(5, 2, device="meta"))  # a tensor without data: reading one number raises
        assert (out.shape, out.device.type) == ((5, encoder.out_features), "meta")


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_derivatives_with_respect_to_the_coordinates(spec: Encoding) -> None:
    encoder = Encoder(spec, 2, generator=generator(), dtype=torch.float64)
    x = (0.1 * coordinates(4, 2, torch.float64)).requires_grad_()
    gentle = Encoder(Positional(3), 2, dtype=torch.float64) if isinstance(spec, Positional) else encoder
    assert torch.autograd.gradcheck(gentle, x)
    assert torch.autograd.gradgradcheck(gentle, x)


def test_derivatives_of_a_field_behind_an_encoding() -> None:
    field = SNF(2, 1, 16, 1, activation="tanh", encoding=Positional(4), generator=generator()).double()
    x = coordinates(6, 2, torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(field, x)
    each = torch.func.vmap(torch.func.grad(lambda point: field(point).sum()))(x.detach())
    (together,) = torch.autograd.grad(field(x).sum(), x)
    torch.testing.assert_close(each, together, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_moves_copies_and_state(spec: Encoding) -> None:
    field = SNF(2, 3, 8, 1, activation="relu", encoding=spec, generator=generator())
    x = coordinates(7, 2)
    expected = field(x)
    assert field.encoding is not None
    assert list(field.encoding.parameters()) == []
    assert "encoding.frequencies" in field.state_dict()
    for twin in (copy.deepcopy(field), pickle.loads(pickle.dumps(field))):
        assert torch.equal(twin(x), expected)
    other = SNF(2, 3, 8, 1, activation="relu", encoding=spec, generator=generator(9))
    other.load_state_dict(field.state_dict())
    assert torch.equal(other(x), expected)
    assert not torch.equal(field.encode(x)[:, -1], x[:, 0])
    wide = copy.deepcopy(field).double()
    assert wide.encoding is not None
    assert wide.encoding.frequencies.dtype == wide.dtype == torch.float64
    torch.testing.assert_close(wide(x.double()).float(), expected, rtol=0, atol=2e-3)
    assert torch.equal(wide.to(torch.float32)(x), expected)


def test_float64_frequencies_are_not_those_of_float32() -> None:
    encoder = Encoder(Positional(1), 1, dtype=torch.float64)
    assert float(encoder.frequencies[0, 0]) == math.pi
    field = SNF(1, 1, 4, 0, activation="relu", encoding=Positional(1), dtype=torch.float64)
    assert field.encoding is not None
    assert float(field.encoding.frequencies[0, 0]) == math.pi


@pytest.mark.parametrize("spec", SPECS[::2], ids=str)
def test_compiles_as_one_graph(spec: Encoding) -> None:
    field = SNF(2, 3, 8, 1, activation="relu", encoding=spec, generator=generator())
    x = coordinates(5, 2)
    compiled = torch.compile(field, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(x), field(x), rtol=0, atol=1e-6)


def test_another_dtype_or_size_is_named() -> None:
    for spec in SPECS:
        encoder = Encoder(spec, 2)
        with pytest.raises(InputError, match=r"float32; got \[5, 2\] and torch.float64"):
            encoder(coordinates(5, 2, torch.float64))
        with pytest.raises(InputError, match=r"\[\.\.\., 2\]"):
            encoder(coordinates(5, 3))
        with pytest.raises(InputError, match="expected x on cpu, where the field is; got meta"):
            encoder(coordinates(5, 2).to("meta"))
    with pytest.raises(InputError, match="expected an encoding"):
        Encoder("positional", 2)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="to be torch"):
        Encoder(Positional(2), 2, dtype=torch.int32)


def test_a_file_cannot_ask_for_more_memory_than_it_has_numbers() -> None:
    from fastsnf.train.rebuild import describe_field, restore, state_of

    field = SNF(2, 1, 4, 0, activation="relu", encoding=FourierFeatures(8), generator=generator())
    tensors, described = state_of(field), {**describe_field(field), "outputs": "values", "signal": None}
    assert torch.equal(
        restore(tensors, described, source="it").field.state_dict()["encoding.frequencies"],
        tensors["encoding.frequencies"],
    )
    config = described["field"]["config"]
    for changes, said in [
        ({"encoding": {**config["encoding"], "frequencies": 1 << 20}}, r"\[1048576, 2\]"),
        ({"in_features": 10**9}, r"\[8, 1000000000\]"),  # 32 GB
        ({"in_features": 10**12, "encoding": Positional(32).to_dict()}, "32, 1000000000000"),  # 128 TB
        ({"encoding": {**config["encoding"], "frequencies": 1 << 40}}, "from 1 to 1048576"),
        ({"encoding": {"name": "fourrier"}}, "the encoding"),
        ({"encoding": None}, "foreign: encoding.frequencies"),
    ]:
        hostile = {**described, "field": {**described["field"], "config": {**config, **changes}}}
        with pytest.raises(InputError, match=said):
            restore(tensors, hostile, source="it")


def test_a_field_behind_an_encoding_is_saved_and_loaded(tmp_path) -> None:
    for spec in SPECS:
        field = SNF(2, 3, 8, 1, activation="relu", encoding=spec, generator=generator())
        fastsnf.save(field, tmp_path / "field.safetensors")
        loaded = fastsnf.load(tmp_path / "field.safetensors")
        assert torch.equal(loaded(coordinates(5, 2)), field(coordinates(5, 2)))


@pytest.mark.parametrize("init", sorted(fastsnf.nn.init.INITIALIZERS))
def test_every_initializer_serves_a_field_behind_an_encoding_and_its_file(init: str, tmp_path) -> None:
    activation = "sine" if init in ("weight-scaling", "siren", "frequency-tuning", "nfsl-sine") else "tanh"
    field = SNF(2, 1, 8, 1, activation=activation, encoding=Positional(3), init=init, generator=generator())
    fastsnf.save(field, tmp_path / "field.safetensors")
    loaded = fastsnf.load(tmp_path / "field.safetensors")
    assert torch.equal(loaded(coordinates(5, 2)), field(coordinates(5, 2)))
