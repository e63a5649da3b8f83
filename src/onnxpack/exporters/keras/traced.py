"""Keep sizes that vary open when PyTorch's exporters trace Keras on the torch backend.

``keras.src.backend.standardize_shape`` turns a symbolic size of ``torch.export`` into None (Keras
3.15), but a tensor size of ``torch.jit.trace`` into a number. Layers call it only to check their
input, yet each such number would count as a decision. So a traced size is turned into None as well.
``keras.ops.arange`` looks up the dtype of a symbol and finds none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import keras
import torch

from onnxpack.exporters.replaced import existing, replaced, replaced_item
from onnxpack.parity.subject import Probes, Strategy

CHECKS_SHAPES = ("keras.src.backend", "keras.src.models.sequential")
"""The modules whose ``standardize_shape`` layers and models call."""


def with_open_sizes(strategy: Strategy) -> Strategy:
    """Return the strategy; while it makes its graph, Keras keeps sizes open."""

    def make(to: Path) -> Probes:
        with open_sizes():
            return strategy.make(to)

    return replace(strategy, make=make)


def calls_while_loop(run: Callable[[], Any]) -> bool:
    """Return whether a model has a loop that ends by values, which may never end at infinity.

    Args:
        run: runs the model; its errors are ignored here, since the next run raises them again.
    """
    called: list[bool] = []
    core = import_module("keras.src.backend.torch.core")
    plain = existing(core, "while_loop", function=True)

    def watched(*args: Any, **kwargs: Any) -> Any:
        called.append(True)
        return plain(*args, **kwargs)

    with replaced(core, "while_loop", watched), suppress(Exception):
        run()
    return bool(called)


@contextmanager
def open_sizes() -> Iterator[None]:
    """Keep Keras from turning sizes that vary into numbers."""
    backend, sequential = map(import_module, CHECKS_SHAPES)
    plain = existing(backend, "standardize_shape", function=True)
    dtypes = existing(import_module("keras.src.backend.common.dtypes"), "PYTHON_DTYPES_MAP")
    with (
        _plain_errors(),
        replaced(backend, "standardize_shape", _opening(plain)),
        replaced(sequential, "standardize_shape", _opening(plain)),
        replaced_item(dtypes, torch.SymInt, dtypes[int]),
    ):
        yield


@contextmanager
def _plain_errors() -> Iterator[None]:
    """Keep Keras from adding the sizes of all arguments to the text of an error."""
    filtered = keras.config.is_traceback_filtering_enabled()
    keras.config.disable_traceback_filtering()
    try:
        yield
    finally:
        if filtered:
            keras.config.enable_traceback_filtering()


def _opening(plain: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def standardize_shape(shape: Any) -> Any:
        if isinstance(shape, Sequence):
            shape = tuple(None if isinstance(size, torch.Tensor) else size for size in shape)
        return plain(shape)

    return standardize_shape
