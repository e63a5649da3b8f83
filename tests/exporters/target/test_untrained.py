"""A model with random weights is noticed, and no other is taken for one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from onnxpack.exporters.target.untrained import call_watched
from onnxpack.testing import changes, process_state


def make() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 3), nn.ReLU())


def make_seeded() -> nn.Module:
    torch.manual_seed(0)
    return make()


def make_trained() -> nn.Module:
    model = make()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    model(torch.ones(2, 4)).sum().backward()
    optimizer.step()
    return model


def from_state(path: Path) -> nn.Module:
    model = make()
    model.load_state_dict(torch.load(path / "weights.pt"))
    return model


def from_safetensors(path: Path) -> nn.Module:
    model = make()
    model.load_state_dict(load_file(path / "weights.safetensors"))
    return model


def from_numpy(path: Path) -> nn.Module:
    model = make()
    with torch.no_grad():
        model[0].weight.copy_(torch.from_numpy(np.load(path / "weights.npy")))
    return model


def whole(path: Path) -> nn.Module:
    loaded: nn.Module = torch.load(path / "whole.pt", weights_only=False)
    return loaded


@pytest.fixture
def files(tmp_path: Path) -> Path:
    model = make()
    torch.save(model.state_dict(), tmp_path / "weights.pt")
    torch.save(model, tmp_path / "whole.pt")
    save_file(model.state_dict(), tmp_path / "weights.safetensors")
    np.save(tmp_path / "weights.npy", model[0].weight.detach().numpy())
    return tmp_path


@pytest.mark.parametrize("function", [make, make_seeded, lambda: nn.LSTM(3, 4)])
def test_random_weights_are_noticed(function: Callable[[], Any]) -> None:
    before = process_state()
    with torch.random.fork_rng():
        model, is_untrained = call_watched(function)
    assert is_untrained
    assert isinstance(model, nn.Module)
    assert not changes(before, process_state())


@pytest.mark.parametrize("function", [from_state, from_safetensors, from_numpy, whole])
def test_loaded_weights_are_not(function: Callable[[Path], nn.Module], files: Path) -> None:
    assert not call_watched(lambda: function(files))[1]


@pytest.mark.parametrize("function", [make_trained, nn.ReLU, dict, lambda: make_trained])
def test_neither_is_what_was_trained_or_has_no_weights(function: Callable[[], Any]) -> None:
    assert not call_watched(function)[1]


def test_a_call_that_fails_ends_the_watch(files: Path) -> None:
    def fail() -> None:
        raise ValueError("no model")

    with pytest.raises(ValueError, match="no model"):
        call_watched(fail)
    (files / "weights.npy").read_bytes()
    assert call_watched(make)[1]
