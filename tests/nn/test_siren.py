"""`Siren` against the original module: numbers, names, state dicts, the pair it returns."""

from __future__ import annotations

import pytest
import torch

from fastsnf.errors import InputError
from fastsnf.nn import Siren
from tests.cases import random_points
from tests.nn.networks import NotebookSiren
from tests.tolerances import assert_close

SIREN_PARITY = 1e-6


@pytest.mark.parametrize("outermost_linear", [True, False])
@pytest.mark.parametrize(
    ("hidden_layers", "omegas"), [(3, (30.0, 30.0)), (1, (100.0, 20.0)), (0, (40.0, 15.0))]
)
def test_the_same_seed_gives_the_originals_network_number_by_number(
    outermost_linear: bool, hidden_layers: int, omegas: tuple[float, float]
) -> None:
    arguments = (2, 33, hidden_layers, 3, outermost_linear, *omegas)
    torch.manual_seed(4)
    ours = Siren(*arguments)
    torch.manual_seed(4)
    theirs = NotebookSiren(*arguments)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    for name, tensor in theirs.state_dict().items():
        assert torch.equal(ours.state_dict()[name], tensor), name


@pytest.mark.parametrize("outermost_linear", [True, False])
def test_state_dicts_go_both_ways_and_the_values_agree(outermost_linear: bool) -> None:
    arguments = (2, 64, 3, 3, outermost_linear)
    theirs, ours = NotebookSiren(*arguments), Siren(*arguments)
    x = random_points(500, 2)
    ours.load_state_dict(theirs.state_dict())
    exact = NotebookSiren(*arguments).double()
    exact.load_state_dict(theirs.state_dict())
    assert (ours(x) - theirs(x)[0]).abs().max() <= max(
        SIREN_PARITY, 3 * (exact(x.double())[0] - theirs(x)[0]).abs().max()
    )
    double = Siren(*arguments, dtype=torch.float64)
    double.load_state_dict(theirs.state_dict())
    assert (double(x.double()) - exact(x.double())[0]).abs().max() <= SIREN_PARITY
    theirs.load_state_dict(Siren(*arguments).state_dict())


def test_names_of_the_last_layer() -> None:
    assert "net.4.weight" in Siren(2, 8, 3, 1).state_dict()
    assert "net.4.linear.weight" in Siren(2, 8, 3, 1, outermost_linear=False).state_dict()


def test_return_coords_gives_the_originals_pair() -> None:
    torch.manual_seed(4)
    ours = Siren(2, 16, 1, 1, return_coords=True)
    torch.manual_seed(4)
    theirs = NotebookSiren(2, 16, 1, 1, True)
    x = random_points(6, 2).requires_grad_()
    (values, coords), (their_values, their_coords) = ours(x), theirs(x)
    assert torch.equal(coords, x)
    assert coords.is_leaf
    assert coords.requires_grad
    assert coords.data_ptr() != x.data_ptr()
    (gradient,) = torch.autograd.grad(values.sum(), coords, create_graph=True)
    (their_gradient,) = torch.autograd.grad(their_values.sum(), their_coords, create_graph=True)
    assert_close(gradient, their_gradient, 1e-5)
    gradient.square().sum().backward()
    their_gradient.square().sum().backward()
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        if b.grad is not None:  # the last bias does not move the gradient
            assert_close(a.grad, b.grad, 1e-4)
    assert x.grad is None


def test_without_return_coords_gradients_reach_the_input() -> None:
    x = random_points(6, 2).requires_grad_()
    Siren(2, 16, 1, 1)(x).sum().backward()
    assert x.grad is not None
    assert x.grad.abs().max() > 0


@pytest.mark.parametrize(
    "arguments",
    [(0, 8, 1, 1), (2, 0, 1, 1), (2, 8, -1, 1), (2, 8, 1, 0), (2, 8, 1.0, 1), (2, 8, 1, 1, True, 0.0)],
)
def test_impossible_sizes_are_refused(arguments: tuple[float, ...]) -> None:
    with pytest.raises(InputError):
        Siren(*arguments)  # type: ignore[arg-type]
