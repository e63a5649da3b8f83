"""The ways in which PyTorch's users run a module, to be timed against a pack.

Channels-last, ``torch.compile`` and bfloat16 are recommended by PyTorch's own tuning guide for
inference on a CPU (https://docs.pytorch.org/tutorials/recipes/recipes/tuning_guide.html).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import torch
from torch import nn

from onnxpack.exporters.silence import hidden
from onnxpack.exporters.torch.flat import FlatModule
from onnxpack.exporters.torch.structure import rebuild
from onnxpack.parity.subject import Baseline
from onnxpack.signature import Array

Tensors: TypeAlias = Callable[[Mapping[str, Array]], Sequence[torch.Tensor]]

EAGER = "eager"
CONVOLUTIONS = (nn.Conv2d, nn.ConvTranspose2d)


def baselines(flat: FlatModule, tensors: Tensors, *, is_program: bool) -> Iterator[Baseline]:
    """Yield the ways to run a module, eager mode first.

    Args:
        flat: the module, with the structure of its arguments.
        tensors: converts named arrays to the module's inputs.
        is_program: whether the module is a ``torch.export`` program, which is only run in eager
            mode.
    """
    yield Baseline(EAGER, lambda feeds: _call(flat, tensors(feeds)))
    if is_program or isinstance(flat.model, torch.jit.ScriptModule):
        return
    if any(isinstance(part, CONVOLUTIONS) for part in flat.model.modules()):
        yield Baseline("channels last", lambda feeds: _channels_last(flat, tensors(feeds)))
    if any(parameter.dtype is torch.float32 for parameter in flat.model.parameters()):
        yield Baseline("bfloat16 autocast", lambda feeds: _autocast(_call(flat, tensors(feeds))))
        yield Baseline("torch.compile", lambda feeds: _compiled(flat, tensors(feeds)))
        yield Baseline(
            "torch.compile, bfloat16", lambda feeds: _autocast(_compiled(flat, tensors(feeds)))
        )


def _call(flat: FlatModule, tensors: Sequence[torch.Tensor]) -> Callable[[], Any]:
    args, kwargs = rebuild(flat.arguments, iter(tensors))
    model = flat.model

    def call() -> Any:
        with torch.inference_mode():
            return model(*args, **kwargs)

    return call


def _channels_last(flat: FlatModule, tensors: Sequence[torch.Tensor]) -> Callable[[], Any]:
    """Return a call of a channels-last copy, which keeps the layout of the user's own weights."""
    model: Any = copy.deepcopy(flat.model)
    laid: list[torch.Tensor] = [
        each.contiguous(memory_format=torch.channels_last) if each.ndim == 4 else each
        for each in tensors
    ]
    return _call(flat.around(model.to(memory_format=torch.channels_last)), laid)


def _compiled(flat: FlatModule, tensors: Sequence[torch.Tensor]) -> Callable[[], Any]:
    """Return a call compiled for exactly these sizes; code compiled for others is dropped."""
    torch.compiler.reset()
    call = _call(flat.around(torch.compile(flat.model)), tensors)  # type: ignore[arg-type]
    with hidden():  # inductor warns about what it does not compile
        call()
    return call


def _autocast(call: Callable[[], Any]) -> Callable[[], Any]:
    def cast() -> Any:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return call()

    return cast
