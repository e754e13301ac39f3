"""The estimate of a fit's memory, and the chunks that keep to a limit."""

from __future__ import annotations

import pytest
import torch

import fastsnf
from fastsnf.errors import InputError
from fastsnf.signals import bit_rendering
from fastsnf.signals.occupancy import Occupancy
from fastsnf.train import budget as budgets
from fastsnf.train import chunks
from fastsnf.train.budget import PHASES, said
from fastsnf.train.config import FitConfig
from fastsnf.train.plan import make_plan
from tests.train.samples import BATCHES, fit_small, same_state, small_field, small_image

pytestmark = pytest.mark.usefixtures("new_process")

MB = 1_000_000


def ball(size: int) -> Occupancy:
    return Occupancy.from_function(lambda x: x.square().sum(1) < 0.5, (size, size, size))


def budget_of(field, signal, *, written=False, **options):
    return make_plan(field, signal, FitConfig(**options), written=written).budget


def wide_field(dimensions=2, **options):
    return fastsnf.SNF(dimensions, 1, 256, 3, **options)


def test_the_parts_of_a_picture():
    image = small_image((256, 128))
    budget = budget_of(wide_field(), image, written=True)
    assert budget.parts["signal"] == 4 * image.size
    assert budget.parts["coordinates"] == 8 * image.size
    assert budget.parts["reconstruction"] == 12 * image.size
    parameters = sum(p.numel() for p in wide_field().parameters())
    assert budget.parts["field and optimizer"] == 4 * 4 * parameters
    assert (
        budget.parts["field and optimizer"]
        > budget_of(wide_field(), image, optimizer="sgd").parts["field and optimizer"]
    )
    held = sum(size for name, size in budget.parts.items() if name not in PHASES)
    assert budget.total == held + max(budget.parts[name] for name in PHASES)
    assert "reconstruction" not in budget_of(wide_field(), image).parts


def test_a_solid_takes_its_bits_and_no_coordinates():
    small, large = (budget_of(wide_field(3), ball(size)) for size in (64, 128))
    assert large.parts["signal"] == 128**3 // 8
    assert large.parts["coordinates"] == 0
    assert (
        large.total - small.total < 2 * 128**3 // 8 + 16 * 128**3
    )  # the bits twice, and an order that is held


def test_points_that_are_held_out_have_masks_and_numbers():
    whole, part = (budget_of(wide_field(3), ball(64), holdout=holdout) for holdout in (None, 2))
    assert whole.parts["choice of points"] == 0
    assert part.parts["choice of points"] == 2 * 64**3 + 8 * 32**3
    assert "choice of points" in str(budget_of(wide_field(3), ball(192), holdout=2))


def test_activations_that_autograd_keeps_are_counted():
    image = small_image((256, 128))
    single, kept = (budget_of(wide_field(), image, loss=loss) for loss in ("mse", "bce"))
    assert kept.parts["step"] > 50 * single.parts["step"]
    assert kept.chunk <= 1 << 17 <= single.chunk


def test_the_estimate_is_said_in_one_line():
    text = str(budget_of(wide_field(), small_image((256, 128)), loss="bce", memory_limit=10**9))
    assert "\n" not in text
    assert text.split(" planned: ")[0].endswith("of 1.0 GB")
    assert "step" in text
    assert (said(1_234_567_890), said(20 << 20), said(1)) == ("1.2 GB", "21 MB", "1 MB")
    seen = []

    class Look(fastsnf.train.Callback):
        def on_start(self, state):
            seen.append(state.memory)

    fit_small(callbacks=[Look()])
    assert " planned: " in seen[0]


@pytest.mark.parametrize("loss", ["mse", "bce"])
def test_a_limit_lowers_the_chunks(loss):
    image, field = small_image((512, 400)), wide_field()
    free = budget_of(field, image, loss=loss, batch_size="full")
    limit = free.total - free.parts[max(PHASES, key=lambda name: free.parts.get(name, 0))] * 3 // 4
    budget = budget_of(field, image, loss=loss, batch_size="full", memory_limit=limit)
    assert budget.total <= limit < free.total
    assert budget.limit == limit
    if loss == "bce":
        assert budget.chunk <= free.chunk // 2
    else:
        assert chunks.remembered(1 << 18, ("measure", 256)) < 1 << 18


def test_a_limit_changes_the_result_by_rounding_alone():
    options = {**BATCHES, "loss": "bce", "batch_size": "full", "steps": 5}
    field, other = small_field(hidden_features=64), small_field(hidden_features=64)
    image = small_image((200, 160))
    free = fastsnf.fit(field, image, **options)
    plan = make_plan(small_field(hidden_features=64), image, FitConfig(**{**options, "device": "cpu"}))
    limit = plan.budget.total - plan.budget.parts["step"] // 2
    limited = fastsnf.fit(other, image, **options, memory_limit=limit)
    assert not same_state(field, other)
    for first, second in zip(field.parameters(), other.parameters(), strict=True):
        assert (first - second).norm() <= 1e-5 * first.norm()
    assert limited.psnr == pytest.approx(free.psnr, abs=1e-3)


def test_what_does_not_fit_at_all_is_refused_with_the_parts(tmp_path):
    with pytest.raises(InputError) as caught:
        fastsnf.fit(wide_field(), small_image(), run=tmp_path / "run", memory_limit=20 * MB)
    text = str(caught.value)
    assert text.startswith("expected a fit within 20 MB; got ")
    assert "libraries" in text
    assert text.endswith("raise the limit, or lower the resolution, batch_size or hidden_features")
    assert not (tmp_path / "run").exists()


def test_a_loss_that_cannot_be_divided_is_refused_where_it_does_not_fit():
    def own(out, target, weights):
        return (out - target).square().mean()

    image = small_image((512, 512))
    with pytest.raises(InputError, match="step"):
        budget_of(wide_field(), image, loss=own, batch_size="full", memory_limit=500 * MB)
    assert (
        budget_of(wide_field(), image, loss="bce", batch_size="full", memory_limit=500 * MB).total < 500 * MB
    )


@pytest.mark.parametrize("limit", [0, -1, 1.5, True, "2GB"])
def test_a_limit_is_a_number_of_bytes(limit):
    with pytest.raises(InputError, match="memory_limit"):
        FitConfig(memory_limit=limit)


def test_the_surface_is_judged_by_the_solid_s_own():
    smooth = budget_of(wide_field(3), ball(64), written=True).parts["reconstruction"]
    dust = Occupancy.from_grid(
        torch.rand(64, 64, 64, generator=torch.Generator().manual_seed(0)).numpy() > 0.5
    )
    assert budget_of(wide_field(3), dust, written=True).parts["reconstruction"] > smooth


def test_bits_in_mapped_files_are_apart(monkeypatch):
    kept = budget_of(wide_field(3), ball(64))
    for module in (bit_rendering, budgets):
        monkeypatch.setattr(module, "IN_MEMORY", 1000)
    mapped = budget_of(wide_field(3), ball(64))
    assert (kept.mapped, mapped.mapped) == (0, 64**3 // 8)
    assert kept.parts["evaluation"] - mapped.parts["evaluation"] == 64**3 // 8
