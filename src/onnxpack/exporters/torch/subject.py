"""A PyTorch module under export: asked, watched, and made into graphs."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from typing import Any

import torch

from onnxpack.errors import ExportError, SampleError
from onnxpack.exporters.subject import Attempt, Cause, Strategy, Subject
from onnxpack.exporters.torch.causes import diagnose
from onnxpack.exporters.torch.flat import FlatModule
from onnxpack.exporters.torch.strategies import Ladder
from onnxpack.exporters.torch.structure import (
    argument_names,
    bind,
    flatten,
    name_outputs,
    to_tensors,
)
from onnxpack.parity.cases import Axes
from onnxpack.signature import Array


class TorchSubject(Subject):
    """A module in eval mode with its sample.

    Args:
        model: the module, unwrapped and in eval mode.
        sample: what the user gave: tensors or arrays, see :func:`structure.bind`.
        shown: the module whose class the manifest names.
        program: the ``torch.export`` program that the module came from, where it did.
        framework: the exporter's name for the manifest.
    """

    framework_version = str(torch.__version__)
    root = "model"

    def __init__(
        self,
        model: torch.nn.Module,
        sample: Any,
        *,
        shown: Any = None,
        program: torch.export.ExportedProgram | None = None,
        framework: str = "torch",
    ) -> None:
        self.framework = framework
        self.program = program
        kind = type(shown if shown is not None else model)
        self.model_class = f"{kind.__module__}.{kind.__qualname__}"
        self.device = _device(model)
        args, kwargs = bind(model, to_tensors(sample))
        names = argument_names(model, len(args))
        given = [*zip(names, args, strict=True), *kwargs.items()]
        tensors = [named for path, value in given for named in flatten(value, path)]
        self.sample = {path: to_array(tensor) for path, tensor in tensors}
        if not tensors:
            raise SampleError("the sample holds no tensor, so the graph would have no input.")
        if len(self.sample) < len(tensors):
            raise SampleError(f"two inputs would have the same name: {[p for p, _ in tensors]}.")
        self.flat = FlatModule(model, args, kwargs)
        self.notes = _constants(given)

    @property
    def model(self) -> torch.nn.Module:
        """The user's module."""
        return self.flat.model

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """The module's answer on its own device."""
        return self._ask(self.flat, self.tensors(feeds))

    def run_float64(self, feeds: Mapping[str, Array]) -> dict[str, Array] | None:
        """The answer of a copy of the module in float64."""
        if self._double is None:
            return None
        wide = [
            tensor.double() if tensor.is_floating_point() else tensor
            for tensor in self.tensors(feeds)
        ]
        try:
            return self._ask(self._double, wide)
        except Exception:  # noqa: BLE001 - code that fixes float32 fails in its own ways
            return None

    def tensors(self, feeds: Mapping[str, Array]) -> tuple[torch.Tensor, ...]:
        """Inputs as tensors of their own on the module's device."""
        return tuple(torch.from_numpy(array.copy()).to(self.device) for array in feeds.values())

    def strategies(self, axes: Axes, opset: int, outputs: Sequence[str]) -> Iterator[Strategy]:
        """See :class:`Ladder`."""
        return Ladder(self, axes, opset, tuple(outputs)).climb()

    def trace(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """The output of each module, by forward hooks; of one called twice, the last."""
        seen: dict[str, Array] = {}

        def hook(name: str) -> Any:
            def record(_module: Any, _args: Any, output: Any) -> None:
                first = next(iter(flatten(output)), None)
                if first is not None:
                    seen.pop(name, None)
                    with suppress(ExportError):  # a quantised tensor is nothing to compare
                        seen[name] = to_array(first[1])

            return record

        if isinstance(self.model, torch.jit.ScriptModule):
            return {}
        handles = [
            module.register_forward_hook(hook(name))
            for name, module in self.model.named_modules()
            if name
        ]
        try:
            self.run(feeds)
        finally:
            for handle in handles:
                handle.remove()
        return seen

    def diagnose(self, attempts: Sequence[Attempt]) -> Cause | None:
        """See :mod:`onnxpack.exporters.torch.causes`."""
        return diagnose(self.model, attempts)

    @cached_property
    def _double(self) -> FlatModule | None:
        return self._widened()

    def _widened(self) -> FlatModule | None:
        """A copy of the module in float64; None where there can be none."""
        try:
            return copy.deepcopy(self.flat).double()
        except Exception:  # noqa: BLE001 - a module can refuse to be copied in any way
            return None

    def _ask(self, flat: FlatModule, tensors: Sequence[torch.Tensor]) -> dict[str, Array]:
        with torch.no_grad():
            answer = flat.answer(*tensors)
        return {name: to_array(tensor) for name, tensor in name_outputs(answer).items()}


def to_array(tensor: torch.Tensor) -> Array:
    """A tensor as an array of its own.

    Raises:
        ExportError: numpy has no such dtype.
    """
    dense = tensor.detach()
    if dense.is_sparse or dense.is_quantized:
        raise ExportError(
            f"a {'quantized' if dense.is_quantized else 'sparse'} tensor goes in or out of the "
            "model, and ONNX Runtime takes dense ones.",
            remedy="return tensor.dequantize() or tensor.to_dense() from forward()",
        )
    if dense.dtype is torch.bfloat16:
        raise ExportError(
            "the model takes or gives bfloat16, for which ONNX Runtime has no kernels on CPU.",
            remedy="export model.float() with a float32 sample",
        )
    return dense.cpu().numpy().copy()


def _device(model: torch.nn.Module) -> torch.device:
    tensors = [*model.parameters(), *model.buffers()]
    return tensors[0].device if tensors else torch.device("cpu")


def _constants(given: Sequence[tuple[str, Any]]) -> tuple[str, ...]:
    """A note for each argument that is no tensor: the graph keeps the sample's value."""
    return tuple(
        f"argument {name!r} is held constant at {value!r}"
        for name, value in given
        if value is not None and not any(True for _ in flatten(value, name))
    )
