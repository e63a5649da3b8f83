"""Wrap a module of any signature as a module of flat tensors.

PyTorch's two exporters treat dicts, keywords and nested answers in different ways. With positional
tensors as inputs and a tuple of tensors as answer they do not differ.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import torch

from onnxpack.exporters.torch.structure import flatten, rebuild


class FlatModule(torch.nn.Module):
    """``forward(*tensors) -> tuple of tensors``, in the order in which ``flatten`` gives them.

    Args:
        model: the module to call.
        args: positional arguments; their tensors are replaced at each call.
        kwargs: keyword arguments, likewise.
    """

    def __init__(
        self, model: torch.nn.Module, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> None:
        super().__init__()
        self.model = model
        self.arguments = (tuple(args), dict(kwargs))
        self.training = False

    def around(self, model: torch.nn.Module) -> Self:
        """Return a module that makes the same calls to another module."""
        return type(self)(model, *self.arguments)

    def answer(self, *tensors: torch.Tensor) -> Any:
        """Return the inner module's own answer."""
        args, kwargs = rebuild(self.arguments, iter(tensors))
        return self.model(*args, **kwargs)

    def forward(self, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return the tensors of the inner module's answer."""
        return tuple(tensor for _, tensor in flatten(self.answer(*tensors)))
