"""JAX: jitted functions, Flax (nnx and linen) and Equinox, with weights by chance."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from case import Case, Given
from jax_functions import FUNCTIONS
from jax_given import given, ids, rows, weights
from numpy.typing import NDArray


def cases() -> Iterator[Case]:
    """Each of the functions below that is named after what it makes."""
    for name, make in (MAKERS | FUNCTIONS).items():
        yield Case(name, make)


def _nnx_mlp() -> Given:
    from flax import nnx

    class Net(nnx.Module):
        def __init__(self, rngs: nnx.Rngs) -> None:
            self.first = nnx.Linear(8, 16, rngs=rngs)
            self.drop = nnx.Dropout(0.5, rngs=rngs)
            self.last = nnx.Linear(16, 3, rngs=rngs)

        def __call__(self, x: Any) -> Any:
            return nnx.log_softmax(self.last(self.drop(nnx.gelu(self.first(x)))))

    net = Net(nnx.Rngs(0))
    still = nnx.view(net, deterministic=True) if hasattr(nnx, "view") else net
    return given(net, rows(8), call=still)


def _nnx_cnn() -> Given:
    from flax import nnx

    class Net(nnx.Module):
        def __init__(self, rngs: nnx.Rngs) -> None:
            self.conv = nnx.Conv(1, 8, (3, 3), rngs=rngs)
            self.norm = nnx.BatchNorm(8, rngs=rngs)
            self.last = nnx.Linear(8 * 49, 10, rngs=rngs)

        def __call__(self, x: Any) -> Any:
            x = nnx.relu(self.norm(self.conv(x)))
            x = nnx.avg_pool(x, (2, 2), strides=(2, 2))
            return self.last(x.reshape(x.shape[0], -1))

    net = Net(nnx.Rngs(0))
    net.norm.mean[...] = np.linspace(-1, 1, 8, dtype=np.float32)
    net.norm.var[...] = np.linspace(0.5, 2, 8, dtype=np.float32)
    still = nnx.view(net, use_running_average=True) if hasattr(nnx, "view") else net
    return given(net, rows(14, 14, 1), call=still)


def _nnx_attention() -> Given:
    from flax import nnx

    class Net(nnx.Module):
        def __init__(self, rngs: nnx.Rngs) -> None:
            self.words = nnx.Embed(20, 16, rngs=rngs)
            self.attention = nnx.MultiHeadAttention(4, 16, decode=False, rngs=rngs)
            self.norm = nnx.LayerNorm(16, rngs=rngs)

        def __call__(self, ids: Any) -> Any:
            x = self.words(ids)
            return self.norm(x + self.attention(x)).mean(1)

    net = Net(nnx.Rngs(0))
    return given(net, ids(12), dynamic={"ids": {1: "tokens"}})


def _nnx_rnn(cell: str) -> Given:
    from flax import nnx

    rngs = nnx.Rngs(0)
    net = nnx.RNN(getattr(nnx, cell)(6, 5, rngs=rngs), rngs=rngs)
    return given(net, rows(7, 6))


def _nnx_layers(make: Callable[[Any, Any], Any], *shape: int) -> Given:
    from flax import nnx

    return given(make(nnx, nnx.Rngs(0)), rows(*shape))


def _linen_mlp() -> Given:
    import jax
    from flax import linen as nn

    class Net(nn.Module):
        @nn.compact
        def __call__(self, x: Any, train: bool = False) -> Any:
            x = nn.relu(nn.Dense(16)(x))
            x = nn.BatchNorm(use_running_average=not train)(x)
            x = nn.Dropout(0.3, deterministic=not train)(x)
            return {"scores": nn.Dense(3)(x), "hidden": x}

    net = Net()
    variables = net.init(jax.random.key(0), np.zeros((1, 8), np.float32))
    return given((net, variables), rows(8), call=lambda x: net.apply(variables, x))


def _linen_partial() -> Given:
    import jax
    from flax import linen as nn

    net = nn.Sequential([nn.Dense(8), nn.tanh, nn.LayerNorm(), nn.Dense(2)])
    variables = net.init(jax.random.key(0), np.zeros((1, 8), np.float32))
    return given(functools.partial(net.apply, variables), rows(8))


def _linen_cnn() -> Given:
    import jax
    from flax import linen as nn

    class Net(nn.Module):
        @nn.compact
        def __call__(self, x: Any) -> Any:
            x = nn.relu(nn.Conv(8, (3, 3), strides=2)(x))
            x = nn.max_pool(nn.GroupNorm(4)(x), (2, 2), strides=(2, 2))
            x = nn.ConvTranspose(4, (2, 2), strides=(2, 2))(x)
            return nn.Dense(5)(x.mean((1, 2)))

    net = Net()
    variables = net.init(jax.random.key(0), np.zeros((1, 16, 16, 3), np.float32))
    return given((net, variables), rows(16, 16, 3), call=lambda x: net.apply(variables, x))


def _linen_attention() -> Given:
    import jax
    from flax import linen as nn

    net = nn.MultiHeadDotProductAttention(num_heads=2)
    x = np.zeros((1, 5, 8), np.float32)
    variables = net.init(jax.random.key(0), x, x)

    def draw(random: np.random.Generator, size: int) -> tuple[NDArray[Any], ...]:
        shapes = ((size, 5, 8), (size, 5, 8))
        return tuple(random.standard_normal(shape).astype(np.float32) for shape in shapes)

    return given((net, variables), draw, call=lambda q, k: net.apply(variables, q, k))


def _equinox_mlp() -> Given:
    import equinox as eqx
    import jax

    net = eqx.nn.MLP(8, 3, 16, 2, key=jax.random.key(0))
    return given(jax.jit(jax.vmap(net)), rows(8))


def _equinox_module() -> Given:
    import equinox as eqx
    import jax

    class Net(eqx.Module):
        first: Any
        drop: Any
        last: Any

        def __init__(self, key: Any) -> None:
            one, two = jax.random.split(key)
            self.first = eqx.nn.Linear(8, 16, key=one)
            self.drop = eqx.nn.Dropout(0.5)
            self.last = eqx.nn.Linear(16, 3, key=two)

        def __call__(self, x: Any, key: Any = None) -> Any:
            def row(one: Any) -> Any:
                return self.last(self.drop(jax.nn.relu(self.first(one)), key=key))

            return jax.vmap(row)(x)

    net = Net(jax.random.key(0))
    return given(net, rows(8), call=eqx.nn.inference_mode(net))


def _equinox_conv() -> Given:
    import equinox as eqx
    import jax

    keys = jax.random.split(jax.random.key(0), 2)
    net = eqx.nn.Sequential(
        [
            eqx.nn.Conv2d(3, 8, 3, padding=1, key=keys[0]),
            eqx.nn.Lambda(jax.nn.relu),
            eqx.nn.AdaptiveAvgPool2d(1),
            eqx.nn.Lambda(lambda x: x.reshape(-1)),
            eqx.nn.Linear(8, 4, key=keys[1]),
        ]
    )
    return given(jax.jit(jax.vmap(net)), rows(3, 12, 12))


def _equinox_gru() -> Given:
    import equinox as eqx
    import jax
    import jax.numpy as jnp

    cell = eqx.nn.GRUCell(4, 6, key=jax.random.key(0))

    def last(xs: Any) -> Any:
        state, _ = jax.lax.scan(lambda h, x: (cell(x, h), None), jnp.zeros(6), xs)
        return state

    return given(jax.jit(jax.vmap(last)), rows(7, 4))


def _partial_params() -> Given:
    import jax
    import jax.numpy as jnp

    @jax.jit
    def predict(params: Any, x: Any) -> Any:
        return jnp.tanh(x @ params["w"] + params["b"])

    params = {"w": weights(8, 3), "b": jnp.arange(3.0)}
    return given(functools.partial(predict, params), rows(8))


def _half() -> Given:
    import jax
    import jax.numpy as jnp

    w = weights(8, 4).astype(jnp.bfloat16)
    return given(jax.jit(lambda x: (x.astype(jnp.bfloat16) @ w).astype(jnp.float32)), rows(8))


def _float16() -> Given:
    import jax
    import jax.numpy as jnp

    w = weights(8, 4).astype(jnp.float16)
    return given(jax.jit(lambda x: (x.astype(jnp.float16) @ w).astype(jnp.float32)), rows(8))


MAKERS: dict[str, Callable[[], Given]] = {
    "nnx MLP with dropout": _nnx_mlp,
    "nnx CNN with BatchNorm": _nnx_cnn,
    "nnx attention over tokens": _nnx_attention,
    "nnx LSTM": functools.partial(_nnx_rnn, "OptimizedLSTMCell"),
    "nnx GRU": functools.partial(_nnx_rnn, "GRUCell"),
    "nnx GroupNorm": lambda: _nnx_layers(lambda nnx, r: nnx.GroupNorm(8, 4, rngs=r), 6, 8),
    "nnx RMSNorm": lambda: _nnx_layers(lambda nnx, r: nnx.RMSNorm(8, rngs=r), 8),
    "nnx Einsum": lambda: _nnx_layers(
        lambda nnx, r: nnx.Einsum("bi,ij->bj", (8, 4), (4,), rngs=r), 8
    ),
    "nnx ConvTranspose": lambda: _nnx_layers(
        lambda nnx, r: nnx.ConvTranspose(3, 4, (3, 3), strides=2, rngs=r), 8, 8, 3
    ),
    "linen MLP, BatchNorm, two outputs": _linen_mlp,
    "linen partial of apply": _linen_partial,
    "linen CNN": _linen_cnn,
    "linen attention, two inputs": _linen_attention,
    "equinox MLP under vmap": _equinox_mlp,
    "equinox module with dropout": _equinox_module,
    "equinox convolutions": _equinox_conv,
    "equinox GRU by scan": _equinox_gru,
    "partial of a jitted function": _partial_params,
    "bfloat16 inside": _half,
    "float16 inside": _float16,
}
