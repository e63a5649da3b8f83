"""Graphs run by OpenVINO: right answers, from many threads, and its errors translated."""

from __future__ import annotations

import subprocess
import sys
import threading

import numpy as np
import pytest
from onnx import TensorProto, helper

from onnxpack.errors import FeedError, PackError, ProviderError
from onnxpack.runtime.model import Model
from onnxpack.runtime.openvino import load_openvino, open_openvino, plain
from onnxpack.runtime.session import open_session
from onnxpack.runtime.signature import read_signature
from onnxpack.signature import Signature, TensorSpec

pytest.importorskip("openvino")
F = TensorProto.FLOAT


def opened(pack, **options):
    """A bare graph, opened with the signature that onnxruntime reads."""
    signature = read_signature(open_session(pack.model_path, ["CPUExecutionProvider"], threads=1))
    return open_openvino(pack.model_path, signature, threads=1, **options)


@pytest.fixture
def pack(network, network_pack, add_variant):
    return add_variant(network_pack, "ov", network.graph(), runtime="openvino", precision="f32")


def test_a_variant_answers(pack, network, rows):
    model = Model(pack, provider="cpu")
    assert (model.variant, model.runtime, model.notes) == ("ov", "openvino", ())
    assert model.provider == "cpu"
    assert model.placement["cpu"] >= 2
    assert model.prove().ok
    for count in (1, 5, 64, 0):
        x = rows(count)
        answer = model(x)
        assert answer.dtype == np.float32
        np.testing.assert_allclose(answer, network.answer(x), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("precision", ["f32", "bf16"])
def test_precision_is_what_was_asked_for(network, network_pack, add_variant, rows, precision):
    """Where the processor has no bfloat16, OpenVINO computes in float32."""
    pack = add_variant(
        network_pack, "ov", network.graph(), rows=rows(8), runtime="openvino", precision=precision,
        recorded=network.graph(scale=1.01),
    )  # fmt: skip
    model = Model(pack, provider="cpu")
    assert model.variant == "ov"
    x = rows(64)
    lost = np.linalg.norm(model(x) - network.answer(x)) / np.linalg.norm(network.answer(x))
    assert lost < (1e-5 if precision == "f32" else 0.01)


def test_eight_threads_share_a_variant(pack, rows):
    """Each gets its own answer, though the sizes differ and the requests are shared."""
    model = Model(pack, provider="cpu", threads=1)
    inputs = [rows(number + 1, number) for number in range(8)]
    wanted = [model(x) for x in inputs]
    start, failures = threading.Barrier(8), []

    def ask(x, expected):
        start.wait()
        failures.extend(
            x for _ in range(200) if not np.allclose(model(x), expected, rtol=1e-5, atol=1e-6)
        )

    threads = [threading.Thread(target=ask, args=pair) for pair in zip(inputs, wanted, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_an_answer_outlives_the_next_call(pack, network, rows):
    model = Model(pack, provider="cpu")
    first = model(rows(4, 1))
    kept = first.copy()
    for seed in range(5):
        model(rows(4, seed))
    np.testing.assert_array_equal(first, kept)
    first[...] = 0
    np.testing.assert_allclose(model(rows(4, 1)), kept, rtol=1e-5, atol=1e-6)


def test_an_input_that_passes_through_is_copied(graphs):
    session = opened(graphs.echo(F, ("batch", 4)))
    x = np.ones((2, 4), np.float32)
    (answer,) = session.run(["y"], {"x": x})
    assert not np.shares_memory(answer, x)


def test_every_input_is_checked(pack):
    """OpenVINO takes a shape that broadcasts, and casts what it is given."""
    model = Model(pack, provider="cpu")
    for wrong in (
        np.ones((2, 63), np.float32),
        np.ones((2, 64, 1), np.float32),
        np.ones((64,), np.float32),
        np.ones((2, 64), np.float64),
    ):
        with pytest.raises(FeedError, match=r"expected float32\[batch, 64\]"):
            model(wrong)
        with pytest.raises(FeedError, match=r"expected float32\[batch, 64\]"):
            model.run({"x": wrong})


@pytest.mark.parametrize("memory", ["read-only", "Fortran", "strided", "foreign byte order"])
def test_memory_of_every_kind_is_read(pack, network, rows, memory):
    x = rows(6)
    expected = network.answer(x)
    given = {
        "read-only": x,
        "Fortran": np.asfortranarray(x),
        "strided": np.repeat(x, 2, axis=1)[:, ::2],
        "foreign byte order": x.astype(">f4"),
    }[memory]
    given.setflags(write=False)
    answer = Model(pack, provider="cpu")(given)
    np.testing.assert_allclose(answer, expected, rtol=1e-3, atol=1e-4)


def test_names_are_those_of_the_signature(graphs):
    """OpenVINO merges values and gives the port both names."""
    pack = graphs.make(
        [
            ("Relu", ["x"], ["h"]),
            ("Identity", ["h"], ["y"]),
            ("Identity", ["h"], ["a"]),
            ("Add", ["s", "s"], ["t"]),
        ],
        [("x", F, ["batch", 3]), ("s", F, []), ("unused", F, ["batch"])],
        [("y", F, ["batch", 3]), ("a", F, ["batch", 3]), ("t", F, [])],
    )
    session = opened(pack)
    assert [spec.name for spec in session.signature.inputs] == ["x", "s", "unused"]
    assert [spec.name for spec in session.signature.outputs] == ["y", "a", "t"]
    assert session.signature.outputs[2].shape == ()
    x = np.array([[-1, 2, 3]], np.float32)
    feed = {"unused": np.zeros(1, np.float32), "s": np.array(2, np.float32), "x": x}
    t, a = session.run(["t", "a"], feed)
    assert t.shape == ()
    assert t == 4
    np.testing.assert_array_equal(a, [[0, 2, 3]])


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [
        (TensorProto.FLOAT16, np.float16), (TensorProto.DOUBLE, np.float64),
        (TensorProto.INT64, np.int64), (TensorProto.INT32, np.int32),
        (TensorProto.UINT8, np.uint8), (TensorProto.BOOL, np.bool_),
    ],
)  # fmt: skip
def test_data_types(graphs, kind, dtype):
    session = opened(graphs.echo(kind))
    x = np.array([0, 1, 1], dtype)
    (answer,) = session.run(["y"], {"x": x})
    assert answer.dtype == dtype
    np.testing.assert_array_equal(answer, x)


def test_strings_are_refused(graphs):
    with pytest.raises(PackError, match="input 'x' is string, which OpenVINO cannot pass"):
        opened(graphs.echo(TensorProto.STRING))


def test_an_unknown_operator_is_named(graphs):
    node = helper.make_node("Nothing", ["x"], ["y"], domain="nowhere")
    value = helper.make_tensor_value_info
    graph = helper.make_graph([node], "g", [value("x", F, [1])], [value("y", F, [1])])
    pack = graphs.save(helper.make_model(graph, ir_version=8))
    signature = Signature((TensorSpec("x", "float32", (1,)),), (TensorSpec("y", "float32", (1,)),))
    with pytest.raises(PackError, match=r"No conversion rule .* nowhere\.Nothing\.$"):
        open_openvino(pack.model_path, signature, threads=1)


def test_what_is_no_graph_is_refused_in_silence(tmp_path, capfd):
    path = tmp_path / "broken.onnx"
    path.write_bytes(b"abc")
    with pytest.raises(PackError, match=r"'broken.onnx' cannot be loaded by OpenVINO"):
        open_openvino(path, Signature((), ()), threads=1)
    with pytest.raises(PackError, match="cannot be loaded by OpenVINO"):
        open_openvino(tmp_path / "absent.onnx", Signature((), ()), threads=1)
    assert capfd.readouterr() == ("", "")


def test_sizes_that_contradict_each_other_are_refused(graphs):
    """OpenVINO itself answers with an empty array."""
    pack = graphs.make(
        [("MatMul", ["a", "b"], ["y"])],
        [("a", F, ["n", "k"]), ("b", F, ["m", "p"])],
        [("y", F, ["n", "p"])],
    )
    session = opened(pack)
    a, b = np.ones((2, 3), np.float32), np.ones((5, 4), np.float32)
    with pytest.raises(PackError, match=r"output 'y' is float32\[0, 0\], expected float32\[n, p\]"):
        session.run(["y"], {"a": a, "b": b})
    (answer,) = session.run(["y"], {"a": a, "b": b[:3]})
    np.testing.assert_array_equal(answer, np.full((2, 4), 3))


def test_a_failure_while_running_is_translated(graphs):
    """And the request that failed is not used again."""
    session = opened(graphs.double(shape=(2, 4)))
    with pytest.raises(PackError, match="the graph failed on OpenVINO: "):
        session.run(["y"], {"x": np.ones((3, 4), np.float32)})
    (answer,) = session.run(["y"], {"x": np.ones((2, 4), np.float32)})
    assert answer.sum() == 16


def test_messages_are_without_source_lines():
    told = "Exception from src/a.cpp:1:\nCheck 'x' failed at src/b.h:2:\nModel is odd.\n\n"
    assert plain(RuntimeError(told)) == "Model is odd"
    assert plain(RuntimeError("")) == "RuntimeError"


def test_a_library_that_does_not_load_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(ProviderError, match="OpenVINO, which runs this variant") as caught:
        load_openvino()
    assert caught.value.remedy == "pip install 'onnxpack[openvino]'"


CODE = """
import sys
from onnxpack.runtime.openvino import load_openvino
load_openvino()
print(sorted(name for name in sys.modules if name.startswith("openvino_telemetry")))
import openvino_telemetry
print(openvino_telemetry.Telemetry.__name__)
"""


def test_no_telemetry_is_loaded(tmp_path):
    """OpenVINO sends an event when it is imported; whoever wants the package still has it."""
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\nTelemetry\n"
