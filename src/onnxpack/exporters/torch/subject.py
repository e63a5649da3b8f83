"""The subject of a PyTorch module: it runs and watches the module and makes its graphs."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from typing import Any

import torch
from torch._C._functorch import is_functorch_wrapped_tensor

from onnxpack.comparison.detections import Sets, sets_of_a_detector
from onnxpack.errors import ExportError, SampleError
from onnxpack.exporters.nonfinite import with_nan_kept
from onnxpack.exporters.silence import hidden
from onnxpack.exporters.structure.arguments import bind, positional_names
from onnxpack.exporters.torch.baselines import baselines
from onnxpack.exporters.torch.causes import cure, diagnose
from onnxpack.exporters.torch.edges import edges
from onnxpack.exporters.torch.flat import FlatModule
from onnxpack.exporters.torch.ladder import climb
from onnxpack.exporters.torch.patch.bags import bags_checked
from onnxpack.exporters.torch.patch.detectors import has_no_order, is_detector
from onnxpack.exporters.torch.patch.regions import regions_inside
from onnxpack.exporters.torch.patch.settings import not_compiled
from onnxpack.exporters.torch.rewrite.perturbed import perturb
from onnxpack.exporters.torch.rewrite.precision import (
    UNCAST,
    WIDENED,
    WideModule,
    is_low,
    narrowed,
    refuse_far,
    watch_autocast,
    widened,
)
from onnxpack.exporters.torch.setup import Setup
from onnxpack.exporters.torch.structure import (
    flatten,
    name_outputs,
    parameters_of,
    to_tensors,
)
from onnxpack.exporters.torch.watch.missing import POOLS_REGIONS, RECKONS, called_functions
from onnxpack.exporters.torch.watch.nondeterminism import find_unsteadiness
from onnxpack.parity.cases import Axes
from onnxpack.parity.subject import Attempt, Baseline, Cause, Strategy, Subject
from onnxpack.signature import Array

KNOWN = {
    torch.bool, torch.uint8, torch.uint16, torch.uint32, torch.uint64, torch.int8, torch.int16,
    torch.int32, torch.int64, torch.float16, torch.float32, torch.float64,
}  # fmt: skip
"""Dtypes that inputs and outputs of a pack may have."""
REMEDIES = dict.fromkeys(
    (torch.complex32, torch.complex64, torch.complex128),
    "return the two parts as an extra axis: torch.view_as_real(y); and take them the same way: "
    "torch.view_as_complex(x)",
)


PERTURBED = 3
"""Number of perturbed copies: an answer of two numbers is close by chance once in ten."""


class TorchSubject(Subject):
    """A module in eval mode with its sample.

    Args:
        model: the module, unwrapped and in eval mode.
        sample: the user's sample: tensors or arrays, see :func:`structure.bind`.
        shown: the module whose class the manifest names.
        program: the ``torch.export`` program that the module came from, if any.
        framework: the exporter's name for the manifest.
    """

    framework_version = str(torch.__version__)
    manner_name = ""
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
        self.weights = sum(weight.numel() for weight in model.parameters())
        parameters = parameters_of(model)
        args, kwargs = bind(parameters, to_tensors(sample), function="forward")
        names = positional_names(parameters, len(args))
        given = [*zip(names, args, strict=True), *kwargs.items()]
        tensors = [named for path, value in given for named in flatten(value, path)]
        self.sample = {path: to_array(_known(tensor)) for path, tensor in tensors}
        if not tensors:
            raise SampleError(
                "the sample contains no tensor, so the graph would have no input: it is "
                f"{', '.join(type(value).__name__ for _, value in given) or 'empty'}.",
                remedy="convert text and other values to tensors first, and pass those to the "
                "model",
            )
        if len(self.sample) < len(tensors):
            raise SampleError(f"two inputs would have the same name: {[p for p, _ in tensors]}.")
        self.flat: FlatModule = FlatModule(model, args, kwargs)
        self._own = [tensor.dtype for _, tensor in tensors]
        self._narrow: FlatModule | None = None
        self._asked = False
        self._first: dict[str, Array] | None = None
        self.notes = _constants(given)
        self.batched = not is_detector(model)
        if program is None and is_low(model, [tensor for _, tensor in tensors]):
            self._widen()
            self.notes = (*self.notes, WIDENED)

    @property
    def model(self) -> torch.nn.Module:
        """The user's module, in float32 if it is of low precision."""
        return self.flat.model

    @property
    def manner(self) -> str:
        """A suffix for the names of strategies if the weights were widened."""
        return self.manner_name if self._narrow is None else " in float32"

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Return the module's answer on its own device, in float32 if it is of low precision.

        Raises:
            ExportError: the answer differs from float32's by more than the low precision explains.
        """
        first, self._first = self._first, None
        if first is not None and all(feeds[name] is self.sample[name] for name in self.sample):
            return first
        if not self._asked:
            self._asked = True
            own = self._look_for_low_precision(feeds)
            if self._narrow is None:
                return _as_arrays(own)
        return self._ask(self.flat, self.tensors(feeds))

    def _look_for_low_precision(self, feeds: Mapping[str, Array]) -> dict[str, torch.Tensor]:
        """Return the module's own answer, and widen the module if it uses low precision."""
        given = zip(self.tensors(feeds), self._own, strict=True)
        with watch_autocast() as entered:
            own = self._answer(self._narrow or self.flat, [each.to(kind) for each, kind in given])
        low = bool(entered) or any(each.dtype is torch.bfloat16 for each in own.values())
        if low and self._narrow is None and self.program is None:
            self._widen()
            self.notes = (*self.notes, UNCAST if entered else WIDENED)
        if isinstance(self.flat, WideModule):
            self.flat.give_float16(each.dtype is torch.float16 for each in own.values())
            refuse_far(own, self._answer(self.flat, self.tensors(feeds)))
        return own

    def _widen(self) -> None:
        self._narrow, self.flat = self.flat, widened(self.flat)

    def answer(self, tensors: Sequence[torch.Tensor] | None = None) -> dict[str, torch.Tensor]:
        """Return the module's answer as tensors, by default to the sample."""
        return self._answer(self.flat, self.tensors(self.sample) if tensors is None else tensors)

    def answer_of(self, module: FlatModule) -> dict[str, torch.Tensor]:
        """Return the answer of another form of the module to the sample."""
        return self._answer(module, self.tensors(self.sample))

    def run_first(self, feeds: Mapping[str, Array]) -> Mapping[str, Array]:
        """Run a model that was not run before, and keep the answer for the next run."""
        self._first = None
        answer = self.run(feeds)
        if all(feeds[name] is self.sample[name] for name in self.sample):
            self._first = answer
        return answer

    def run_narrow(self, feeds: Mapping[str, Array]) -> None:
        """Run a model of low precision in that precision, as its user does."""
        if self._narrow is not None:
            given = zip(self.tensors(feeds), self._own, strict=True)
            self._answer(self._narrow, [each.to(kind) for each, kind in given])

    def run_float64(self, feeds: Mapping[str, Array]) -> dict[str, Array] | None:
        """Return the answer of a copy of the module in float64."""
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

    def run_perturbed(self, feeds: Mapping[str, Array]) -> Iterator[dict[str, Array]]:
        """Yield the answers of copies whose inputs and weights are perturbed by roundings."""
        for seed in range(PERTURBED):
            inputs = self.tensors(feeds)
            try:
                beside = copy.deepcopy(self.flat)
                perturb((*beside.parameters(), *beside.buffers(), *inputs), seed)
                found = self._ask(beside, inputs)
            except Exception:  # noqa: BLE001 - a copy, or its answer, can be refused in any way
                return
            yield found

    def baselines(self) -> Iterator[Baseline]:
        """Yield the ways to run the module in the user's own precision."""

        def own(feeds: Mapping[str, Array]) -> list[torch.Tensor]:
            given = zip(self.tensors(feeds), self._own, strict=True)
            return [tensor.to(kind) for tensor, kind in given]

        return baselines(self._narrow or self.flat, own, is_program=self.program is not None)

    @contextmanager
    def limited(self, threads: int) -> Iterator[None]:
        """Limit PyTorch's number of threads."""
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        try:
            yield
        finally:
            torch.set_num_threads(before)

    def edges(self) -> Iterator[tuple[str, Mapping[str, Array]]]:
        """Yield inputs at which a graph of this model may go wrong."""
        yield from edges(self.sample, self._called, self.weights)

    def unordered(self, outputs: Mapping[str, Array]) -> Sets:
        """Return the outputs of a torchvision detector, whose rows have no order."""
        return tuple(sets_of_a_detector(outputs)) if has_no_order(self.model) else ()

    def tensors(self, feeds: Mapping[str, Array]) -> tuple[torch.Tensor, ...]:
        """Return inputs as new tensors on the module's device."""
        return tuple(torch.from_numpy(array.copy()).to(self.device) for array in feeds.values())

    def in_float32(self) -> TorchSubject | None:
        """Return a float64 model computed in float32 between casts; None for other models."""
        tensors = (*self.model.parameters(), *self.model.buffers())
        if self.program is not None or not any(each.dtype is torch.float64 for each in tensors):
            return None
        own = self._answer(self.flat, self.tensors(self.sample))
        narrow = copy.copy(self)
        narrow.flat, narrow.manner_name = narrowed(self.flat, own.values()), " in float32"
        return narrow

    def strategies(self, axes: Axes, opset: int, outputs: Sequence[str]) -> Iterator[Strategy]:
        """Yield PyTorch's strategies, each also with NaN kept if a graph loses it."""
        ladder = climb(Setup(self, axes, opset, tuple(outputs)))
        takes_nan = any(array.dtype.kind in "fc" for array in self.sample.values())
        return with_nan_kept(ladder, asked=self.asks_nan or not takes_nan)

    def trace(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Return the output of each module, by forward hooks; the last one if called repeatedly."""
        seen: dict[str, Array] = {}

        def hook(name: str) -> Any:
            def record(_module: Any, _args: Any, output: Any) -> None:
                first = next(iter(flatten(output)), None)
                seen.pop(name, None)
                if first is not None and not _is_hidden(first[1]):
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

    def unsteadiness(self, feeds: Mapping[str, Array]) -> Cause | None:
        """Return why the model answers differently to the same input; None if it is not known."""
        return find_unsteadiness(self.model, lambda: self.run(feeds))

    def cure(self, exc: Exception) -> str:
        """Return a remedy for the error with which the model refuses its sample."""
        args, _ = self.flat.arguments
        if len(args) == 1 and isinstance(args[0], Mapping) and "dict" in str(exc):
            takes = ", ".join(each.name for each in parameters_of(self.model) or ())
            return (
                f"forward() takes {takes}, and the sample is a dict of {', '.join(args[0])}: "
                "name its entries as forward() does"
            )
        return cure(exc)

    def diagnose(self, attempts: Sequence[Attempt]) -> Cause | None:
        """Return the likely cause of a failure of every strategy."""
        return diagnose(self.model, attempts, lambda: self.run(self.sample))

    @property
    def asks_nan(self) -> bool:
        """Whether the model is run with NaN, because it calls a function that handles NaN."""
        return bool(self._called & RECKONS) and not self._called & POOLS_REGIONS

    @cached_property
    def _called(self) -> frozenset[str]:
        """The functions of PyTorch that the model calls."""
        return called_functions(lambda: self.run(self.sample))

    @cached_property
    def _double(self) -> FlatModule | None:
        return self._widened()

    def _widened(self) -> FlatModule | None:
        """Return a copy of the module in float64; None if it cannot be made."""
        try:
            with hidden():  # a scripted module warns about the gradients of what it copies
                return copy.deepcopy(self.flat).double()
        except Exception:  # noqa: BLE001 - a module can refuse to be copied in any way
            return None

    def _ask(self, flat: FlatModule, tensors: Sequence[torch.Tensor]) -> dict[str, Array]:
        return _as_arrays(self._answer(flat, tensors))

    def _answer(self, flat: FlatModule, tensors: Sequence[torch.Tensor]) -> dict[str, torch.Tensor]:
        # Kernels of sparse tensors read and write wherever an index points, also outside of memory;
        # with the check an input of wrong indices is refused by the model, as elsewhere.
        checked: Any = torch.sparse.check_sparse_tensor_invariants
        with (
            torch.no_grad(),
            not_compiled(),
            regions_inside(),
            bags_checked(),
            checked(enable=True),
        ):
            return name_outputs(flat.answer(*tensors), self.sample)


def _as_arrays(answer: Mapping[str, torch.Tensor]) -> dict[str, Array]:
    return {name: to_array(tensor) for name, tensor in answer.items()}


def _is_hidden(tensor: torch.Tensor) -> bool:
    """Return whether a tensor wraps values that are elsewhere, or has no common shape."""
    return tensor.is_nested or is_functorch_wrapped_tensor(tensor)


def _known(tensor: torch.Tensor) -> torch.Tensor:
    """Return the tensor in a dtype that NumPy has."""
    return tensor.float() if tensor.dtype is torch.bfloat16 else tensor


def to_array(tensor: torch.Tensor) -> Array:
    """Return a tensor as a new array.

    Raises:
        ExportError: the tensor is sparse or quantised, or NumPy lacks its dtype.
    """
    dense = tensor.detach()
    if dense.is_sparse or dense.is_quantized:
        raise ExportError(
            f"the model takes or returns a {'quantized' if dense.is_quantized else 'sparse'} "
            "tensor, but ONNX Runtime takes only dense ones.",
            remedy="return tensor.dequantize() or tensor.to_dense() from forward()",
        )
    if dense.dtype not in KNOWN:
        raise ExportError(
            f"the model takes or returns {str(dense.dtype).removeprefix('torch.')}, for which "
            "ONNX Runtime has no kernels on CPU.",
            remedy=REMEDIES.get(dense.dtype, "take and return float32: tensor.float()"),
        )
    # A conjugate or its imaginary part is a view marked by a bit, which NumPy lacks.
    return dense.resolve_conj().resolve_neg().cpu().numpy().copy()


def _device(model: torch.nn.Module) -> torch.device:
    tensors = [*model.parameters(), *model.buffers()]
    return tensors[0].device if tensors else torch.device("cpu")


def _constants(given: Sequence[tuple[str, Any]]) -> tuple[str, ...]:
    """Return a note for each argument that is not a tensor: the graph keeps the sample's value."""
    return tuple(
        f"argument {name!r} is fixed at {value!r}"
        for name, value in given
        if value is not None and not any(True for _ in flatten(value, name))
    )
