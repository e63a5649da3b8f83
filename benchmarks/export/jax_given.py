"""A model of JAX with its own answers, to be held against a pack."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from case import Given
from numpy.typing import NDArray

ROWS = (1, 4, 9)


def given(
    model: Any,
    draw: Callable[[np.random.Generator, int], tuple[NDArray[Any], ...]],
    *,
    call: Callable[..., Any] | None = None,
    sizes: Sequence[int] = ROWS,
    **options: Any,
) -> Given:
    """A model with a sample of two rows, and its own answers at other sizes."""
    ask = call or model
    checks = []
    for size in sizes:
        for factor in (1.0, -4.0, 0.0):
            inputs = draw(np.random.default_rng(size), size)
            inputs = tuple(a * a.dtype.type(factor) if a.dtype.kind == "f" else a for a in inputs)
            checks.append((inputs, leaves(ask(*inputs))))
    return Given(model, draw(np.random.default_rng(99), 2), checks, options)


def leaves(answer: Any) -> list[NDArray[Any]]:
    import jax

    return [np.asarray(leaf) for leaf in jax.tree.leaves(answer)]


def rows(*shape: int) -> Callable[[np.random.Generator, int], tuple[NDArray[Any], ...]]:
    return lambda random, size: (random.standard_normal((size, *shape)).astype(np.float32),)


def ids(length: int, below: int = 20) -> Callable[[np.random.Generator, int], tuple[Any, ...]]:
    return lambda random, size: (random.integers(0, below, (size, length)).astype(np.int32),)


def weights(*shape: int, seed: int = 0) -> Any:
    import jax

    return jax.random.normal(jax.random.key(seed), shape) / np.sqrt(shape[0])
