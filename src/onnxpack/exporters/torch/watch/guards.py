"""Where ``torch.export`` itself says that its graph may be wrong.

A branch on a size is followed for the sample's size, and the condition is kept as a guard:
``L['tensors'][0].size()[0] != 7``. The conversion to ONNX drops guards without a word. So each
guard is searched for sizes that violate it, and there the model is asked. One answer is not
enough: ``if n > 16: … if n > 100: …`` has its second branch behind the first. So the model is
exported there too, and the guards of that graph are searched in turn.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from itertools import chain
from typing import Any, TypeAlias

import torch

from onnxpack.errors import ExportError
from onnxpack.parity.cases import Axes, sizes
from onnxpack.parity.subject import Probes
from onnxpack.signature import Array

Program: TypeAlias = torch.export.ExportedProgram | torch.fx.GraphModule
"""What has a list of guards, ``_guards_code``."""
SEARCHED = tuple(
    chain(range(1, 1025), (2**power + step for power in range(11, 21) for step in (-1, 0, 1)))
)
"""The sizes at which each guard is tried, for one dim after the other."""
MAX_REGIONS = 32
KNOWN = {
    "Eq": operator.eq, "Max": max, "Min": min, "Mod": operator.mod, "Ne": operator.ne,
    "abs": abs, "bool": bool, "float": float, "int": int, "math": math, "max": max, "min": min,
    "round": round, "torch": torch,
}  # fmt: skip
"""What a guard may call."""


def explore(
    program: Program,
    export_at: Callable[[Mapping[str, int]], Program | None],
    sample: Mapping[str, Array],
    axes: Axes,
) -> Probes:
    """A size in every region of sizes that the guards of the program, and theirs, tell apart.

    Args:
        export_at: exports the model at these sizes; None where the model itself refuses them.

    Raises:
        ExportError: the regions are too many, or one cannot be exported.
    """
    found: dict[tuple[tuple[str, int], ...], None] = {}
    waiting = [*violations(program, sample, axes), *_beside_ones(export_at, sample, axes)]
    while waiting:
        dims = waiting.pop()
        if tuple(dims.items()) in found:
            continue
        if len(found) == MAX_REGIONS:
            raise ExportError(f"sizes decide in more than {MAX_REGIONS} ways")
        found[tuple(dims.items())] = None
        there = export_at(dims)
        waiting += violations(there, sample, axes) if there is not None else ()
    return [dict(dims) for dims in sorted(found)]


def _beside_ones(
    export_at: Callable[[Mapping[str, int]], Program | None],
    sample: Mapping[str, Array],
    axes: Axes,
) -> Probes:
    """The sizes that decide where another is one.

    torch.export takes it for granted that no dynamic size is one, and sets no guard about that:
    what ``n == 1 and m == 9`` chooses, only the export at one tells.
    """
    own = sizes(sample, axes)
    probes: list[Mapping[str, int]] = []
    for dim in own if len(own) > 1 else ():
        with suppress(ExportError):  # the case of size one itself is asked in any event
            there = export_at({**own, dim: 1})
            guarded = violations(there, sample, axes) if there is not None else ()
            probes += [{**dims, dim: 1} for dims in guarded]
    return probes


def violations(program: Program, sample: Mapping[str, Array], axes: Axes) -> Probes:
    """The smallest sizes that violate each guard of the program.

    Raises:
        ExportError: a guard cannot be evaluated, so it is unknown where the graph holds.
    """
    own = sizes(sample, axes)
    guards: list[str] = getattr(program, "_guards_code", [])
    found = {
        tuple(dims.items()) for guard in guards for dims in _violating(guard, own, sample, axes)
    }
    return [dict(dims) for dims in sorted(found)]


def _violating(
    guard: str, own: Mapping[str, int], sample: Mapping[str, Array], axes: Axes
) -> Iterator[dict[str, int]]:
    """For each dim, the smallest and the first larger size, than the sample's, that violate."""
    code = compile(guard, "<guard>", "eval")
    for dim in own:
        wrong = (size for size in SEARCHED if not _holds(code, {**own, dim: size}, sample, axes))
        smallest = next(wrong, None)
        if smallest is None:
            continue
        yield {**own, dim: smallest}
        larger = next((size for size in wrong if size > own[dim]), None)
        if smallest < own[dim] and larger is not None:
            yield {**own, dim: larger}


def _holds(code: Any, dims: Mapping[str, int], sample: Mapping[str, Array], axes: Axes) -> bool:
    shaped = [_Sized(_shape(name, array, axes, dims)) for name, array in sample.items()]
    names = {"L": {"tensors": shaped}, **KNOWN}
    try:
        return bool(eval(code, {"__builtins__": {}}, names))  # noqa: S307 - PyTorch wrote it
    except ZeroDivisionError:
        return True
    except Exception as exc:
        raise ExportError(
            f"torch.export set a condition on sizes that cannot be evaluated: {exc}"
        ) from exc


def _shape(name: str, array: Array, axes: Axes, dims: Mapping[str, int]) -> tuple[int, ...]:
    named = axes.get(name, {})
    return tuple(
        dims[named[axis]] if axis in named else size for axis, size in enumerate(array.shape)
    )


class _Sized:
    """Stands for a tensor in a guard: only its size is asked."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self._shape = shape

    def size(self) -> tuple[int, ...]:
        return self._shape
