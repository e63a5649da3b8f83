"""What every exporter must do, asked of each one that is installed."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import pytest
from torch import Tensor, nn

import onnxpack
from onnxpack.errors import UsageError
from onnxpack.exporters.axes import name_axes
from onnxpack.exporters.subject import Attempt, Subject
from onnxpack.pack.validate import validate
from onnxpack.plugins import exporters
from onnxpack.runtime.model import Model

X = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
Y = np.random.default_rng(1).normal(size=(40, 3))
FRAMEWORKS = {
    "catboost": ("catboost",),
    "lightgbm": ("lightgbm",),
    "lightning": ("lightning", "torch"),
    "onnx": (),
    "sklearn": ("sklearn",),
    "torch": ("torch",),
    "xgboost": ("xgboost",),
}


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


MODELS: dict[str, Callable[[Path], Any]] = {
    "catboost": catboost,
    "lightgbm": lightgbm,
    "lightning": lambda folder: Lit(),
    "onnx": graph,
    "sklearn": sklearn,
    "torch": lambda folder: net(),
    "xgboost": xgboost,
}
STATES: dict[str, Callable[[Any], Any]] = {
    "LinearRegression": pickle.dumps,
    "CatBoostRegressor": lambda model: model._serialize_model(),
    "lightgbm.Booster": lambda model: model.model_to_string(),
    "xgboost.Booster": lambda model: bytes(model.save_raw()),
}


TAKES_INTEGERS = {"sklearn"}


@dataclass
class Given:
    """An exporter with a model of its framework."""

    name: str
    exporter: Any
    model: Any


@pytest.fixture(params=sorted(exporters()))
def given(request: pytest.FixtureRequest, tmp_path: Path) -> Given:
    name = request.param
    return Given(name, exporters()[name].load()(), MODELS[name](tmp_path))


def state(model: Any) -> Any:
    kind = type(model)
    for name, read in STATES.items():
        if f"{kind.__module__.partition('.')[0]}.{kind.__name__}".endswith(name):
            return read(model)
    if not isinstance(model, nn.Module):
        return Path(model).read_bytes()
    modes = [part.training for part in model.modules()]
    return modes, {name: value.tolist() for name, value in model.state_dict().items()}


def test_it_takes_its_own_and_nothing_else(given: Given) -> None:
    assert given.exporter.accepts(given.model)
    for other in (None, 3, object(), [], {}, np.zeros(2), b"bytes"):
        assert not given.exporter.accepts(other)


@pytest.mark.parametrize("name", sorted(exporters()))
def test_it_says_no_without_importing_its_framework(name: str) -> None:
    code = (
        "import sys; from onnxpack.plugins import exporters; "
        f"assert not exporters()[{name!r}].load()().accepts(object()); "
        f"print([m for m in {FRAMEWORKS[name]!r} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_first_that_accepts_is_the_right_one(given: Given, tmp_path: Path) -> None:
    pack = onnxpack.export(given.model, X, tmp_path / "pack")
    assert pack.manifest is not None
    assert pack.manifest.source.framework == given.name


def test_open_gives_a_subject_that_answers(given: Given) -> None:
    with given.exporter.open(given.model, X) as subject:
        assert isinstance(subject, Subject)
        assert subject.framework == given.name
        assert subject.framework_version
        assert subject.model_class
        (name,) = subject.sample
        np.testing.assert_array_equal(subject.sample[name], X)
        first, second = subject.run({name: X}), subject.run({name: X})
        assert first.keys() == second.keys()
        for output in first:
            assert isinstance(first[output], np.ndarray)
            np.testing.assert_array_equal(first[output], second[output])
        exact = subject.run_float64({name: X})
        assert exact is None or exact.keys() == first.keys()
        assert all(isinstance(array, np.ndarray) for array in subject.trace({name: X}).values())
        assert subject.diagnose([Attempt("none", error="no words that anyone knows")]) is None


def test_strategies_give_graphs(given: Given, tmp_path: Path) -> None:
    with given.exporter.open(given.model, X) as subject:
        axes = subject.axes or name_axes(subject.sample, None, static=False)
        outputs = list(subject.run(subject.sample))
        strategies = list(subject.strategies(axes, 18, outputs))
        names = [strategy.name for strategy in strategies]
        assert names
        assert len(set(names)) == len(names)
        for number, strategy in enumerate(strategies):
            to = tmp_path / f"{number}.onnx"
            assert list(strategy.make(to)) == []
            (name,) = subject.sample
            found = Model(to, provider="cpu").run({name: X})
            for output, array in subject.run({name: X}).items():
                np.testing.assert_allclose(found[output], array, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("fails", [False, True])
def test_the_model_is_put_back(given: Given, fails: bool) -> None:
    before = state(given.model)
    try:
        with given.exporter.open(given.model, X) as subject:
            subject.run(subject.sample)
            if fails:
                raise KeyError("something went wrong")
    except KeyError:
        assert fails
    assert state(given.model) == before


def test_the_pack_is_whole(given: Given, tmp_path: Path) -> None:
    pack = onnxpack.export(given.model, X, tmp_path / "pack")
    assert validate(pack).ok
    model = Model(pack)
    proof = model.prove()
    assert proof.ok
    assert len(proof.findings) == len(pack.golden)
    assert pack.manifest is not None
    assert pack.manifest.parity.passed
    assert pack.manifest.signature.dynamic == ("batch",)
    for size in (1, 9):
        assert model(np.zeros((size, 4), np.float32)).shape == (size, 3)


@pytest.mark.parametrize(
    "sample", [X[:, :2], X[:, None, None, :3], "text", (X, X, X), {"other": X}, X.astype("i8"), ()]
)
def test_a_sample_that_does_not_fit(given: Given, sample: Any, tmp_path: Path) -> None:
    if given.name in TAKES_INTEGERS and getattr(sample, "dtype", None) == np.int64:
        sample = sample.astype("M8[s]")
    with pytest.raises(UsageError) as caught:
        onnxpack.export(given.model, sample, tmp_path / "pack")
    assert caught.value.message
    assert list(tmp_path.glob("pack*")) == []


def test_a_model_is_left_alone_by_a_bad_sample(given: Given, tmp_path: Path) -> None:
    before = state(given.model)
    with pytest.raises(UsageError):
        onnxpack.export(given.model, X[:, :2], tmp_path / "pack")
    assert state(given.model) == before
    assert not (tmp_path / "pack").exists()
