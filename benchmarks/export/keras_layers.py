"""Layers of Keras, each in a sequential model that shows it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from case import Given

Made = Callable[[], Sequence[Any]]


def learned(model: Any) -> Any:
    """The model as if trained: no weight or statistic is at its start, zero or one."""
    random = np.random.default_rng(7)
    for weight in model.weights:
        value = np.array(weight)
        if value.dtype.kind == "f" and value.size and np.ptp(value) == 0:
            moved = value + 0.2 * random.random(value.shape)
            weight.assign(moved.astype(value.dtype))
    return model


def custom_dense() -> Given:
    """A model with a layer of the user's own."""
    import keras
    from keras_models import given, noise

    class Scaled(keras.layers.Layer):
        def build(self, shape: Any) -> None:
            self.factor = self.add_weight(shape=(shape[-1],), initializer="ones", name="factor")

        def call(self, x: Any) -> Any:
            return keras.ops.softmax(x * self.factor) + keras.ops.mean(x, axis=-1, keepdims=True)

    keras.utils.set_random_seed(0)
    model = learned(keras.Sequential([keras.Input((6,)), Scaled(), keras.layers.Dense(3)]))
    return given(model, None, [noise(n, 6, seed=n) for n in (1, 4, 7)])


def _one(name: str, *args: Any, **options: Any) -> Made:
    def make() -> Sequence[Any]:
        import keras

        return [getattr(keras.layers, name)(*args, **options)]

    return make


def _adapted() -> Sequence[Any]:
    import keras

    layer = keras.layers.Normalization()
    layer.adapt(np.random.default_rng(0).normal(3, 2, (50, 6)).astype(np.float32))
    return [layer]


def _cnn() -> Sequence[Any]:
    from keras import layers

    return [
        layers.Conv2D(8, 3, padding="same", use_bias=False),
        layers.BatchNormalization(),
        layers.ReLU(max_value=6.0),
        layers.DepthwiseConv2D(3, strides=2, padding="same"),
        layers.MaxPooling2D(2),
        layers.Dropout(0.3),
        layers.Flatten(),
        layers.Dense(10, activation="softmax"),
    ]


def _bidirectional() -> Sequence[Any]:
    from keras import layers

    return [layers.Bidirectional(layers.LSTM(4, return_sequences=True)), layers.GRU(3)]


def _time_distributed() -> Sequence[Any]:
    from keras import layers

    return [layers.TimeDistributed(layers.Dense(4, activation="tanh")), layers.GlobalMaxPooling1D()]


def _activations() -> Sequence[Any]:
    from keras import layers

    names = ("elu", "selu", "gelu", "silu", "mish", "softsign", "hard_sigmoid", "log_softmax")
    return [layers.Activation(name) for name in names]


def _spectral() -> Sequence[Any]:
    from keras import layers

    return [layers.SpectralNormalization(layers.Dense(4))]


LAYERS: dict[str, tuple[tuple[int | None, ...], Made]] = {
    "Dense": ((6,), _one("Dense", 4, activation="relu")),
    "Normalization": ((6,), _adapted),
    "activations in a row": ((6,), _activations),
    "PReLU": ((6,), _one("PReLU")),
    "LeakyReLU": ((6,), _one("LeakyReLU")),
    "LayerNormalization": ((6,), _one("LayerNormalization")),
    "UnitNormalization": ((6,), _one("UnitNormalization")),
    "GroupNormalization": ((8, 8, 8), _one("GroupNormalization", 4)),
    "RMSNormalization": ((6,), _one("RMSNormalization")),
    "SpectralNormalization": ((6,), _spectral),
    "CNN with BatchNormalization": ((16, 16, 3), _cnn),
    "Conv1D, causal": ((12, 4), _one("Conv1D", 5, 3, padding="causal", dilation_rate=2)),
    "Conv2D, dilated": ((12, 12, 3), _one("Conv2D", 4, 3, dilation_rate=2)),
    "Conv2D, strides, same": ((13, 11, 3), _one("Conv2D", 4, 3, strides=2, padding="same")),
    "Conv2D, groups": ((8, 8, 4), _one("Conv2D", 4, 3, groups=2)),
    "Conv3D": ((6, 6, 6, 2), _one("Conv3D", 3, 3)),
    "Conv2DTranspose, same": ((7, 7, 3), _one("Conv2DTranspose", 4, 3, strides=2, padding="same")),
    "Conv1DTranspose": ((7, 3), _one("Conv1DTranspose", 4, 3, strides=2)),
    "SeparableConv2D": ((8, 8, 3), _one("SeparableConv2D", 4, 3)),
    "AveragePooling2D, same": ((7, 7, 3), _one("AveragePooling2D", 2, padding="same")),
    "MaxPooling1D": ((9, 3), _one("MaxPooling1D", 2)),
    "UpSampling2D, bilinear": ((5, 5, 3), _one("UpSampling2D", 2, interpolation="bilinear")),
    "Resizing": ((9, 9, 3), _one("Resizing", 6, 7)),
    "CenterCrop": ((9, 9, 3), _one("CenterCrop", 6, 5)),
    "RandomFlip at rest": ((9, 9, 3), _one("RandomFlip")),
    "ZeroPadding2D, Cropping2D": (
        (5, 5, 3),
        lambda: [*_one("ZeroPadding2D", 2)(), *_one("Cropping2D", 1)()],
    ),
    "Permute, Reshape": ((4, 6), lambda: [*_one("Permute", (2, 1))(), *_one("Reshape", (3, 8))()]),
    "RepeatVector": ((4,), _one("RepeatVector", 3)),
    "EinsumDense": ((5, 4), _one("EinsumDense", "abc,cd->abd", output_shape=(None, 3))),
    "LSTM": ((7, 4), _one("LSTM", 5)),
    "LSTM over any length": ((None, 4), _one("LSTM", 5)),
    "GRU, reset before": ((7, 4), _one("GRU", 5, reset_after=False, return_sequences=True)),
    "SimpleRNN, backwards": ((7, 4), _one("SimpleRNN", 5, go_backwards=True)),
    "Bidirectional": ((7, 4), _bidirectional),
    "Bidirectional over any length": ((None, 4), _bidirectional),
    "TimeDistributed": ((None, 4), _time_distributed),
    "ConvLSTM1D": ((4, 8, 2), _one("ConvLSTM1D", 3, 3)),
    "Masking before LSTM": ((7, 4), lambda: [*_one("Masking")(), *_one("LSTM", 5)()]),
    "GaussianNoise at rest": ((6,), _one("GaussianNoise", 0.5)),
    "Discretization": ((6,), _one("Discretization", bin_boundaries=[-1.0, 0.0, 1.0])),
}
