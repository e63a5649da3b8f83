"""Replace recurrent layers by functions that only compute shapes, for a run without values.

ATen computes the shape of ``lstm``, ``gru`` and ``rnn`` by running them step by step, and so fixes
the number of steps (torch 2.14). A packed sequence holds its lengths as values. Neither shows
anything about the user's code: the ONNX operators take any number of steps, and lengths as a
tensor. So during the symbolic run of a model, these functions return empty tensors of the right
shape.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from onnxpack.exporters.replaced import replaced

LAYERS = {"lstm": 2, "gru": 1, "rnn_tanh": 1, "rnn_relu": 1}
"""Functions of ``torch._VF`` that recurrent layers call, with their number of states."""


@contextmanager
def shapes_of_recurrent_layers() -> Iterator[None]:
    """Replace the results of recurrent layers and packed sequences by empty tensors."""
    functions: Any = torch._VF  # noqa: SLF001 - what torch.nn calls
    packing = _Packing()
    with ExitStack() as stack:
        for name, states in LAYERS.items():
            stack.enter_context(replaced(functions, name, _layer(states)))
        stack.enter_context(replaced(functions, "_pack_padded_sequence", packing.pack))
        stack.enter_context(replaced(functions, "_pad_packed_sequence", packing.pad))
        for layer in (nn.RNNBase, nn.LSTM):  # raises on misfits only, by reading lengths
            stack.enter_context(replaced(layer, "check_forward_args", lambda *_: None))
        yield


def _layer(states: int) -> Callable[..., Any]:
    def compute(x: Tensor, *arguments: Any) -> Any:
        """Return empty results for ``_VF.lstm(x, hx, ...)`` or the form with packed data."""
        packed = isinstance(arguments[1], Tensor | tuple) and isinstance(arguments[0], Tensor)
        packed = packed and not isinstance(arguments[1], list)
        given, rest = (arguments[1], arguments[2:]) if packed else (arguments[0], arguments[1:])
        hidden = [given] if isinstance(given, Tensor) else list(given)
        both_ways = rest[5]
        width = hidden[0].shape[-1] * (2 if both_ways else 1)
        out = x.new_empty((*x.shape[:-1], width))
        return (out, *(state.clone() for state in hidden[:states]))

    return compute


class _Packing:
    """Packs and unpacks sequences, and remembers the number of rows of the last packed one."""

    def __init__(self) -> None:
        self._shape: tuple[Any, Any] | None = None

    def pack(self, x: Tensor, lengths: Tensor, batch_first: bool) -> tuple[Tensor, Tensor]:
        """Return data for all steps of all rows, and row counts, like ``_pack_padded_sequence``."""
        rows, steps = (x.shape[0], x.shape[1]) if batch_first else (x.shape[1], x.shape[0])
        self._shape = (rows, steps)
        real = torch.ones(rows * steps, dtype=torch.bool).nonzero()[:, 0]
        data = x.reshape(rows * steps, *x.shape[2:]).index_select(0, real)
        return data, torch.zeros(steps, dtype=torch.int64)

    def pad(
        self, data: Tensor, sizes: Tensor, batch_first: bool, _fill: float, total: int
    ) -> tuple[Tensor, Tensor]:
        """Return the padded rows and their lengths, like ``_VF._pad_packed_sequence``."""
        rows: Any = sizes.max().item() if self._shape is None else self._shape[0]
        steps = total if isinstance(total, int) and total > 0 else sizes.shape[0]
        shape = (rows, steps) if batch_first else (steps, rows)
        lengths = torch.zeros(rows, dtype=torch.int64)
        return data.new_empty((*shape, *data.shape[1:])), lengths
