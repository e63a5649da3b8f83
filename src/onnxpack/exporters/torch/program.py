"""Save a PyTorch model as a program that runs without its source code."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from onnxpack.comparison.tolerance import Tolerance, compare
from onnxpack.errors import ExportError
from onnxpack.exporters.exclusive import exclusive
from onnxpack.exporters.torch.exporter import TorchExporter
from onnxpack.exporters.torch.patch.silence import quiet
from onnxpack.exporters.torch.subject import TorchSubject, to_array
from onnxpack.signature import Array


@dataclass(frozen=True, slots=True)
class Example:
    """Inputs of a model, and its outputs, each in order."""

    inputs: tuple[Array, ...]
    outputs: tuple[Array, ...]


@exclusive()
def save_program(
    model: Any, examples: Sequence[Example], to: Path, *, tolerance: Tolerance
) -> Path:
    """Save a program with the signature ``forward(*tensors) -> tuple of tensors``.

    TorchScript is tried first, since it starts fastest, then ``torch.export``.

    Args:
        model: any PyTorch model that :func:`onnxpack.export` accepts.
        examples: inputs and outputs of the model; sizes that differ between examples may vary.
        to: the folder; the file is ``program.pt`` or ``program.pt2``.
        tolerance: the differences up to which answers count as equal.

    Raises:
        ExportError: neither way gives a program with these answers.
    """
    largest = max(examples, key=lambda each: sum(array.size for array in each.inputs))
    reasons = []
    with TorchExporter().open(model, largest.inputs) as subject:
        for write, name in ((_write_script, "program.pt"), (_write_export, "program.pt2")):
            path = to / name
            try:
                with quiet():
                    _check(write(subject, examples, path), examples, tolerance)
            except Exception as exc:  # noqa: BLE001 - PyTorch raises anything at all
                path.unlink(missing_ok=True)
                reasons.append(f"  {name}: {(str(exc) or type(exc).__name__).splitlines()[0]}")
            else:
                return path
    raise ExportError("\n".join(["PyTorch saved no program that answers like the pack:", *reasons]))


def _write_script(subject: TorchSubject, _: Sequence[Example], path: Path) -> Callable[..., Any]:
    tensors = subject.tensors(subject.sample)
    traced: Any = torch.jit.trace(  # type: ignore[no-untyped-call]
        subject.flat, tensors, check_trace=False
    )
    traced.save(str(path))
    loaded: Callable[..., Any] = torch.jit.load(path)  # type: ignore[no-untyped-call]
    return loaded


def _write_export(
    subject: TorchSubject, examples: Sequence[Example], path: Path
) -> Callable[..., Any]:
    dynamic = torch.export.Dim.DYNAMIC
    shapes = []
    for arrays in zip(*(each.inputs for each in examples), strict=True):
        sizes = zip(*(array.shape for array in arrays), strict=True)
        shapes.append({axis: dynamic for axis, seen in enumerate(sizes) if len(set(seen)) > 1})
    program = torch.export.export(
        subject.flat, subject.tensors(subject.sample), dynamic_shapes=(tuple(shapes),), strict=False
    )
    torch.export.save(program, path)
    return torch.export.load(path).module()


def _check(run: Callable[..., Any], examples: Sequence[Example], tolerance: Tolerance) -> None:
    for example in examples:
        found = run(*(torch.from_numpy(array.copy()) for array in example.inputs))
        for place, (wanted, tensor) in enumerate(zip(example.outputs, found, strict=True)):
            evidence = compare(f"output {place}", wanted, to_array(tensor), tolerance)
            if not evidence.passed:
                raise ExportError(f"{evidence.output} {evidence.reason}")
