"""Functions of jnp and lax, jitted: control flow, indices, sizes, and what is to be refused."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from case import Given
from jax_given import given, ids, rows, weights


def _function(body: Callable[..., Any], draw: Any = None, **options: Any) -> Given:
    import jax

    return given(jax.jit(body), draw or rows(8), **options)


def _scan(x: Any) -> Any:
    import jax
    import jax.numpy as jnp

    w = weights(8, 8)

    def step(state: Any, row: Any) -> tuple[Any, Any]:
        state = jnp.tanh(state @ w + row)
        return state, state.sum(-1)

    last, seen = jax.lax.scan(step, jnp.zeros((x.shape[0], 8)), x.swapaxes(0, 1))
    return {"last": last, "seen": seen.swapaxes(0, 1)}


def _cond(x: Any) -> Any:
    import jax

    return jax.lax.cond(x.sum() > 0, lambda a: a * 2, lambda a: a - 1, x)


def _while(x: Any) -> Any:
    import jax
    import jax.numpy as jnp

    return jax.lax.while_loop(lambda c: jnp.abs(c).sum() > 1, lambda c: c * 0.5, x)


def _fori(x: Any) -> Any:
    import jax

    return jax.lax.fori_loop(0, 5, lambda i, c: c * 0.9 + i, x)


def _switch(x: Any) -> Any:
    import jax
    import jax.numpy as jnp

    place = jnp.clip((x.mean() * 3).astype(jnp.int32) + 1, 0, 2)
    return jax.lax.switch(place, [lambda a: a, lambda a: -a, lambda a: a * a], x)


def _size_branch(x: Any) -> Any:
    return x * 2 if x.shape[0] > 3 else x


def _frozen(x: Any) -> Any:
    return x.reshape(2, -1)


def _random(x: Any) -> Any:
    import jax

    return x + jax.random.normal(jax.random.key(0), (8,))


def _topk(x: Any) -> Any:
    import jax

    values, places = jax.lax.top_k(x, 3)
    return {"values": values, "places": places}


def _topk_of_zeros(x: Any) -> Any:
    import jax.numpy as jnp

    return _topk(jnp.where(x == 0, 0, x))


def _vit_block(x: Any) -> Any:
    import jax
    import jax.numpy as jnp

    query, key, value = (x @ weights(8, 8, seed=seed) for seed in range(3))
    seen = jax.nn.softmax(jnp.einsum("btd,bsd->bts", query, key) / 8**0.5)
    return jnp.einsum("bts,bsd->btd", seen, value)


def _jnp(text: str) -> Callable[[Any], Any]:
    """A line of jnp as a function of ``x``."""

    def body(x: Any) -> Any:
        import jax
        import jax.numpy as jnp

        return eval(text, {"jax": jax, "jnp": jnp, "x": x, "w": weights(8, 4)})

    body.__name__ = "body"
    return body


FUNCTIONS: dict[str, Callable[[], Given]] = {
    name: functools.partial(_function, body, draw)
    for name, body, draw in (
        ("scan over time", _scan, rows(6, 8)),
        ("cond", _cond, None),
        ("while loop", _while, None),
        ("fori loop", _fori, None),
        ("switch", _switch, None),
        ("if on the batch", _size_branch, None),
        ("a frozen batch", _frozen, None),
        ("random numbers by a fixed key", _random, None),
        ("top_k", _topk, None),
        ("top_k without negative zeros", _topk_of_zeros, None),
        ("attention by einsum", _vit_block, rows(6, 8)),
        ("argmax, sort, cumsum", _jnp("(x.argmax(1), jnp.sort(x, 1), jnp.cumsum(x, 1))"), None),
        ("round and floor", _jnp("(jnp.round(x), jnp.floor(x), jnp.sign(x))"), None),
        ("clip, where, abs", _jnp("jnp.where(x >= 0, jnp.clip(x, -1, 1), jnp.abs(x))"), None),
        ("logsumexp", _jnp("jax.nn.logsumexp(x, axis=1)"), None),
        ("gather along", _jnp("jnp.take_along_axis(x, jnp.argsort(x, 1), 1)"), None),
        ("one hot", _jnp("jax.nn.one_hot(x, 20) @ jnp.ones((20, 3))"), ids(5)),
        ("embedding by index", _jnp("jnp.arange(60.0).reshape(20, 3)[x]"), ids(5)),
        ("integer division", _jnp("(x // 3, x % 3)"), ids(5)),
        ("erf, gelu, softplus", _jnp("(jax.nn.gelu(x), jax.nn.softplus(x))"), None),
        ("mean and variance over the batch", _jnp("(x - x.mean(0)) / (x.std(0) + 1)"), None),
        ("size as a number", _jnp("x.sum(0) / x.shape[0]"), None),
        (
            "pad, roll, flip",
            _jnp("jnp.flip(jnp.roll(jnp.pad(x, ((0, 0), (1, 1))), 2, 1), 1)"),
            None,
        ),
        (
            "concatenate and stack",
            _jnp("jnp.concatenate([x, jnp.stack([x[:, 0], x[:, 1]], 1)], 1)"),
            None,
        ),
        ("segment sum", _jnp("x.T.at[jnp.array([0, 0, 1, 1, 2, 2, 3, 3])].add(1.0).T"), None),
        ("norm by vmap", _jnp("jax.vmap(lambda r: r / jnp.linalg.norm(r + 1e-3))(x)"), None),
        ("gradient of a loss", _jnp("jax.grad(lambda a: jnp.sum(jnp.tanh(a) ** 2))(x)"), None),
        (
            "cholesky solve",
            _jnp("x @ jnp.linalg.inv(w.T @ w + jnp.eye(4))[:, :2].repeat(2, 0)[:8]"),
            None,
        ),
    )
}
