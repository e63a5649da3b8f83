"""What is loaded is what was hashed, and stays so."""

import gc
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from onnxpack.errors import PackError
from onnxpack.pack.read import open_pack
from onnxpack.runtime import choose
from onnxpack.runtime.model import Model
from onnxpack.runtime.private_copy import private_copy
from onnxpack.runtime.session import open_session

ROWS, WIDTH = 300, 64


@pytest.fixture
def embedding(tmp_path):
    """Path of a graph with a table in a file beside it, which ONNX Runtime reads in every run."""
    table = np.arange(ROWS * WIDTH, dtype=np.float32).reshape(ROWS, WIDTH)
    graph = helper.make_graph(
        [helper.make_node("Gather", ["table", "row"], ["y"])],
        "embedding",
        [helper.make_tensor_value_info("row", TensorProto.INT64, ["n"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", WIDTH])],
        [numpy_helper.from_array(table, "table")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    path = tmp_path / "embedding.onnx"
    onnx.save(model, path, save_as_external_data=True, location="table.bin", size_threshold=0)
    return path


@pytest.fixture
def pack(network_pack, tmp_path):
    """A pack that a test may alter."""
    return shutil.copytree(network_pack.path, tmp_path / "altered")


def open_descriptors():
    return sorted(each.name for each in Path("/proc/self/fd").iterdir())


def alter(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_an_altered_graph_never_answers(pack):
    alter(pack / "model.onnx")
    with pytest.raises(PackError) as caught:
        Model(pack)
    assert caught.value.message.startswith(
        f"{pack} does not match its pack.json: model.onnx has sha256 "
    )
    assert caught.value.remedy == f"onnxpack check {pack}"


def test_a_longer_graph_is_refused_before_it_takes_memory(pack):
    opened = open_pack(pack)
    with (pack / "model.onnx").open("ab") as stream:
        stream.truncate(2**40)
    with pytest.raises(PackError, match=r"model\.onnx has 1099511627776 bytes, expected \d+"):
        Model(opened)
    with pytest.raises(PackError, match="is 1099511627776 bytes long, expected at most"):
        Model(pack)


def test_a_graph_that_is_exchanged_while_it_is_loaded_is_not_what_runs(
    pack, network, rows, monkeypatch
):
    opened = open_pack(pack)

    def exchange_first(graph, *args, **options):
        onnx.save(network.graph(scale=-1.0), pack / "model.onnx")
        return open_session(graph, *args, **options)

    monkeypatch.setattr(choose, "open_session", exchange_first)
    model = Model(opened, provider="cpu")
    np.testing.assert_allclose(model(rows(3)), network.answer(rows(3)), rtol=1e-4, atol=1e-5)


def test_weights_beside_a_graph_are_read_from_memory(embedding):
    model = Model(embedding)
    table = np.arange(ROWS * WIDTH, dtype=np.float32).reshape(ROWS, WIDTH)
    embedding.with_name("table.bin").write_bytes(b"\1" * (4 * ROWS * WIDTH))
    gc.collect()
    np.testing.assert_array_equal(model(np.array([0, 299, 7])), table[[0, 299, 7]])


def test_truncated_weights_do_not_end_the_process(embedding):
    """ONNX Runtime would map the file: the next run would end with SIGBUS."""
    code = """if True:
        import os, sys
        import numpy as np
        from onnxpack import Model

        model = Model(sys.argv[1])
        os.truncate(sys.argv[2], 0)
        print(model(np.array([299]))[0, -1])
    """
    done = subprocess.run(
        [sys.executable, "-c", code, embedding, embedding.with_name("table.bin")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, f"{ROWS * WIDTH - 1}.0\n"), done.stderr


def test_weights_must_be_long_enough(embedding):
    pack = open_pack(embedding)
    os.truncate(embedding.with_name("table.bin"), 8)
    with (
        pytest.raises(PackError, match=r"'table' has external data that is refused: it ends at"),
        private_copy(pack, embedding),
    ):
        pass


def test_a_graph_that_is_named_by_a_link_is_loaded(embedding, tmp_path):
    link = tmp_path / "link.onnx"
    link.symlink_to(embedding)
    assert Model(link)(np.array([1])).shape == (1, WIDTH)


def test_no_descriptor_is_left_open(embedding):
    before = open_descriptors()
    with pytest.raises(ZeroDivisionError), private_copy(open_pack(embedding), embedding):
        raise ZeroDivisionError
    assert open_descriptors() == before


def test_nobody_can_write_to_a_copy(embedding):
    with private_copy(open_pack(embedding), embedding) as graph:
        copy = os.open(graph, os.O_RDWR)
        try:
            with pytest.raises(PermissionError):
                os.write(copy, b"x")
        finally:
            os.close(copy)
