"""`Adjuster`: inductive gradient adjustment of one fit, step by step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from fastsnf import ops
from fastsnf.errors import InputError
from fastsnf.nn import LayeredField
from fastsnf.nn.plain import is_plain
from fastsnf.ntk.coefficients import adjustment_of
from fastsnf.ntk.config import IGA
from fastsnf.ntk.correction import adjusted, surrogate, weighted_mse, weighted_residual
from fastsnf.ntk.empirical import empirical_ntk
from fastsnf.ntk.groups import Groups, Members
from fastsnf.ntk.sampling import NEEDS_RESIDUALS, SamplePoints, largest_rows, offsets_of
from fastsnf.ntk.shared_sum import shared_sum_gram
from fastsnf.ntk.side_stream import SideStream
from fastsnf.ntk.spectrum import SpectrumError, leading

COUNTERS = ("step", "failures", "fallbacks", "short")


class Adjuster:
    """Adjusts the gradients of the MSE, step by step.

    In a loop of one's own, with any first-order optimizer of torch::

        adjuster = Adjuster(IGA(group=32), make_groups(32, (H, W)))
        x, y = adjuster.arrange(x, y)
        for step in range(1000):
            optimizer.zero_grad()
            adjuster.loss(field, x, y).backward()
            optimizer.step()

    A step of fewer groups than the eigenpairs that the settings read (the last of an epoch) is a plain one.
    So is a step whose eigenvalue problem cannot be solved. Both are counted.

    Args:
        iga: the settings.
        groups: the partition of the points.
        optimizer: the name of the optimizer, which chooses the form where the settings leave it open.
        device: of the batches.
        batch: groups a step, None for all.

    Attributes:
        step: steps taken.
        failures: of them, those without an adjustment as the eigenvalue problem was not solved.
        fallbacks: of them, those that took the eigenpairs from a full decomposition at last.
        short: of them, those without an adjustment for want of groups.

    Raises:
        InputError: for eigenvalues that so many groups do not have, or a reuse that batches do not allow.
    """

    def __init__(
        self,
        iga: IGA,
        groups: Groups,
        *,
        optimizer: str = "adam",
        device: torch.device | str = "cpu",
        batch: int | None = None,
    ) -> None:
        self.iga, self.groups = iga, groups
        self.step = self.failures = self.fallbacks = self.short = 0
        self._device = torch.device(device)
        self._target, self._pairs = iga.target_of(optimizer), iga.pairs(optimizer)
        self._form = iga.form_of(optimizer)
        self._everything: Members | None = None
        self._points = SamplePoints(iga.sample, seed=iga.seed, count=groups.count, device=self._device)
        self._side = SideStream(self._device)
        self._kept: ops.Adjustment | None = None
        self._basis: Tensor | None = None
        self._check(groups.count if batch is None else min(batch, groups.count))

    def arrange(self, *tensors: Tensor | None) -> tuple[Any, ...]:
        """Return tensors [N, ...] of all points in the order in which the adjuster takes them; None stays.

        Raises:
            InputError: for a tensor of another number of points than the groups have.
        """
        points = self.members().points
        for tensor in tensors:
            if tensor is not None and tensor.shape[:1] != points.shape:
                raise InputError(
                    f"expected [{len(points)}, ...], a row for each point of {self.groups}; "
                    f"got {list(tensor.shape)}"
                )
        return tuple(None if tensor is None else tensor[points.to(tensor.device)] for tensor in tensors)

    def members(self, ids: Tensor | None = None) -> Members:
        """Return the points of the groups `ids` [n] int64 and their layout, None for all, on the device."""
        if ids is not None:
            return self.groups.members(ids, self._device)
        if self._everything is None:
            self._everything = self.groups.members(device=self._device)
        return self._everything

    def value_and_grad(
        self,
        field: nn.Module,
        x: Tensor,
        y: Tensor,
        w: Tensor | None = None,
        *,
        members: Members | None = None,
        ids: Tensor | None = None,
    ) -> Tensor:
        """Fill in the adjusted gradients; return the plain MSE, 0-d.

        A plain field takes one pass over the points, any other goes through autograd.

        Args:
            field: what is trained, a field or another module; the gradients it holds are replaced.
            x, y: arranged points [M, D] and values [M, C].
            w: weights [M], 0 or more; None for ones.
            members: how the points lie, from `members`; None for those of `ids`.
            ids: [n], the groups of this step; None for all.

        Raises:
            InputError: for tensors that are not the members' points.
        """
        members = self._checked(x, members, ids)
        if is_plain(field):
            return self._in_one_pass(field, x, y, w, members)
        for parameter in field.parameters():
            parameter.grad = None
        with torch.enable_grad():
            loss = self._loss(field, x, y, w, members)
            loss.backward()  # type: ignore[no-untyped-call]  # torch does not annotate it
        return loss.detach()

    def loss(
        self,
        field: nn.Module,
        x: Tensor,
        y: Tensor,
        w: Tensor | None = None,
        *,
        members: Members | None = None,
        ids: Tensor | None = None,
    ) -> Tensor:
        """Return a scalar whose value is the plain MSE and whose gradient is the adjusted one.

        Arguments and errors as for `value_and_grad`. Every call is a step.
        """
        return self._loss(field, x, y, w, self._checked(x, members, ids))

    def transform(self, residual: Tensor, gram: Tensor, *, members: Members | None = None) -> Tensor:
        """Return S r, detached, for a pipeline of one's own (the rays of a NeRF).

        Every call is a step and solves its eigenvalue problem: `refresh` is the caller's.

        Args:
            residual: r [M, C], arranged: offset by offset, all groups of each.
            gram: the eNTK [n, n] of the groups' sample points, as from `empirical_ntk`.
            members: how the residuals lie; None for all groups.

        Raises:
            InputError: for shapes that do not fit.
        """
        members = self._checked(residual, members, None)
        n = members.layout.groups
        if gram.shape != (n, n):
            raise InputError(f"expected the eNTK of {n} groups, [{n}, {n}]; got {list(gram.shape)}")
        residual = residual.detach()
        if self._is_plain_step(members):
            return residual
        self.step += 1
        return adjusted(residual, self._solved(gram.detach(), members))

    def report(self) -> dict[str, Any]:
        """Return what was done, for a summary: JSON-able."""
        return {
            "groups": self.groups.count,
            "group": str(self.groups),
            "start": self.iga.start,
            "end": self.iga.end,
            "target": self._target,
            "form": self._form,
            "sample": self.iga.sample,
            "refresh": self.iga.refresh,
            "failures": self.failures,
            "fallbacks": self.fallbacks,
            "short": self.short,
        }

    def state_dict(self) -> dict[str, Tensor]:
        """Return what the next step depends on, beside the field: tensors, copies."""
        state = {name: torch.tensor(getattr(self, name)) for name in COUNTERS}
        state |= self._points.state_dict()
        if self._kept is not None:
            state |= {"vectors": self._kept.vectors.clone(), "coefficients": self._kept.coefficients.clone()}
        if self._basis is not None:
            state["basis"] = self._basis.clone()
        return state

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take what `state_dict` returned: the next steps are then those that would have followed.

        Raises:
            InputError: for the state of other groups or settings.
        """
        missing = [name for name in COUNTERS if name not in state]
        if missing:
            raise InputError(f"expected the state of an Adjuster; got none of {', '.join(missing)}")
        for name in ("vectors", "basis"):
            if name in state and len(state[name]) != self.groups.count:
                raise InputError(
                    f"expected the state of {self.groups.count} groups; got one of {len(state[name])}"
                )
        self._points.load_state_dict(dict(state))
        for name in COUNTERS:
            setattr(self, name, int(state[name]))
        self._kept = self._basis = None
        if "vectors" in state:
            vectors, coefficients = (state[name].to(self._device) for name in ("vectors", "coefficients"))
            self._kept = ops.Adjustment(self.members().layout, vectors, coefficients)
        if "basis" in state:
            self._basis = state["basis"].to(self._device)

    def _in_one_pass(
        self, field: LayeredField, x: Tensor, y: Tensor, w: Tensor | None, members: Members
    ) -> Tensor:
        _check_values(y, w, (len(x), field.out_features))
        with torch.no_grad():
            weights, biases = field.layer_tensors()
            encoded = field.encode(x)
            if self._is_plain_step(members):
                loss, d_weights, d_biases = ops.mse_value_and_grad(
                    encoded, y, weights, biases, spec=field.spec, sample_weight=w
                )
            else:
                loss, d_weights, d_biases, largest = ops.adjusted_mse_value_and_grad(
                    encoded,
                    y,
                    weights,
                    biases,
                    spec=field.spec,
                    adjustment=self._begun(field, x, w, members, weights),
                    sample_weight=w,
                    need_largest=self.iga.sample == "argmax_lagged",
                )
                if largest is not None:
                    self._points.observe(members, largest)
            field.take_gradients(d_weights, d_biases)
        return loss

    def _begun(
        self, field: LayeredField, x: Tensor, w: Tensor | None, members: Members, weights: Sequence[Tensor]
    ) -> ops.Adjustment | Callable[[Tensor], ops.Adjustment]:
        """Return S, or what makes it of the residuals where the pass is in two halves anyway."""
        fused = ops.adjusts_in_one_pass(
            field.encode(x[:1]), weights, spec=field.spec, groups=members.layout.groups
        )
        if fused and self.iga.sample not in NEEDS_RESIDUALS:
            return self._adjustment(field, x, w, members)
        self._side.mark()  # before the forward pass, beside which the eigenpairs are found
        return lambda residual: self._adjustment(field, x, w, members, residual)

    def _loss(self, field: nn.Module, x: Tensor, y: Tensor, w: Tensor | None, members: Members) -> Tensor:
        if self._is_plain_step(members):
            return weighted_mse(_values(field, x, y, w), y, w)
        self._side.mark()
        out = _values(field, x, y, w)
        residual = weighted_residual(out, y, w)
        with torch.no_grad():
            adjustment = self._adjustment(field, x, w, members, residual)
        if self.iga.sample == "argmax_lagged":
            self._points.observe(members, largest_rows(residual, members.layout, w))
        return surrogate(out, residual, weighted_mse(out, y, w), w, adjustment)

    def _is_plain_step(self, members: Members) -> bool:
        """Return whether S is the identity from the start, and then count the step."""
        short = members.layout.groups < self._pairs
        self.short += short
        plain = short or self._pairs == 0
        self.step += plain
        return plain

    def _adjustment(
        self, field: nn.Module, x: Tensor, w: Tensor | None, members: Members, residual: Tensor | None = None
    ) -> ops.Adjustment:
        """Return S at the current weights, and count the step."""
        step, self.step = self.step, self.step + 1
        if self._kept is not None and step % self.iga.refresh:
            return self._kept
        if self.iga.sample in NEEDS_RESIDUALS:
            self._side.mark()  # they are of this pass: nothing runs beside it
        with self._side.work(x):
            rows = self._points.rows(members, step, w, residual)
            if self.iga.sample == "argmax_shared_sum":
                gram = shared_sum_gram(field, x, members, offsets_of(rows, members.layout), w)
            else:
                gram = empirical_ntk(field, x[rows])
            adjustment = self._solved(gram, members)
        self._side.join(adjustment.vectors, adjustment.coefficients)
        return adjustment

    def _solved(self, gram: Tensor, members: Members) -> ops.Adjustment:
        """Return S for an eNTK [n, n]; the identity, which counts as a failure, where it is not solved."""
        everything = members.ids is None
        try:
            pairs = leading(gram, self._pairs, start=self._basis if everything else None)
        except SpectrumError:
            self.failures += 1
            self._kept = self._basis = None
            return ops.Adjustment(members.layout, gram.new_zeros(len(gram), 0), gram.new_zeros(0))
        vectors, coefficients = adjustment_of(pairs, self.iga.start, self.iga.end, self._target)
        adjustment = ops.Adjustment(members.layout, vectors, coefficients)
        self.fallbacks += pairs.fallback
        if everything:
            self._basis = pairs.basis
        if self.iga.refresh > 1:
            self._kept = adjustment
        return adjustment

    def _checked(self, x: Tensor, members: Members | None, ids: Tensor | None) -> Members:
        """Return the members that x [M, ...] are."""
        members = self.members(ids) if members is None else members
        if x.dim() != 2 or len(x) != len(members.points):
            raise InputError(
                f"expected [M, ...] for the {len(members.points)} points of {members.layout.groups} groups, "
                f"arranged; got {list(x.shape)}: Adjuster.arrange or members(ids).points give their order"
            )
        index = x.device.index if self._device.index is None else self._device.index
        if (x.device.type, x.device.index) != (self._device.type, index):
            raise InputError(
                f"expected points on {self._device}, the adjuster's device; got {x.device}: move them, or "
                f"make it with Adjuster(..., device={str(x.device)!r})"
            )
        if self.iga.refresh > 1 and members.ids is not None:
            raise InputError(
                f"expected all groups in every step with refresh={self.iga.refresh}; got {len(members.ids)} "
                f"of {self.groups.count}: other groups need another adjustment, take refresh=1"
            )
        return members

    def _check(self, n: int) -> None:
        """Raise `InputError` unless the settings suit n groups a step."""
        for name, value, most in (("end", self.iga.end, n), ("target", self._target, n - 1)):
            if self._pairs and value > most:
                raise InputError(
                    f"expected {name} of at most {most}, as there are {n} groups a step; got {value}: take "
                    "fewer eigenvalues, or smaller groups"
                )
        if self.iga.refresh > 1 and n < self.groups.count:
            raise InputError(
                f"expected refresh=1 with {n} of {self.groups.count} groups a step; got {self.iga.refresh}: "
                "other groups need another adjustment"
            )


def _values(field: nn.Module, x: Tensor, y: Tensor, w: Tensor | None) -> Tensor:
    """Return the outputs [M, C] of a field, also where it returns coordinates beside them."""
    out = field(x)
    out = out[0] if isinstance(out, tuple) else out
    _check_values(y, w, out.shape)
    return out


def _check_values(y: Tensor, w: Tensor | None, shape: Sequence[int]) -> None:
    """Raise `InputError` for values y or weights w that would broadcast to outputs of `shape` [M, C]."""
    for what, tensor, wanted in (("values", y, tuple(shape)), ("weights", w, tuple(shape[:1]))):
        if tensor is not None and tensor.shape != wanted:
            raise InputError(f"expected {what} of shape {list(wanted)}; got {list(tensor.shape)}")
