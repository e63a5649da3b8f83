"""ONNX's own node cases, generated here, run through the proof.

The cases state what each operator must answer, so a graph of one node that differs is a fault of
ONNX Runtime, of the case, or of our comparison. Which cases differ is known by name, with the
reason; a new difference fails, and one that has gone must leave the list.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from onnxpack.comparison.tolerance import OutputEvidence, Tolerance
from onnxpack.errors import PackError
from onnxpack.parity.cases import Case
from onnxpack.parity.prove import Question, prove

KNOWN_WITH = "1.32."
"""The version of ONNX Runtime that the list below was made with."""

MASKED = (
    "ONNX Runtime 1.32 writes masked scores as the lowest float into `qk_matmul_output`, where "
    "the case expects -inf; the attention itself (`Y`) is equal"
)
ALIGNED = (
    "ONNX Runtime 1.32 divides by the rounded output length minus 1, ONNX by scale × length "
    "minus 1 (4 × 0.6 = 2.4, not 2), when corners are aligned while shrinking"
)
RANDOM = (
    "dropout that trains draws its own random numbers: a seed fixes them within one runtime only"
)

DIFFERENT = {
    "test_attention_4d_diff_heads_mask4d_padded_kv": (
        "ONNX Runtime 1.32 wants a mask as long as all keys, where opset 24 allows a shorter one "
        "that is padded"
    ),
    "test_attention_4d_with_past_and_present_qk_matmul_bias_3d_mask_causal": MASKED,
    "test_attention_4d_with_past_and_present_qk_matmul_bias_4d_mask_causal": MASKED,
    "test_convinteger_with_padding": (
        "ONNX Runtime 1.32 has no zero point for each output channel in ConvInteger on CPU"
    ),
    "test_maxunpool_export_with_output_shape": (
        "the case's indices point into the inferred 4 × 4 output, ONNX Runtime reads them as "
        "indices into the 5 × 5 output that `output_shape` asks for (onnx/onnx#5398)"
    ),
    "test_reduce_max_empty_set_bool": (
        "ONNX Runtime 1.32 has no maximum of no booleans, where ONNX answers False"
    ),
    "test_resize_downsample_scales_cubic_align_corners": ALIGNED,
    "test_resize_downsample_scales_linear_align_corners": ALIGNED,
    "test_training_dropout": RANDOM,
    "test_training_dropout_default": RANDOM,
    "test_training_dropout_default_mask": RANDOM,
    "test_training_dropout_mask": RANDOM,
}
"""The cases that differ with ONNX Runtime 1.32, each with its reason."""

HALF_STEP = 2.0**-10
"""Two steps of float16 just below 1."""
ROUNDED = {"test_dft_axis": 3e-4, "test_dft_axis_opset19": 3e-4, "test_gru_seq_length": 1e-7}
"""Sums of larger numbers that are nearly 0, with the largest difference that float32 explains.

An export asks the framework in float64 there; a node case has no answer in float64. These, and
attention in float16, may differ or not: their rounding changes with ONNX, NumPy and the processor.
"""
REFUSED_AT_MOST = 300
"""Cases whose types or operators ONNX Runtime 1.32 lacks: 293, of which 4 want a locale."""


@dataclass
class Found:
    """What became of every case, by name."""

    equal: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    different: dict[str, list[OutputEvidence]] = field(default_factory=dict)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Found:
    """Each of ONNX's node cases, run once through `prove`."""
    path = tmp_path_factory.mktemp("node") / "model.onnx"
    found = Found()
    for case in _node_cases():
        onnx.save(case.model, path)
        try:
            (evidence,) = prove(path, [_question(case)], Tolerance())
        except PackError as exc:
            found.refused[case.name] = str(exc)
            continue
        wrong = [output for output in evidence.outputs if not output.passed]
        if evidence.passed:
            found.equal.append(case.name)
        else:
            found.different[case.name] = wrong
    return found


def test_no_new_difference(found: Found) -> None:
    new = {
        name: [output.reason for output in wrong]
        for name, wrong in found.different.items()
        if name not in DIFFERENT and not _rounds(name, wrong)
    }
    assert new == {}


def test_every_known_difference_is_still_there(found: Found) -> None:
    if not onnxruntime.__version__.startswith(KNOWN_WITH):
        pytest.skip(f"the list was made with onnxruntime {KNOWN_WITH}x")
    assert sorted(DIFFERENT.keys() - found.different.keys()) == []


def test_nearly_all_are_equal(found: Found) -> None:
    count = len(found.equal) + len(found.refused) + len(found.different)
    assert count >= 1883
    assert len(found.equal) >= 1570
    assert len(found.refused) <= REFUSED_AT_MOST


def test_refusals_name_what_is_missing(found: Found) -> None:
    known = ("cannot pass to numpy", "expected a tensor", "cannot run", "cannot be loaded")
    unclear = [text for text in found.refused.values() if not any(map(text.count, known))]
    assert unclear == []


def _node_cases() -> list[Any]:
    """ONNX's cases; their inputs are drawn, in part without a seed, when they are imported."""
    from onnx.backend.test.case.node import collect_testcases

    state = np.random.get_state()
    np.random.seed(0)
    try:
        with warnings.catch_warnings(action="ignore"):  # of the reference implementation
            return list(collect_testcases())
    finally:
        np.random.set_state(state)


def _question(case: Any) -> Question:
    inputs, outputs = case.data_sets[0]
    graph = case.model.graph
    feeds = {port.name: _array(value) for port, value in zip(graph.input, inputs, strict=True)}
    expected = {port.name: _array(value) for port, value in zip(graph.output, outputs, strict=True)}
    return Question(Case(case.name, feeds, {}), expected, lambda _: None)


def _array(value: Any) -> Any:
    if isinstance(value, onnx.TensorProto):
        return onnx.numpy_helper.to_array(value)
    return value if isinstance(value, list) else np.asarray(value)


def _rounds(name: str, wrong: list[OutputEvidence]) -> bool:
    """Whether a case is off by no more than its rounding explains."""
    halves = name.startswith("test_attention") and "fp16" in name
    most = HALF_STEP if halves else ROUNDED.get(name, 0.0)
    return all(0 < output.max_abs <= most for output in wrong)
