"""Keep the TorchScript exporter from writing sizes that vary into a graph as numbers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch.onnx._internal.torchscript_exporter import symbolic_helper

from onnxpack.exporters.replaced import existing, replaced
from onnxpack.exporters.torch.decompose.known_sizes import Varying, fixed_sizes, sizes_known

OWN_SHAPE = ("prim::Param", "prim::Constant", "onnx::Constant")
"""Producers of values whose shapes are not the trace's: inputs, weights and constants."""


@contextmanager
def sizes_kept_open(varying: Varying) -> Iterator[None]:
    """Show decompositions and the exporter's forms only those sizes that are the same everywhere.

    Where the exporter cannot compute a shape, such as after a slice up to a size, it goes on with
    the trace's (torch 2.14): a form that makes numbers of sizes then freezes them without a word.
    """
    plain = existing(symbolic_helper, "_get_tensor_sizes", function=True)

    def sizes(value: Any, allow_nonstatic: bool = True) -> Any:
        found = plain(value, True)
        if found is None or value.node().kind() in OWN_SHAPE:
            return plain(value, allow_nonstatic)
        known = fixed_sizes(found, varying)
        return known if allow_nonstatic or None not in known else None

    with sizes_known(varying), replaced(symbolic_helper, "_get_tensor_sizes", sizes):
        yield
