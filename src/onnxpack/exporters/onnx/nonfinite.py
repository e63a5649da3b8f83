"""NaN and infinities, which ONNX's evaluator and ONNX Runtime do not always treat alike.

ONNX's specification defines NaN for few operators. A difference there is not a fault of the graph
or of the pack, which answers as ONNX Runtime does everywhere. The user is told that ONNX's
evaluator, the reference of the proof, answers differently.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np
import onnx_ir as ir

from onnxpack.comparison.detections import compare_all
from onnxpack.comparison.tolerance import Tolerance
from onnxpack.errors import OnnxpackError
from onnxpack.parity.nonfinite import nonfinite_values
from onnxpack.runtime.model import Model
from onnxpack.signature import Array

Answer = Callable[[Mapping[str, Array]], Mapping[str, Array]]

DIFFERENT = {
    "ArgMax", "ArgMin", "AveragePool", "Clip", "GlobalMaxPool", "Hardmax", "LRN", "MaxPool",
    "ReduceMax", "ReduceMin", "Resize", "TopK", "Unique",
}  # fmt: skip
"""Operators that differ there between onnx 1.23 and ONNX Runtime 1.32, of 67 that were tried."""
ENDLESS = {"Loop", "RoiAlign"}
"""Operators that may take hours there: RoiAlign looks at every point of a region."""
NOT_ASKED = (
    "the graph was not asked with NaN and infinities among its inputs, since its {} might not end "
    "there"
)
FAR = {"RoiAlign"}
"""Those that may do so at large numbers too, in ONNX's evaluator, which is of Python."""
NOT_ASKED_FAR = (
    "the graph was asked nothing far from the sample: ONNX's evaluator, the reference of the "
    "proof, takes too long for {} there"
)


def notes_of_nonfinite(
    graph: ir.Graph, sample: Mapping[str, Array], reference: Answer, model: Model
) -> Iterator[str]:
    """Yield a note where the two differ at the sample with NaN or infinities in it."""
    cases = list(nonfinite_values(sample))
    operators = {node.op_type for node in graph.all_nodes()}
    if operators & FAR:
        yield NOT_ASKED_FAR.format(", ".join(sorted(operators & FAR)))
    elif cases and operators & ENDLESS:
        yield NOT_ASKED.format(", ".join(sorted(operators & ENDLESS)))
    if operators & ENDLESS:
        return
    differing = [name for name, feeds in cases if _differ(feeds, reference, model)]
    if differing:
        known = sorted(operators & DIFFERENT)
        likely = f" (it has {', '.join(known)})" if known else ""
        yield (
            f"{' and '.join(differing)}: there the pack answers as ONNX Runtime does, and ONNX's "
            f"own evaluator answers otherwise{likely}"
        )


def _differ(feeds: Mapping[str, Array], reference: Answer, model: Model) -> bool:
    """Return whether the answers differ; not where the reference has none."""
    try:
        with np.errstate(all="ignore"):
            expected = reference(feeds)
    except Exception:  # noqa: BLE001 - what the evaluator refuses needs no answer
        return False
    try:
        actual = model.run(feeds)
    except OnnxpackError:
        return True
    return not all(found.passed for found in compare_all(expected, actual, Tolerance()))
