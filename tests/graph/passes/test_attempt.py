"""The frame around a pass: failures in our words, full disks in theirs, nothing half-made."""

from __future__ import annotations

import errno

import onnx
import pytest

from onnxpack.errors import MissingExtraError, OptimizeError
from onnxpack.graph.passes import attempt as module
from onnxpack.graph.passes.attempt import attempt, finish


def break_pass(source, to, exc):
    with attempt("demo", source, to):
        raise exc


def test_foreign_failures_are_translated(products, tmp_path):
    to = tmp_path / "made" / "model.onnx"
    with pytest.raises(
        OptimizeError, match=r"demo failed on model.onnx: KeyError: 'x'\."
    ) as caught:
        break_pass(products, to, KeyError("x"))
    assert isinstance(caught.value.__cause__, KeyError)
    assert list(to.parent.iterdir()) == []


def test_a_missing_library_names_the_extra(products, tmp_path):
    with pytest.raises(MissingExtraError) as caught:
        break_pass(products, tmp_path / "model.onnx", ImportError(name="nncf"))
    assert "onnxpack[optimize]" in caught.value.remedy


def test_a_full_disk_stays_what_it_is(products, tmp_path):
    with pytest.raises(OSError, match="No space left"):
        break_pass(products, tmp_path / "model.onnx", OSError(errno.ENOSPC, "No space left"))


def test_an_interrupt_leaves_nothing(products, tmp_path):
    to = tmp_path / "made" / "model.onnx"
    with pytest.raises(KeyboardInterrupt):
        break_pass(products, to, KeyboardInterrupt())
    assert list(to.parent.iterdir()) == []


def change(products, tmp_path, edit):
    to = tmp_path / "made" / "model.onnx"
    with attempt("demo", products, to) as under_way:
        edit(under_way.model.graph)
        finish(under_way.model, products, to, under_way)
    return to


def test_a_changed_output_is_refused(products, tmp_path):
    def rename(graph):
        graph.node[-1].output[0] = graph.output[0].name = "z"

    with pytest.raises(
        OptimizeError, match=r"changed the output '[yz]': found z: float, expected y"
    ):
        change(products, tmp_path, rename)


def test_a_changed_dtype_is_refused(products, tmp_path):
    def narrow(graph):
        graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.FLOAT16

    with pytest.raises(OptimizeError, match="changed the input 'x': found x: float16"):
        change(products, tmp_path, narrow)


def test_dropped_inputs_and_dims_are_restored(products, tmp_path, interface):
    def drop(graph):
        del graph.input[1]
        graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1

    assert interface(change(products, tmp_path, drop)) == interface(products)


def test_an_invalid_graph_is_refused(products, tmp_path):
    def cut(graph):
        del graph.node[0]

    with pytest.raises(OptimizeError, match="demo made a graph that is not valid"):
        change(products, tmp_path, cut)
    assert list((tmp_path / "made").iterdir()) == []


def test_large_weights_go_beside_the_graph(products, tmp_path, monkeypatch, feeds, answers):
    monkeypatch.setattr(module, "INLINE_LIMIT", 100)
    to = change(products, tmp_path, lambda graph: None)
    assert sorted(path.name for path in to.parent.iterdir()) == ["model.onnx", "model.onnx.data"]
    feed = feeds(products, 1)[0]
    assert (answers(to, feed)["y"] == answers(products, feed)["y"]).all()


def test_the_first_ir_versions_list_their_weights(tmp_path, floats, graph, value, interface):
    nodes = [onnx.helper.make_node("MatMul", ["x", "w"], ["y"])]
    inputs = [value("x", "rows", 64), value("w", 64, 8)]
    model = graph(nodes, inputs, [value("y", "rows", 8)], {"w": floats(64, 8)}, opset=8)
    model.ir_version = 3
    source, to = tmp_path / "model.onnx", tmp_path / "made" / "model.onnx"
    onnx.save(model, source)
    with attempt("demo", source, to) as under_way:
        finish(under_way.model, source, to, under_way)
    assert interface(to) == interface(source)
