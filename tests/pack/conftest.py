"""Tiny graphs and the packs that are made of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from onnxpack.comparison.tolerance import OutputEvidence, Tolerance
from onnxpack.pack.manifest import CaseEvidence, Manifest, Parity, Source
from onnxpack.pack.model import Pack
from onnxpack.pack.write import GoldenData, write_pack
from onnxpack.signature import Signature, TensorSpec

WEIGHT = np.arange(6, dtype=np.float32).reshape(3, 2)


def make_graph(*initializers: onnx.TensorProto, **extra: Any) -> onnx.ModelProto:
    """``y = x @ w``, with more initializers where asked."""
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "tiny",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["batch", 3])],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["batch", 2])],
        [numpy_helper.from_array(WEIGHT, "w"), *initializers],
        **extra,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def make_manifest(sets: int) -> Manifest:
    evidence = OutputEvidence("y", 1e-7, 1e-6, 1.0, True, error=1e-7, allowed=2e-5)
    cases = tuple(
        CaseEvidence(
            name=f"batch {number + 1}",
            dims={"batch": number + 1},
            golden=f"test_data_set_{number}",
            outputs=(evidence,),
        )
        for number in range(sets)
    )
    return Manifest(
        name="tiny",
        version="1.0",
        description="Three numbers in, two out.",
        license="Apache-2.0",
        signature=Signature(
            (TensorSpec("x", "float32", ("batch", 3)),),
            (TensorSpec("y", "float32", ("batch", 2)),),
        ),
        source=Source(
            framework="torch",
            framework_version="2.9.0+cpu",
            model_class="tiny.Net",
            strategy="dynamo",
            opset=18,
            ir_version=10,
        ),
        parity=Parity(tolerance=Tolerance(), cases=cases),
        labels=("cat", "dog"),
        files={},
    )


def make_golden(sets: int) -> list[GoldenData]:
    feeds = [np.full((number + 1, 3), number, np.float32) for number in range(sets)]
    return [GoldenData({"x": x}, {"y": x @ WEIGHT}) for x in feeds]


@dataclass(frozen=True)
class Parts:
    """What a pack is written from."""

    manifest: Manifest
    model: Path
    golden: list[GoldenData]

    def write(self, to: Path, **options: Any) -> Pack:
        return write_pack(to, self.manifest, model=self.model, golden=self.golden, **options)


@pytest.fixture
def graph() -> Callable[..., onnx.ModelProto]:
    return make_graph


@pytest.fixture
def parts(tmp_path: Path) -> Parts:
    folder = tmp_path / "training"
    folder.mkdir()
    onnx.save(make_graph(), folder / "candidate.onnx")
    return Parts(make_manifest(2), folder / "candidate.onnx", make_golden(2))


@pytest.fixture
def pack(parts: Parts, tmp_path: Path) -> Pack:
    return parts.write(tmp_path / "tiny")


@pytest.fixture
def external_parts(tmp_path: Path, parts: Parts) -> Parts:
    """The same, with the weight in a file beside the graph."""
    folder = tmp_path / "external"
    folder.mkdir()
    onnx.save(
        make_graph(),
        folder / "model.onnx",
        save_as_external_data=True,
        location="model.onnx.data",
        size_threshold=0,
    )
    return Parts(parts.manifest, folder / "model.onnx", parts.golden)
