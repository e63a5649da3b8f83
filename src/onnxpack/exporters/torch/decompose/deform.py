"""Decompose torchvision's deformable convolution into samples of the picture and a product."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def deform_conv2d(
    x: Tensor,
    weight: Tensor,
    offset: Tensor,
    mask: Tensor,
    bias: Tensor,
    stride_h: int,
    stride_w: int,
    pad_h: int,
    pad_w: int,
    dilation_h: int,
    dilation_w: int,
    groups: int,
    offset_groups: int,
    use_mask: bool,
) -> Tensor:
    """Sample the picture where each tap of the kernel looks, then apply a 1 × 1 convolution."""
    rows, columns = weight.shape[2:]
    taps = rows * columns
    tall, wide = offset.shape[2:]
    place = offset.reshape(-1, taps, 2, tall, wide)
    y = _places(tall, rows, stride_h, pad_h, dilation_h)
    left = _places(wide, columns, stride_w, pad_w, dilation_w)
    y = y.reshape(rows, 1, tall, 1).expand(-1, columns, -1, -1).reshape(taps, tall, 1)
    left = left.reshape(1, columns, 1, wide).expand(rows, -1, -1, -1).reshape(taps, 1, wide)
    where = (place[:, :, 1] + left, place[:, :, 0] + y)
    seen = _sampled(x.reshape(-1, x.shape[1] // offset_groups, *x.shape[2:]), *where)
    if use_mask:
        seen = seen * mask.reshape(-1, 1, taps, tall, wide)
    stacked = seen.reshape(-1, x.shape[1] * taps, tall, wide)
    return functional.conv2d(stacked, weight.flatten(1)[:, :, None, None], bias, groups=groups)


def _places(count: int, size: int, stride: int, padding: int, dilation: int) -> Tensor:
    """Return the coordinate at which each tap looks for each output: ``[size, count]``."""
    return torch.arange(size)[:, None] * dilation + torch.arange(count) * stride - padding


def _sampled(x: Tensor, left: Tensor, y: Tensor) -> Tensor:
    """Sample between pixels, zeros outside: ``[n, channels, taps, height, width]``."""
    tall, wide = x.shape[2:]
    grid = torch.stack([(2 * left + 1) / wide - 1, (2 * y + 1) / tall - 1], -1)
    found = functional.grid_sample(x, grid.flatten(1, 2), align_corners=False)
    return found.reshape(*found.shape[:2], left.shape[1], -1, found.shape[-1])
