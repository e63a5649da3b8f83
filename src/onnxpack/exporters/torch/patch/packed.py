"""Rewrite packed sequences so that PyTorch's tracer handles them correctly.

The tracer's ONNX form of a recurrent layer over a packed sequence has four faults: it fails if only
the last state is used and the first is not given, it does not cut the answer to the longest row, it
pads with zeros whatever the padding value, and it gives lengths as int32.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence

from onnxpack.errors import ExportError
from onnxpack.exporters.replaced import existing, replaced


@contextmanager
def plainly_packed(model: nn.Module) -> Iterator[None]:
    """Add what the tracer's ONNX form leaves out, while the model is traced."""
    layers = [part for part in model.modules() if isinstance(part, nn.RNNBase)]
    functions: Any = torch._VF  # noqa: SLF001 - what nn.utils.rnn calls
    plain = existing(functions, "_pad_packed_sequence", function=True)

    def unpack(data: Tensor, sizes: Tensor, first: bool, fill: float, total: int) -> Any:
        padded, lengths = plain(data, sizes, first, fill, total)
        if _to_the_longest():
            axis = 1 if first else 0
            places = torch.arange(lengths.max(), device=padded.device)
            padded = padded.index_select(axis, places)
        return _filled(padded, lengths, first, fill), lengths.to(torch.int64)

    with ExitStack() as stack:
        for layer in layers:
            stack.callback(layer.register_forward_pre_hook(_give_state).remove)
        stack.enter_context(replaced(functions, "_pad_packed_sequence", unpack))
        yield


def _filled(padded: Tensor, lengths: Tensor, first: bool, fill: float) -> Tensor:
    """Return the padded tensor with the padding value after the end of each row."""
    if fill == 0:
        return padded
    rows = padded if first else padded.transpose(0, 1)
    place = torch.arange(rows.shape[1], device=rows.device)
    real = (place < lengths.to(rows.device).unsqueeze(1)).unsqueeze(-1)
    filled = torch.where(real, rows, fill)
    return filled if first else filled.transpose(0, 1)


def _to_the_longest() -> bool:
    """Return whether the calling ``pad_packed_sequence`` got no total length.

    It passes on a number either way, which the tracer's ONNX form ignores.

    Raises:
        ExportError: the calling function has no such argument, as it has in PyTorch 2.14.
    """
    frame = inspect.currentframe()
    while frame is not None and frame.f_code is not pad_packed_sequence.__code__:
        frame = frame.f_back
    if frame is None or "total_length" not in frame.f_locals:
        raise ExportError(
            f"torch {torch.__version__} unpacks a packed sequence in a way that onnxpack does not "
            "know: pad_packed_sequence(total_length=...) was not found.",
            remedy="pip install --upgrade onnxpack",
        )
    return frame.f_locals["total_length"] is None


def _give_state(layer: nn.RNNBase, args: tuple[Any, ...]) -> tuple[Any, ...] | None:
    """Return arguments with a state of zeros, if the layer would make it from packed sizes."""
    packed = args[0]
    given = len(args) > 1 and args[1] is not None
    if given or not isinstance(packed, PackedSequence) or packed.sorted_indices is None:
        return None
    rows = packed.sorted_indices.shape[0]
    count = layer.num_layers * (2 if layer.bidirectional else 1)
    state = packed.data.new_zeros(count, rows, layer.proj_size or layer.hidden_size)
    if layer.mode != "LSTM":
        return packed, state
    return packed, (state, packed.data.new_zeros(count, rows, layer.hidden_size))
