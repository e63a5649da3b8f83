"""A Flax network for irises, trained on the real ones."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from sklearn.datasets import load_iris


class Net(nnx.Module):
    """Two layers with dropout between them."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.first = nnx.Linear(4, 32, rngs=rngs)
        self.drop = nnx.Dropout(0.1, rngs=rngs)
        self.last = nnx.Linear(32, 3, rngs=rngs)

    def __call__(self, flowers: jax.Array) -> jax.Array:
        """Flowers in centimetres, ``float32[batch, 4]``, to scores."""
        hidden = nnx.relu(self.first(flowers - jnp.array([5.8, 3.1, 3.8, 1.2])))
        return self.last(self.drop(hidden))


@nnx.jit
def step(net: Net, optimizer: nnx.Optimizer, flowers: jax.Array, kinds: jax.Array) -> None:
    """One step of training."""

    def loss(net: Net) -> jax.Array:
        return optax.softmax_cross_entropy_with_integer_labels(net(flowers), kinds).mean()

    optimizer.update(net, nnx.grad(loss)(net))


def make_model() -> Net:
    """The network, trained."""
    flowers, kinds = load_iris(return_X_y=True)
    net = Net(nnx.Rngs(0))
    optimizer = nnx.Optimizer(net, optax.adam(1e-2), wrt=nnx.Param)
    for _ in range(200):
        step(net, optimizer, jnp.asarray(flowers, jnp.float32), jnp.asarray(kinds))
    return net
