"""Fold constants and simplify a graph with onnxslim."""

from __future__ import annotations

from pathlib import Path

from onnxpack.graph.passes.attempt import attempt, finish
from onnxpack.pack.manifest import Step


def slim(source: Path, to: Path) -> Step:
    """Fold constants and remove redundant nodes with onnxslim.

    Raises:
        OptimizeError: onnxslim fails, or changes an input or output.
        MissingExtraError: onnxslim is not installed.
    """
    with attempt("slim", source, to) as under_way:
        import onnxslim

        made = onnxslim.slim(under_way.model)
        finish(made, source, to, under_way)
        return Step("slim", {"onnxslim": onnxslim.__version__})
