"""NaN and infinities in Keras: graphs answer as Keras does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnxruntime
import pytest
from keras import layers

import onnxpack


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
