"""What a graph does with its golden data is bounded, though no one can know it before."""

from dataclasses import replace

import numpy as np
import pytest
from tests import bombs

from onnxpack.pack.bounds import limited
from onnxpack.pack.read import open_pack
from onnxpack.pack.tensor import encode_tensor
from onnxpack.parity import limited as replays
from onnxpack.parity.check import check

X = np.zeros((1, 3), np.float32)


@pytest.fixture
def zoo(tmp_path):
    """Return a maker of a folder with a graph and golden data, as a model zoo has them."""

    def make(content, c):
        (tmp_path / "model.onnx").write_bytes(content)
        golden = tmp_path / "test_data_set_0"
        golden.mkdir()
        (golden / "input_0.pb").write_bytes(encode_tensor("x", X))
        (golden / "output_0.pb").write_bytes(encode_tensor("y", X))
        (golden / "output_1.pb").write_bytes(encode_tensor("c", np.array(c, np.float32)))
        return tmp_path

    return make


def test_memory_of_a_run_is_bounded(zoo):
    checked = check(zoo(bombs.of_an_input(), [0]))
    assert not checked.proven
    message = checked.report.errors[0].message
    assert "takes more than 2.15 GB of memory (on the CPU, with its golden data)" in message


def test_time_of_a_run_is_bounded(zoo, monkeypatch):
    monkeypatch.setattr(limited, "SECONDS", 4.0)
    checked = check(zoo(bombs.loop(of_input=True), [0]))
    assert not checked.proven
    message = checked.report.errors[0].message
    assert "takes longer than 4 s (on the CPU, with its golden data)." in message


def test_a_graph_of_an_input_that_ends_is_replayed(zoo):
    checked = check(zoo(bombs.loop(7, of_input=True), [7]))
    assert checked.ok
    assert any("cpu: test_data_set_0/c" in each.subject for each in checked.report.findings)


def test_an_error_of_the_child_is_the_error_of_the_check(zoo):
    folder = zoo(bombs.loop(7, of_input=True), [8])
    message = check(folder).report.errors[0]
    assert message.subject == "cpu: test_data_set_0/c"


def test_a_trusted_pack_is_replayed_here(zoo, monkeypatch):
    def no_child(*_args, **_options):
        raise AssertionError

    monkeypatch.setattr(replays, "try_limited", no_child)
    pack = open_pack(zoo(bombs.loop(7), [7]))
    with pytest.raises(AssertionError):
        replays.Prover(pack).prove("cpu")
    # A Loop is not plain either: who trusts a pack lets it do as it does.
    assert replays.Prover(replace(pack, trusted=True)).prove("cpu").proven is False
