"""Compute models of low precision, and of float64, in float32.

ONNX Runtime has no kernels for bfloat16 on CPU and its float16 rounds differently from PyTorch's.
So such a model is computed with the same weights in float32, which holds float16 and bfloat16
exactly. The graph is made from this model and proven against it. The model's own answer may differ
from it only as far as the low precision explains.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from onnxpack.comparison.scale import surroundings
from onnxpack.errors import ExportError
from onnxpack.exporters.replaced import existing, replaced
from onnxpack.exporters.torch.flat import FlatModule
from onnxpack.exporters.torch.structure import flatten, rebuild

LOW = (torch.float16, torch.bfloat16)
WIDENED = (
    "the model has low precision: the graph computes with the same weights in float32, and is "
    "proven against the model computed in float32"
)
UNCAST = (
    "the model computes in low precision under autocast: the graph computes in float32, and is "
    "proven against the model computed in float32"
)
ROUNDINGS = 16
"""Largest error of an element in units of its precision, relative to what is common around it."""


class WideModule(FlatModule):
    """A module of low precision, called with its computation in float32."""

    _wide = torch.float32
    _gives: tuple[bool, ...] = ()

    def give_float16(self, which: Iterable[bool]) -> None:
        """Set which outputs, in order, are float16, like the module's own."""
        self._gives = tuple(which)

    def around(self, model: nn.Module) -> WideModule:
        """Return a module that makes the same calls to another module."""
        other = super().around(model)
        other.give_float16(self._gives)
        return other

    def double(self) -> WideModule:
        """Switch the module to float64."""
        self._wide = torch.float64
        super().double()
        return self

    def answer(self, *tensors: Tensor) -> Any:
        """Return the answer, in float32 wherever the module's own has low precision."""
        wide = (tensor.to(self._wide) if tensor.dtype in LOW else tensor for tensor in tensors)
        with _Renamed(dict.fromkeys(LOW, self._wide)), without_autocast():
            answer = super().answer(*wide)
        if self._wide is torch.float64 or not any(self._gives):
            return answer
        leaves = (tensor for _, tensor in flatten(answer))
        pairs = zip(leaves, self._gives, strict=True)
        return rebuild(answer, iter([leaf.half() if half else leaf for leaf, half in pairs]))


class NarrowModule(FlatModule):
    """A float64 module, called with its computation in float32 between casts.

    onnxruntime 1.32 has no kernels of float64 for convolutions, pools and others on CPU.
    """

    _gives: tuple[bool, ...] = ()

    def give_float64(self, which: Iterable[bool]) -> None:
        """Set which outputs, in order, are float64, like the module's own."""
        self._gives = tuple(which)

    def around(self, model: nn.Module) -> NarrowModule:
        """Return a module that makes the same calls to another module."""
        other = super().around(model)
        other.give_float64(self._gives)
        return other

    def answer(self, *tensors: Tensor) -> Any:
        """Return the answer, computed in float32."""
        narrow = (each.float() if each.dtype is torch.float64 else each for each in tensors)
        with _Renamed({torch.float64: torch.float32}):
            answer = super().answer(*narrow)
        leaves = (tensor for _, tensor in flatten(answer))
        pairs = zip(leaves, self._gives, strict=True)
        return rebuild(answer, iter([leaf.double() if wide else leaf for leaf, wide in pairs]))


def narrowed(wide: FlatModule, outputs: Iterable[Tensor]) -> NarrowModule:
    """Return the same calls to a copy whose float64 weights are in float32.

    Args:
        wide: the float64 module.
        outputs: its answer, whose dtypes the copy returns as well.
    """
    model: Any = copy.deepcopy(wide.model)
    model._apply(lambda each: each.float() if each.dtype is torch.float64 else each)  # noqa: SLF001
    module = NarrowModule(model, *wide.arguments)
    module.give_float64(tensor.dtype is torch.float64 for tensor in outputs)
    return module


def widened(narrow: FlatModule) -> WideModule:
    """Return the same calls to a copy with float32 weights, which are exact."""
    model = copy.deepcopy(narrow.model)
    module: Any = model
    module._apply(lambda tensor: tensor.float() if tensor.dtype in LOW else tensor)  # noqa: SLF001
    return WideModule(model, *narrow.arguments)


def is_low(model: nn.Module, tensors: Sequence[Tensor]) -> bool:
    """Return whether weights or inputs are of low precision."""
    return any(tensor.dtype in LOW for tensor in (*model.parameters(), *model.buffers(), *tensors))


def refuse_far(narrow: Mapping[str, Tensor], wide: Mapping[str, Tensor]) -> None:
    """Raise an error if a model's own answer differs from float32's by more than its rounding.

    Raises:
        ExportError: the difference is larger than the low precision explains.
    """
    for name, own in narrow.items():
        if not own.is_floating_point() or own.numel() == 0:
            continue
        found, wanted = own.double(), wide[name].double()
        finite = found.isfinite() & wanted.isfinite()
        gap = torch.where(finite, (found - wanted).abs(), 0).cpu().numpy()
        magnitude = torch.where(finite, wanted.abs(), 0).cpu().numpy()
        precision = torch.finfo(torch.bfloat16 if own.dtype not in LOW else own.dtype).eps
        suspect = np.flatnonzero(gap > ROUNDINGS * precision * magnitude)
        common = surroundings(magnitude, suspect).common
        off = gap.reshape(-1)[suspect]
        far = off - ROUNDINGS * precision * common
        if far.max(initial=0.0) > 0:
            worst = int(far.argmax())
            raise ExportError(
                f"output {name!r} of the model differs by {off[worst]:.3g} from what its "
                f"weights give in float32, where {common[worst]:.3g} is usual: more than its "
                "low precision explains.",
                remedy="export model.float() with a float32 sample",
            )


@contextmanager
def watch_autocast() -> Iterator[list[torch.dtype]]:
    """Record the low precision of every enabled ``torch.autocast`` that is entered."""
    kind: Any = torch.autocast
    enter = kind.__enter__
    entered: list[torch.dtype] = []

    def watched(autocast: Any) -> Any:
        if existing(autocast, "_enabled"):  # it has no public name
            entered.append(existing(autocast, "fast_dtype"))
        return enter(autocast)

    with replaced(kind, "__enter__", watched):
        yield entered


@contextmanager
def without_autocast() -> Iterator[None]:
    """Disable ``torch.autocast``."""
    with (
        replaced(torch.autocast, "__enter__", lambda autocast: autocast),
        replaced(torch.autocast, "__exit__", lambda *_: None),
    ):
        yield


class _Renamed(TorchFunctionMode):
    """Replaces some dtypes by others wherever code names them."""

    def __init__(self, dtypes: Mapping[torch.dtype, torch.dtype]) -> None:
        super().__init__()
        self._dtypes = dtypes

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        method = METHODS.get(getattr(func, "__name__", ""))
        if method is not None and method in self._dtypes:
            return args[0].to(self._dtypes[method])
        named = {key: self._changed(value) for key, value in (kwargs or {}).items()}
        return func(*map(self._changed, args), **named)

    def _changed(self, value: Any) -> Any:
        return self._dtypes.get(value, value) if isinstance(value, torch.dtype) else value


METHODS = {"bfloat16": torch.bfloat16, "half": torch.float16, "double": torch.float64}
"""Methods that are named after the dtype of their result."""
