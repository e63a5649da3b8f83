"""Make the cases over which a graph is compared with the framework.

The sample alone proves little: a graph that froze its batch, or that kept one of two branches,
answers the sample correctly. So other sizes are tried on every dynamic axis (see ``dims.py``), with
fresh inputs of the sample's kind, and the sample is negated, scaled and made extreme to reach other
branches. Inputs at the edges of a particular model come from its subject: ``Subject.edges``.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

import numpy as np

from onnxpack.parity.dims import (
    BATCH,
    BATCH_SIZES,
    BUDGET,
    Axes,
    Dims,
    cost,
    other_sizes,
    sizes,
)
from onnxpack.parity.masks import draw_mask, is_mask, masked_rows
from onnxpack.parity.offsets import with_offsets
from onnxpack.parity.stress import (
    far_stress,
    hold_boxes,
    near_stress,
    scaled,
    with_picture_numbers,
)
from onnxpack.signature import Array

__all__ = [
    "BATCH", "BATCH_SIZES", "BUDGET", "Axes", "Case", "cost", "fresh", "make_cases", "scaled",
    "sizes", "tile",
]  # fmt: skip

LARGEST = 1e100
"""Sample values are clipped to this magnitude before random ones are drawn, so that squares are
finite."""
MASKED_ROWS = 7
"""Batch size of a mask case: one row for each kind that :func:`masked_rows` makes."""
STRESSED_ROWS = 2
"""Rows of a stress case if the whole sample would cost too much."""


@dataclass(frozen=True, slots=True)
class Case:
    """Inputs to try, with the sizes of the dynamic dims.

    Attributes:
        required: whether the model must accept the case. Other cases are skipped if it refuses
            them.
        edge: whether a user may accept that a graph differs in this case. True only for cases at an
            edge of this model, or far from its sample.
        stress: whether the case is far from the training data. Elements in which the framework's
            own float32 and float64 answers differ are then not compared.
        spare: other inputs of the same sizes, to try if the model refuses ``feeds``.
    """

    name: str
    feeds: dict[str, Array]
    dims: dict[str, int]
    required: bool = False
    edge: bool = False
    stress: bool = False
    spare: dict[str, Array] | None = None


def make_cases(
    sample: Mapping[str, Array],
    axes: Axes,
    *,
    weights: int = 0,
    per_size: int = 0,
    stressed: bool = True,
) -> Iterator[Case]:
    """Yield every case for this sample. The same sample always gives the same cases.

    Args:
        weights: the number of the model's weights; a large model gets fewer cases beyond the
            minimum.
        per_size: the additional cost of every new size, in elements of input.
        stressed: whether stress cases, which make the sample extreme, are included.
    """
    own = sizes(sample, axes)
    yield Case("sample", dict(sample), own, required=True)
    for dims in other_sizes(sample, axes, weights=weights, per_size=per_size):
        name = ", ".join(
            f"{dim}={size}" for dim, size in dims.items() if dim == BATCH or size != own[dim]
        )
        drawn = fresh(sample, axes, dims, seed=zlib.crc32(name.encode()))
        yield Case(name, drawn, dims, spare=tile(sample, axes, dims))
    if BATCH in own:
        yield from _mask_cases(sample, axes, own, weights)
    if not own:
        yield Case("fresh", fresh(sample, axes, own, seed=1), own)
    if stressed and any(array.dtype.kind in "fc" for array in sample.values()):
        yield from _stress_cases(sample, axes, own, weights)


def _mask_cases(sample: Mapping[str, Array], axes: Axes, own: Dims, weights: int) -> Iterator[Case]:
    """Yield a case whose mask has rows that keep nothing next to rows that keep something.

    A place that is counted back from the end of a row may land in the row before. A batch of one
    row cannot show that error.
    """
    cheap = cost(sample, axes, dict(own) | {BATCH: MASKED_ROWS}, weights) <= BUDGET // 16
    dims = dict(own) | {BATCH: MASKED_ROWS if cheap else STRESSED_ROWS}
    if own[BATCH] >= dims[BATCH]:
        return
    rows = fresh(sample, axes, dims, seed=MASKED_ROWS)
    for name, feeds in islice(masked_rows(rows), 1):
        yield Case(f"{BATCH}={dims[BATCH]}, {name}", feeds, dims, edge=True)


def _stress_cases(
    sample: Mapping[str, Array], axes: Axes, own: Dims, weights: int
) -> Iterator[Case]:
    """Yield the sample made extreme. A costly sample gets few rows and is only scaled."""
    dims = dict(own)
    if BATCH in own and cost(sample, axes, own, weights) > BUDGET // 16:
        dims[BATCH] = min(own[BATCH], STRESSED_ROWS)
    rows = tile(sample, axes, dims)
    for name, feeds in near_stress(rows):
        yield Case(name, feeds, dims, stress=True)
    cheap = cost(sample, axes, dims, weights) <= BUDGET // 16
    for name, feeds in far_stress(rows, all_kinds=cheap):
        yield Case(name, feeds, dims, stress=True, edge=True)


def tile(feeds: Mapping[str, Array], axes: Axes, dims: Mapping[str, int]) -> dict[str, Array]:
    """Return the inputs with their dynamic dims resized by repeating or cutting their values."""

    def resized(name: str, array: Array) -> Array:
        for axis, dim in axes.get(name, {}).items():
            array = array.take(np.arange(dims[dim]) % array.shape[axis], axis=axis)
        return array

    found = {name: resized(name, array) for name, array in feeds.items()}
    return with_picture_numbers(with_offsets(found, feeds), found, hold_boxes(feeds))


def fresh(
    sample: Mapping[str, Array], axes: Axes, dims: Mapping[str, int], *, seed: int
) -> dict[str, Array]:
    """Return random inputs of the sample's kind, with the dynamic dims at the given sizes."""
    random = np.random.default_rng(seed)

    def drawn(name: str, like: Array, shape: tuple[int, ...]) -> Array:
        if is_mask(name, like):
            return draw_mask(random, like, shape)
        return _draw(random, like, shape)

    shaped = tile(sample, axes, dims)
    found = {name: drawn(name, like, shaped[name].shape) for name, like in sample.items()}
    return with_picture_numbers(with_offsets(found, sample), shaped, hold_boxes(sample))


def _draw(random: np.random.Generator, like: Array, shape: tuple[int, ...]) -> Array:
    if like.dtype.kind == "f":
        return _draw_float(random, like, shape)
    if like.dtype.kind == "c":
        drawn = np.empty(shape, like.dtype)  # 1j times an infinity would be NaN
        drawn.real = _draw_float(random, like.real, shape)
        drawn.imag = _draw_float(random, like.imag, shape)
        return drawn
    values = np.unique(like) if like.dtype.kind in "biu" else like.ravel()
    if like.dtype.kind in "iu" and values.size > 2:
        drawn = random.integers(
            values[0], values[-1], size=shape, dtype=like.dtype, endpoint=True
        ).astype(like.dtype)
    else:
        drawn = random.choice(values, size=shape).astype(like.dtype) if values.size else like
    return _with_extremes(random, drawn, values) if like.dtype.kind in "iu" else drawn


def _with_extremes(random: np.random.Generator, drawn: Array, values: Array) -> Array:
    """Put the smallest and the largest of the sample's integers at two random places.

    Chance alone often misses the ends of a wide range, where an index is off by one.
    """
    if drawn.size >= 2 and values.size >= 2:
        drawn.flat[random.choice(drawn.size, size=2, replace=False)] = values[[0, -1]]
    return drawn


def _draw_float(random: np.random.Generator, like: Array, shape: tuple[int, ...]) -> Array:
    known = like[np.isfinite(like)].astype(np.float64).clip(-LARGEST, LARGEST)
    low, high = known.min(initial=np.inf), known.max(initial=-np.inf)
    if 0 <= low < high <= 1:
        return random.uniform(low, high, shape).astype(like.dtype)
    spread = known.std() if low < high else 1.0
    centre = known.mean() if known.size else 0.0
    drawn = random.normal(centre, spread, shape)
    if 0 <= low < high:  # a logarithm or a root was made for numbers of one sign
        drawn = np.abs(drawn)
    elif low < high <= 0:
        drawn = -np.abs(drawn)
    with np.errstate(over="ignore"):
        return np.asarray(drawn).astype(like.dtype)
