"""A graph that another backend made counts only for models of nothing but Keras's own code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

import onnxpack
from onnxpack.errors import ExportError
from onnxpack.exporters.keras.own_code import refuse_own_classes, refuse_own_functions

X = np.random.default_rng(0).standard_normal((3, 4)).astype(np.float32)


@keras.saving.register_keras_serializable()
class Kept(layers.Layer):
    def call(self, x: Any) -> Any:
        return x


@keras.saving.register_keras_serializable()
def kept(x: Any) -> Any:
    return x


def sequence(*parts: Any) -> Any:
    return keras.Sequential([keras.Input((6, 4)), *parts])


def functional() -> Any:
    x = keras.Input((6, 4))
    return keras.Model(x, [layers.LSTM(3)(x), keras.ops.sum(x, axis=-1), x[:, 1:3] * 2 + 1])


def replaced() -> Any:
    layer = layers.Dense(2)
    layer.call = kept
    return sequence(layer)


def check(model: Any, folder: Path) -> None:
    refuse_own_functions(model)
    model.save(folder / "net.keras")
    refuse_own_classes(folder / "net.keras")


@pytest.mark.parametrize(
    "model",
    [
        lambda: sequence(
            layers.Normalization(mean=[1.0, 2, 3, 4], variance=[1.0, 2, 3, 4]),
            layers.Bidirectional(layers.GRU(3)),
            layers.Dense(2, activation=keras.activations.silu, kernel_regularizer="l2"),
        ),
        lambda: sequence(layers.Dense(2, dtype="mixed_float16")),
        functional,
    ],
    ids=["sequential", "mixed precision", "functional"],
)
def test_parts_of_keras_are_no_code_of_the_users(model: Any, tmp_path: Path) -> None:
    check(model(), tmp_path)


@pytest.mark.parametrize(
    ("model", "part"),
    [
        (lambda: sequence(Kept()), "Kept"),
        (lambda: sequence(layers.TimeDistributed(Kept())), "Kept"),
        (lambda: sequence(layers.Lambda(lambda x: x * 2)), "'function' of layer"),
        (lambda: sequence(layers.Dense(2, activation=kept)), "'activation' of layer"),
        (lambda: sequence(layers.Dense(2, activation=lambda x: x)), "'activation' of layer"),
        (replaced, "'call' of layer"),
    ],
    ids=["layer", "wrapped layer", "lambda", "activation", "lambda activation", "replaced call"],
)
def test_code_of_the_users_is_named(model: Any, part: str, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=f"{part}.* is custom code"):
        check(model(), tmp_path)


def test_a_branch_that_only_one_backend_takes_is_refused(tmp_path: Path) -> None:
    """JAX's arrays have no ``detach``: there the branch is absent, and the graph was proven."""
    layer = layers.Lambda(lambda x: x * 0 if hasattr(x, "detach") and (x == -999).any() else x * 2)
    model = keras.Sequential([keras.Input((4,)), layer, layers.Dense(3)])
    with pytest.raises(ExportError, match="depends on a tensor's values") as caught:
        onnxpack.export(model, X, tmp_path / "pack")
    assert "on the jax backend: not tried, because 'function' of layer" in caught.value.message
