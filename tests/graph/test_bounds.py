"""Shapes are inferred in bounds, or the graph is refused."""

import pytest
from tests import bombs

from onnxpack.errors import BoundsError, PackError
from onnxpack.graph.nodes import list_nodes
from onnxpack.graph.summary import summarize
from onnxpack.pack.bounds import appraise, limited
from onnxpack.pack.interface import read_interface


@pytest.mark.parametrize("read", [summarize, list_nodes, read_interface])
@pytest.mark.parametrize("name", ["Concat that doubles", "Concat that doubles a shape", "Tile"])
def test_a_bomb_is_refused_by_each_reader(read, name, tmp_path):
    with pytest.raises(BoundsError, match=r"bomb.onnx wants \d.+ of memory for the output of node"):
        read(bombs.write(bombs.SMALL[name](), tmp_path))


@pytest.mark.parametrize("read", [summarize, list_nodes])
def test_sizes_that_the_input_gives_are_inferred_in_bounds(read, tmp_path):
    with pytest.raises(BoundsError, match=r"bomb.onnx takes more than 2.15 GB of memory"):
        read(bombs.write(bombs.doubled_input(), tmp_path))


@pytest.mark.parametrize("read", [summarize, read_interface])
@pytest.mark.parametrize("name", ["empty nodes", "strings of a tensor"])
def test_tiny_parts_take_no_memory_here(read, name, tmp_path, monkeypatch):
    """As 50 MB do of 2 GiB."""
    monkeypatch.setattr(appraise, "MEMORY", 2**27)
    monkeypatch.setattr(appraise, "A_BYTE", 0)
    read(bombs.write(bombs.laughs(3), tmp_path))
    with pytest.raises(BoundsError, match=r"of memory \(it may have more than 524288 parts\)"):
        read(bombs.write(bombs.LARGE[name](6), tmp_path))


def test_a_reader_takes_no_longer_than_it_may(tmp_path, monkeypatch):
    monkeypatch.setattr(limited, "SECONDS", 0.1)
    with pytest.raises(BoundsError, match=r"bomb.onnx takes longer than 10 s \(it defines func"):
        summarize(bombs.write(bombs.laughs(3), tmp_path))


def test_functions_are_summarized_as_before(tmp_path):
    assert summarize(bombs.write(bombs.laughs(3), tmp_path)).functions[0] == "local.f0"


def test_a_graph_without_bytes_is_no_graph(tmp_path):
    with pytest.raises(PackError, match="not an ONNX model"):
        summarize(bombs.write(b"", tmp_path))
