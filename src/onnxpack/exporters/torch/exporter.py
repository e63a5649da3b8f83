"""The exporter for PyTorch: modules, ``torch.export`` programs, TorchScript."""

from __future__ import annotations

import copy
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from onnxpack.errors import NondeterministicError, SampleError, TargetError
from onnxpack.exporters.unchanged import unchanged

if TYPE_CHECKING:
    import torch

    from onnxpack.exporters.torch.subject import TorchSubject

HOOKS = ("_forward_hooks", "_forward_pre_hooks")
READS_WEIGHTS = (
    "keras.src.", "onnxpack.exporters.keras.", "torch.nn.", "torchvision.", "transformers.",
)  # fmt: skip
"""Packages whose layers only read their parameters in eval mode."""
CALLS_USERS = ("Lambda",)
"""Layers of libraries that call a function of the user's."""


class TorchExporter:
    """Exports every ``torch.nn.Module`` and ``torch.export.ExportedProgram``."""

    refines = ""

    def accepts(self, model: object) -> bool:
        """Return whether the model is a module or a program; PyTorch is not imported to say no."""
        torch = sys.modules.get("torch")
        return torch is not None and isinstance(
            model, torch.nn.Module | torch.export.ExportedProgram
        )

    @contextmanager
    def open(self, model: Any, sample: Any) -> Iterator[TorchSubject]:
        """Open the model, unwrapped and in eval mode; every submodule gets its mode back.

        Raises:
            SampleError: no sample was given.
            TargetError: a lazy module has no weights yet.
            ExportError: the model computes in int8, or is scripted and changes its weights.
        """
        from onnxpack.exporters.torch.patch.detectors import listed_pictures
        from onnxpack.exporters.torch.patch.settings import torch_settings_kept
        from onnxpack.exporters.torch.rewrite.quantized import refuse_quantized
        from onnxpack.exporters.torch.rewrite.restated import refuse_shortening
        from onnxpack.exporters.torch.subject import TorchSubject

        if sample is None:
            raise SampleError(
                "a PyTorch model needs a sample of its input.",
                remedy="onnxpack.export(model, torch.zeros(1, 3, 224, 224), ...)",
                option="--sample 1x3x224x224",
            )
        if _is_program(model):
            module = model.module()
            with torch_settings_kept(), unchanged(module, model.state_dict, model.constants):
                subject = TorchSubject(module, sample, shown=model, program=model)
                refuse_impressions(subject)
                yield subject
        else:
            module = _unwrapped(model)
            _refuse_lazy(module)
            refuse_quantized(module)
            refuse_shortening(module)
            asked = _without_ties(module)
            with inference_mode_of(asked):
                subject = TorchSubject(asked, listed_pictures(module, sample), shown=module)
                refuse_impressions(subject)
                yield subject


@contextmanager
def inference_mode_of(module: torch.nn.Module) -> Iterator[None]:
    """Put every submodule into eval mode; restore the module and PyTorch's settings at the end."""
    from onnxpack.exporters.torch.patch.settings import torch_settings_kept

    trains = module.training if hasattr(module, "training") else False
    with torch_settings_kept(), unchanged(module, never_written=_never_written(module)):
        try:
            if _has_modes(module) and any(
                getattr(part, "training", False) for part in module.modules()
            ):
                module.eval()
            yield
        finally:
            if trains and _has_modes(module):
                module.train()  # a train() of the user's own may undo what eval() did elsewhere


def _has_modes(module: torch.nn.Module) -> bool:
    """Return whether the mode can be changed: a program's module keeps that of its export.

    PyTorch 2.14 puts a ``train`` of its own on such a module, which raises NotImplementedError.
    """
    import torch

    return not (isinstance(module, torch.fx.GraphModule) and "train" in vars(module))


def refuse_impressions(subject: TorchSubject) -> None:
    """Raise an error if user code answers by chance, or depending on earlier calls.

    Raises:
        NondeterministicError: the user's code does so.
    """
    if not _never_written(subject.model):
        _refuse_first_impressions(subject)
        _refuse_lasting_impressions(subject)


def _never_written(module: torch.nn.Module) -> list[torch.nn.Parameter]:
    """Return the parameters if only libraries' code runs in ``forward`` and writes none.

    An embedding with ``max_norm`` shortens its rows in place; a hook, or a ``forward`` that was put
    into an instance, is the user's code.
    """
    from onnxpack.exporters.torch.watch.kept import named_parts

    for _, part in named_parts(module):
        own = (
            type(part).__name__ in CALLS_USERS
            or any(getattr(part, name, None) for name in HOOKS)
            or "forward" in vars(part)
        )
        writes = getattr(part, "max_norm", None) is not None
        if own or writes or not type(part).__module__.startswith(READS_WEIGHTS):
            return []
    return list(module.parameters())


def _refuse_first_impressions(subject: TorchSubject) -> None:
    """Raise an error if the answers depend on the first call.

    Raises:
        NondeterministicError: the first call sets something on which later answers depend.
    """
    from onnxpack.exporters.torch.watch.nondeterminism import kept_from_first_call

    model = subject.model
    names = kept_from_first_call(model, subject.run_first, subject.sample, lambda: unchanged(model))
    if names:
        raise NondeterministicError(
            "the model's answers depend on its first input: its first call sets "
            f"{', '.join(names[:3])}, and with another first input it answers differently.",
            remedy="set it in __init__, or call the model before the export with the data that "
            "should set it",
        )


def _refuse_lasting_impressions(subject: TorchSubject) -> None:
    """Raise an error if the answers depend on chance, or on the number or inputs of calls.

    Raises:
        NondeterministicError: the model draws at random, or a call changes something on which later
            answers depend.
    """
    import torch

    from onnxpack.exporters.torch.watch.chance import find_draw
    from onnxpack.exporters.torch.watch.kept import kept_between_calls

    model = subject.model
    # PyTorch's own draws are left to the proof, which shows how much two answers differ.
    with torch.random.fork_rng(devices=[]):
        with unchanged(model):
            cause = find_draw(model, subject.answer)
        if cause is not None:
            raise NondeterministicError(f"{cause.reason}.", remedy=cause.remedy)
        names = kept_between_calls(
            model,
            subject.answer,
            lambda: subject.tensors(subject.sample),
            lambda: unchanged(model),
        )
    if names:
        raise NondeterministicError(
            "the model's answers depend on earlier calls: a call changes "
            f"{', '.join(names[:3])}, and with another value there it answers differently.",
            remedy="make it an input of forward() and return it, or change it only if "
            "self.training",
        )


def _without_ties(module: torch.nn.Module) -> torch.nn.Module:
    """Return a copy of a scripted module, whose attributes are in C++ and cannot be listed."""
    import torch

    return copy.deepcopy(module) if isinstance(module, torch.jit.ScriptModule) else module


def _refuse_lazy(module: torch.nn.Module) -> None:
    from torch.nn.parameter import is_lazy

    for name, tensor in (*module.named_parameters(), *module.named_buffers()):
        if is_lazy(tensor):
            raise TargetError(
                f"the model has no weights yet: {name!r} is created by the first call.",
                remedy="call it once, train it or load its weights: model(sample)",
            )


def _is_program(model: Any) -> bool:
    import torch

    return isinstance(model, torch.export.ExportedProgram)


def _unwrapped(model: Any) -> Any:
    """Return the plain module inside compiled and data-parallel wrappers."""
    import torch

    inner = getattr(model, "_orig_mod", model)
    if isinstance(inner, torch.nn.DataParallel | torch.nn.parallel.DistributedDataParallel):
        inner = inner.module
    return getattr(inner, "_orig_mod", inner)
