"""Prepare a model for PyTorch's exporters: flat, with the replacements that they need."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from onnxpack.errors import ExportError
from onnxpack.exporters.classes import classes_answered
from onnxpack.exporters.replaced import existing
from onnxpack.exporters.torch.causes import plain_words
from onnxpack.exporters.torch.decompose.mode import Decomposed
from onnxpack.exporters.torch.patch.encoders import fast_encoders, padding_left_out
from onnxpack.exporters.torch.patch.fast_attention import (
    Layers,
    empty_rows_answered,
    fast_layers,
)
from onnxpack.exporters.torch.patch.forks import forks_inline
from onnxpack.exporters.torch.patch.masks import masks_unasked
from onnxpack.exporters.torch.patch.silence import quiet
from onnxpack.exporters.torch.rewrite.restated import restated
from onnxpack.exporters.torch.watch.sizes import stands_in
from onnxpack.parity.cases import Axes, sizes, tile

if TYPE_CHECKING:
    from onnxpack.exporters.torch.flat import FlatModule
    from onnxpack.exporters.torch.subject import TorchSubject


@dataclass(frozen=True)
class Setup:
    """The common starting point of all strategies for one subject.

    Attributes:
        opset: the opset of the graph.
        outputs: the names of the graph's outputs.
        modules: the namespace of each of the user's modules whose code runs in ``forward``.
        notes: what users must know about every graph of this model.
    """

    subject: TorchSubject
    axes: Axes
    opset: int
    outputs: tuple[str, ...]
    modules: tuple[dict[str, Any], ...] = ()
    notes: tuple[str, ...] = ()

    @cached_property
    def flat(self) -> FlatModule:
        """The subject's module, in a form that the exporters follow."""
        model = restated(self.subject.model)
        return self.subject.flat if model is self.subject.model else self.subject.flat.around(model)

    @cached_property
    def _fast(self) -> frozenset[nn.Module]:
        """The encoders that may leave the padding out; determined once, while no mode is active."""
        return fast_encoders(self.subject.model) | fast_encoders(self.flat.model)

    @property
    def sizes(self) -> Mapping[str, int]:
        """The size of each dynamic dim in the sample."""
        return sizes(self.subject.sample, self.axes)

    def tensors(self, *, grown: bool = False) -> tuple[torch.Tensor, ...]:
        """Return the sample with each dynamic dim at a size of its own, at least two.

        Args:
            grown: use larger sizes, with a different increase for each dim.
        """
        dims: dict[str, int] = {}
        for dim, size in self.sizes.items():
            chosen = max(size, 2)
            while chosen in dims.values():
                chosen += 1
            dims[dim] = chosen
        if grown:
            dims = {dim: size + step for step, (dim, size) in enumerate(dims.items(), 1)}
        return self.tensors_at(dims)

    def tensors_at(self, dims: Mapping[str, int]) -> tuple[torch.Tensor, ...]:
        """Return the sample at these sizes of the dynamic dims."""
        return self.subject.tensors(tile(self.subject.sample, self.axes, dims))

    @cached_property
    def fast_attention(self) -> Layers:
        """The attention layers that take PyTorch's fast path; determined once, as above.

        Raises:
            ExportError: a layer takes both paths.
        """
        if not any(isinstance(part, nn.MultiheadAttention) for part in self.flat.modules()):
            return frozenset()
        return fast_layers(self.flat, lambda: self.subject.answer_of(self.flat))

    @contextmanager
    def followed(self, *, compiled: bool = False) -> Iterator[None]:
        """Put the replacements in place while an exporter follows the model.

        Args:
            compiled: whether TorchScript reads the source of the model's classes, which must then
                be their own.
        """
        with _vmaps_closed(), classes_answered(stands_in) as open_module:
            for names in self.modules:
                open_module(names)
            with (
                quiet(),
                self.decomposed(compiled=compiled),
                forks_inline(),
                _in_plain_words(),
            ):
                yield

    @contextmanager
    def decomposed(self, *, compiled: bool = False) -> Iterator[None]:
        """Put those replacements in place that change which functions of torch run."""
        layers = self.fast_attention
        answered = nullcontext() if compiled else empty_rows_answered(layers)
        with padding_left_out(self._fast), answered, Decomposed(), masks_unasked():
            yield


@contextmanager
def _in_plain_words() -> Iterator[None]:
    """Translate any error of an exporter into an ExportError."""
    try:
        yield
    except ExportError:
        raise
    except Exception as exc:
        raise ExportError(plain_words(exc)) from exc


@contextmanager
def _vmaps_closed() -> Iterator[None]:
    """Close each ``torch.vmap`` that an error of an exporter left open (PyTorch 2.14).

    Otherwise every later random draw in this process would fail.
    """
    functorch = existing(torch._C, "_functorch")  # noqa: SLF001
    depth = existing(functorch, "get_dynamic_layer_stack_depth")()
    undo = existing(functorch, "pop_dynamic_layer_stack_and_undo_to_depth", function=True)
    try:
        yield
    finally:
        undo(depth)
