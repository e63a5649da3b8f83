"""What a graph wants is known before a library reads it, or the graph is not plain."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from tests import bombs

from onnxpack.errors import BoundsError
from onnxpack.pack.bounds.appraise import MEMORY, appraise
from onnxpack.pack.bounds.messages import MAX_PARTS

FLOAT = TensorProto.FLOAT


def doubt(content):
    return appraise(content, "m.onnx").doubt


@pytest.mark.parametrize("name", bombs.EXACT)
def test_a_bomb_is_refused_with_its_node_and_size(name):
    with pytest.raises(BoundsError, match=r"m.onnx wants [\d.,]+ [GT]B of memory for .+'\w+'"):
        doubt(bombs.SMALL[name]())


@pytest.mark.parametrize("name", sorted({*bombs.SMALL} - {*bombs.EXACT, "nested types"}))
def test_what_is_not_known_is_not_plain(name):
    assert doubt(bombs.SMALL[name]())


@pytest.mark.parametrize("name", bombs.LARGE)
def test_too_many_parts_are_not_plain(name):
    """The same fields as in 50 MB."""
    assert f"more than {MAX_PARTS} parts" in doubt(bombs.LARGE[name](2))


def test_the_message_says_what_was_found_and_expected():
    with pytest.raises(BoundsError) as caught:
        doubt(bombs.constant_of_shape())
    assert caught.value.message == (
        "m.onnx wants 4 TB of memory for the output of node 'c' (ConstantOfShape), whatever its "
        "input; expected at most 2.15 GB for a file of this size."
    )


def test_a_node_without_a_name_is_named_by_what_it_gives():
    node = helper.make_node("ConstantOfShape", ["s"], ["c"])
    with pytest.raises(BoundsError, match=r"node that gives 'c' \(ConstantOfShape\)"):
        doubt(bombs.model([node], [bombs.ints("s", 10**12)], outputs=[bombs.used("c")]))


def test_a_large_file_may_take_more():
    """A model of 10 GB of weights that are cast is no bomb."""
    assert appraise(bombs.model([]), "m", beside=10**10).memory > MEMORY + 8 * 10**10
    weight = TensorProto(name="w", data_type=TensorProto.FLOAT16, dims=[5 * 10**9])
    cast = helper.make_node("Cast", ["w"], ["c"], to=FLOAT)
    content = bombs.model([cast], [weight], outputs=[bombs.used("c")])
    assert appraise(content, "m", beside=10**10).doubt == ""
    with pytest.raises(BoundsError):
        appraise(content, "m")


def shapes_of_inputs():
    """A mask that is as large as the input, as exporters write it."""
    nodes = [
        helper.make_node("Shape", ["x"], ["s"]),
        helper.make_node("Gather", ["s", "zero"], ["n"]),
        helper.make_node("Unsqueeze", ["n", "axis"], ["m"]),
        helper.make_node("Concat", ["m", "m"], ["t"], axis=0),
        helper.make_node("ConstantOfShape", ["t"], ["c"]),
        helper.make_node("Range", ["start", "n", "step"], ["r"]),
        helper.make_node("Expand", ["one", "t"], ["e"]),
    ]
    weights = [
        bombs.scalar("zero", 0),
        bombs.scalar("start", 0),
        bombs.scalar("step", 1),
        bombs.ints("axis", 0),
        bombs.floats("one", 1),
    ]
    return bombs.model(nodes, weights, outputs=[bombs.used("c", 2)])


def weights_in_eight_bits():
    weight = numpy_helper.from_array(np.ones((512, 512), np.int8), "w")
    scale, zero = bombs.scalar("scale", 0.1, np.float32), bombs.scalar("zero", 0, np.int8)
    nodes = [
        helper.make_node("DequantizeLinear", ["w", "scale", "zero"], ["d"]),
        helper.make_node("Transpose", ["d"], ["t"], perm=[1, 0]),
        helper.make_node("MatMul", ["x", "t"], ["m"]),
    ]
    return bombs.model(nodes, [weight, scale, zero])


def forest():
    """Trees of a million nodes, each attribute a field of its own for each."""
    count = 200_000
    node = helper.make_node(
        "TreeEnsembleRegressor",
        ["x"],
        ["t"],
        domain="ai.onnx.ml",
        nodes_featureids=[300] * count,
        nodes_values=[0.5] * count,
        nodes_modes=["BRANCH_LEQ"] * count,
    )
    return bombs.model([node])


def sizes_for_reshape():
    nodes = [
        helper.make_node("Constant", [], ["a"], value_ints=[-1, 3]),
        helper.make_node("Constant", [], ["b"], value_float=2.0),
        helper.make_node("Reshape", ["x", "a"], ["r"]),
        helper.make_node("Mul", ["r", "b"], ["m"]),
    ]
    return bombs.model(nodes)


@pytest.mark.parametrize(
    "make", [shapes_of_inputs, weights_in_eight_bits, forest, sizes_for_reshape]
)
def test_a_usual_graph_is_plain(make):
    assert doubt(make()) == ""


def test_a_size_of_an_input_that_is_fixed_is_known():
    """ONNX Runtime folds it as it folds a weight."""
    nodes = [
        helper.make_node("Shape", ["x"], ["s0"], start=1),
        *[helper.make_node("Mul", [f"s{i}", f"s{i}"], [f"s{i + 1}"]) for i in range(5)],
        helper.make_node("ConstantOfShape", ["s5"], ["c"], "c"),
    ]
    with pytest.raises(BoundsError, match="7,412 TB"):
        doubt(bombs.model(nodes, outputs=[bombs.used("c")]))


def test_a_shape_that_is_inferred_is_not_plain_where_it_decides():
    nodes = [
        helper.make_node("Relu", ["x"], ["r"]),
        helper.make_node("Shape", ["r"], ["s"]),
        helper.make_node("ConstantOfShape", ["s"], ["c"], "c"),
    ]
    assert "decide how large the output of node 'c'" in doubt(bombs.model(nodes, rows=2))
    assert doubt(bombs.model(nodes)) == ""


def test_nodes_in_another_order_are_not_plain():
    """ONNX Runtime sorts them, so a bomb could lie behind."""
    nodes = [
        helper.make_node("ConstantOfShape", ["s"], ["c"], "c"),
        helper.make_node("Identity", ["t"], ["s"]),
    ]
    assert "'c' (ConstantOfShape) comes before its inputs" in doubt(
        bombs.model(nodes, [bombs.ints("t", 10**12)])
    )


@pytest.mark.parametrize("content", [b"", b"\xff" * 100, b"\x0b\x0c", b"\x3a\x00\x3a\x00"])
def test_what_is_not_a_graph_is_not_plain(content):
    """A graph that is written twice is merged by its reader."""
    assert doubt(content)


@pytest.mark.parametrize(
    "node",
    [
        helper.make_node("Tile", ["s"], ["c"]),
        helper.make_node("Range", ["f", "f", "s"], ["c"]),
        helper.make_node("Pad", ["f", "s"], ["c"]),
        helper.make_node("OneHot", ["s", "f", "f"], ["c"]),
        helper.make_node("Resize", ["f"], ["c"]),
        helper.make_node("Gather", ["f"], ["c"], axis=9),
        helper.make_node("Expand", ["f", "f"], ["c"]),
        helper.make_node("Transpose", ["f"], ["c"], perm=[3, 4]),
        helper.make_node("Div", ["s", "zero"], ["c"]),
        helper.make_node("Where", ["s", "s"], ["c"]),
        helper.make_node("Unsqueeze", ["s", "s"], ["c"]),
        helper.make_node("Constant", [], ["c"]),
        helper.make_node("SequenceEmpty", [], ["c"]),
    ],
    ids=lambda node: node.op_type,
)
def test_a_broken_node_is_left_to_its_reader(node):
    weights = [bombs.ints("s", 5, 7), bombs.floats("f", 1, 2, 3), bombs.ints("zero", 0)]
    doubt(bombs.model([node], weights))


def test_values_stay_few():
    """The appraisal itself is no way to take memory or time."""
    wide = np.ones(1000, np.int64)
    weights = [
        numpy_helper.from_array(wide.reshape(shape), name)
        for name, shape in (("a", (1000, 1, 1)), ("b", (1, 1000, 1)), ("c", (1, 1, 1000)))
    ]
    nodes = [
        helper.make_node("Where", ["a", "b", "c"], ["d"], "d"),
        helper.make_node("Concat", ["a"] * 100_000, ["e"], "e", axis=0),
    ]
    with pytest.raises(BoundsError, match="8 GB of memory for the output of node 'd'"):
        doubt(bombs.model(nodes, weights))
    assert "node 'e'" in doubt(bombs.model(nodes[1:], weights))


def test_a_graph_of_onnx_is_read_as_onnx_reads_it():
    content = bombs.in_a_branch(5)
    onnx.checker.check_model(onnx.ModelProto.FromString(content))
    assert doubt(content) == ""
