"""Fold constants and apply rewrite rules with onnxscript."""

from __future__ import annotations

from pathlib import Path

from onnxpack.graph.passes.attempt import attempt, finish
from onnxpack.pack.manifest import Step


def rewrite(source: Path, to: Path) -> Step:
    """Fold constants, inline functions and apply onnxscript's default rewrite rules.

    Raises:
        OptimizeError: onnxscript fails, or changes an input or output.
        MissingExtraError: onnxscript is not installed.
    """
    with attempt("rewrite", source, to) as under_way:
        import onnxscript
        from onnxscript import optimizer, rewriter

        made = rewriter.rewrite(optimizer.optimize(under_way.model))
        finish(made, source, to, under_way)
        return Step("rewrite", {"onnxscript": onnxscript.__version__})
