"""What all passes promise: the same interface, near answers, a source that stays, no traces."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from inspect import signature
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import onnxruntime as ort
import pytest

from onnxpack.errors import OptimizeError
from onnxpack.graph.passes.external import move_weights
from onnxpack.graph.passes.float16 import to_float16
from onnxpack.graph.passes.int8_dynamic import quantize_dynamic
from onnxpack.graph.passes.int8_static import quantize_static
from onnxpack.graph.passes.nncf_int8 import quantize_nncf
from onnxpack.graph.passes.offline import save_optimized
from onnxpack.graph.passes.prepare import prepare
from onnxpack.graph.passes.rewrite import rewrite
from onnxpack.graph.passes.slim import slim
from onnxpack.graph.passes.weights import quantize_weights

EXACT = 1e-5
LOSSY = 0.1
"""Of the largest answer: an int8 graph is right to about 1 in 127 for each product."""
CASES = [
    ("products", slim, EXACT),
    ("products", rewrite, EXACT),
    ("products", save_optimized, EXACT),
    ("products", prepare, EXACT),
    ("products", move_weights, EXACT),
    ("products", to_float16, LOSSY),
    ("products", quantize_dynamic, LOSSY),
    ("products", quantize_static, LOSSY),
    ("products", quantize_weights, LOSSY),
    ("products", quantize_nncf, LOSSY),
    ("convolutions", slim, EXACT),
    ("convolutions", rewrite, EXACT),
    ("convolutions", save_optimized, EXACT),
    ("convolutions", prepare, EXACT),
    ("convolutions", to_float16, LOSSY),
    ("convolutions", quantize_static, LOSSY),
    ("convolutions", quantize_nncf, LOSSY),
]
CALIBRATED = (quantize_static, quantize_nncf)


def run(work: Callable[..., Any], source: Path, to: Path, feeds: Callable[..., Any]) -> Any:
    given = (iter(feeds(source, 8)),) if work in CALIBRATED else ()
    # Else int8 saturates on processors without VNNI.
    narrow = {"narrow": True} if "narrow" in signature(work).parameters else {}
    return work(source, to, *given, **narrow)


@pytest.mark.parametrize(("name", "work", "tolerance"), CASES)
def test_interface_answers_and_traces(
    name, work, tolerance, request, feeds, tmp_path, answers, interface, capfd
):
    source, to = request.getfixturevalue(name), tmp_path / "made" / "model.onnx"
    before = digest(source)
    feed = feeds(source, 1)[0]
    wanted = answers(source, feed)
    capfd.readouterr()

    step = run(work, source, to, feeds)

    assert capfd.readouterr() == ("", "")
    assert digest(source) == before
    assert interface(to) == interface(source)
    names = {path.name for path in to.parent.iterdir()}
    assert names <= {"model.onnx", "model.onnx.data"}
    for output, found in answers(to, feed).items():
        near = tolerance * np.abs(wanted[output]).max()
        np.testing.assert_allclose(found, wanted[output], rtol=0, atol=near)
    assert msgspec.json.decode(msgspec.json.encode(step), type=type(step)) == step
    version = {"onnxslim", "onnxscript", "onnxruntime", "nncf", "page"}
    assert version & step.options.keys()


@pytest.mark.parametrize(
    ("name", "work", "words"),
    [
        ("convolutions", quantize_dynamic, "has no MatMul or Gemm"),
        ("convolutions", quantize_weights, "no MatMul with constant weights"),
        ("convolutions", move_weights, "no weight has at least 4096 bytes"),
    ],
)
def test_nothing_to_do_is_said_and_leaves_nothing(name, work, words, request, tmp_path):
    to = tmp_path / "made" / "model.onnx"
    with pytest.raises(OptimizeError, match=words):
        work(request.getfixturevalue(name), to)
    assert list(to.parent.iterdir()) == []


@pytest.mark.parametrize(
    "work", [to_float16, quantize_dynamic, quantize_static, quantize_weights, quantize_nncf]
)
def test_an_unknown_node_to_exclude_is_refused(work, products, feeds, tmp_path):
    given = (feeds(products, 1),) if work in CALIBRATED else ()
    with pytest.raises(OptimizeError, match="must skip 'absent', which is not a node"):
        work(products, tmp_path / "made" / "model.onnx", *given, exclude=["absent"])


@pytest.mark.parametrize(
    ("work", "operator"),
    [
        (quantize_dynamic, "MatMulInteger"),
        (quantize_weights, "MatMulNBits"),
        (quantize_static, "QuantizeLinear"),
        (quantize_nncf, "QuantizeLinear"),
    ],
)
def test_excluded_nodes_stay_float(work, operator, products, feeds, tmp_path):
    """A node without a name of its own is called by its operator and output."""
    counts = []
    for number, exclude in enumerate([[], ["MatMul:y"]]):
        to = tmp_path / str(number) / "model.onnx"
        given = (feeds(products, 4),) if work in CALIBRATED else ()
        work(products, to, *given, exclude=exclude)
        nodes = onnx.load(to).graph.node
        counts.append(sum(node.op_type == operator for node in nodes))
        assert any("w2" in node.input for node in nodes) == bool(exclude)
    assert counts[1] < counts[0]


@pytest.mark.parametrize("work", CALIBRATED)
def test_no_feed_is_refused(work, products, tmp_path):
    with pytest.raises(OptimizeError, match="no data to measure ranges on"):
        work(products, tmp_path / "made" / "model.onnx", [])


SILENT = """
import sys
from pathlib import Path
import numpy as np
from onnxpack.graph.passes import (external, float16, int8_dynamic, int8_static, nncf_int8, offline,
    prepare, rewrite, slim, weights)
source, out = Path(sys.argv[1]), Path(sys.argv[2])
ones = np.ones((1, 3), np.int64)
feeds = [{"x": np.random.rand(1, 64).astype("f"), "unread": ones} for _ in range(4)]
works = [external.move_weights, float16.to_float16, int8_dynamic.quantize_dynamic,
    offline.save_optimized, prepare.prepare, rewrite.rewrite, slim.slim, weights.quantize_weights]
for work in works:
    work(source, out / work.__name__ / "model.onnx")
for method in ("minmax", "entropy", "percentile"):
    int8_static.quantize_static(source, out / method / "model.onnx", feeds, method=method)
nncf_int8.quantize_nncf(source, out / "nncf" / "model.onnx", feeds)
"""


def test_a_fresh_process_says_and_leaves_nothing(products, tmp_path):
    """Not at home, where telemetry writes; not in TMPDIR; not in the working folder."""
    folders = {name: tmp_path / name for name in ("HOME", "TMPDIR", "XDG_CACHE_HOME", "cwd")}
    for folder in folders.values():
        folder.mkdir()
    off = ("CI", "ORT_DISABLE_TELEMETRY", "NNCF_CI", "PYTEST_CURRENT_TEST")
    own = {name: text for name, text in os.environ.items() if name not in off}
    own |= {name: str(folder) for name, folder in folders.items() if name != "cwd"}
    done = subprocess.run(
        [sys.executable, "-B", "-c", SILENT, products, tmp_path / "out"],
        env=own,
        cwd=folders["cwd"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    left = [path for folder in folders.values() for path in folder.rglob("*") if path.is_file()]
    assert left == []


def digest(path: Path) -> dict[str, str]:
    return {
        file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in path.parent.iterdir()
    }


def test_sessions_open_what_is_saved_offline(convolutions, tmp_path):
    to = tmp_path / "made" / "model.onnx"
    save_optimized(convolutions, to)
    domains = {node.domain for node in onnx.load(to).graph.node}
    assert "com.microsoft.nchwc" not in domains
    assert ort.InferenceSession(str(to)).get_inputs()[0].shape == ["batch", 3, 16, 16]


@pytest.mark.parametrize("narrow", [False, True])
def test_weights_of_7_bits(narrow: bool, products: Path, feeds: Any, tmp_path: Path) -> None:
    for work in (quantize_dynamic, quantize_static, quantize_nncf):
        to = tmp_path / work.__name__ / "model.onnx"
        given = (feeds(products, 4),) if work in CALIBRATED else ()
        work(products, to, *given, narrow=narrow)
        int8 = [
            onnx.numpy_helper.to_array(each).astype(int)
            for each in onnx.load(to).graph.initializer
            if each.data_type == onnx.TensorProto.INT8 and np.prod(each.dims) > 64
        ]
        assert int8
        assert max(np.abs(each).max() for each in int8) <= (64 if narrow else 128)
        assert narrow or max(np.abs(each).max() for each in int8) > 64
