from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from onnx import TensorProto, helper

from onnxpack.errors import PackError
from onnxpack.runtime.catalog import CPU
from onnxpack.runtime.session import open_session
from onnxpack.runtime.signature import agree, read_signature
from onnxpack.signature import Signature, TensorSpec


def signature_of(pack) -> Signature:
    return read_signature(open_session(pack.model_path, [CPU], threads=1))


@pytest.mark.parametrize(
    "dtype",
    ["float32", "float64", "float16", "bool"]
    + [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)],
)
def test_every_numpy_dtype(graphs, dtype):
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    assert signature_of(graphs.echo(kind)).inputs[0].dtype == dtype


def test_strings(graphs):
    assert signature_of(graphs.echo(TensorProto.STRING)).inputs[0].dtype == "str"


def test_dims_are_numbers_names_or_made_up(graphs):
    signature = signature_of(graphs.double(shape=["batch", None, 3]))
    assert signature.inputs[0].shape == ("batch", "x_dim_1", 3)


def test_an_unknown_rank_stays_unknown(graphs):
    assert signature_of(graphs.double(shape=None)).inputs[0].shape is None


@pytest.mark.parametrize("kind", [TensorProto.BFLOAT16, TensorProto.FLOAT8E4M3FN])
def test_what_numpy_cannot_hold(graphs, kind):
    pack = graphs.make(
        [("Cast", ["x"], ["y"], {"to": kind})],
        [("x", 1, ["b"])],
        [("y", kind, ["b"])],
        opset=19,
    )
    with pytest.raises(PackError, match=r"output 'y' is tensor\((bfloat16|float8e4m3fn)\)") as e:
        signature_of(pack)
    assert "float32" in e.value.remedy


def test_a_sequence(graphs):
    from onnx import load

    pack = graphs.make([("SequenceConstruct", ["x"], ["y"])], [("x", 1, ["b"])], [("y", 1, None)])
    model = load(pack.model_path)
    model.graph.output[0].CopyFrom(helper.make_tensor_sequence_value_info("y", 1, None))
    with pytest.raises(PackError, match=r"output 'y' is seq\(tensor\(float\)\)") as caught:
        signature_of(graphs.save(model))
    assert caught.value.remedy == ""


def test_a_zipmap_names_its_cure():
    value = SimpleNamespace(name="probs", type="seq(map(int64,tensor(float)))", shape=[])
    fake = SimpleNamespace(get_inputs=list, get_outputs=lambda: [value])
    with pytest.raises(PackError, match="'probs'") as caught:
        read_signature(fake)
    assert "'zipmap': False" in caught.value.remedy


def one(dtype, shape, name="x") -> Signature:
    spec = TensorSpec(name, dtype, shape)
    return Signature(inputs=(spec,), outputs=(TensorSpec("y", dtype, shape),))


@pytest.mark.parametrize(
    ("claimed", "found"),
    [
        (("batch", 4), ("s0", 4)),
        (None, ("s0", 4)),
        (("batch", 4), None),
        ((), None),
    ],
)
def test_signatures_that_agree(claimed, found):
    agree(one("float32", claimed), one("float32", found))


@pytest.mark.parametrize(
    ("claimed", "found"),
    [
        (("batch", 4), ("s0", 5)),
        (("batch", 4), (1, 4)),
        ((2, 4), ("s0", 4)),
        (("batch", 4), ("s0", 4, 1)),
    ],
)
def test_signatures_that_disagree(claimed, found):
    with pytest.raises(PackError, match=r"input 'x' is float32.*expected float32"):
        agree(one("float32", claimed), one("float32", found))


def test_an_output_may_be_known_better_than_the_graph_knows():
    claimed, found = (Signature((), (TensorSpec("y", "float32", s),)) for s in ((3, 4), ("s", 4)))
    agree(claimed, found)


def test_all_differences_are_told():
    claimed = one("float32", ("batch",))
    with pytest.raises(PackError, match=r"input 'x' is int64.*; output 'y' is int64"):
        agree(claimed, one("int64", ("batch",)))
    with pytest.raises(PackError, match="inputs are z, expected x"):
        agree(claimed, one("float32", ("batch",), name="z"))
