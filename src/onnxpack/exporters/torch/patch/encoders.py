"""Make ``nn.TransformerEncoder`` treat padded rows as its fast path does.

With a padding mask the fast path may leave the padding out of all layers, and put zeros there
before the last norm. It does so if every row's padding is at its end, which it reads from the
mask's values. An exporter takes the slow path, whose answer differs at the padding.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from onnxpack.exporters.replaced import replaced, replaced_item
from onnxpack.exporters.silence import hidden


def fast_encoders(model: nn.Module) -> frozenset[nn.Module]:
    """Return the encoders of a model that have such a path; call this while no mode is active."""
    encoders = (part for part in model.modules() if type(part) is nn.TransformerEncoder)
    return frozenset(encoder for encoder in encoders if _is_fast(encoder))


@contextmanager
def padding_left_out(fast: frozenset[nn.Module]) -> Iterator[None]:
    """Make these encoders answer as the fast path does, while an exporter follows the model."""
    if not fast:
        yield
        return
    kind: Any = nn.TransformerEncoder
    plain = kind.forward

    def forward(
        self: Any,
        src: Tensor,
        mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool | None = None,
    ) -> Any:
        if self not in fast or mask is not None or src_key_padding_mask is None:
            return plain(self, src, mask, src_key_padding_mask, is_causal)
        return _answer(self, src, src_key_padding_mask)

    with replaced(kind, "forward", forward):
        yield


def _is_fast(encoder: Any) -> bool:
    """Return whether padding at the end of a row gives zeros."""
    weight = next(encoder.parameters())
    width = encoder.layers[0].self_attn.embed_dim
    rows = torch.ones(1, 2, width, dtype=weight.dtype, device=weight.device)
    padding = torch.tensor([[False, True]], device=weight.device)
    try:
        with replaced_item(encoder._modules, "norm", None), hidden(), torch.no_grad():  # noqa: SLF001
            return bool((encoder(rows, src_key_padding_mask=padding)[:, 1] == 0).all())
    except Exception:  # noqa: BLE001 - one that takes no such rows has no fast path for them
        return False


def _answer(encoder: Any, src: Tensor, padding: Tensor) -> Tensor:
    """Return the answer of the slow path, with zeros where the fast path leaves padding out."""
    added = torch.zeros_like(padding, dtype=src.dtype)
    added = added.masked_fill(padding, -torch.inf) if padding.dtype is torch.bool else padding
    output = src
    for layer in encoder.layers:
        output = layer(output, src_key_padding_mask=added)
    real = added == 0
    place = torch.arange(real.shape[1], device=real.device)
    aligned = (real == (place < real.sum(1, keepdim=True))).all()
    output = torch.where((aligned & ~real).unsqueeze(-1), 0.0, output)
    return output if encoder.norm is None else encoder.norm(output)
