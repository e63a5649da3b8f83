"""A graph that is not plain is opened in a child process before it is opened here."""

import shutil
from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from tests import bombs

from onnxpack.errors import BoundsError
from onnxpack.pack.bounds import appraise, limited
from onnxpack.pack.read import open_pack
from onnxpack.runtime import rehearsal
from onnxpack.runtime.model import Model
from onnxpack.signature import Signature, TensorSpec

X = np.ones((2, 3), np.float32)


@pytest.fixture
def write(tmp_path):
    return lambda content: bombs.write(content, tmp_path)


@pytest.fixture
def children(monkeypatch):
    """How often a child was started."""
    started = []

    run = limited.try_limited

    def try_limited(*arguments):
        started.append(arguments)
        return run(*arguments)

    monkeypatch.setattr(limited, "try_limited", try_limited)
    return started


def test_a_plain_graph_costs_no_child(write, children, network_pack):
    Model(network_pack, provider="cpu")
    np.testing.assert_array_equal(Model(write(bombs.model([])), provider="cpu")(X), X)
    assert not children


@pytest.mark.parametrize("name", bombs.EXACT)
def test_a_bomb_is_refused_without_a_child(name, write, children):
    with pytest.raises(BoundsError, match=r"bomb.onnx wants .+ of memory"):
        Model(write(bombs.SMALL[name]()), provider="cpu")
    assert not children


@pytest.mark.parametrize("name", ["Conv with large pads", "sparse initializer"])
def test_what_takes_too_much_memory_is_refused(name, write):
    with pytest.raises(BoundsError, match=r"bomb.onnx takes more than 2.15 GB of memory \(its .+"):
        Model(write(bombs.SMALL[name]()), provider="cpu")


@pytest.mark.parametrize("name", ["functions that double", "Loop"])
def test_what_takes_too_long_is_refused(name, write, monkeypatch):
    monkeypatch.setattr(limited, "PROCESSOR", 2.0)
    with pytest.raises(BoundsError, match=r"bomb.onnx takes longer than 2 s \("):
        Model(write(bombs.SMALL[name]()), provider="cpu")


def test_what_ends_a_process_is_refused(write, monkeypatch):
    monkeypatch.setattr(rehearsal, "_PROGRAM", "import os; os.abort()")
    with pytest.raises(BoundsError, match=r"ends the process that reads it, with SIGABRT and 2.15"):
        Model(write(bombs.loop(trips=7)), provider="cpu")


@pytest.mark.parametrize("name", ["empty nodes", "strings of an attribute", "functions"])
def test_tiny_parts_take_no_memory_here(name, write, monkeypatch):
    """As 50 MB do of 2 GiB."""
    monkeypatch.setattr(appraise, "MEMORY", 2**27)
    monkeypatch.setattr(appraise, "A_BYTE", 1)
    with pytest.raises(BoundsError, match=r"of memory \(it may have more than"):
        Model(write(bombs.LARGE[name](5)), provider="cpu")


def test_a_model_that_is_not_plain_answers(write, children):
    model = Model(write(bombs.loop(trips=7)), provider="cpu")
    assert model.run({"x": X})["c"] == [7]
    assert len(children) == 1


def test_weights_in_other_files_are_rehearsed_too(tmp_path, children):
    made = onnx.ModelProto.FromString(bombs.loop(trips=7))
    made.graph.initializer.append(numpy_helper.from_array(np.arange(3, dtype=np.float32), "table"))
    made.graph.node[0].CopyFrom(helper.make_node("Mul", ["x", "table"], ["y"]))
    path = tmp_path / "beside.onnx"
    onnx.save(made, path, save_as_external_data=True, location="w.bin", size_threshold=44)
    np.testing.assert_array_equal(Model(path, provider="cpu").run({"x": X})["y"][0], [0, 1, 2])
    assert len(children) == 1


def test_a_trusted_pack_is_not_rehearsed(network_pack, tmp_path, children, monkeypatch):
    monkeypatch.setattr(rehearsal, "appraise", lambda *_, **__: appraise.Appraisal("any", 2**31))
    pack = open_pack(shutil.copytree(network_pack.path, tmp_path / "pack"))
    Model(pack, provider="cpu", variant="base")
    assert len(children) == 1
    Model(replace(pack, trusted=True), provider="cpu", variant="base")
    assert len(children) == 1


def test_the_reader_says_what_is_wrong_with_a_graph(write):
    """A child that refuses a graph as its parent will is no bound that was passed."""
    from onnxpack.errors import PackError

    with pytest.raises(
        PackError, match=r"'bomb.onnx' cannot be loaded: .*parsing failed"
    ) as caught:
        Model(write(bombs.nested()), provider="cpu")
    assert not isinstance(caught.value, BoundsError)


def test_inputs_that_are_made_up_are_small():
    def made_up(*shape, dtype="float32"):
        return rehearsal.make_up(Signature((TensorSpec("x", dtype, shape),), ()))

    assert made_up("batch", 3)["x"].shape == (1, 3)
    assert made_up(2, dtype="str")["x"].tolist() == ["", ""]
    assert made_up(2**20, 2**20) is None
