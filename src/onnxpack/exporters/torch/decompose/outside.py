"""Functions that torch does not hand to a mode, replaced where their callers look them up."""

from __future__ import annotations

import sys
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any

from torch import Tensor
from torch.nn import functional

from onnxpack.exporters.torch.decompose import attention, pictures


@contextmanager
def stand_ins(*, empty_rows: bool = True) -> Iterator[None]:
    """Put the stand-ins in their places, and what was there back, whatever happens.

    Args:
        empty_rows: let attention give zeros where a row may look at nothing.
    """
    places = _places()[0 if empty_rows else 1 :]
    before = [(where, name, where[name]) for where, name, _ in places]
    try:
        for where, name, stand_in in places:
            where[name] = stand_in
        yield
    finally:
        for where, name, plain in before:
            where[name] = plain


def _places() -> list[tuple[MutableMapping[Any, Any], Any, Any]]:
    """A namespace, a name in it, and what stands in there."""
    places: list[tuple[MutableMapping[Any, Any], Any, Any]] = [
        (vars(functional), "scaled_dot_product_attention", attention.nested)
    ]
    first = sys.modules.get("torchvision.transforms.functional")
    if first is not None:
        places.append((vars(first), "center_crop", pictures.center_crop(first.center_crop)))
    second: Any = sys.modules.get("torchvision.transforms.v2.functional._utils")
    if second is not None:
        crop = sys.modules["torchvision.transforms.v2.functional"].center_crop
        kernels = second._KERNEL_REGISTRY[crop]  # noqa: SLF001 - no public way to replace one
        places.append((kernels, Tensor, pictures.center_crop(kernels[Tensor])))
    return places
