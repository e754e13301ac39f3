"""How several processes start one fit: the same settings, the same weights, whatever the first resumed."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from fastsnf.train.optimizers import load_state
from fastsnf.train.parallel import World, check_device
from fastsnf.train.plan import Plan
from fastsnf.train.recorder import Recorder
from fastsnf.train.state import FitState
from fastsnf.train.tree import flatten, unflatten


def start_together(
    world: World, plan: Plan, state: FitState, enter: Callable[[], Recorder | None]
) -> Recorder | None:
    """Open the run folder in the first process, and start all others from its state.

    Args:
        world: the processes.
        plan, state: the fit, of which field, optimizer and progress are overwritten in the others.
        enter: opens the folder and goes back to its newest checkpoint, where there is one to resume.

    Returns:
        What writes the folder; None in the other processes.

    Raises:
        InputError: when the processes have different fits, and what `enter` raises, in all of them.
    """
    if world.size == 1:
        return enter()
    check_device(next(plan.field.parameters()).device)
    world.check_same("settings, field and signal", _facts(plan))
    opened: list[Recorder | None] = []

    def start() -> dict[str, Any]:
        opened.append(enter())
        return _state_of(plan, state)

    given = world.from_first(start)
    if world.first:
        return opened[0]
    _go_on_from(given, plan, state)
    return None


def _facts(plan: Plan) -> str:
    """Return what all processes must agree on; the weights of the field come from the first."""
    shapes = {name: [*tensor.shape] for name, tensor in plan.field.state_dict().items()}
    settings = {**plan.config.to_dict(), **plan.place}
    return json.dumps([settings, plan.field.name, shapes, plan.signal.metadata(), plan.signal.digest()])


def _state_of(plan: Plan, state: FitState) -> dict[str, Any]:
    """Return everything that the next step depends on, on the CPU."""
    tree, tensors = flatten(plan.step.optimizer.state_dict(), "optimizer")
    return {
        "field": _on_cpu(plan.field.state_dict()),
        "optimizer": (tree, _on_cpu(tensors)),
        "updates": plan.updates.state_dict(),
        "random": torch.get_rng_state(),
        "step": state.step,
        "loss": state.loss,
        "seconds": state.seconds,
        "seconds_steps": state.seconds_steps,
    }


def _go_on_from(given: dict[str, Any], plan: Plan, state: FitState) -> None:
    """Put what `_state_of` returned in another process in place."""
    plan.field.load_state_dict(given["field"])
    load_state(plan.step.optimizer, unflatten(*given["optimizer"]))
    if given["updates"]:
        plan.updates.load_state_dict(given["updates"])
    torch.set_rng_state(given["random"])
    for name in ("step", "loss", "seconds", "seconds_steps"):
        setattr(state, name, given[name])
    state.points_seen = plan.sampler.points_seen(state.step)


def _on_cpu(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().to("cpu") for name, tensor in tensors.items()}
