"""The gradients of a field's parameters: partial sums of every chunk, added in order."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from fastsnf.engines.triton import complex_layers, layers


class Gradients:
    """Gradient buffers shaped as the parameters, filled chunk by chunk.

    Attributes:
        d_weights: one [fan_out, fan_in] a layer, contiguous.
        d_biases: one [fan_out] or None a layer.
    """

    def __init__(self, weights: Sequence[Tensor], biases: Sequence[Tensor | None]) -> None:
        dense = torch.contiguous_format
        self.d_weights = [torch.empty_like(weight, memory_format=dense) for weight in weights]
        self.d_biases = [
            None if bias is None else torch.empty_like(bias, memory_format=dense) for bias in biases
        ]
        self._chunks = 0

    def next_chunk(self) -> None:
        """Add what follows to what is there."""
        self._chunks += 1

    def finish(self) -> None:
        """Make the gradients of a call without rows zeros."""
        if not self._chunks:
            for tensor in (*self.d_weights, *self.d_biases):
                if tensor is not None:
                    tensor.zero_()

    def add_weight(self, l: int, partial: Tensor) -> None:
        """Add the weight gradient of every split, [S, rows padded, columns padded], as the layers make it."""
        d_weight = self.d_weights[l]
        if d_weight.is_complex():
            complex_layers.fold_dw(partial, d_weight, accumulate=self._accumulate)
        else:
            layers.sum_partials(partial, d_weight, accumulate=self._accumulate)

    def add_bias(self, l: int, partial: Tensor, *, group: int = 1) -> None:
        """Add column sums [R, columns padded], `group` of which make a split; planar if complex.

        Of a complex last layer only the real part acts: its sums are real.
        """
        d_bias = self.d_biases[l]
        if d_bias is None:
            return
        if d_bias.is_complex():
            last = l == len(self.d_biases) - 1
            complex_layers.fold_db(
                partial, d_bias, accumulate=self._accumulate, group=group, real_output=last
            )
        else:
            layers.sum_partials(partial, d_bias, accumulate=self._accumulate, group=group)

    def add_edge(self, l: int, partial: Tensor, *, bias: bool = True, group: int = 1) -> None:
        """Add the sums of an edge's splits, [S, rows, columns + 1], the bias last; (re | im) if complex.

        Without `bias` that column is left out. `group` splits are one term, see `layers.sum_partials`.
        """
        d_weight, d_bias = self.d_weights[l], self.d_biases[l]
        columns = d_weight.shape[1]
        for part, target in enumerate(_parts(d_weight)):
            if part == 0:  # the leading columns; sums each group's whole rows, in its first one
                layers.sum_partials(partial, target, accumulate=self._accumulate, group=group)
                partial = partial[::group]
            block = partial[..., part * (columns + 1) : (part + 1) * (columns + 1)]
            if part > 0:
                layers.sum_partials(block[..., :columns], target, accumulate=self._accumulate)
            if bias and d_bias is not None:
                layers.sum_partials(block[..., columns], _parts(d_bias)[part], accumulate=self._accumulate)

    @property
    def _accumulate(self) -> bool:
        return self._chunks > 1


def _parts(tensor: Tensor) -> tuple[Tensor, ...]:
    """Return a real tensor, or the real and the imaginary part of a complex one, as views."""
    return torch.view_as_real(tensor).unbind(-1) if tensor.is_complex() else (tensor,)
