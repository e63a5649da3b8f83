"""``x[i, j]`` counts negative indices from the end of each row's own axis."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import onnxpack
from onnxpack.errors import OnnxpackError

Index = Callable[[Tensor, Tensor, Tensor], Tensor]
X = torch.arange(2 * 5 * 4 * 3, dtype=torch.float32).reshape(2, 5, 4, 3)

TRACED: dict[str, Index] = {
    "the first axes": lambda x, i, j: x[i, j],
    "inner axes": lambda x, i, j: x[:, i, j],
    "the last axes": lambda x, i, j: x[..., i, j],
    "axes apart": lambda x, i, j: x[i, :, j],
    "axes far apart": lambda x, i, j: x[i, :, :, j],
    "broadcast to each other": lambda x, i, j: x[:, i[:, None], j[None]],
    "a number among them": lambda x, i, j: x[0, i, j],
    "booleans": lambda x, i, j: (x > 7)[i, j],
    "integers": lambda x, i, j: x.long()[i, :, j],
}


class Indexed(nn.Module):
    def __init__(self, index: Index) -> None:
        super().__init__()
        self.index = index

    def forward(self, x: Tensor, i: Tensor, j: Tensor) -> Tensor:
        return self.index(x, i, j)


class Scripted(nn.Module):
    def forward(self, x: Tensor, i: Tensor, j: Tensor) -> Tensor:
        return x[:, i, :, j] + x[0, i, j, 0].unsqueeze(-1).unsqueeze(-1)


def check(model: Any, pack: Any) -> None:
    session = onnxpack.Model(pack)
    for i, j in (([0, 1], [1, 0]), ([-1, -2], [-1, 1]), ([0, 0], [-1, -2])):
        wanted = model(X, torch.tensor(i), torch.tensor(j)).numpy()
        np.testing.assert_array_equal(session(X.numpy(), np.array(i), np.array(j)), wanted)
    # PyTorch raises too: the place of another row must not be taken.
    with pytest.raises(OnnxpackError):
        session(X.numpy(), np.array([0, 9]), np.array([0, 0]))


@pytest.mark.parametrize("name", TRACED)
def test_negative_indices_are_those_of_the_row(tmp_path: Path, name: str) -> None:
    model = Indexed(TRACED[name]).eval()
    check(
        model,
        onnxpack.export(model, (X, torch.tensor([0, 1]), torch.tensor([1, 0])), tmp_path / "pack"),
    )


@pytest.mark.filterwarnings("ignore:.torch.jit:FutureWarning")
@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")
def test_scripted(tmp_path: Path) -> None:
    model = torch.jit.script(Scripted().eval())
    check(
        model,
        onnxpack.export(model, (X, torch.tensor([0, 1]), torch.tensor([1, 0])), tmp_path / "pack"),
    )


def test_a_mask_of_two_axes_beside_an_index(tmp_path: Path) -> None:
    model = Indexed(lambda x, i, j: x[:, x[0, :, :, 0] > -1, i[:1]]).eval()
    sample = (X, torch.tensor([0, 1]), torch.tensor([1, 0]))
    pack = onnxpack.export(model, sample, tmp_path / "pack", dynamic={})
    wanted = model(X, torch.tensor([-1, 0]), sample[2]).numpy()
    found = onnxpack.Model(pack)(X.numpy(), np.array([-1, 0]), np.array([1, 0]))
    np.testing.assert_array_equal(found, wanted)


def test_the_last_token_of_an_empty_text(tmp_path: Path) -> None:
    """A mask that keeps nothing gives the index -1: the row's own last token, in PyTorch."""

    class LastToken(nn.Module):
        def forward(self, hidden: Tensor, attention_mask: Tensor) -> Tensor:
            return hidden[torch.arange(hidden.shape[0]), attention_mask.sum(1) - 1]

    model = LastToken().eval()
    sample = (torch.randn(1, 6, 4), torch.ones(1, 6, dtype=torch.long))
    pack = onnxpack.export(model, sample, tmp_path / "pack")
    hidden, mask = torch.randn(3, 6, 4), torch.zeros(3, 6, dtype=torch.long)
    wanted = model(hidden, mask).numpy()
    np.testing.assert_array_equal(onnxpack.Model(pack)(hidden.numpy(), mask.numpy()), wanted)
    assert pack.manifest is not None
    names = [case.name for case in pack.manifest.parity.cases]
    assert any(name.startswith("batch=7, masks that keep nothing, everything") for name in names)


@pytest.mark.parametrize("accumulate", [True, False])
def test_what_is_put_at_negative_places(tmp_path: Path, accumulate: bool) -> None:
    class Put(nn.Module):
        def forward(self, x: Tensor, i: Tensor, j: Tensor, v: Tensor) -> Tensor:
            return x.index_put((i, j), v, accumulate=accumulate)

    model, x, v = Put().eval(), torch.zeros(3, 5), torch.tensor([1.0, 2.0])
    sample = (x, torch.tensor([0, 1]), torch.tensor([1, 0]), v)
    pack = onnxpack.Model(onnxpack.export(model, sample, tmp_path / "pack", static=True))
    for i, j in (([-1, -2], [-1, 1]), ([0, 1], [-1, -5])):
        wanted = model(x, torch.tensor(i), torch.tensor(j), v).numpy()
        np.testing.assert_array_equal(pack(x.numpy(), np.array(i), np.array(j), v.numpy()), wanted)
    for j in ([7, 0], [-6, 0]):
        with pytest.raises(OnnxpackError):
            pack(x.numpy(), np.array([1, 0]), np.array(j), v.numpy())
