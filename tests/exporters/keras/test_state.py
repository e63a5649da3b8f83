"""Keras models that answer by what they were asked before, or by a ``predict()`` of their own."""

from __future__ import annotations

import types
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

import onnxpack
from onnxpack.errors import ExportError, NondeterministicError

X = np.random.default_rng(0).standard_normal((3, 4)).astype(np.float32)


class CountsInAVariable(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.calls = self.add_weight(shape=(), initializer="zeros", trainable=False)

    def call(self, x: Any) -> Any:
        self.calls.assign_add(1.0)
        return ops.where(self.calls > 100.0, x * 0.0, x * 2)


class Counts(layers.Layer):
    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def call(self, x: Any) -> Any:
        self.calls += 1
        return x * 2 if self.calls < 500 else x * 0


class Averages(layers.Layer):
    def build(self, shape: Any) -> None:
        self.mean = self.add_weight(shape=(shape[-1],), initializer="zeros", trainable=False)

    def call(self, x: Any) -> Any:
        self.mean.assign(0.9 * self.mean + 0.1 * ops.clip(ops.mean(x, axis=0) - 100, 0, 1))
        return x - self.mean


class CountsInVain(layers.Layer):
    """What it counts decides nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def call(self, x: Any) -> Any:
        self.calls += 1
        return x * 2


def around(layer: layers.Layer) -> keras.Model:
    return keras.Sequential([keras.Input((4,)), layer, layers.Dense(2)])


@pytest.mark.parametrize(
    "make", [CountsInAVariable, lambda: around(Counts()), lambda: around(Averages())]
)
def test_state_that_decides_is_refused(tmp_path: Path, make: Any) -> None:
    model = make()
    model(X)
    with pytest.raises(NondeterministicError, match="answers depend on earlier calls"):
        onnxpack.export(model, X, tmp_path / "pack")


def test_state_that_decides_nothing_is_left_as_it_was(tmp_path: Path) -> None:
    layer = CountsInVain()
    model = around(layer)
    before = layer.calls
    assert onnxpack.export(model, X, tmp_path / "pack")
    assert layer.calls == before


def test_the_batch_of_a_first_call_is_not_the_models(tmp_path: Path) -> None:
    model = keras.Sequential([layers.Dense(3)])
    model(np.zeros((4, 6), np.float32))
    pack = onnxpack.export(model, None, tmp_path / "pack")
    x = np.ones((5, 6), np.float32)
    found = onnxpack.Model(pack)(x)
    np.testing.assert_allclose(found, keras.ops.convert_to_numpy(model(x)), rtol=1e-5)


class Looks(keras.Model):
    def call(self, x: Any) -> Any:
        return ops.take(ops.arange(7) * 3, ops.mod(x, 7))


def test_a_lookup_with_indices_of_two_axes(tmp_path: Path) -> None:
    x = np.arange(24, dtype=np.int32).reshape(4, 6)
    model = Looks()
    model(x)
    assert onnxpack.export(model, x, tmp_path / "pack")


class Rounds(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.dense = layers.Dense(2)

    def call(self, x: Any) -> Any:
        return self.dense(x)


class Predicts(Rounds):
    def predict(self, *args: Any, **kwargs: Any) -> Any:
        return np.round(super().predict(*args, **kwargs))


class Steps(Rounds):
    def predict_step(self, data: Any) -> Any:
        return ops.round(super().predict_step(data))


def patched() -> keras.Model:
    model = Rounds()
    model.predict = types.MethodType(lambda self, x: np.round(self(x)), model)
    return model


@pytest.mark.parametrize("make", [Predicts, Steps, patched])
def test_a_predict_of_its_own_is_refused(tmp_path: Path, make: Any) -> None:
    model = make()
    model(X)
    with pytest.raises(ExportError, match="is not Keras's own") as caught:
        onnxpack.export(model, X, tmp_path / "pack")
    assert "into call()" in caught.value.remedy


class ScaledByTheFirst(keras.Model):
    """Divides by the largest number of the first input that it is ever asked."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = layers.Dense(2)
        self.scale: float | None = None

    def call(self, x: Any) -> Any:
        if self.scale is None:
            self.scale = float(ops.max(ops.abs(x)))
        return self.dense(x / self.scale)


def test_what_the_first_call_keeps_is_refused(tmp_path: Path) -> None:
    """The export's own first call must be the one whose traces are looked for."""
    model = ScaledByTheFirst()
    model(X)
    model.scale = None
    with pytest.raises(
        NondeterministicError, match="the model's answers depend on its first input"
    ):
        onnxpack.export(model, X, tmp_path / "pack")
