"""A folder of somebody else's graphs: right, no faster, noisy, broken."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from onnxpack.benchmark.ratio import Ratio
from onnxpack.errors import OptimizeError, UsageError
from onnxpack.graph.passes.float16 import to_float16
from onnxpack.graph.passes.int8_dynamic import quantize_dynamic
from onnxpack.optimizer.audit import Finding, audit
from onnxpack.pack.model import Pack
from onnxpack.signature import Array


def noisy(source: Path, to: Path) -> None:
    model = onnx.load(source)
    random = np.random.default_rng(0)
    for weight in model.graph.initializer:
        array = numpy_helper.to_array(weight)
        if array.ndim == 2:
            found = (array + 0.3 * random.standard_normal(array.shape)).astype(array.dtype)
            weight.CopyFrom(numpy_helper.from_array(found, weight.name))
    onnx.save(model, to)


def half_throughout(source: Path, to: Path) -> None:
    from onnxruntime.transformers.float16 import convert_float_to_float16

    onnx.save(convert_float_to_float16(onnx.load(source), keep_io_types=False), to)


def other_output(source: Path, to: Path) -> None:
    model = onnx.load(source)
    old = model.graph.output[0].name
    for node in model.graph.node:
        for at, name in enumerate(node.output):
            if name == old:
                node.output[at] = "other"
    model.graph.output[0].name = "other"
    onnx.save(model, to)


@pytest.fixture
def folder(digits: Pack, tmp_path: Path) -> Path:
    found = tmp_path / "variants"
    found.mkdir()
    quantize_dynamic(digits.model_path, found / "quantized.onnx", narrow=True)
    to_float16(digits.model_path, found / "fp16.onnx")
    half_throughout(digits.model_path, found / "fp16_io.onnx")
    noisy(digits.model_path, found / "q8.onnx")
    other_output(digits.model_path, found / "renamed.onnx")
    (found / "torn.onnx").write_bytes(digits.model_path.read_bytes()[:1000])
    return found


def test_each_is_judged(
    quick: None,
    digits: Pack,
    rows: Mapping[str, Array],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ratios = {"graph": 2.0}
    monkeypatch.setattr(
        "onnxpack.benchmark.ratio.faster",
        lambda call, reference: Ratio(ratios["graph"], ratios["graph"] - 0.1, 2.1),
    )
    found = {each.path.stem: each for each in audit(folder, digits.path, rows, max_loss=0.02)}
    assert {name: each.finding for name, each in found.items()} == {
        "quantized": Finding.RIGHT,
        "fp16": Finding.RIGHT,
        "fp16_io": Finding.RIGHT,
        "q8": Finding.NOISY,
        "renamed": Finding.BROKEN,
        "torn": Finding.BROKEN,
    }
    assert "required 0.9800" in found["q8"].why
    assert "its outputs are other: float32" in found["renamed"].why
    assert found["quantized"].kept is not None
    assert found["quantized"].kept.lower >= 0.98
    ratios["graph"] = 1.0
    (slow,) = [
        each for each in audit(folder, digits.path, rows, max_loss=0.02) if each.path.stem == "fp16"
    ]
    assert slow.finding is Finding.NO_FASTER


def test_weights_beside_a_graph_count(
    quick: None, digits: Pack, rows: Mapping[str, Array], tmp_path: Path
) -> None:
    model = onnx.load(digits.model_path)
    onnx.save(model, tmp_path / "apart.onnx", save_as_external_data=True, location="weights.bin")
    (found,) = audit(tmp_path, digits.path, rows, max_loss=0.02)
    files = (tmp_path / "apart.onnx", tmp_path / "weights.bin")
    assert found.size == sum(each.stat().st_size for each in files)


def test_a_link_that_leads_nowhere_is_broken(
    quick: None, digits: Pack, rows: Mapping[str, Array], tmp_path: Path
) -> None:
    """A download that was stopped leaves such links."""
    (tmp_path / "q4.onnx").symlink_to(tmp_path / "blobs" / "q4")
    (found,) = audit(tmp_path, digits.path, rows, max_loss=0.02)
    assert found.finding is Finding.BROKEN
    assert found.size == 0


def test_a_row_is_judged_among_others_too(
    quick: None, digits: Pack, rows: Mapping[str, Array], tmp_path: Path
) -> None:
    model = onnx.load(digits.model_path)
    output = model.graph.output[0].name
    for node in model.graph.node:
        node.output[:] = ["inner" if name == output else name for name in node.output]
    zero = numpy_helper.from_array(np.zeros(1, np.int64), "first")
    model.graph.initializer.append(zero)
    model.graph.node.extend(
        [
            onnx.helper.make_node("Gather", ["inner", "first"], ["row"], axis=0),
            onnx.helper.make_node("Shape", ["inner"], ["sizes"]),
            onnx.helper.make_node("Expand", ["row", "sizes"], [output]),
        ]
    )
    onnx.save(model, tmp_path / "first.onnx")
    (found,) = audit(tmp_path, digits.path, rows, max_loss=0.02)
    assert found.finding is Finding.NOISY


def test_a_bare_graph_is_a_reference_and_not_one_of_them(
    quick: None, digits: Pack, rows: Mapping[str, Array], tmp_path: Path
) -> None:
    shutil.copy(digits.model_path, tmp_path / "model.onnx")
    shutil.copy(digits.model_path, tmp_path / "copy.onnx")
    found = audit(tmp_path, tmp_path / "model.onnx", rows, max_loss=0.02, metric="agreement")
    assert [each.path.name for each in found] == ["copy.onnx"]


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"metric": "best"}, UsageError, "is not a metric"),
        ({"max_loss": 0.001}, OptimizeError, "expected at least 2995|Expected at least 2995"),
    ],
)
def test_mistakes(
    digits: Pack, rows: Mapping[str, Array], folder: Path, options: Any, error: Any, says: str
) -> None:
    with pytest.raises(error, match=says):
        audit(folder, digits.path, rows, **{"max_loss": 0.02, **options})


def test_no_graphs(digits: Pack, rows: Mapping[str, Array], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has no graph"):
        audit(tmp_path, digits.path, rows)
    with pytest.raises(UsageError, match="is not a folder"):
        audit(tmp_path / "none", digits.path, rows)
