"""Find which attention layers take PyTorch's fast path, and follow each layer as it answers.

For a row that may attend to nothing PyTorch 2.14 gives NaN in the fast path of self-attention, and
zeros elsewhere. An exporter turns the fast path off, and no case of the proof may have such a row,
so each layer's own path decides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from onnxpack.errors import ExportError
from onnxpack.exporters.replaced import existing, replaced
from onnxpack.exporters.torch.decompose.attention import PLAIN, scaled_dot_product_attention

FAST = ("_native_multi_head_attention", "_transformer_encoder_layer_fwd")
"""The functions of ``torch`` that are the fast path (torch 2.14)."""
Layers = frozenset[nn.Module]


def fast_layers(model: nn.Module, run: Callable[[], object]) -> Layers:
    """Return the attention layers of a model that take the fast path in a run of the model.

    Call this while no mode of torch is active: a mode turns the fast path off.

    Raises:
        ExportError: a layer takes both paths, so that it answers padding in two ways.
    """
    under_way: list[nn.Module] = []
    fast: set[nn.Module] = set()
    usual: set[nn.Module] = set()

    def noted(plain: Callable[..., Any], found: set[nn.Module]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            found.update(under_way[-1:])
            return plain(*args, **options)

        return call

    with ExitStack() as stack:
        for name in FAST:
            stack.enter_context(replaced(torch, name, noted(existing(torch, name), fast)))
        stack.enter_context(replaced(functional, PLAIN.__name__, noted(PLAIN, usual)))
        stack.enter_context(_remembered(nn.MultiheadAttention, under_way, lambda layer: layer))
        stack.enter_context(
            _remembered(nn.TransformerEncoderLayer, under_way, lambda layer: layer.self_attn)
        )
        run()
    for name, layer in model.named_modules():
        if layer in fast & usual:
            raise ExportError(
                f"{name.rpartition('.')[2]} answers a row that is all padding in two ways: NaN "
                "where query, key and value are the same, zeros elsewhere.",
                remedy="use a layer of its own for each of the two calls",
            )
    return frozenset(fast)


@contextmanager
def empty_rows_answered(fast: Layers) -> Iterator[None]:
    """Make attention give zeros for empty rows while an exporter follows, save in these layers."""
    under_way: list[nn.Module] = []

    def attend(*args: Any, **options: Any) -> Any:
        # F.multi_head_attention_forward calls it, which modes do not see; others they do.
        watched: int = torch._C._len_torch_function_stack()  # noqa: SLF001 - no public name
        if watched or (under_way and under_way[-1] in fast):
            return PLAIN(*args, **options)
        return scaled_dot_product_attention(*args, **options)

    with (
        replaced(functional, PLAIN.__name__, attend),
        _remembered(nn.MultiheadAttention, under_way, lambda layer: layer),
    ):
        yield


@contextmanager
def _remembered(
    kind: Any, under_way: list[nn.Module], attention_of: Callable[[Any], nn.Module]
) -> Iterator[None]:
    """Keep the attention layer of each call of ``kind`` in a list while the call runs."""
    plain = kind.forward

    def forward(self: Any, *args: Any, **options: Any) -> Any:
        under_way.append(attention_of(self))
        try:
            return plain(self, *args, **options)
        finally:
            under_way.pop()

    with replaced(kind, "forward", forward):
        yield
