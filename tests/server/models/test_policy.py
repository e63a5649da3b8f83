"""Which models run their requests together: those shown not to mix rows, and no other."""

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from onnxpack.errors import PackError
from onnxpack.pack.model import GoldenSet, Pack
from onnxpack.pack.tensor import encode_tensor
from onnxpack.runtime.model import Model
from onnxpack.server.models import policy as policy_module
from onnxpack.server.models.policy import measure

F = TensorProto.FLOAT
VARIED = np.array([[1, 2, 3], [4, 5, 7]], np.float32)


@pytest.fixture
def zoo(tmp_path):
    """A model-zoo folder: a graph of one input, and golden inputs of any name."""

    def make(nodes, outputs, *golden, shape=("batch", 3), kind=F, constants=(), name="x"):
        graph = helper.make_graph(
            [helper.make_node(*node[:3], **(node[3] if len(node) > 3 else {})) for node in nodes],
            "graph",
            [helper.make_tensor_value_info("x", kind, shape)],
            [helper.make_tensor_value_info(*output) for output in outputs],
            [numpy_helper.from_array(array, constant) for constant, array in constants],
        )
        opsets = [helper.make_opsetid("", 18)]
        path = tmp_path / "model.onnx"
        path.write_bytes(
            helper.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString()
        )
        sets = []
        for number, array in enumerate(golden):
            file = tmp_path / f"input_{number}.pb"
            file.write_bytes(encode_tensor(name, array))
            sets.append(GoldenSet(f"test_data_set_{number}", (file,), ()))
        return Model(Pack(path=tmp_path, model_path=path, golden=tuple(sets)), provider="cpu")

    return make


DOUBLE = ([("Add", ["x", "x"], ["y"])], [("y", F, ["batch", 3])])


def test_a_model_whose_rows_are_apart_is_batched(zoo):
    assert measure(zoo(*DOUBLE, VARIED)).apart


def test_golden_data_under_other_names_is_taken_by_place(zoo):
    assert measure(zoo(*DOUBLE, VARIED, name="image")).apart


def test_an_answer_that_is_the_same_for_every_row_shows_nothing(zoo):
    """Whoever exchanges such rows cannot be seen."""
    nodes = [("Sub", ["x", "x"], ["y"])]
    policy = measure(zoo(nodes, DOUBLE[1], VARIED))
    assert (policy.apart, "'y' is the same for every row" in policy.reason) == (False, True)


def test_rows_are_made_where_golden_data_is_uniform(zoo):
    assert measure(zoo(*DOUBLE, np.ones((2, 3), np.float32))).apart


def test_a_row_of_another_set_will_do(zoo):
    assert measure(zoo(*DOUBLE, np.ones((2, 3), np.float32), VARIED)).apart


def test_a_mean_over_the_batch_is_found_even_where_the_sample_is_uniform(zoo):
    nodes = [
        ("ReduceMean", ["x", "axes"], ["m"], {"keepdims": 1}),
        ("Sub", ["x", "m"], ["y"]),
    ]
    axes = [("axes", np.array([0], np.int64))]
    model = zoo(nodes, DOUBLE[1], np.ones((2, 3), np.float32), VARIED, constants=axes)
    assert "changes with the other rows" in measure(model).reason


@pytest.mark.parametrize("reverse", [0, 1])
def test_a_sum_over_the_rows_before_or_after_is_found(zoo, reverse):
    nodes = [("CumSum", ["x", "axis"], ["y"], {"reverse": reverse})]
    model = zoo(nodes, DOUBLE[1], VARIED, constants=[("axis", np.array(0, np.int64))])
    assert "changes with the other rows" in measure(model).reason


def test_an_output_that_only_says_it_has_a_row_for_each_row(zoo):
    nodes = [("NonZero", ["x"], ["t"]), ("Transpose", ["t"], ["y"])]
    model = zoo(nodes, [("y", TensorProto.INT64, ["batch", 2])], VARIED)
    assert "does not have as many rows" in measure(model).reason


def test_a_graph_that_takes_one_batch_size_alone(zoo, monkeypatch):
    model = zoo(*DOUBLE, VARIED)

    def run(feeds):
        if len(feeds["x"]) == 3:
            raise PackError("the graph failed")
        return {"y": feeds["x"] * 2}

    monkeypatch.setattr(model, "run", run)
    assert measure(model).reason == "it fails on a batch of 3 rows"


@pytest.mark.parametrize("only_at", [None, 2, 3, 8])
def test_a_model_that_reverses_its_batch_is_found(zoo, monkeypatch, only_at):
    """Golden rows are equal but for a trifle, and so are their answers within a wide tolerance."""
    near = np.array([[1, 2, 3], [1, 2, 3.0001]], np.float32)
    model = zoo(*DOUBLE, near)

    def run(feeds):
        reverses = only_at in (None, len(feeds["x"]))
        return {"y": (feeds["x"][::-1] if reverses else feeds["x"]) * 2}

    monkeypatch.setattr(model, "run", run)
    policy = measure(model, 8)
    assert not policy.apart
    assert policy.reason == "a row of 'y' changes with the other rows of its batch"


def test_one_output_that_is_reversed_is_found(zoo, monkeypatch):
    model = zoo(
        [("Add", ["x", "x"], ["y"]), ("ArgMax", ["x"], ["label"], {"axis": 1, "keepdims": 0})],
        [("y", F, ["batch", 3]), ("label", TensorProto.INT64, ["batch"])],
        np.array([[1, 2, 3], [4, 5, 7], [2, 3, 4], [7, 8, 9]], np.float32),
    )
    answer = model.run

    def run(feeds):
        found = answer(feeds)
        return {"y": found["y"], "label": found["label"][::-1]}

    monkeypatch.setattr(model, "run", run)
    assert "'label' changes" in measure(model).reason


def test_the_decision_is_the_same_each_time(zoo):
    model = zoo(*DOUBLE, VARIED)
    assert len({(measure(model, 8).apart, measure(model, 8).reason) for _ in range(5)}) == 1


def test_other_first_axes_are_not_a_batch(zoo):
    nodes = [("ReduceSum", ["x", "axes"], ["y"], {"keepdims": 0})]
    axes = [("axes", np.array([0], np.int64))]
    model = zoo(nodes, [("y", F, [3])], VARIED, constants=axes)
    assert "do not share a dynamic first axis" in measure(model).reason


@pytest.mark.parametrize(
    ("wanted", "rows", "reason"), [(8, 8, ""), (1, 1, "a batch is one row"), (64, 64, "")]
)
def test_who_says_how_many_rows_is_obeyed(zoo, wanted, rows, reason):
    policy = measure(zoo(*DOUBLE, VARIED), wanted)
    assert (policy.apart, policy.rows, policy.reason) == (True, rows, reason)


@pytest.mark.parametrize(
    ("start", "each", "rows"), [(1.0, 0.0, 64), (0.0, 1.0, 1), (1.0, 3.0, 2), (3.0, 4.0, 4)]
)
def test_rows_are_doubled_as_long_as_each_takes_less_time(zoo, monkeypatch, start, each, rows):
    """On a clock that only runs move: a start, and a time for each row, in ms."""
    model, clock = zoo(*DOUBLE, VARIED), [0.0]
    answer = model.run

    def run(feeds):
        clock[0] += (start + each * len(feeds["x"])) / 1000
        return answer(feeds)

    monkeypatch.setattr(model, "run", run)
    monkeypatch.setattr(policy_module, "perf_counter", lambda: clock[0])
    policy = measure(model)
    assert policy.rows == rows
    assert policy.batched == (rows > 1)
    assert bool(policy.reason) == (rows == 1)


def test_without_golden_data_nothing_is_shown(zoo):
    policy = measure(zoo(*DOUBLE))
    assert (policy.inline, policy.apart) == (False, False)
    assert "no golden data" in policy.reason


def test_golden_data_that_does_not_fit_is_no_reason_to_fall_over(zoo):
    policy = measure(zoo(*DOUBLE, np.ones((2, 9), np.float32)))
    assert (policy.apart, "cannot be run" in policy.reason) == (False, True)


def test_text_never_runs_in_the_event_loop(zoo):
    text = TensorProto.STRING
    nodes, outputs = [("Identity", ["x"], ["y"])], [("y", text, ["batch"])]
    model = zoo(nodes, outputs, np.array(["a", "b"], object), kind=text, shape=["batch"])
    policy = measure(model)
    assert (policy.inline, policy.apart) == (False, True)
