"""Graphs and packs that the tests of running share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from onnxpack.comparison.tolerance import OutputEvidence, Tolerance
from onnxpack.pack.digest import measure
from onnxpack.pack.manifest import CaseEvidence, Manifest, Parity, Preprocess, Source
from onnxpack.pack.model import GoldenSet, Pack
from onnxpack.pack.write import GoldenData, write_pack
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
            files={pack.model_path.name: measure(BytesIO(pack.model_path.read_bytes()))},
        )
        return Pack(pack.model_path.parent, pack.model_path, pack.golden, manifest)

    return add


@pytest.fixture
def double_signature() -> Signature:
    """What a manifest says of ``Graphs.double``."""
    spec = TensorSpec("x", "float32", ("batch", 4))
    return Signature(inputs=(spec,), outputs=(TensorSpec("y", "float32", ("batch", 4)),))


@pytest.fixture
def x() -> np.ndarray:
    return np.arange(8, dtype=np.float32).reshape(2, 4)


@dataclass(frozen=True)
class Network:
    """A classifier of two layers as an ONNX graph, and variations of it."""

    first: np.ndarray
    second: np.ndarray

    def graph(self, *, scale: float = 1.0, output: str = "y", width: int = 64) -> ModelProto:
        """``y = scale * relu(x @ first) @ second``."""
        value = helper.make_tensor_value_info
        constants = {"first": self.first, "second": (self.second * scale).astype(np.float32)}
        graph = helper.make_graph(
            [
                helper.make_node("MatMul", ["x", "first"], ["hidden"]),
                helper.make_node("Relu", ["hidden"], ["active"]),
                helper.make_node("MatMul", ["active", "second"], [output]),
            ],
            "network",
            [value("x", F, ["batch", width])],
            [value(output, F, ["batch", 10])],
            [numpy_helper.from_array(array, name) for name, array in constants.items()],
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)

    def answer(self, x: np.ndarray) -> np.ndarray:
        return np.maximum(x @ self.first, 0) @ self.second

    def int8(self, folder: Path) -> ModelProto:
        """Weights and activations in int8, by onnxruntime's own tool."""
        import onnx
        from onnxruntime.quantization import quantize_dynamic

        onnx.save(self.graph(), folder / "float.onnx")
        quantize_dynamic(folder / "float.onnx", folder / "int8.onnx")
        return onnx.load(folder / "int8.onnx")


def random_rows(count: int, seed: int = 7) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, 64), np.float32)


@pytest.fixture
def rows() -> Callable[..., np.ndarray]:
    return random_rows


@pytest.fixture
def network() -> Network:
    source = np.random.default_rng(1)
    first = source.standard_normal((64, 128), np.float32) / 8
    return Network(first, source.standard_normal((128, 10), np.float32) / 8)


@pytest.fixture
def network_pack(network: Network, tmp_path: Path) -> Pack:
    """The network as a pack of two golden sets."""
    path = tmp_path / "network.onnx"
    path.write_bytes(network.graph().SerializeToString())
    signature = Signature(
        (TensorSpec("x", "float32", ("batch", 64)),), (TensorSpec("y", "float32", ("batch", 10)),)
    )
    cases = tuple(
        CaseEvidence(
            name=f"case {number}",
            dims={"batch": 4},
            golden=f"test_data_set_{number}",
            outputs=(OutputEvidence("y", 1e-7, 1e-6, 1.0, True),),
        )
        for number in range(2)
    )
    source = Source(
        framework="torch", framework_version="2", model_class="a.B", strategy="s", opset=17,
        ir_version=8,
    )  # fmt: skip
    manifest = Manifest(
        name="network", version="1", signature=signature, source=source,
        parity=Parity(tolerance=Tolerance(), cases=cases), files={},
    )  # fmt: skip
    golden = [
        GoldenData({"x": x}, {"y": network.answer(x)})
        for x in (random_rows(4, seed) for seed in range(2))
    ]
    return write_pack(tmp_path / "network", manifest, model=path, golden=golden)
