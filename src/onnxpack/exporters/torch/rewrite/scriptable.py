"""Prepare a model for scripting with parts that have an ONNX form.

PyTorch's recurrent cells check the rank of their input in a way that has no ONNX form. So
equivalent cells replace them.
"""

from __future__ import annotations

import copy
import io
from typing import Optional

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

State = Optional[tuple[Tensor, Tensor]]  # noqa: UP045 - TorchScript reads it


def with_plain_cells(model: nn.Module) -> nn.Module:
    """Return the model, or a copy with scriptable cells if it has recurrent cells."""
    if not any(isinstance(part, nn.RNNCellBase) for part in model.modules()):
        return model
    copied = copy.deepcopy(model)
    for parent in list(copied.modules()):
        for name, child in parent.named_children():
            if isinstance(child, nn.RNNCellBase) and type(child) in PLAIN:
                setattr(parent, name, PLAIN[type(child)](child))
    return copied


def loaded_anew(model: torch.jit.ScriptModule) -> torch.jit.ScriptModule:
    """Return the module, or a copy if frozen: the tracer mistakes a frozen one for another's."""
    return model if hasattr(model, "training") else reloaded(model)


def reloaded(model: torch.jit.ScriptModule) -> torch.jit.ScriptModule:
    """Return a copy of a script that shares no compiled class with it."""
    memory = io.BytesIO()
    torch.jit.save(model, memory)
    memory.seek(0)
    loaded: torch.jit.ScriptModule = torch.jit.load(memory)  # type: ignore[no-untyped-call]
    return loaded


class PlainCell(nn.Module):
    """A recurrent cell with the weights of another one."""

    def __init__(self, cell: nn.RNNCellBase) -> None:
        super().__init__()
        self.weight_ih, self.weight_hh = cell.weight_ih, cell.weight_hh
        self.bias_ih = cell.bias_ih if cell.bias else None
        self.bias_hh = cell.bias_hh if cell.bias else None


class PlainGru(PlainCell):
    """A cell that computes what ``nn.GRUCell`` does."""

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
    """A cell that computes what ``nn.LSTMCell`` does."""

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
    """A cell that computes what ``nn.RNNCell`` does."""

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
