"""The cases over which a graph is held against the framework.

The sample alone proves little: a graph that froze its batch, or that kept one of two branches,
answers right to it. So other sizes are tried on every dynamic axis, with fresh inputs of the
sample's kind, and the sample is negated and scaled to reach other branches.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from onnxpack.signature import Array

Axes = Mapping[str, Mapping[int, str]]
"""For each input, the name of each dynamic axis."""

BATCH = "batch"
BATCH_SIZES = (1, 2, 3, 5)
LARGEST = 1e100
"""Samples of larger values are drawn as if they were this large: their squares are finite."""
STRESS = {"negated": -1.0, "×30": 30.0, "×0.03": 0.03}


@dataclass(frozen=True, slots=True)
class Case:
    """Inputs to try, with the sizes of the dynamic dims.

    Attributes:
        required: the model itself must answer to it; else what it refuses is skipped.
        edge: whether it was chosen at an edge of this very model; a user may accept that a
            graph differs there, and nowhere else.
        stress: whether it is the sample negated or scaled, which may be far from all that the
            model was trained on.
    """

    name: str
    feeds: dict[str, Array]
    dims: dict[str, int]
    required: bool = False
    edge: bool = False
    stress: bool = False


def make_cases(sample: Mapping[str, Array], axes: Axes) -> Iterator[Case]:
    """Every case for this sample; the same sample gives the same cases."""
    own = sizes(sample, axes)
    yield Case("sample", dict(sample), own, required=True)
    for dims in _other_sizes(own):
        name = ", ".join(
            f"{dim}={size}" for dim, size in dims.items() if dim == BATCH or size != own[dim]
        )
        yield Case(name, fresh(sample, axes, dims, seed=zlib.crc32(name.encode())), dims)
    if not own:
        yield Case("fresh", fresh(sample, axes, own, seed=1), own)
    if any(array.dtype.kind in "fc" for array in sample.values()):
        for name, factor in STRESS.items():
            yield Case(name, scaled(sample, factor), own, stress=True)


def sizes(feeds: Mapping[str, Array], axes: Axes) -> dict[str, int]:
    """The size of each dynamic dim in these inputs."""
    return {
        dim: feeds[name].shape[axis] for name, named in axes.items() for axis, dim in named.items()
    }


def tile(feeds: Mapping[str, Array], axes: Axes, dims: Mapping[str, int]) -> dict[str, Array]:
    """The inputs with their dynamic dims at other sizes, by repeating or cutting what is there."""

    def resized(name: str, array: Array) -> Array:
        for axis, dim in axes.get(name, {}).items():
            array = array.take(np.arange(dims[dim]) % array.shape[axis], axis=axis)
        return array

    return {name: resized(name, array) for name, array in feeds.items()}


def fresh(
    sample: Mapping[str, Array], axes: Axes, dims: Mapping[str, int], *, seed: int
) -> dict[str, Array]:
    """Random inputs of the sample's kind with the dynamic dims at the given sizes."""
    random = np.random.default_rng(seed)
    shaped = tile(sample, axes, dims)
    return {
        name: _draw(random, like, shaped[name].shape, mask="mask" in name.lower())
        for name, like in sample.items()
    }


def scaled(feeds: Mapping[str, Array], factor: float) -> dict[str, Array]:
    """The inputs with every floating-point one multiplied; what is too large becomes infinite."""
    with np.errstate(over="ignore", invalid="ignore"):
        return {
            name: (array * factor).astype(array.dtype) if array.dtype.kind in "fc" else array
            for name, array in feeds.items()
        }


def _other_sizes(own: Mapping[str, int]) -> Iterator[dict[str, int]]:
    """The batch sizes; then each other dim at other sizes, while the batch varies too."""
    if BATCH in own:
        yield from ({**own, BATCH: size} for size in BATCH_SIZES)
    for dim, size in own.items():
        if dim == BATCH:
            continue
        others = dict.fromkeys((size + 1, 2 * size, max(1, size // 2), size + 32))
        for turn, other in enumerate(other for other in others if other != size):
            batch = {BATCH: BATCH_SIZES[1 + turn % 2]} if BATCH in own else {}
            yield {**own, dim: other, **batch}


def _draw(random: np.random.Generator, like: Array, shape: tuple[int, ...], *, mask: bool) -> Array:
    if like.dtype.kind == "f":
        return _draw_float(random, like, shape)
    if like.dtype.kind == "c":
        parts = [_draw_float(random, part, shape) for part in (like.real, like.imag)]
        return (parts[0] + 1j * parts[1]).astype(like.dtype)
    values = np.unique(like) if like.dtype.kind in "biu" else like.ravel()
    if mask and like.dtype.kind in "biu" and like.ndim >= 2 and values[-1:] == 1:
        kept = random.integers(1, shape[-1] + 1, size=(*shape[:-1], 1))
        return (np.arange(shape[-1]) < kept).astype(like.dtype)
    if like.dtype.kind in "iu" and values.size > 2:
        return random.integers(
            values[0], values[-1], size=shape, dtype=like.dtype, endpoint=True
        ).astype(like.dtype)
    return random.choice(values, size=shape).astype(like.dtype) if values.size else like


def _draw_float(random: np.random.Generator, like: Array, shape: tuple[int, ...]) -> Array:
    known = like[np.isfinite(like)].astype(np.float64).clip(-LARGEST, LARGEST)
    low, high = known.min(initial=np.inf), known.max(initial=-np.inf)
    if 0 <= low < high <= 1:
        return random.uniform(low, high, shape).astype(like.dtype)
    spread = known.std() if low < high else 1.0
    centre = known.mean() if known.size else 0.0
    with np.errstate(over="ignore"):
        return random.normal(centre, spread, shape).astype(like.dtype)
