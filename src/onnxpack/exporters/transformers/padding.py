"""Make masks and lengths at which a graph of a text model may go wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from onnxpack.exporters.transformers.samples import text_config
from onnxpack.parity.cases import Axes, fresh, sizes
from onnxpack.signature import Array

TOKENS = "tokens"
MASK = "attention_mask"
LONGEST = 512
"""Above this number of tokens, a length is tried only if the model changes its computation
there."""
BEYOND = 5
ROPES_BY_LENGTH = ("dynamic", "longrope")


def make_edges(
    model: Any, sample: Mapping[str, Array], axes: Axes
) -> Iterator[tuple[str, dict[str, Array]]]:
    """Yield inputs with each kind of padding, then lengths that matter to this model."""
    own = sizes(sample, axes)
    if MASK in sample and sample[MASK].ndim == 2:
        rows, tokens = sample[MASK].shape
        for name, mask in _masks(rows, tokens):
            yield name, {**sample, MASK: mask.astype(sample[MASK].dtype)}
    if TOKENS not in own:
        return
    for length in dict.fromkeys((1, *_lengths(model))):
        dims = {dim: 1 if dim == "batch" else size for dim, size in own.items()}
        yield f"length {length}", fresh(sample, axes, {**dims, TOKENS: length}, seed=length)


def _masks(rows: int, tokens: int) -> Iterator[tuple[str, Array]]:
    """Yield masks that keep the first row whole and mask the others; a single row is masked."""

    def others(masked: Array) -> Array:
        mask = np.ones((rows, tokens), np.int64)
        mask[rows > 1 :] = masked
        return mask

    places = np.arange(tokens)
    yield "nothing masked", np.ones((rows, tokens), np.int64)
    yield "padding at the right", others(places < (tokens + 1) // 2)
    yield "padding at the left", others(places >= tokens // 2)
    yield "a hole in the mask", others(places != tokens // 2)
    yield "all but one masked", others(places == 0)
    yield "all masked", others(np.zeros(tokens))


def _lengths(model: Any) -> Iterator[int]:
    """Yield the longest length, and lengths beyond which the model treats tokens differently."""
    config = text_config(model)
    longest = max(getattr(config, "max_position_embeddings", None) or 0, 0) or LONGEST
    yield min(longest, LONGEST)
    window = getattr(config, "sliding_window", None)
    if isinstance(window, int) and window < longest:
        yield window + BEYOND
    rope = getattr(config, "rope_parameters", None) or {}
    if rope.get("rope_type") in ROPES_BY_LENGTH:
        yield (rope.get("original_max_position_embeddings") or longest) + BEYOND
