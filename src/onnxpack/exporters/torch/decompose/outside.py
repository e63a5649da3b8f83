"""Replace functions that torch does not hand to a mode, where their callers look them up."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import Tensor

from onnxpack.exporters.replaced import existing, replaced, replaced_item
from onnxpack.exporters.torch.decompose import pictures


@contextmanager
def stand_ins() -> Iterator[None]:
    """Put the replacements in place, and always restore the originals."""
    with _crops(pictures.center_crop):
        yield


@contextmanager
def crops_told(copied: Callable[[Any, Any], None]) -> Iterator[None]:
    """Call ``copied`` with each crop and its source picture.

    The crop is a view of the picture; its replacement copies.
    """

    def watched(plain: Any) -> Any:
        def crop(image: Any, output_size: Any) -> Any:
            answer = plain(image, output_size)
            copied(answer, image)
            return answer

        return crop

    with _crops(watched):
        yield


@contextmanager
def _crops(around: Callable[[Any], Any]) -> Iterator[None]:
    """Wrap torchvision's ``center_crop`` in both generations of its transforms."""
    first = sys.modules.get("torchvision.transforms.functional")
    second: Any = sys.modules.get("torchvision.transforms.v2.functional._utils")
    with ExitStack() as stack:
        if first is not None:
            stack.enter_context(replaced(first, "center_crop", around(first.center_crop)))
        if second is not None:
            dispatched = sys.modules["torchvision.transforms.v2.functional"].center_crop
            kernels = existing(second, "_KERNEL_REGISTRY")[dispatched]
            crop = around(kernels[Tensor])
            stack.enter_context(replaced_item(kernels, Tensor, crop))
        yield
