from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from msgspec.structs import replace
from onnx import TensorProto

from onnxpack.errors import FeedError, PackError, ProviderError, UsageError
from onnxpack.pack.manifest import SkippedCase
from onnxpack.pack.model import Pack
from onnxpack.runtime.model import Model
from onnxpack.runtime.threads import read_budget
from onnxpack.signature import Signature, TensorSpec


def test_one_output_is_an_array(graphs, x):
    model = Model(graphs.double())
    for answer in (model(x), model(x=x), model.run({"x": x})["y"]):
        np.testing.assert_array_equal(answer, x + x)


def test_several_outputs_are_named(graphs):
    model = Model(graphs.mix())
    a, b = np.full((2, 3), 3, np.float32), np.ones((2, 3), np.float32)
    for answers in (model(a, b), model(a, b=b), model(b=b, a=a), model.run({"a": a, "b": b})):
        assert list(answers) == ["total", "gap"]
        np.testing.assert_array_equal(answers["total"], a + b)
        np.testing.assert_array_equal(answers["gap"], a - b)


def test_what_a_model_says_of_itself(graphs):
    pack = graphs.mix()
    model = Model(pack)
    assert (model.name, model.pack, model.provider) == ("model", pack, "cpu")
    assert model.placement == {"cpu": 2}
    assert model.threads == read_budget().threads
    assert model.signature.inputs[0] == TensorSpec("a", "float32", ("batch", 3))
    assert model.labels is None
    assert model.preprocess is None
    assert repr(model).startswith("<Model model (a: float32[batch, 3]")


def test_a_manifest_speaks_for_the_model(graphs, with_manifest, double_signature):
    model = Model(with_manifest(graphs.double(shape=("s0", 4)), double_signature))
    assert (model.name, model.labels) == ("thing", ("cat", "dog"))
    assert model.signature == double_signature
    assert model.preprocess is not None


def test_a_manifest_that_lies_is_refused(graphs, with_manifest, double_signature):
    with pytest.raises(PackError, match="disagree"):
        Model(with_manifest(graphs.double(shape=("batch", 5)), double_signature))


def test_a_path_is_opened(graphs, x):
    path = graphs.double().path
    np.testing.assert_array_equal(Model(path)(x), Model(str(path))(x))


def test_threads_are_obeyed_and_checked(graphs):
    model = Model(graphs.double(), threads=1)
    assert model.threads == 1
    assert model._session.get_session_options().intra_op_num_threads == 1
    with pytest.raises(UsageError, match="threads is 0"):
        Model(graphs.double(), threads=0)


def test_providers_by_any_name(graphs):
    for name in ("cpu", "CPU", "CPUExecutionProvider", "auto"):
        assert Model(graphs.double(), provider=name).provider == "cpu"


def test_a_provider_that_runs_nothing_is_refused(graphs):
    with pytest.raises(ProviderError, match="'azure' was requested"):
        Model(graphs.double(), provider="azure")


def test_foreign_byte_order_is_not_read_wrongly(graphs, x):
    model = Model(graphs.double())
    foreign = x.astype(">f4")
    raw = model._session.run(["y"], {"x": foreign})[0]
    assert not np.array_equal(raw, x + x), "onnxruntime itself has learnt: drop our check"
    np.testing.assert_array_equal(model(foreign), x + x)


@pytest.mark.parametrize("order", ["C", "F"])
def test_memory_order_does_not_matter(graphs, x, order):
    np.testing.assert_array_equal(Model(graphs.double())(np.array(x, order=order)), x + x)
    np.testing.assert_array_equal(Model(graphs.double())(np.repeat(x, 2, 0)[::2]), x + x)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.zeros((2, 4)), r"'x' is float64\[2, 4\], expected float32\[batch, 4\]"),
        (np.zeros(4, np.float32), r"'x' is float32\[4\], expected float32\[batch, 4\]"),
        (np.zeros((2, 5), np.float32), r"'x' is float32\[2, 5\], expected float32\[batch, 4\]"),
        (np.zeros((2, 4, 1), np.float32), r"float32\[2, 4, 1\]"),
        ({}, "expected float32"),
        (object(), "expected float32"),
    ],
)
def test_a_feed_that_does_not_fit_is_named(graphs, value, message):
    model = Model(graphs.double())
    with pytest.raises(FeedError, match=message):
        model(value)
    with pytest.raises(FeedError, match=message):
        model.run({"x": value})


def test_a_batch_that_differs_between_inputs_is_refused(graphs):
    one, two = np.zeros((1, 3), np.float32), np.zeros((2, 3), np.float32)
    with pytest.raises(FeedError, match=r"'b' is float32\[1, 3\].*batch = 2"):
        Model(graphs.mix())(two, one)


def test_lists_are_converted(graphs):
    assert Model(graphs.double())([[1, 2, 3, 4]]).tolist() == [[2, 4, 6, 8]]


def test_an_empty_batch(graphs):
    assert Model(graphs.double())(np.zeros((0, 4), np.float32)).shape == (0, 4)


def test_strings(graphs):
    model = Model(graphs.echo(TensorProto.STRING))
    assert model(["a", "é"]).tolist() == ["a", "é"]
    with pytest.raises(FeedError, match="not strings"):
        model(np.array([None], object))


def test_a_graph_that_fails(graphs):
    pack = graphs.make(
        [("Reshape", ["x", "s"], ["y"])],
        [("x", 1, ["batch", 3])],
        [("y", 1, None)],
        [("s", np.array([1, 3]))],
    )
    model = Model(pack)
    for call in (model, lambda x: model.run({"x": x})):
        with pytest.raises(PackError, match="failed on cpu"):
            call(np.zeros((2, 3), np.float32))


def test_many_threads(graphs):
    model = Model(graphs.mix(), threads=1)

    def call(size: int) -> bool:
        a = np.full((size, 3), size, np.float32)
        return all(
            np.array_equal(answers["total"], a * 2) and not answers["gap"].any()
            for answers in (model(a, a) for _ in range(20))
        )

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(call, range(1, 65)))


def test_prove(graphs, with_golden, x):
    report = Model(with_golden(graphs.double(), ([("x", x)], [("y", x + x)]))).prove()
    assert report.ok
    assert report.findings[0].subject == "test_data_set_0/y"


def test_an_example_is_the_first_golden_set(graphs, with_golden, x):
    model = Model(with_golden(graphs.double(), ([("x", x)], [("y", x + x)])))
    np.testing.assert_array_equal(model(**model.example()), x + x)
    with pytest.raises(UsageError, match="no golden data"):
        Model(graphs.double()).example()


def test_signature_type(graphs):
    assert isinstance(Model(graphs.double()).signature, Signature)


def test_a_pack_refuses_what_is_empty_and_must_not_be(graphs, with_manifest, double_signature):
    """ONNX Runtime ends the process at a batch of 0 before a GRU; a mean of nothing is 0 there."""
    pack = with_manifest(graphs.double(), double_signature)
    empty = np.zeros((0, 4), np.float32)
    assert Model(pack)(empty).shape == (0, 4)
    parity = replace(pack.manifest.parity, skipped=(SkippedCase("batch=0", "GRU"),))
    fatal = Pack(pack.path, pack.model_path, (), replace(pack.manifest, parity=parity))
    with pytest.raises(FeedError, match=r"input 'x' is float32\[0, 4\]: 'batch' is 0"):
        Model(fatal)(empty)
    with pytest.raises(FeedError, match="was proven only with at least 1"):
        Model(fatal).bind({"x": empty})
