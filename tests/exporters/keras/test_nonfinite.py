"""NaN and infinities in Keras: graphs answer as Keras does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnxruntime
import pytest
import torch
from keras import layers

import onnxpack
from onnxpack.errors import ExportError


def noise(*shape: int) -> Any:
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def pooled() -> tuple[Any, Any]:
    given = keras.Input((6, 6, 2), name="x")
    return keras.Model(given, layers.MaxPooling2D(2)(layers.ReLU()(given))), noise(3, 6, 6, 2)


def global_pooled() -> tuple[Any, Any]:
    given = keras.Input((5, 4), name="x")
    return keras.Model(given, layers.GlobalMaxPooling1D()(given)), noise(3, 5, 4)


def extremes() -> tuple[Any, Any]:
    given = keras.Input((6,), name="x")
    largest, smallest = keras.ops.max(given, 1), keras.ops.min(given, axis=1)
    return keras.Model(given, keras.ops.stack([largest, smallest], 1)), noise(4, 6)


def places() -> tuple[Any, Any]:
    given = keras.Input((6,), name="x")
    return keras.Model(given, keras.ops.argmax(given, 1)), noise(4, 6)


@pytest.mark.parametrize("made", [pooled, global_pooled, extremes, places])
def test_nan_is_kept(tmp_path: Path, made: Any) -> None:
    model, sample = made()
    pack = onnxpack.export(model, sample, tmp_path / "pack")
    session = onnxruntime.InferenceSession(pack.model_path, providers=["CPUExecutionProvider"])
    for at in (0, 3):
        feeds = sample.reshape(len(sample), -1).copy()
        feeds[::2, at] = np.nan
        feeds = feeds.reshape(sample.shape)
        wanted = keras.ops.convert_to_numpy(model(feeds, training=False))
        (found,) = session.run(None, {"x": feeds})
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("seed", range(4))
def test_gelu_is_exported_with_a_note_about_infinities(tmp_path: Path, seed: int) -> None:
    """PyTorch's gelu is NaN at both infinities, and ONNX Runtime's at one of them.

    Which infinity reaches it depends on the signs of the weights before it.
    """
    keras.utils.set_random_seed(seed)
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3, activation="gelu")])
    pack = onnxpack.export(model, to=tmp_path / "pack")
    assert pack.manifest is not None
    # With AVX-512 it is NaN at both ends; with AVX2 it answers as ONNX Runtime does.
    differs = bool(torch.nn.functional.gelu(torch.full((64,), torch.inf)).isnan().any())
    said = any("the model returns NaN, but the pack" in note for note in pack.manifest.notes)
    assert said is differs
    assert onnxpack.Model(pack).prove().ok


def test_a_loop_that_may_not_end_is_asked_nothing_far_away(tmp_path: Path) -> None:
    """At infinity this one never ends: the export hung."""

    class Halves(layers.Layer):
        def call(self, x: Any) -> Any:
            (found,) = keras.ops.while_loop(
                lambda y: keras.ops.max(keras.ops.abs(y)) > 1.0, lambda y: (y * 0.5,), (x,)
            )
            return found

        def compute_output_spec(self, x: Any) -> Any:
            return keras.KerasTensor(x.shape, x.dtype)

    inputs = keras.Input((5,))
    model = keras.Model(inputs, Halves()(inputs))
    with pytest.raises(ExportError, match="depends on a tensor's values"):
        onnxpack.export(model, to=tmp_path / "pack")
