"""Rows at which a graph of an estimator most easily goes wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from onnxpack.signature import Array


def edge_feeds(model: Any, sample: Mapping[str, Array]) -> Iterator[tuple[str, Mapping[str, Array]]]:
    """Further inputs by name."""
    yield from ()
