"""What every exporter must do, asked of each one that is installed: see onnxpack.testing."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax
import keras
import lightning
import numpy as np
import pytest
import transformers
from torch import Tensor, nn

import onnxpack
from onnxpack.plugins import exporters
from onnxpack.testing import ExporterContract, Given

X = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
Y = np.random.default_rng(1).normal(size=(40, 3))
TOKENS = {
    "input_ids": np.random.default_rng(0).integers(5, 50, (3, 7)),
    "attention_mask": (np.arange(7) < [[7], [5], [2]]).astype(np.int64),
}
MISFITS = (X[:, :2], X[:, None, None, :3], (X, X, X), {"other": X}, ())


class Lit(lightning.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.net = net()

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


def net() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 8), nn.Dropout(), nn.ReLU(), nn.Linear(8, 3))


def graph(folder: Path) -> Path:
    return onnxpack.export(net(), X, folder / "made").model_path


def rows() -> np.ndarray:
    return np.random.default_rng(2).normal(size=(40, 4)).astype(np.float32)


def catboost(folder: Path) -> Any:
    from catboost import CatBoostRegressor

    quiet = {"verbose": 0, "allow_writing_files": False}
    return CatBoostRegressor(iterations=5, loss_function="MultiRMSE", **quiet).fit(rows(), Y)


def lightgbm(folder: Path) -> Any:
    import lightgbm

    parameters = {"objective": "multiclass", "num_class": 3, "verbose": -1, "min_data_in_leaf": 2}
    return lightgbm.train(parameters, lightgbm.Dataset(rows(), Y.argmax(axis=1)), 5)


def sklearn(folder: Path) -> Any:
    from sklearn.linear_model import LinearRegression

    return LinearRegression().fit(rows(), Y)


def xgboost(folder: Path) -> Any:
    import xgboost

    parameters = {"objective": "multi:softprob", "num_class": 3}
    return xgboost.train(parameters, xgboost.DMatrix(rows(), Y.argmax(axis=1)), 5)


def keras_net(_: Path) -> Any:
    layers = keras.layers
    return keras.Sequential([keras.Input((4,)), layers.Dense(8, "relu"), layers.Dense(3)])


def jax_net(_: Path) -> Any:
    weights = np.random.default_rng(1).normal(size=(4, 3)).astype(np.float32)
    return jax.jit(lambda x: jax.numpy.tanh(x @ weights))


def bert(_: Path) -> Any:
    config = transformers.BertConfig(
        vocab_size=50, hidden_size=8, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=16, max_position_embeddings=32,
    )  # fmt: skip
    return transformers.BertModel(config)


@dataclass(frozen=True)
class Row:
    """What the contract is asked about, for one exporter."""

    model: Callable[[Path], Any]
    modules: tuple[str, ...] = ()
    sample: Any = field(default_factory=lambda: X)
    misfits: tuple[Any, ...] = (*MISFITS, "text", X.astype("i8"))


EXPORTERS: Mapping[str, Row] = {
    "catboost": Row(catboost, ("catboost",)),
    "jax": Row(jax_net, ("jax", "jaxlib", "flax"), misfits=MISFITS),
    "keras": Row(keras_net, ("keras", "torch", "jax"), misfits=(*MISFITS, "text")),
    "lightgbm": Row(lightgbm, ("lightgbm",)),
    "lightning": Row(lambda _: Lit(), ("lightning", "torch")),
    "onnx": Row(graph),
    "sklearn": Row(sklearn, ("sklearn",), misfits=(*MISFITS, "text")),
    "torch": Row(lambda _: net(), ("torch",)),
    "transformers": Row(bert, ("transformers", "torch"), sample=TOKENS, misfits=({"other": X}, X)),
    "xgboost": Row(xgboost, ("xgboost",)),
}
STATES: dict[str, Callable[[Any], Any]] = {
    "sklearn.LinearRegression": pickle.dumps,
    "catboost.CatBoostRegressor": lambda model: model._serialize_model(),
    "lightgbm.Booster": lambda model: model.model_to_string(),
    "xgboost.Booster": lambda model: bytes(model.save_raw()),
}


@pytest.fixture(params=sorted(EXPORTERS))
def row(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class TestContract(ExporterContract):
    """One exporter after the other."""

    @pytest.fixture(autouse=True)
    def _choose(self, row: str) -> None:
        self.name = row
        self.framework_modules = EXPORTERS[row].modules

    def given(self, folder: Path) -> Given:
        row, exporter = EXPORTERS[self.name], exporters()[self.name].load()()
        return Given(self.name, exporter, row.model(folder), row.sample, row.misfits)

    def state(self, model: Any) -> Any:
        reached = super().state(model)
        if isinstance(model, keras.Model):
            return reached, [keras.ops.convert_to_numpy(each).tolist() for each in model.weights]
        if isinstance(model, Path):
            return model.read_bytes()
        kind = type(model)
        read = STATES.get(f"{kind.__module__.partition('.')[0]}.{kind.__name__}")
        return reached, None if read is None else read(model)


def test_every_exporter_is_asked() -> None:
    assert EXPORTERS.keys() == exporters().keys()
