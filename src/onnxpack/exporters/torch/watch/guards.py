"""Find the sizes at which ``torch.export`` itself says that its graph may be wrong.

A branch on a size is followed for the sample's size, and the condition is kept as a guard:
``L['tensors'][0].size()[0] != 7``. The conversion to ONNX silently drops guards. So each guard is
searched for sizes that violate it, and the model is run at these sizes. One run is not enough:
``if n > 16: … if n > 100: …`` has its second branch behind the first. So the model is exported
there too, and the guards of that graph are searched in turn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeAlias

import torch

from onnxpack.errors import ExportError
from onnxpack.exporters.torch.watch.conditions import Condition, all_differing
from onnxpack.parity.cases import Axes, sizes
from onnxpack.parity.subject import Probes
from onnxpack.signature import Array

Program: TypeAlias = torch.export.ExportedProgram | torch.fx.GraphModule
"""A program with a list of guards, ``_guards_code``."""
ConditionsAt: TypeAlias = Callable[[Mapping[str, int]], Sequence[Condition]]
"""Function that returns the conditions at given sizes of the dynamic dims; empty if the model
refuses the sizes."""
MAX_REGIONS = 32
ASSUMED = 2
"""The smallest size that torch.export assumes of each dynamic dim."""


def guards_of(program: Program, sample: Mapping[str, Array], axes: Axes) -> Sequence[Condition]:
    """Return the conditions on sizes under which the program is correct.

    Raises:
        ExportError: this version of torch does not keep guards in ``_guards_code``.
    """
    guards = getattr(program, "_guards_code", None)
    if not isinstance(guards, list):
        raise ExportError(
            f"torch {torch.__version__} does not say for which sizes a program of torch.export is "
            "right (ExportedProgram._guards_code is missing)",
            remedy="install a version of torch that onnxpack was tested with",
        )
    own = sizes(sample, axes)
    return [Condition.of_guard(guard, sample, axes, own) for guard in guards]


def limits_of(
    program: torch.export.ExportedProgram, sample: Mapping[str, Array], axes: Axes
) -> Iterator[tuple[str, tuple[float, float]]]:
    """Yield the smallest and the largest size of each dim for which a program is right.

    A smallest size of 2 does not count: torch.export assumes it of every dim.
    """
    named = program.graph_signature.user_inputs
    nodes = [node for node in program.graph.nodes if node.name in named]
    given = [node.meta["val"] for node in nodes if isinstance(node.meta.get("val"), torch.Tensor)]
    if len(given) != len(sample):  # a program can take a tensor in another form than the sample's
        return
    for tensor, name in zip(given, sample, strict=True):
        for axis, dim in axes.get(name, {}).items():
            size: Any = tensor.shape[axis]
            known = None if isinstance(size, int) else program.range_constraints.get(size.node.expr)
            if known is not None:
                low = float(known.lower)
                yield dim, (low if low > ASSUMED else 0, float(known.upper))


def explore(
    first: Sequence[Condition], conditions_at: ConditionsAt, own: Mapping[str, int]
) -> Probes:
    """Return one size in every region that the conditions separate, also those found on the way.

    Args:
        first: the conditions at the sample's own sizes.
        own: the sample's sizes.

    Raises:
        ExportError: the regions are too many, or one cannot be exported.
    """
    found: dict[tuple[tuple[str, int], ...], None] = {}
    waiting = [*all_differing(first), *_beside_ones(conditions_at, own)]
    while waiting:
        dims = waiting.pop()
        if tuple(dims.items()) in found:
            continue
        if len(found) == MAX_REGIONS:
            raise ExportError(f"the code branches on sizes in more than {MAX_REGIONS} ways")
        found[tuple(dims.items())] = None
        waiting += all_differing(conditions_at(dims))
    return [dict(dims) for dims in sorted(found)]


def _beside_ones(conditions_at: ConditionsAt, own: Mapping[str, int]) -> Probes:
    """Return the sizes that decide something where another size is one.

    torch.export assumes that no dynamic size is one, and sets no guard about that. Only an export
    at size one shows what ``n == 1 and m == 9`` chooses.
    """
    probes: list[Mapping[str, int]] = []
    for dim in own if len(own) > 1 else ():
        with suppress(ExportError):  # size one itself is a case in any event
            behind = all_differing(conditions_at({**own, dim: 1}))
            probes += [{**dims, dim: 1} for dims in behind]
    return probes
