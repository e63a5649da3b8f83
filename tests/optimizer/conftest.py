"""A trained classifier of digits, its pack, and rows that it has not seen."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

import onnxpack
from onnxpack.pack.model import Pack
from onnxpack.signature import Array

TRAINED = 900


def make_digits() -> tuple[Array, Array]:
    pictures, labels = load_digits(return_X_y=True)
    return (pictures / 16).astype(np.float32), labels


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Pack:
    """Wide enough for int8 to be worth its while."""
    torch.manual_seed(0)
    x, y = map(torch.from_numpy, make_digits())
    model = nn.Sequential(
        nn.Linear(64, 1024), nn.ReLU(), nn.Linear(1024, 1024), nn.ReLU(), nn.Linear(1024, 10)
    )
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    for _ in range(40):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x[:TRAINED]), y[:TRAINED]).backward()
        optimizer.step()
    folder = tmp_path_factory.mktemp("digits") / "digits"
    return onnxpack.export(model.eval(), x[:2], folder, labels=[str(each) for each in range(10)])


@pytest.fixture
def rows(digits: Pack) -> Mapping[str, Array]:
    """Pictures that the model was not trained on."""
    assert digits.manifest is not None
    (spec,) = digits.manifest.signature.inputs
    return {spec.name: make_digits()[0][TRAINED:]}


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Little timing: which graph is faster is not what these tests are about."""
    monkeypatch.setattr("onnxpack.benchmark.clock.BLOCK", 1e-3)
    monkeypatch.setattr("onnxpack.benchmark.clock.SETTLE", 1e-4)
    monkeypatch.setattr("onnxpack.optimizer.search.SECONDS", 1e-3)
    monkeypatch.setattr("onnxpack.optimizer.variant.FINAL_SECONDS", 1e-3)


@pytest.fixture
def always_faster(quick: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every graph is twice as fast as the base, so that the machine decides nothing."""
    from onnxpack.benchmark.ratio import Ratio

    monkeypatch.setattr(
        "onnxpack.benchmark.ratio.faster", lambda call, reference: Ratio(2.0, 1.9, 2.1)
    )
