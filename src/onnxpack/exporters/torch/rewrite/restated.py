"""Replace parts of a model that the exporters do not follow by parts that they do."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn
from torch.nn.utils import parametrize

from onnxpack.errors import ExportError
from onnxpack.exporters.torch.rewrite.projected import ProjectedLstm


def restated(model: nn.Module) -> nn.Module:
    """Return the model, or a copy if it has projected LSTMs or weights that it changes."""
    tests = (_is_projected, _is_computed, _is_shortened)
    if not any(test(part) for part in model.modules() for test in tests):
        return model
    copied = copy.deepcopy(model)
    for part in list(copied.modules()):
        if _is_computed(part):
            _compute(part)
        if _is_shortened(part):
            _shorten(part)
        for name, child in part.named_children():
            if _is_projected(child):
                setattr(part, name, ProjectedLstm(child))
    return ProjectedLstm(copied) if _is_projected(copied) else copied


def refuse_shortening(model: nn.Module) -> None:
    """Raise an error for traced code that shortens rows in place, which the exporter drops.

    Raises:
        ExportError: there is such code.
    """
    for name, part in model.named_modules():
        if "aten::embedding_renorm_" in scripted_code(part):
            raise ExportError(
                f"{name or 'the model'} is TorchScript that shortens the rows of an embedding "
                "in place (max_norm), which a graph cannot do.",
                remedy="export the module that it was made from; or shorten the rows once, with "
                "torch.renorm(weight, 2, 0, max_norm), and leave max_norm out",
            )


def scripted_code(part: nn.Module) -> str:
    """Return the graph of a scripted module as text; empty if there is none.

    A scripted ``ModuleList`` has no ``forward``, so reading its graph raises an error.
    """
    graph: Any = getattr(part, "inlined_graph", None)
    return "" if graph is None else str(graph)


def _is_projected(part: nn.Module) -> bool:
    return type(part) is nn.LSTM and part.proj_size > 0


def _is_computed(part: nn.Module) -> bool:
    return parametrize.is_parametrized(part)


def _is_shortened(part: nn.Module) -> bool:
    return isinstance(part, nn.Embedding | nn.EmbeddingBag) and part.max_norm is not None


def _compute(part: Any) -> None:
    """Set each parametrised weight to its value in eval mode, and restore the original class."""
    weights = {name: getattr(part, name).detach() for name in part.parametrizations}
    del part.parametrizations
    part.__class__ = type(part).__bases__[0]
    for name, weight in weights.items():
        part.register_parameter(name, nn.Parameter(weight, requires_grad=False))


def _shorten(part: Any) -> None:
    """Shorten each row that is longer than ``max_norm``, in place, as a lookup does."""
    weight = torch.renorm(part.weight.detach(), part.norm_type, 0, part.max_norm)
    part.weight = nn.Parameter(weight, requires_grad=False)
    part.max_norm = None
