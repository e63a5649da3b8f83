"""Decompose attention with rows that may attend to nothing."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

PLAIN = functional.scaled_dot_product_attention


def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    *args: Any,
    **options: Any,
) -> Any:
    """Decompose ``F.scaled_dot_product_attention``: rows that may attend to nothing give zeros.

    PyTorch's softmax is safe in this sense since 2.5. The exporters of torch 2.14.1 write a plain
    Softmax, which gives NaN for a row of minus infinities; they handle only bool masks.
    """
    answer = PLAIN(query, key, value, attn_mask, *args, **options)
    if attn_mask is None or not attn_mask.is_floating_point():
        return answer
    nothing = (attn_mask == -torch.inf).all(-1, keepdim=True)
    return torch.where(nothing, 0.0, answer)
