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
    Softmax, which gives NaN for a row of minus infinities. For bool masks they replace NaN by 0,
    which hides NaN among the inputs. Here such a row attends to everything, and its answer is then
    multiplied by 0, which keeps NaN and makes it of infinity, as weights of 0 do.
    """
    if attn_mask is None:
        return PLAIN(query, key, value, attn_mask, *args, **options)
    if attn_mask.is_floating_point():
        bias = attn_mask
    else:
        bias = torch.where(attn_mask, 0.0, -torch.inf).to(query.dtype)
    nothing = (bias == -torch.inf).all(-1, keepdim=True)
    some = torch.where(nothing, torch.zeros_like(bias), bias)
    answer = PLAIN(query, key, value, some, *args, **options)
    return torch.where(nothing, answer * 0.0, answer)
