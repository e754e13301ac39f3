"""Long sums over points and features, and numbers far from 1."""

from __future__ import annotations

import pytest
import torch

from fastsnf.engines import native
from fastsnf.spec import Activation, FieldSpec, Gabor, Identity, Sine
from tests import cases
from tests.engines.problems import problem
from tests.engines.runs import EVERY_VARIANT, judge_both, judge_field, native_field

ACTS = pytest.mark.parametrize("act", [Sine(30.0), Gabor(20.0, 10.0)], ids=cases.name)


@ACTS
@pytest.mark.parametrize("width", [16, 67, 128])
def test_many_points(width: int, act: Activation) -> None:
    """Tiles, their remainder, and gradients added up over all of them."""
    spec, widths, points = FieldSpec.mlp(act, 1), [2, width, width, 3], cases.count(30_000) + 77
    judge_both(lambda seed: problem(spec, widths, points, gen=cases.generator(seed)))


@pytest.mark.parametrize("width", [33, 320, 321, 640, 641, 1281])
def test_many_features(width: int) -> None:
    """On either side of where sums are cut so that their operands stay in the first-level cache."""
    spec = FieldSpec((Identity(), Sine(1.0)))
    for widths in ([width, 34, 3], [3, width, 2]):
        judge_field(lambda seed, widths=widths: problem(spec, widths, 130, gen=cases.generator(seed)))


@EVERY_VARIANT
@ACTS
@pytest.mark.parametrize("power", [-80, 60], ids=lambda power: f"2^{power}")
def test_gradients_scale_with_the_cotangent(power: int, act: Activation, variant: str) -> None:
    """By a power of two exactly, far beyond the range of half precision."""
    case = problem(FieldSpec.mlp(act, 1), [2, 64, 64, 3], 200)
    factor = 2.0**power
    with native.use_variant(variant):
        plain = native_field(case.spec)(case.field_rows, case.weights, case.biases).named()
        scaled = native_field(case.spec)([case.x, case.d_out * factor], case.weights, case.biases).named()
    for name in list(plain)[1:]:
        assert torch.equal(scaled[name], plain[name] * factor), name


@EVERY_VARIANT
@pytest.mark.parametrize("power", [-60, 60], ids=lambda power: f"2^{power}")
def test_outputs_scale_with_the_coordinates(power: int, variant: str) -> None:
    case = problem(FieldSpec((Identity(), Identity())), [48, 64, 48], 200, bias=False)
    with native.use_variant(variant):
        plain = native.forward(case.x, case.weights, case.biases, case.spec)
        scaled = native.forward(case.x * 2.0**power, case.weights, case.biases, case.spec)
    assert torch.equal(scaled, plain * 2.0**power)


@EVERY_VARIANT
def test_a_sum_that_cancels(variant: str) -> None:
    """Features that cancel but for one leave its exact value: nothing is rounded to half precision."""
    x = torch.full((100, 64), 4097.0)
    x[:, 1::2] = -4097.0
    x[:, 5] += 1.0
    spec, weight = FieldSpec((Identity(),)), torch.ones(48, 64)
    with native.use_variant(variant):
        assert torch.equal(native.forward(x, [weight], [None], spec), torch.ones(100, 48))
