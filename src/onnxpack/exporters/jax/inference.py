"""Prepare a JAX model for inference: dropout off, statistics as learned."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

MODES = ("deterministic", "use_running_average")
"""The attributes by which a layer of Flax distinguishes training from inference."""


@dataclass(frozen=True)
class Ready:
    """A model in the mode of inference.

    Attributes:
        ask: the model itself, called as its user calls it.
        trace: the same model as a function without side effects.
    """

    ask: Callable[..., Any]
    trace: Callable[..., Any]


@contextmanager
def ready(model: Any) -> Iterator[Ready]:
    """Put the model into the mode of inference, and restore it afterwards."""
    nnx, equinox = sys.modules.get("flax.nnx"), sys.modules.get("equinox")
    if isinstance(model, tuple):
        module, variables = model
        applied = _Applied(module, variables)
        yield Ready(applied, applied)
    elif nnx is not None and isinstance(model, nnx.Module):
        with _evaluating(nnx, model):
            yield Ready(model, _cloned(nnx, model))
    elif equinox is not None and isinstance(model, equinox.Module):
        still = equinox.nn.inference_mode(model)
        yield Ready(still, still)
    else:
        yield Ready(model, model)


def _cloned(nnx: Any, model: Any) -> Callable[..., Any]:
    """Return a function that clones the module for each call, to keep the module unchanged."""

    def call(*args: Any, **kwargs: Any) -> Any:
        return nnx.clone(model)(*args, **kwargs)

    return call


class _Applied:
    """A linen module together with its variables."""

    def __init__(self, module: Any, variables: Any) -> None:
        self._module, self._variables = module, variables
        self.__wrapped__ = module.__call__  # its parameters are the module's

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._module.apply(self._variables, *args, **kwargs)


@contextmanager
def _evaluating(nnx: Any, model: Any) -> Iterator[None]:
    """Put every layer into the mode of inference; restore modes and state afterwards."""
    modes = [
        (layer, name, getattr(layer, name))
        for _, layer in nnx.iter_modules(model)
        for name in MODES
        if hasattr(layer, name)
    ]
    state = nnx.to_pure_dict(nnx.state(model))
    try:
        for layer, name, _ in modes:
            setattr(layer, name, True)
        yield
    finally:
        for layer, name, mode in modes:
            setattr(layer, name, mode)
        nnx.update(model, state)
