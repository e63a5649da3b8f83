"""Tiny graphs and the packs that are made of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from onnxpack.comparison.tolerance import OutputEvidence, Tolerance
from onnxpack.pack.amend import amend_pack
from onnxpack.pack.manifest import (
    CaseEvidence,
    Distance,
    Kept,
    Manifest,
    Measurement,
    Parity,
    Recipe,
    Source,
    Step,
    Timing,
    Variant,
)
from onnxpack.pack.model import Pack
from onnxpack.pack.tensor import encode_tensor
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


def make_variant(manifest: Manifest, **changes: Any) -> Variant:
    """The entry of a variant that was made from ``manifest``'s graph, with one set of its own."""
    entry = Variant(
        base=manifest.files["model.onnx"].sha256,
        steps=(Step("quantize", {"weights": "int8"}),),
        recipe=Recipe(
            runtime="onnxruntime",
            runtime_version="1.32.0",
            threads=2,
            processor="A Processor",
            features=("avx512_vnni",),
        ),
        kept=Kept(measure="agreement", value=0.99, lower=0.98, samples=500, max_loss=0.01),
        speed=Measurement(
            dims={"batch": 1},
            threads=2,
            provider="cpu",
            processor="A Processor",
            versions={"onnxruntime": "1.32.0"},
            timings=(
                Timing(name="base", seconds=2e-3, quartiles=(1.9e-3, 2.1e-3)),
                Timing(
                    name="int8",
                    seconds=1e-3,
                    quartiles=(9e-4, 1.1e-3),
                    ratio=2.0,
                    interval=(1.9, 2.1),
                ),
            ),
        ),
        evidence=(Distance(golden="test_data_set_0", output="y", distance=0.01, labels=1),),
    )
    return msgspec.structs.replace(entry, **changes)


def exact_variant(manifest: Manifest, **changes: Any) -> Variant:
    """The entry of a variant that keeps float32's accuracy."""
    kept = Kept(measure="parity", value=1.0, lower=1.0, samples=2, max_loss=0.0)
    return make_variant(manifest, kept=kept, evidence=(), **changes)


def make_variant_folder(folder: Path, *, sets: int = 1, external: bool = False) -> Path:
    """A folder as ``amend_pack`` takes it: the tiny graph, and golden sets of ones."""
    folder.mkdir(parents=True)
    onnx.save(
        make_graph(),
        folder / "model.onnx",
        save_as_external_data=external,
        location="weights.bin",
        size_threshold=0,
    )
    for number in range(sets):
        golden = folder / f"test_data_set_{number}"
        golden.mkdir()
        x = np.full((1, 3), number + 1, np.float32)
        (golden / "input_0.pb").write_bytes(encode_tensor("x", x))
        (golden / "output_0.pb").write_bytes(encode_tensor("y", x @ WEIGHT))
    return folder


@pytest.fixture
def variants() -> type:
    """The makers above; tests import nothing from a conftest."""

    class Makers:
        entry = staticmethod(make_variant)
        exact = staticmethod(exact_variant)
        folder = staticmethod(make_variant_folder)

    return Makers


@pytest.fixture
def varied(pack: Pack, tmp_path: Path) -> Pack:
    """The tiny pack with an ``exact`` and an ``int8`` variant."""
    assert pack.manifest is not None
    named = {"int8": make_variant(pack.manifest), "exact": exact_variant(pack.manifest)}
    made = tmp_path / "made"
    folders = {
        "int8": make_variant_folder(made / "int8", external=True),
        "exact": make_variant_folder(made / "exact", sets=0),
    }
    manifest = msgspec.structs.replace(pack.manifest, variants=named)
    return amend_pack(pack, tmp_path / "varied", manifest, variants=folders)
