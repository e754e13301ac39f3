"""What the tests of adjusted steps share: groups, small fields, points, how near a gradient has to be."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fastsnf.nn import SNF, Field
from fastsnf.ntk.groups import Groups

UPDATE = 1e-5
"""Of a gradient's largest entry: a float32 step against float64, S from a decomposition of each one's K."""

SHAPE = (9, 10)
GROUPS: dict[str, Groups] = {
    "patches": Groups.patches((8, 12), 4),
    "ragged": Groups.patches(SHAPE, 4),
    "runs": Groups.runs(29, 4),
    "index": Groups.of([[4, 0, 9], [3, 8], [1, 5, 2, 6, 7], [10, 11, 12, 13], [14, 15, 16, 17, 18]]),
}


def make_field(kind: str = "sine", channels: int = 3, seed: int = 0, **settings: object) -> Field:
    """Return a small field whose eNTK float32 holds well."""
    gen = torch.Generator().manual_seed(seed)
    scale = {"sine": {"first_omega": 6.0, "hidden_omega": 6.0}, "gabor": {"hidden_omega": 4.0, "scale": 2.0}}
    chosen = {**scale.get(kind, {}), **settings}
    return SNF(2, channels, 16, 1, activation=kind, generator=gen, **chosen)


def hooked() -> Field:
    field = make_field()
    field.net[0].register_forward_hook(lambda module, args, out: 0.5 * out)
    return field


def problem(groups: Groups, channels: int = 3, seed: int = 1) -> tuple[Tensor, Tensor]:
    """Return points [N, 2] and values [N, C] in their own order."""
    gen = torch.Generator().manual_seed(seed)
    return torch.rand(groups.size, 2, generator=gen) * 2 - 1, torch.rand(groups.size, channels, generator=gen)


def descend(field: nn.Module) -> None:
    """Take a step of gradient descent by the gradients that are there."""
    with torch.no_grad():
        for parameter in field.parameters():
            if parameter.grad is not None:
                parameter -= 0.02 * parameter.grad


def grads_of(field: nn.Module) -> list[Tensor]:
    """Return copies of the gradients."""
    return [p.grad.clone() for p in field.parameters() if p.grad is not None]


def assert_near(found: list[Tensor], exact: list[Tensor], tolerance: float = UPDATE) -> None:
    """Assert equality relative to the largest entry of the whole update."""
    assert len(found) == len(exact)
    most = max(float(t.abs().max()) for t in exact)
    for ours, theirs in zip(found, exact, strict=True):
        worst = float((ours.to(theirs.dtype) - theirs).abs().max())
        assert worst <= tolerance * most, f"{list(theirs.shape)}: {worst:.2e} of {most:.2e}"
