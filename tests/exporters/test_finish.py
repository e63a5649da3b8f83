"""A candidate made fit for a pack: names, shapes, weights beside it, nothing of this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
import torch
from onnx import helper, numpy_helper
from torch import Tensor, nn

import onnxpack
from onnxpack.errors import ExportError
from onnxpack.exporters.finish import finish, graph_versions
from onnxpack.pack.model import Pack
from onnxpack.pack.validate import validate
from onnxpack.signature import Signature, TensorSpec

SIGNATURE = Signature(
    (TensorSpec("x", "float32", ("batch", 2)),), (TensorSpec("y", "float32", ("batch", 3)),)
)
WEIGHT = np.arange(6, dtype=np.float32).reshape(2, 3)
ORIGIN = {
    "framework": "torch",
    "framework_version": "2",
    "model_class": "m.Net",
    "strategy": "dynamo",
}


def candidate(
    path: Path, node: Any = None, batch: Any = "N", output: Any = ("N", 3), **weights: Any
) -> Path:
    value, kind = helper.make_tensor_value_info, onnx.TensorProto.FLOAT
    node = node or helper.make_node("MatMul", ["x", "w"], ["y"], name="/linear/MatMul")
    weights = weights or {"w": WEIGHT}
    graph = helper.make_graph(
        [node],
        "main_graph",
        [value("x", kind, [batch, 2])],
        [value("y", kind, output)],
        [
            numpy_helper.from_array(array, name)
            for name, array in (weights or {"w": WEIGHT}).items()
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    model.doc_string = "made in /home/someone"
    model.metadata_props.add(key="path", value="/home/someone/net.py")
    graph = model.graph
    graph.doc_string = "secret"
    graph.node[0].doc_string = 'File "/home/someone/net.py", line 3'
    graph.node[0].metadata_props.add(key="pkg.torch.onnx.stack_trace", value="/home/someone")
    graph.output[0].doc_string = "/home/someone"
    onnx.save(model, path)
    return path


def test_nothing_of_this_machine_is_left(tmp_path: Path) -> None:
    finish(candidate(tmp_path / "c.onnx"), tmp_path / "m.onnx", SIGNATURE, root="model")
    content = (tmp_path / "m.onnx").read_bytes()
    assert b"someone" not in content
    assert b"secret" not in content
    onnx.checker.check_model(onnx.load(tmp_path / "m.onnx"), full_check=True)


def test_proven_shapes_are_stated(tmp_path: Path) -> None:
    stated = finish(candidate(tmp_path / "c.onnx"), tmp_path / "m.onnx", SIGNATURE)
    assert stated == SIGNATURE
    graph = ir.load(tmp_path / "m.onnx").graph
    assert str(graph.inputs[0].shape) == "[batch,2]"
    assert str(graph.outputs[0].shape) == "[batch,3]"


def test_versions(tmp_path: Path) -> None:
    source = graph_versions(ir.load(candidate(tmp_path / "c.onnx")), ORIGIN)
    assert (source.opset, source.ir_version, source.strategy) == (18, 10, "dynamo")


@pytest.mark.parametrize(
    ("signature", "batch", "words"),
    [
        (SIGNATURE, 2, "axis 0 of input 'x', 'batch', was frozen at 2"),
        (Signature(SIGNATURE.outputs, SIGNATURE.outputs), "N", r"inputs are \['x'\], expected"),
        (Signature(SIGNATURE.inputs, SIGNATURE.inputs), "N", r"outputs are \['y'\], expected"),
        (Signature(SIGNATURE.inputs, ()), "N", r"the graph's outputs are \['y'\], expected \[\]"),
    ],
)
def test_a_graph_of_another_signature(
    tmp_path: Path, signature: Signature, batch: Any, words: str
) -> None:
    with pytest.raises(ExportError, match=words):
        finish(candidate(tmp_path / "c.onnx", batch=batch), tmp_path / "m.onnx", signature)


def test_a_size_that_values_decide_gets_a_name(tmp_path: Path) -> None:
    """It was equal in all cases, and the graph may still vary it."""
    node = helper.make_node("Compress", ["x", "keep"], ["y"], axis=0)
    path = candidate(tmp_path / "c.onnx", node, output=("M", 2), keep=np.array([True, False]))
    outputs = (TensorSpec("y", "float32", (1, 2)),)
    signature = Signature(SIGNATURE.inputs, outputs)
    stated = finish(path, tmp_path / "m.onnx", signature)
    assert stated.outputs == (TensorSpec("y", "float32", ("y_0", 2)),)


def test_a_rank_that_the_exporter_mistook_does_not_matter(tmp_path: Path) -> None:
    node = helper.make_node("Compress", ["x", "keep"], ["y"], axis=0)
    path = candidate(tmp_path / "c.onnx", node, output=(), keep=np.array([True, False]))
    signature = Signature(SIGNATURE.inputs, (TensorSpec("y", "float32", ("y_0", 2)),))
    assert finish(path, tmp_path / "m.onnx", signature) == signature


def test_an_unknown_rank_stays_unknown(tmp_path: Path) -> None:
    signature = Signature(SIGNATURE.inputs, (TensorSpec("y", "float32", None),))
    assert finish(candidate(tmp_path / "c.onnx"), tmp_path / "m.onnx", signature) == signature


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(4, 4), nn.Linear(4, 4)])
        self.head = nn.Sequential(nn.LayerNorm(4), nn.Linear(4, 3))
        self.shared = self.layers[0]

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x).relu()
        return self.head(self.shared(x))


class Dynamo(Net):
    """A branch on the size, which sends it to torch.export."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * (2 if x.shape[0] > 0 else 1)


@pytest.fixture(params=[Net, Dynamo])
def pack(tmp_path: Path, request: pytest.FixtureRequest) -> Pack:
    return onnxpack.export(request.param(), torch.randn(2, 4), tmp_path / "pack")


def test_names_that_a_person_recognises(pack: Pack) -> None:
    graph = ir.load(pack.model_path).graph
    names = [node.name for node in graph]
    assert len(set(names)) == len(names)
    assert {"layers.0/Gemm", "layers.1/Gemm", "head.1/Gemm"} <= set(names)
    weights = set(graph.initializers)
    assert {"layers.1.weight", "layers.1.bias", "head.0.weight", "head.1.weight"} <= weights
    assert not any("model" in name for name in [*names, *weights] if name)


def test_the_graph_tells_no_paths(pack: Pack) -> None:
    content = pack.model_path.read_bytes()
    for secret in (b"/site-packages/", b"test_finish", b"stack_trace", str(pack.path).encode()):
        assert secret not in content


def test_large_weights_go_beside_the_graph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finish, "__kwdefaults__", {**finish.__kwdefaults__, "limit": 1000})
    for model, width in ((nn.Linear(4, 3), 4), (nn.Linear(32, 32), 32)):
        sample = torch.randn(2, width)
        pack = onnxpack.export(model, sample, tmp_path / str(width))
        data = pack.path / "model.onnx.data"
        assert data.exists() == (width == 32)
        if data.exists():
            assert data.stat().st_size >= 32 * 32 * 4
            assert pack.model_path.stat().st_size < 1000
        assert validate(pack).ok
        assert onnxpack.Model(pack).prove().ok
        expected = model(sample).detach().numpy()
        np.testing.assert_allclose(
            onnxpack.Model(pack)(sample.numpy()), expected, rtol=1e-5, atol=1e-6
        )


def test_external_weights_of_a_candidate_come_inside(tmp_path: Path) -> None:
    folder = tmp_path / "from"
    folder.mkdir()
    model = onnx.load(candidate(folder / "plain.onnx"))
    onnx.save(
        model, folder / "c.onnx", save_as_external_data=True, location="c.data", size_threshold=0
    )
    (tmp_path / "to").mkdir()
    finish(folder / "c.onnx", tmp_path / "to" / "m.onnx", SIGNATURE)
    assert [file.name for file in (tmp_path / "to").iterdir()] == ["m.onnx"]
    found = onnxpack.Model(tmp_path / "to" / "m.onnx")(np.ones((5, 2), np.float32))
    np.testing.assert_array_equal(found, np.ones((5, 2), np.float32) @ WEIGHT)


def test_a_graph_that_cannot_be_read_is_a_refusal(tmp_path: Path) -> None:
    model = onnx.load(candidate(tmp_path / "candidate.onnx"))
    model.graph.node.append(helper.make_node("Identity", ["w"], ["x"]))  # also an input
    onnx.save(model, tmp_path / "twice.onnx")
    with pytest.raises(ExportError, match="a graph that cannot be read"):
        finish(tmp_path / "twice.onnx", tmp_path / "model.onnx", SIGNATURE)
