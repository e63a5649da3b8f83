"""Functions that torch does not hand to a mode, replaced where their callers look them up."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import Tensor
from torch.nn import functional

from onnxpack.exporters.replaced import existing, replaced, replaced_item
from onnxpack.exporters.torch.decompose import attention, pictures


@contextmanager
def stand_ins(*, empty_rows: bool = True) -> Iterator[None]:
    """Put the stand-ins in their places, and what was there back, whatever happens.

    Args:
        empty_rows: let attention give zeros where a row may look at nothing.
    """
    first = sys.modules.get("torchvision.transforms.functional")
    second: Any = sys.modules.get("torchvision.transforms.v2.functional._utils")
    with ExitStack() as stack:
        if empty_rows:
            name = "scaled_dot_product_attention"
            stack.enter_context(replaced(functional, name, attention.nested))
        if first is not None:
            crop = pictures.center_crop(first.center_crop)
            stack.enter_context(replaced(first, "center_crop", crop))
        if second is not None:
            dispatched = sys.modules["torchvision.transforms.v2.functional"].center_crop
            kernels = existing(second, "_KERNEL_REGISTRY")[dispatched]
            crop = pictures.center_crop(kernels[Tensor])
            stack.enter_context(replaced_item(kernels, Tensor, crop))
        yield
