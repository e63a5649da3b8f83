"""Find and export models that differentiate in ``forward``.

Examples are forces from an energy, or a score from a density. The exporters do not follow a
backward pass. ``make_fx`` records it together with the forward pass, as plain operators over
symbolic sizes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch._decomp import core_aten_decompositions
from torch.autograd import forward_ad
from torch.fx.experimental import _config
from torch.fx.experimental.proxy_tensor import make_fx

from onnxpack.errors import ExportError
from onnxpack.exporters.frames import Place, of_torch, user_line
from onnxpack.exporters.replaced import existing, replaced


def find_gradient(run: Callable[[], Any]) -> Place | None:
    """Run, and return the first line that differentiates."""
    found: list[Place] = []

    def note() -> None:
        place = user_line(of_torch)
        found.extend([place] if place else [])

    with _told(torch.autograd, "_engine_run_backward", note), _told(forward_ad, "make_dual", note):
        run()
    return found[0] if found else None


@contextmanager
def _told(module: Any, name: str, note: Callable[[], None]) -> Iterator[None]:
    plain = existing(module, name, function=True)

    def told(*args: Any, **kwargs: Any) -> Any:
        note()
        return plain(*args, **kwargs)

    with replaced(module, name, told):
        yield


def differentiated(
    flat: torch.nn.Module, tensors: Sequence[Tensor], axes: Sequence[Collection[int]]
) -> torch.fx.GraphModule:
    """Return the forward and the backward pass as one module, with guards on sizes.

    Args:
        axes: the axes of each tensor whose size varies.

    Raises:
        ExportError: a size that should vary was fixed.
    """
    config: Any = _config
    with torch.no_grad(), config.patch(use_duck_shape=False):
        made: Any = make_fx(
            flat, _backward_decompositions(), tracing_mode="symbolic", _allow_non_fake_inputs=True
        )(*tensors)
    made._guards_code = _guards(made, axes)  # noqa: SLF001 - as a torch.export program has them
    graph: torch.fx.GraphModule = made
    return graph


def _guards(made: Any, axes: Sequence[Collection[int]]) -> list[str]:
    """Return the conditions on sizes that vary, in the notation of ``torch.export``."""
    inputs = [node.meta["val"] for node in made.graph.nodes if node.op == "placeholder"]
    names: dict[Any, str] = {}
    free = set()
    for place, (tensor, dynamic) in enumerate(zip(inputs, axes, strict=True)):
        for axis, size in enumerate(tensor.shape):
            node = size.node if isinstance(size, torch.SymInt) else None
            own = {node.expr, node._expr} if node and node.expr.is_symbol else set()  # noqa: SLF001
            names |= dict.fromkeys(own, f"L['tensors'][{place}].size()[{axis}]")
            if axis in dynamic and not own:
                raise ExportError(
                    f"the code works for one size only: axis {axis} was frozen at {size}"
                )
            free |= own if axis in dynamic else set()
    guards = (guard.expr for guard in made.shape_env.guards)
    return [_worded(guard, names) for guard in guards if guard.free_symbols & free]


def _worded(guard: Any, names: Mapping[Any, str]) -> str:
    return re.sub(
        r"\w+", lambda word: next((n for s, n in names.items() if str(s) == word[0]), word[0]),
        str(guard),
    )  # fmt: skip


def _backward_decompositions() -> dict[Any, Callable[..., Any]]:
    """Return decompositions for the gradients of single layers, which ONNX lacks."""
    table: dict[Any, Callable[..., Any]] = dict(core_aten_decompositions())
    return {operator: table[operator] for operator in table if "backward" in str(operator)}
