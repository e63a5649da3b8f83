"""What scripting keeps of a model, in a form that has an ONNX form.

Recurrent cells in a loop are TorchScript's, and check the rank of what they are given in a way
that has none; so cells that do the same stand in. Some operators lack a form of their own.
"""

from __future__ import annotations

import copy
import io
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Optional

import torch
from torch import Tensor, nn
from torch.nn.functional import linear
from torch.onnx._internal.torchscript_exporter import registration
from torch.onnx.symbolic_helper import parse_args

from onnxpack.errors import ExportError
from onnxpack.exporters.replaced import existing, replaced_item

State = Optional[tuple[Tensor, Tensor]]  # noqa: UP045 - TorchScript reads it
SCATTERS_ADD = 16
"""The opset in which what is scattered can be added up."""
AXES_ARE_INPUTS = 18
"""The opset in which the axes of the reductions became inputs."""


def with_plain_cells(model: nn.Module) -> nn.Module:
    """The model; where it has recurrent cells a copy, with cells that script well."""
    if not any(isinstance(part, nn.RNNCellBase) for part in model.modules()):
        return model
    copied = copy.deepcopy(model)
    for parent in list(copied.modules()):
        for name, child in parent.named_children():
            if isinstance(child, nn.RNNCellBase) and type(child) in PLAIN:
                setattr(parent, name, PLAIN[type(child)](child))
    return copied


def loaded_anew(model: torch.jit.ScriptModule) -> torch.jit.ScriptModule:
    """The module; if frozen a copy, since the tracer holds a frozen one for another's."""
    if hasattr(model, "training"):
        return model
    memory = io.BytesIO()
    torch.jit.save(model, memory)
    memory.seek(0)
    loaded: torch.jit.ScriptModule = torch.jit.load(memory)  # type: ignore[no-untyped-call]
    return loaded


class PlainCell(nn.Module):
    """The weights of a cell."""

    def __init__(self, cell: nn.RNNCellBase) -> None:
        super().__init__()
        self.weight_ih, self.weight_hh = cell.weight_ih, cell.weight_hh
        self.bias_ih = cell.bias_ih if cell.bias else None
        self.bias_hh = cell.bias_hh if cell.bias else None


class PlainGru(PlainCell):
    """A GRUCell."""

    def forward(self, x: Tensor, hx: Optional[Tensor] = None) -> Tensor:  # noqa: D102, UP045
        given = linear(x, self.weight_ih, self.bias_ih).chunk(3, -1)
        if hx is None:
            hx = torch.zeros_like(given[0])
        kept = linear(hx, self.weight_hh, self.bias_hh).chunk(3, -1)
        reset = torch.sigmoid(given[0] + kept[0])
        update = torch.sigmoid(given[1] + kept[1])
        new = torch.tanh(given[2] + reset * kept[2])
        return (1 - update) * new + update * hx


class PlainLstm(PlainCell):
    """An LSTMCell."""

    def forward(  # noqa: D102
        self, x: Tensor, hx: State = None
    ) -> tuple[Tensor, Tensor]:
        given = linear(x, self.weight_ih, self.bias_ih)
        if hx is None:
            zeros = torch.zeros_like(given.chunk(4, -1)[0])
            hx = (zeros, zeros)
        gates = (given + linear(hx[0], self.weight_hh, self.bias_hh)).chunk(4, -1)
        cell = torch.sigmoid(gates[1]) * hx[1] + torch.sigmoid(gates[0]) * torch.tanh(gates[2])
        return torch.sigmoid(gates[3]) * torch.tanh(cell), cell


class PlainRnn(PlainCell):
    """An RNNCell."""

    def __init__(self, cell: nn.RNNCell) -> None:
        super().__init__(cell)
        self.relu = cell.nonlinearity == "relu"

    def forward(self, x: Tensor, hx: Optional[Tensor] = None) -> Tensor:  # noqa: D102, UP045
        given = linear(x, self.weight_ih, self.bias_ih)
        if hx is None:
            hx = torch.zeros_like(given)
        total = given + linear(hx, self.weight_hh, self.bias_hh)
        return torch.relu(total) if self.relu else torch.tanh(total)


PLAIN: dict[type, type[PlainCell]] = {
    nn.GRUCell: PlainGru,
    nn.LSTMCell: PlainLstm,
    nn.RNNCell: PlainRnn,
}


@contextmanager
def forms_known(opset: int) -> Iterator[None]:
    """Give ``x.norm()`` without a dim, and ``x.index_add``, the ONNX forms that they lack."""
    with ExitStack() as stack:
        for operator, form in FORMS.items():
            for forms in _registered(operator):
                stack.enter_context(replaced_item(forms, opset, form))
        yield


def _registered(operator: str) -> tuple[dict[int, Any], dict[int, Any]]:
    """Return the custom and the effective ONNX forms of an operator, by opset.

    ``unregister_custom_op_symbolic`` would drop a form that the user registered for the same
    operator and opset, and there is no public way to read it first.

    Raises:
        ExportError: PyTorch keeps them in another way than 2.9 to 2.14 do.
    """
    group = registration.registry.get_function_group(operator)
    functions = existing(group, "_functions")
    return existing(functions, "_overrides"), existing(functions, "_merged")


@parse_args("v", "t", "is", "i", "v")
def _norm(
    graph: Any, x: Any, power: Any, dim: Any = None, keepdim: int = 0, dtype: Any = None
) -> Any:
    if power not in (1, 2) or dtype is not None:
        raise ExportError(f"ONNX has no operator for a norm of power {power} as {dtype}")
    operator = f"ReduceL{int(power)}"
    if dim is None:
        return graph.op(operator, x, keepdims_i=0)
    if graph.opset < AXES_ARE_INPUTS:
        return graph.op(operator, x, axes_i=dim, keepdims_i=keepdim)
    return graph.op(
        operator, x, graph.op("Constant", value_t=torch.tensor(dim)), keepdims_i=keepdim
    )


@parse_args("v", "i", "v", "v", "t")
def _index_add(graph: Any, x: Any, dim: int, index: Any, source: Any, alpha: Any = None) -> Any:
    """PyTorch's own form keeps one of the values that go to the same place."""
    if dim != 0 or alpha not in (None, 1) or graph.opset < SCATTERS_ADD:
        raise ExportError(f"ONNX has no operator for index_add along axis {dim} times {alpha}")
    last = graph.op("Constant", value_t=torch.tensor([-1]))
    places = graph.op("Unsqueeze", index, last)
    return graph.op("ScatterND", x, places, source, reduction_s="add")


FORMS = {"aten::norm": _norm, "aten::index_add": _index_add}
