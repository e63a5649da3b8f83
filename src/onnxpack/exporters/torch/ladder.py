"""The order in which PyTorch's exporters are tried.

Tracing by the TorchScript exporter is fast and its graphs fuse best. But it is silently wrong if
Python decides by values or by a size that varies, and is then not used. ``torch.export`` (dynamo)
refuses what it cannot follow, and states the sizes for which its graph holds. Scripting keeps
branches and loops. Everything is traced at a batch of two or more, since a batch of one is frozen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from onnxpack.errors import ExportError
from onnxpack.exporters.frames import listed
from onnxpack.exporters.torch.dynamo import Dynamo
from onnxpack.exporters.torch.patch.settings import has_torchscript_exporter
from onnxpack.exporters.torch.setup import Setup
from onnxpack.exporters.torch.watch.copies import watch_copies
from onnxpack.exporters.torch.watch.gradients import find_gradient
from onnxpack.exporters.torch.watch.raising import SILENT, checks_values
from onnxpack.exporters.torch.watch.selftest import check_witnesses
from onnxpack.exporters.torch.watch.unseen import Unseen, watch_unseen
from onnxpack.exporters.torch.watch.values import find_conversions
from onnxpack.parity.subject import Probes, Strategy

if TYPE_CHECKING:
    from onnxpack.exporters.torch.subject import TorchSubject
    from onnxpack.exporters.torch.torchscript import TorchScript

NARROWED = (
    "the model is float64: the graph computes in float32, for which ONNX Runtime has kernels, "
    "and is proven within the tolerance against the model in float64"
)
DIFFERENTIATED = "dynamo, differentiated"


def climb(setup: Setup) -> Iterator[Strategy]:
    """Yield the strategies for one subject, best first.

    Raises:
        ExportError: no exporter can be trusted to see what the model's users see, or the model is a
            script and this PyTorch has no exporter for scripts.
    """
    subject = setup.subject
    if isinstance(subject.model, torch.jit.ScriptModule):
        yield _script(setup, "torchscript")
        return
    if subject.program is not None:
        notes = (SILENT,) if checks_values(subject.program) else ()
        dynamo = Dynamo(replace(setup, notes=notes))
        yield _exported(dynamo, "dynamo", dynamo.save_program)
        return
    check_witnesses()
    with watch_unseen() as unseen, watch_copies() as copies:
        gradient = find_gradient(lambda: copies.returned(subject.answer()))
    _refuse(unseen, subject.model_class)
    notes = (SILENT,) if _raises_by_values(unseen, subject) else ()
    setup = replace(setup, modules=tuple(unseen.modules.values()), notes=notes)
    copies.refuse(subject.model_class)
    _refuse_hidden_by_precision(subject)
    dynamo = Dynamo(setup)
    if gradient:
        yield _exported(dynamo, DIFFERENTIATED, dynamo.differentiate)
        return
    # Determined here, where nothing is replaced yet that would turn the fast path off.
    _ = setup.fast_attention
    if has_torchscript_exporter():
        yield _strategy(setup, "torchscript trace", _scripts(setup).trace)
    yield _exported(dynamo, "dynamo", dynamo.export)
    # If a model asks whether it is scripted, TorchScript takes a branch that its users never run.
    if has_torchscript_exporter() and not unseen.scripting:
        yield _script(setup, "torchscript script")
    narrow = subject.in_float32()
    if narrow is not None:
        for strategy in climb(replace(setup, subject=narrow)):
            yield replace(strategy, notes=partial(_with_note, NARROWED, strategy.notes))


def _raises_by_values(unseen: Unseen, subject: TorchSubject) -> bool:
    """Return whether the model checks values and raises errors, which no graph does.

    A check of a size, as opposed to a value, becomes a guard: its size is tried and reported.
    """
    if unseen.checks_values or not unseen.checked:
        return unseen.checks_values
    return bool(find_conversions(lambda: subject.run(subject.sample)))


def _exported(dynamo: Dynamo, name: str, make: Callable[[Path], Probes]) -> Strategy:
    return replace(_strategy(dynamo.setup, name, make), limits=lambda: dynamo.limits)


def _script(setup: Setup, name: str) -> Strategy:
    scripts = _scripts(setup)
    return replace(_strategy(setup, name, scripts.script), notes=scripts.notes)


def _with_note(note: str, others: Callable[[], Sequence[str]]) -> tuple[str, ...]:
    return (note, *others())


def _scripts(setup: Setup) -> TorchScript:
    if not has_torchscript_exporter():
        raise ExportError(
            f"PyTorch {torch.__version__} has no exporter for TorchScript modules.",
            remedy="export the module that the script was made from",
        )
    from onnxpack.exporters.torch.torchscript import TorchScript  # it imports that exporter

    return TorchScript(setup)


def _strategy(setup: Setup, name: str, make: Callable[[Path], Probes]) -> Strategy:
    if _has_transformers(setup.subject.model):
        from onnxpack.exporters.torch.patch.attention import with_attention_written_out

        make = with_attention_written_out(make)
    return Strategy(f"{name}{setup.subject.manner}", make, lambda: setup.notes)


def _has_transformers(model: torch.nn.Module) -> bool:
    """Return whether the model, or a part of it, is a module of Hugging Face transformers."""
    return any(
        kind.__module__.startswith("transformers.")
        for part in model.modules()
        for kind in type(part).__mro__
    )


def _refuse_hidden_by_precision(subject: TorchSubject) -> None:
    """Raise an error for code that decides by values in low precision but not in float32.

    ``if y.dtype == torch.float16 and y.isinf().any()``: the graph is made of the model in
    float32, where such a branch is never reached.

    Raises:
        ExportError: there is such code.
    """
    narrow = find_conversions(lambda: subject.run_narrow(subject.sample))
    wide = find_conversions(lambda: subject.run(subject.sample)) if narrow else ()
    hidden = [place for place in narrow if place not in wide]
    if hidden:
        raise ExportError(
            f"{subject.model_class} was not exported: in its own precision forward() runs "
            "Python code that depends on a tensor's values, which a graph cannot do, at "
            f"{listed(hidden)}.",
            remedy="export model.float() with a float32 sample",
        )


def _refuse(unseen: Unseen, model: str) -> None:
    """Raise an error if no exporter can be trusted to see what the model's users see.

    Raises:
        ExportError: there is a cause.
    """
    cause = unseen.cause()
    if cause is not None:
        raise ExportError(f"{model} was not exported: {cause.reason}.", remedy=cause.remedy)
