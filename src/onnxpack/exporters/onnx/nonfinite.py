"""Compare ONNX's evaluator with ONNX Runtime on NaN and infinities, for notes.

ONNX's specification defines NaN for few operators. A difference there is not an error of the graph
or of the pack, which answers as ONNX Runtime does everywhere. A note says that ONNX's evaluator,
the reference of the proof, answers differently.
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
"""Operators for which onnx 1.23 and ONNX Runtime 1.32 differ on these values, of 67 tried."""
ENDLESS = {"Loop", "RoiAlign"}
"""Operators that may take hours on these values: RoiAlign visits every point of a region."""
NOT_ASKED = (
    "the graph was not tested with NaN and infinities among its inputs, because its {} might "
    "not end there"
)
FAR = {"RoiAlign"}
"""Operators that may also take hours on large numbers in ONNX's evaluator, which is Python code."""
NOT_ASKED_FAR = (
    "the graph was not tested far from the sample: ONNX's evaluator, the reference of the "
    "proof, takes too long for {} there"
)


def notes_of_nonfinite(
    graph: ir.Graph, sample: Mapping[str, Array], reference: Answer, model: Model
) -> Iterator[str]:
    """Yield a note if the evaluator and ONNX Runtime differ on NaN or infinities."""
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
            f"{' and '.join(differing)}: there the pack answers like ONNX Runtime, and ONNX's "
            f"own evaluator answers differently{likely}"
        )


def _differ(feeds: Mapping[str, Array], reference: Answer, model: Model) -> bool:
    """Return whether the answers differ; False if the reference has none."""
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
