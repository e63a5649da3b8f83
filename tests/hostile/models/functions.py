"""JAX and Keras: NaN, branches on values that tracing cannot see, and names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from tests.hostile.given import Collection, Given

collection = Collection()
jax_kind, keras_kind = "jax", "keras"

Array = np.ndarray


def noise(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(size=shape).astype("f4")


def holed(*shape: int, seed: int = 0) -> Array:
    array = noise(*shape, seed=seed)
    array[::2, 2] = np.nan
    return array


def of_jax(function: Any, *probes: Array, name: str = "a") -> Given:
    """A function of one array."""

    def answer(feeds: Mapping[str, Any]) -> Any:
        found = function(feeds[name])
        return [np.asarray(leaf) for leaf in (found if isinstance(found, tuple) else (found,))]

    return Given(function, noise(4, 6), [{name: probe} for probe in probes], answer)


@collection.case(jax_kind)
def maximum() -> Given:
    import jax
    import jax.numpy as jnp

    return of_jax(jax.jit(lambda a: jnp.max(a, 1)), holed(4, 6))


@collection.case(jax_kind)
def place_of_the_smallest() -> Given:
    import jax
    import jax.numpy as jnp

    return of_jax(jax.jit(lambda a: jnp.argmin(a, 1)), holed(4, 6), holed(3, 6, seed=2))


@collection.case(jax_kind)
def clipped() -> Given:
    import jax
    import jax.numpy as jnp

    return of_jax(jax.jit(lambda a: jnp.clip(jnp.tanh(a), -0.5, 0.5)), holed(4, 6))


@collection.case(jax_kind)
def sorted_rows() -> Given:
    import jax
    import jax.numpy as jnp

    return of_jax(jax.jit(lambda a: jnp.sort(a, 1)), holed(4, 6))


@collection.case(jax_kind)
def relu_and_pool() -> Given:
    import jax
    import jax.numpy as jnp

    def model(a: Any) -> Any:
        pooled = jax.lax.reduce_window(a, -jnp.inf, jax.lax.max, (1, 2), (1, 2), "VALID")
        return jax.nn.relu(pooled)

    return of_jax(jax.jit(model), holed(4, 6))


@collection.case(jax_kind)
def where_the_host_decides() -> Given:
    """A branch on a value, in a function that is not jitted."""
    import jax.numpy as jnp

    def model(a: Any) -> Any:
        return a * 0.1 if float(jnp.abs(a).max()) > 50 else a

    return of_jax(model, noise(4, 6, seed=1), noise(4, 6, seed=2) * 100)


@collection.case(jax_kind)
def floor_of_negatives() -> Given:
    import jax
    import jax.numpy as jnp

    def model(a: Any) -> Any:
        days = (a * 20).astype(jnp.int32)
        return days // 7, days % 7

    return of_jax(jax.jit(model), noise(5, 6, seed=3) * 3)


@collection.case(jax_kind)
def called_back() -> Given:
    """pure_callback leaves JAX for numpy."""
    import jax

    def model(a: Any) -> Any:
        shape = jax.ShapeDtypeStruct(a.shape, a.dtype)
        return jax.pure_callback(lambda x: np.sort(np.asarray(x), 1), shape, a) * 2

    return of_jax(jax.jit(model), noise(4, 6, seed=1))


def of_keras(model: Any, *probes: Array | dict[str, Array]) -> Given:
    import keras

    names = [each.name for each in model.inputs]

    def answer(feeds: Mapping[str, Any]) -> Any:
        given = [feeds[name] for name in names]
        found = model(given if len(given) > 1 else given[0], training=False)
        return [keras.ops.convert_to_numpy(leaf) for leaf in keras.tree.flatten(found)]

    named = [probe if isinstance(probe, dict) else {names[0]: probe} for probe in probes]
    sample = named[0] if len(names) > 1 else noise(4, 6)
    return Given(model, sample, named, answer)


@collection.case(keras_kind)
def maximum_of_features() -> Given:
    import keras

    given = keras.Input((6,), name="x")
    return of_keras(keras.Model(given, keras.ops.max(given, axis=1)), holed(4, 6))


@collection.case(keras_kind)
def pooled_with_gaps() -> Given:
    import keras
    from keras import layers

    keras.utils.set_random_seed(0)
    given = keras.Input((6,), name="x")
    wide = layers.Reshape((3, 2))(layers.Dense(6)(given))
    return of_keras(keras.Model(given, layers.GlobalMaxPooling1D()(wide)), holed(4, 6))


@collection.case(keras_kind, proven=True)
def input_named_cat() -> Given:
    import keras
    from keras import layers

    keras.utils.set_random_seed(0)
    num, cat = keras.Input((4,), name="num"), keras.Input((3,), name="cat")
    model = keras.Model([num, cat], layers.Dense(1)(layers.Concatenate()([num, cat])))
    return of_keras(
        model, *({"num": noise(n, 4, seed=n), "cat": noise(n, 3, seed=n)} for n in (2, 5))
    )


@collection.case(keras_kind)
def a_layer_of_ones_own() -> Given:
    """Its call decides from values."""
    import keras

    class Guard(keras.layers.Layer):
        def call(self, inputs: Any) -> Any:
            if keras.ops.max(keras.ops.abs(inputs)) > 50:
                return inputs * 0
            return inputs

    given = keras.Input((6,), name="x")
    guard = Guard()
    guard.compute_output_spec = lambda inputs, **_: keras.KerasTensor(inputs.shape)
    model = keras.Model(given, guard(given))
    return of_keras(model, noise(4, 6, seed=1), noise(4, 6, seed=2) * 100)


@collection.case(keras_kind)
def a_model_of_ones_own() -> Given:
    """A subclass of Model whose call is not its layers'."""
    import keras

    class Halved(keras.Sequential):
        def call(self, inputs: Any, *arguments: Any, **options: Any) -> Any:
            answer = super().call(inputs, *arguments, **options)
            return answer * 0.5 if inputs.shape[0] == 9 else answer

    keras.utils.set_random_seed(0)
    model = Halved([keras.Input((6,), name="x"), keras.layers.Dense(3)])
    return of_keras(model, noise(4, 6, seed=1), noise(9, 6, seed=2))
