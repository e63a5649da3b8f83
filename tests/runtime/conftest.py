"""Graphs and packs that the tests of running share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from onnxpack.comparison.tolerance import OutputEvidence, Tolerance
from onnxpack.pack.manifest import CaseEvidence, Manifest, Parity, Preprocess, Source
from onnxpack.pack.model import GoldenSet, Pack
from onnxpack.signature import Signature, TensorSpec

F = TensorProto.FLOAT


class Graphs:
    """Small graphs, each one written to a folder of its own as a bare pack."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def save(self, model: ModelProto, name: str = "model") -> Pack:
        path = self._folder / f"{name}.onnx"
        path.write_bytes(model.SerializeToString())
        return Pack(path=path, model_path=path)

    def make(self, nodes, inputs, outputs, constants=(), *, opset=17) -> Pack:
        def info(name, kind, shape):
            return helper.make_tensor_value_info(name, kind, shape)

        graph = helper.make_graph(
            [helper.make_node(*node[:3], **(node[3] if len(node) > 3 else {})) for node in nodes],
            "graph",
            [info(*value) for value in inputs],
            [info(*value) for value in outputs],
            [numpy_helper.from_array(array, name) for name, array in constants],
        )
        opsets = [helper.make_opsetid("", opset), helper.make_opsetid("ai.onnx.ml", 3)]
        return self.save(helper.make_model(graph, opset_imports=opsets, ir_version=8))

    def double(self, kind: int = F, shape=("batch", 4)) -> Pack:
        """``y = x + x``."""
        return self.make([("Add", ["x", "x"], ["y"])], [("x", kind, shape)], [("y", kind, shape)])

    def echo(self, kind: int, shape=("batch",)) -> Pack:
        """``y = x``."""
        return self.make([("Identity", ["x"], ["y"])], [("x", kind, shape)], [("y", kind, shape)])

    def mix(self) -> Pack:
        """``total = a + b``, ``gap = a - b``, over one ``batch``."""
        return self.make(
            [("Add", ["a", "b"], ["total"]), ("Sub", ["a", "b"], ["gap"])],
            [("a", F, ["batch", 3]), ("b", F, ["batch", 3])],
            [("total", F, ["batch", 3]), ("gap", F, ["batch", 3])],
        )


@pytest.fixture
def graphs(tmp_path: Path) -> Graphs:
    return Graphs(tmp_path)


@pytest.fixture
def with_golden(tmp_path: Path) -> Callable[..., Pack]:
    """Adds golden sets to a pack: pairs of inputs and outputs, each a list of (name, array)."""

    def add(pack: Pack, *sets) -> Pack:
        golden = []
        for index, (inputs, outputs) in enumerate(sets):
            folder = tmp_path / f"test_data_set_{index}"
            folder.mkdir()
            sides = []
            for side, tensors in (("input", inputs), ("output", outputs)):
                paths = []
                for place, (name, array) in enumerate(tensors):
                    path = folder / f"{side}_{place}.pb"
                    path.write_bytes(numpy_helper.from_array(array, name).SerializeToString())
                    paths.append(path)
                sides.append(tuple(paths))
            golden.append(GoldenSet(folder.name, *sides))
        return Pack(pack.path, pack.model_path, tuple(golden), pack.manifest)

    return add


@pytest.fixture
def with_manifest() -> Callable[..., Pack]:
    """Gives a pack a manifest."""

    def add(
        pack: Pack,
        signature: Signature,
        *,
        noise: float = 0.0,
        rtol: float = 1e-3,
        unordered: tuple[tuple[str, ...], ...] = (),
    ) -> Pack:
        outputs = tuple(
            OutputEvidence(spec.name, 0.0, 0.0, None, True, noise=noise)
            for spec in signature.outputs
        )
        case = CaseEvidence(name="sample", dims={}, golden="test_data_set_0", outputs=outputs)
        source = Source(
            framework="torch",
            framework_version="2",
            model_class="a.B",
            strategy="s",
            opset=17,
            ir_version=8,
        )
        manifest = Manifest(
            name="thing",
            version="1",
            signature=signature,
            source=source,
            parity=Parity(tolerance=Tolerance(rtol=rtol), cases=(case,), unordered=unordered),
            labels=("cat", "dog"),
            preprocess=Preprocess(resize=8),
            files={},
        )
        return Pack(pack.path, pack.model_path, pack.golden, manifest)

    return add


@pytest.fixture
def double_signature() -> Signature:
    """What a manifest says of ``Graphs.double``."""
    spec = TensorSpec("x", "float32", ("batch", 4))
    return Signature(inputs=(spec,), outputs=(TensorSpec("y", "float32", ("batch", 4)),))


@pytest.fixture
def x() -> np.ndarray:
    return np.arange(8, dtype=np.float32).reshape(2, 4)
