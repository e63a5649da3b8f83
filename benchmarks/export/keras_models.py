"""Keras 3: layers of every kind, functional and subclassed models, small applications."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
from case import Case, Given
from keras_layers import LAYERS, custom_dense, learned
from numpy.typing import NDArray

ROWS = (1, 4, 7)
APPLICATIONS: dict[str, dict[str, Any]] = {
    "MobileNetV2": {"alpha": 0.35},
    "MobileNetV3Small": {"minimalistic": True},
    "DenseNet121": {},
    "EfficientNetB0": {},
    "ResNet50V2": {},
    "ConvNeXtTiny": {},
    "Xception": {},
}
SIDES = {"Xception": 71}


def cases() -> Iterator[Case]:
    """Every layer in a model of its own, then whole models, then what is to be refused."""
    for name, (shape, make) in LAYERS.items():
        yield Case(name, partial(_layers, shape, make))
    for name, build in WHOLE.items():
        yield Case(name, build)
    for name, options in APPLICATIONS.items():
        yield Case(f"applications.{name}", partial(_application, name, options))


def given(
    model: Any, sample: Any, checks: Sequence[Any], call: Callable[[Any], Any] | None = None
) -> Given:
    """A model with its own answers to the checks: arrays, or dicts of them."""
    import keras

    def answer(feeds: Any) -> list[NDArray[Any]]:
        found = model(feeds, training=False) if call is None else call(feeds)
        return [np.array(keras.ops.convert_to_numpy(leaf)) for leaf in keras.tree.flatten(found)]

    asked = [(feeds if isinstance(feeds, dict) else (feeds,), answer(feeds)) for feeds in checks]
    return Given(model, sample, asked)


def noise(*shape: int, seed: int = 0, factor: float = 1.0) -> NDArray[Any]:
    """Random values of this shape."""
    return (factor * np.random.default_rng(seed).standard_normal(shape)).astype(np.float32)


def _drawn(*shape: int | None) -> list[NDArray[Any]]:
    """Batches of several sizes; a free axis has another length in each."""
    found = []
    for seed, rows in enumerate(ROWS):
        sizes = [9 + 4 * seed if size is None else size for size in shape]
        found += [noise(rows, *sizes, seed=seed, factor=factor) for factor in (1.0, -6.0, 0.0)]
    return found


def _layers(shape: tuple[int | None, ...], make: Callable[[], Sequence[Any]]) -> Given:
    import keras

    keras.utils.set_random_seed(0)
    model = learned(keras.Sequential([keras.Input(shape), *make()]))
    return given(model, None, _drawn(*shape))


def _application(name: str, options: dict[str, Any]) -> Given:
    import keras

    keras.utils.set_random_seed(0)
    side = SIDES.get(name, 64)
    model = getattr(keras.applications, name)(
        weights=None, input_shape=(side, side, 3), classes=10, **options
    )
    checks = [noise(1, side, side, 3, seed=1), noise(3, side, side, 3, seed=2, factor=0.2)]
    return given(learned(model), noise(2, side, side, 3), checks)


def _functional() -> Given:
    import keras

    keras.utils.set_random_seed(0)
    layers = keras.layers
    picture = keras.Input((16, 16, 3), name="picture")
    facts = keras.Input((5,), name="facts")
    x = layers.Conv2D(4, 3, activation="relu")(picture)
    x = layers.Concatenate()([layers.GlobalAveragePooling2D()(x), layers.Dense(4)(facts)])
    outputs = {"kind": layers.Dense(3, activation="softmax")(x), "price": layers.Dense(1)(x)}
    model = learned(keras.Model([picture, facts], outputs))
    checks = [{"picture": noise(n, 16, 16, 3, seed=n), "facts": noise(n, 5, seed=n)} for n in ROWS]
    sample = {"picture": noise(2, 16, 16, 3), "facts": noise(2, 5)}
    return given(model, sample, checks, lambda f: model([f["picture"], f["facts"]], training=False))


def _tokens() -> Given:
    import keras

    keras.utils.set_random_seed(0)
    layers = keras.layers
    ids = keras.Input((None,), dtype="int32", name="ids")
    x = layers.Embedding(20, 8, mask_zero=True)(ids)
    x = layers.MultiHeadAttention(2, 4)(x, x)
    model = learned(keras.Model(ids, layers.Dense(2)(layers.GlobalAveragePooling1D()(x))))
    random = np.random.default_rng(0)
    checks = [random.integers(0, 20, (n, 5 + 3 * n)).astype(np.int32) for n in ROWS]
    checks.append(np.array([[3, 4, 0, 0], [1, 2, 3, 4], [7, 0, 0, 0]], np.int32))
    return given(model, random.integers(0, 20, (2, 11)).astype(np.int32), checks)


def _subclassed() -> Given:
    import keras

    class Net(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.first = keras.layers.Dense(8, activation="gelu")
            self.drop = keras.layers.Dropout(0.5)
            self.last = keras.layers.Dense(3)

        def call(self, x: Any, training: bool = False) -> Any:
            return self.last(self.drop(self.first(x), training=training))

    keras.utils.set_random_seed(0)
    model = Net()
    model(noise(2, 6))
    return given(learned(model), noise(2, 6), _drawn(6))


def _subclassed_dict() -> Given:
    import keras

    class Net(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.left, self.right = keras.layers.Dense(4), keras.layers.Dense(4)

        def call(self, inputs: Any) -> Any:
            both = self.left(inputs["a"]) + self.right(inputs["b"])
            return {"sum": both, "most": keras.ops.max(both, axis=-1)}

    keras.utils.set_random_seed(0)
    model = Net()
    sample = {"a": noise(2, 3), "b": noise(2, 5)}
    model(sample)
    checks = [{"a": noise(n, 3, seed=n), "b": noise(n, 5, seed=n)} for n in ROWS]
    return given(learned(model), sample, checks)


def _branching() -> Given:
    import keras

    class Net(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.last = keras.layers.Dense(3)

        def call(self, x: Any) -> Any:
            return self.last(x) if keras.ops.sum(x) > 0 else self.last(-x) * 2

    keras.utils.set_random_seed(0)
    model = Net()
    model(noise(2, 6))
    return given(model, noise(2, 6), _drawn(6))


def _always_dropping() -> Given:
    import keras

    inputs = keras.Input((6,))
    model = keras.Model(inputs, keras.layers.Dropout(0.5)(inputs, training=True))
    return given(model, noise(2, 6), _drawn(6))


def _stateful() -> Given:
    import keras

    inputs = keras.Input(batch_shape=(2, 5, 3))
    model = keras.Model(inputs, keras.layers.LSTM(4, stateful=True)(inputs))
    return given(model, noise(2, 5, 3), [])


def _shared() -> Given:
    import keras

    keras.utils.set_random_seed(0)
    layers = keras.layers
    left, right = keras.Input((6,), name="left"), keras.Input((6,), name="right")
    tower = layers.Dense(4, activation="tanh")
    both = [tower(left), tower(right)]
    model = learned(keras.Model([left, right], [layers.Dot(1)(both), layers.Subtract()(both)]))
    checks = [{"left": noise(n, 6, seed=n), "right": noise(n, 6, seed=9 + n)} for n in ROWS]
    sample = (noise(2, 6), noise(2, 6, seed=1))
    return given(model, sample, checks, lambda f: model([f["left"], f["right"]], training=False))


def _any_size() -> Given:
    import keras

    keras.utils.set_random_seed(0)
    layers = keras.layers
    inputs = keras.Input((None, None, 3), name="picture")
    x = layers.Conv2D(4, 3, padding="same", activation="relu")(inputs)
    x = layers.UpSampling2D(2)(layers.MaxPooling2D(2, padding="same")(x))
    model = learned(keras.Model(inputs, layers.Conv2D(1, 1, activation="sigmoid")(x)))
    checks = [noise(n, 20 + n, 30 + 3 * n, 3, seed=n) for n in ROWS]
    return given(model, None, checks)


def _transformer() -> Given:
    import keras

    keras.utils.set_random_seed(0)
    layers = keras.layers
    inputs = keras.Input((10, 8))
    x = layers.LayerNormalization()(inputs)
    x = inputs + layers.MultiHeadAttention(2, 4)(x, x, use_causal_mask=True)
    x = x + layers.Dense(8)(layers.Dense(16, activation="gelu")(layers.LayerNormalization()(x)))
    return given(learned(keras.Model(inputs, x)), None, _drawn(10, 8))


def _integers() -> Given:
    import keras

    keras.utils.set_random_seed(0)
    inputs = keras.Input((12, 12, 3))
    x = keras.layers.Rescaling(1 / 127.5, offset=-1)(inputs)
    x = keras.layers.Flatten()(keras.layers.Conv2D(4, 3)(x))
    model = learned(keras.Model(inputs, keras.layers.Dense(3)(x)))
    random = np.random.default_rng(0)
    checks = [random.integers(0, 256, (n, 12, 12, 3)).astype(np.uint8) for n in ROWS]
    return given(model, random.integers(0, 256, (2, 12, 12, 3)).astype(np.uint8), checks)


def _policy(name: str) -> Given:
    import keras

    keras.utils.set_random_seed(0)
    policy = keras.DTypePolicy(name)
    inputs = keras.Input((6,))
    x = keras.layers.Dense(8, activation="relu", dtype=policy)(inputs)
    model = keras.Model(inputs, keras.layers.Dense(3, dtype="float32")(x))
    return given(model, noise(2, 6), _drawn(6))


WHOLE: dict[str, Callable[[], Given]] = {
    "functional, named inputs and outputs": _functional,
    "tokens with a mask, any length": _tokens,
    "subclassed": _subclassed,
    "subclassed, a dict in and out": _subclassed_dict,
    "shared tower, two inputs, a list out": _shared,
    "convolutions over any size": _any_size,
    "transformer block": _transformer,
    "pictures of bytes": _integers,
    "custom layer": custom_dense,
    "mixed_float16": partial(_policy, "mixed_float16"),
    "mixed_bfloat16": partial(_policy, "mixed_bfloat16"),
    "if on values": _branching,
    "dropout that never rests": _always_dropping,
    "stateful LSTM": _stateful,
}
