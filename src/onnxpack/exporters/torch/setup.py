"""The model as PyTorch's exporters are given it: flat, with the stand-ins that they need."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
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
    """What every way to a graph of one subject starts from.

    Attributes:
        opset: of the graph.
        outputs: the names of the graph's outputs.
        empty_rows: let attention give zeros where a row may look at nothing; else it gives NaN.
        modules: the names of each module of the user's whose code runs in ``forward``.
    """

    subject: TorchSubject
    axes: Axes
    opset: int
    outputs: tuple[str, ...]
    empty_rows: bool = True
    modules: tuple[dict[str, Any], ...] = ()

    @cached_property
    def flat(self) -> FlatModule:
        """The subject's module, in a form that the exporters follow."""
        model = restated(self.subject.model)
        return self.subject.flat if model is self.subject.model else self.subject.flat.around(model)

    @cached_property
    def _fast(self) -> frozenset[nn.Module]:
        """The encoders that may leave the padding out; asked once, where no mode is on."""
        return fast_encoders(self.subject.model) | fast_encoders(self.flat.model)

    @property
    def sizes(self) -> Mapping[str, int]:
        """The size of each dynamic dim in the sample."""
        return sizes(self.subject.sample, self.axes)

    def tensors(self, *, grown: bool = False) -> tuple[torch.Tensor, ...]:
        """Return the sample with each dynamic dim at a size of its own, at least two.

        Args:
            grown: at a larger size than otherwise, each dim by a step of its own.
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

    @contextmanager
    def followed(self) -> Iterator[None]:
        """Put the stand-ins in place while an exporter looks at the model."""
        with _vmaps_closed(), classes_answered(stands_in) as open_module:
            for names in self.modules:
                open_module(names)
            with quiet(), self.decomposed(), forks_inline(), _in_plain_words():
                yield

    @contextmanager
    def decomposed(self) -> Iterator[None]:
        """Put those stand-ins in place that change which functions of torch run."""
        with padding_left_out(self._fast), Decomposed(empty_rows=self.empty_rows), masks_unasked():
            yield


@contextmanager
def _in_plain_words() -> Iterator[None]:
    """Translate whatever an exporter raises; it can be anything at all."""
    try:
        yield
    except ExportError:
        raise
    except Exception as exc:
        raise ExportError(plain_words(exc)) from exc


@contextmanager
def _vmaps_closed() -> Iterator[None]:
    """Leave each ``torch.vmap`` that an error of an exporter left open (PyTorch 2.14).

    Every later draw at random in this process would fail within it.
    """
    functorch = existing(torch._C, "_functorch")  # noqa: SLF001
    depth = existing(functorch, "get_dynamic_layer_stack_depth")()
    undo = existing(functorch, "pop_dynamic_layer_stack_and_undo_to_depth", function=True)
    try:
        yield
    finally:
        undo(depth)
