"""Fields and pictures of the experiments."""

import math

import pytest
import torch

from fastsnf.errors import InputError
from fastsnf.studies.pictures import NO_DATA
from fastsnf.studies.ws.config import TradeoffSettings
from fastsnf.studies.ws.fits import FREQUENCY, WEIGHTS, config_of, field_of, methods, shared_facts
from fastsnf.studies.ws.sources import SYNTHETIC, one_over_f, sources

FACTS = {
    "method": WEIGHTS,
    "factor": 1.0,
    "omega": 30.0,
    "hidden_features": 16,
    "hidden_layers": 2,
    "seed": 3,
}


def test_weight_scaling_scales_siren_weights_but_the_last_and_no_bias():
    siren, scaled = field_of(FACTS), field_of({**FACTS, "factor": 2.5})
    *hidden, last = zip(siren.linears(), scaled.linears(), strict=True)
    for one, other in hidden:
        torch.testing.assert_close(other.weight, 2.5 * one.weight)
        assert torch.equal(other.bias, one.bias)
    assert torch.equal(last[0].weight, last[1].weight)


def test_frequency_tuning_changes_the_first_omega_alone():
    siren, tuned = field_of(FACTS), field_of({**FACTS, "method": FREQUENCY, "factor": 2.0})
    assert all(torch.equal(a, b) for a, b in zip(siren.parameters(), tuned.parameters(), strict=True))
    assert [act.omega for act in tuned.spec.activations[:-1]] == [60.0, 30.0, 30.0]
    # sin(60 u) is sin(30 (2 u)): the same function as doubled first weights and biases
    with torch.no_grad():
        siren.linears()[0].weight *= 2.0
        siren.linears()[0].bias *= 2.0
        x = torch.rand(50, 2, generator=torch.Generator().manual_seed(0)) * 2 - 1
        torch.testing.assert_close(tuned(x), siren(x), rtol=1e-4, atol=1e-5)


def test_every_factor_is_there_once():
    assert methods((1.0, 2.0), (1.0, 3.0)) == [(WEIGHTS, 1.0), (WEIGHTS, 2.0), (FREQUENCY, 3.0)]


def test_the_fit_is_the_papers():
    facts = {**shared_facts(TradeoffSettings(device="cpu")), "seed": 1}
    config = config_of(facts)
    assert (config.optimizer, config.base_lr, config.schedule_text) == ("adam", 1e-4, "constant")
    assert (config.batch_size, config.holdout, config.target_psnr) == ("full", 2, 50.0)


def test_siren_must_be_among_the_factors():
    with pytest.raises(InputError, match="expected 1 among alphas"):
        TradeoffSettings(alphas=(2.0, 3.0))


def test_the_synthetic_picture_falls_as_one_over_the_frequency():
    n = 128
    picture = one_over_f(n, seed=1)
    assert picture.shape == (n, n)
    assert (float(picture.min()), float(picture.max())) == (0.0, 1.0)
    amplitudes = torch.fft.fft2(picture - picture.mean()).abs()
    axes = torch.fft.fftfreq(n, dtype=torch.float64) * n
    radius = torch.hypot(axes[:, None], axes[None, :])
    near, far = ((radius > low) & (radius <= 2 * low) for low in (4.0, 16.0))
    slope = math.log(float(amplitudes[near].mean() / amplitudes[far].mean())) / math.log(4.0)
    assert slope == pytest.approx(1.0, abs=0.1)


def test_without_data_the_papers_pictures_are_missing_and_a_synthetic_one_is_there(folder):
    *kodak, synthetic = sources(None, 2)
    assert [source.name for source in kodak] == ["kodim01", "kodim02"]
    assert all(source.missing == NO_DATA for source in kodak)
    assert (synthetic.name, synthetic.missing) == (SYNTHETIC, None)
    small, large = synthetic.image(32), synthetic.image(64)
    assert small.shape == (32, 32)
    # the same picture at two resolutions
    halved = large.values.reshape(32, 2, 32, 2).mean(dim=(1, 3)).flatten()
    assert float(torch.corrcoef(torch.stack([halved, small.values.flatten()]))[0, 1]) > 0.98

    found = sources(str(folder), 1)
    assert [(source.name, source.missing) for source in found] == [("kodim01", None)]
    image = found[0].image(16)
    assert (image.shape, image.out_features) == ((16, 16), 1)
