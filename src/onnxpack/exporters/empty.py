"""Find dims that a pack must not accept at size 0, because of an operator in its graph.

No case has such a size, and on some of them ONNX Runtime 1.32 ends the process on CPU. The pack
keeps them as cases that were not run, and a model refuses an input of that size.
"""

from __future__ import annotations

from collections.abc import Iterator

import onnx_ir as ir

from onnxpack.pack.manifest import SkippedCase, at_zero
from onnxpack.parity.dims import BATCH
from onnxpack.signature import Signature

FATAL = ("Einsum", "GRU", "LSTM")
"""Operators whose kernels end the process: Einsum divides by the size."""
OF_TEXTS = ("StringNormalizer", "StringSplit", "TfIdfVectorizer")
"""Operators that fail without texts, or after which another operator does."""
HOLLOW = ("ReduceMax", "ReduceMean", "ReduceMin")
"""Operators that return a number for an empty input, where frameworks return NaN or raise an
error."""


def unproven_at_zero(model: ir.Model, signature: Signature) -> Iterator[SkippedCase]:
    """Yield a skipped case for each dynamic dim that must not be 0."""
    operators = {node.op_type for node in model.graph.all_nodes()}
    fatal = [name for name in FATAL if name in operators]
    texts = [name for name in OF_TEXTS if name in operators]
    hollow = [name for name in HOLLOW if name in operators]
    for dim in signature.dynamic:
        if fatal:
            reason = f"ONNX Runtime crashes the process in its {fatal[0]}"
        elif texts:
            reason = f"ONNX Runtime fails on an empty input of {texts[0]}"
        elif hollow and dim != BATCH:
            reason = f"ONNX Runtime's {hollow[0]} of an empty input is a number"
        else:
            continue
        yield SkippedCase(at_zero(dim), reason)
