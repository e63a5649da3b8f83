from __future__ import annotations

import numpy as np
import pytest

from onnxpack.errors import FeedError
from onnxpack.runtime.feed import Feeder
from onnxpack.signature import Signature, TensorSpec


def feeder(**inputs) -> Feeder:
    specs = tuple(TensorSpec(name, dtype, shape) for name, (dtype, shape) in inputs.items())
    return Feeder(Signature(inputs=specs, outputs=()))


ONE = {"x": ("float32", ("batch", 4))}
TWO = {"a": ("float32", ("n", 2)), "b": ("float32", ("n", 3))}


def zeros(*shape, dtype="float32"):
    return np.zeros(shape, dtype)


def test_what_fits_passes_untouched():
    x = zeros(2, 4)
    assert feeder(**ONE)((x,), {})["x"] is x
    assert feeder(**ONE)((), {"x": x})["x"] is x


def test_positions_and_names_mix():
    a, b = zeros(1, 2), zeros(1, 3)
    assert set(feeder(**TWO)((a,), {"b": b})) == {"a", "b"}
    with pytest.raises(FeedError, match="given twice"):
        feeder(**TWO)((a,), {"a": a})


def test_lists_and_numbers_are_converted():
    fed = feeder(**ONE)(([[1, 2, 3, 4]],), {})["x"]
    assert fed.dtype == np.float32
    assert feeder(s=("float32", ()))((2,), {})["s"].shape == ()


@pytest.mark.parametrize(
    ("args", "named", "message"),
    [
        ((), {}, "missing: x"),
        ((), {"z": zeros(1, 4)}, "unknown: z"),
        ((zeros(1, 4), zeros(1, 4)), {}, "2 inputs were given, expected 1"),
        ((zeros(1, 4, dtype="float64"),), {}, r"is float64\[1, 4\], expected float32\[batch, 4\]"),
        ((None,), {}, "input 'x' is .*expected float32"),
        (("words",), {}, "input 'x' is .*expected float32"),
    ],
)
def test_what_does_not_fit_is_named(args, named, message):
    with pytest.raises(FeedError, match=message):
        feeder(**ONE)(args, named)


def test_foreign_byte_order_is_turned():
    fed = feeder(**ONE)((np.arange(4, dtype=">f4").reshape(1, 4),), {})["x"]
    assert fed.dtype.isnative
    assert fed.tolist() == [[0, 1, 2, 3]]


def test_axes_of_one_name_have_one_size():
    feeder(**TWO)((zeros(5, 2), zeros(5, 3)), {})
    with pytest.raises(FeedError, match=r"'b' is float32\[4, 3\].*n = 5"):
        feeder(**TWO)((zeros(5, 2), zeros(4, 3)), {})
    with pytest.raises(FeedError, match="'b'"):
        feeder(**TWO)((zeros(5, 2), zeros()), {})


def test_axes_of_one_input_that_share_a_name():
    square = feeder(x=("float32", ("n", "n")))
    square((zeros(3, 3),), {})
    with pytest.raises(FeedError, match=r"float32\[3, 2\]"):
        square((zeros(3, 2),), {})


def test_a_scalar_is_a_scalar():
    scalar = feeder(s=("float32", ()))
    scalar((zeros(),), {})
    with pytest.raises(FeedError, match=r"float32\[2\], expected float32\[\]"):
        scalar((zeros(2),), {})


@pytest.mark.parametrize("value", [[None], [b"a"], ["a", 1]])
def test_strings_are_strings(value):
    with pytest.raises(FeedError, match="strings"):
        feeder(s=("str", ("n",)))((np.array(value, object),), {})


def test_strings_of_numpy_become_objects():
    assert feeder(s=("str", ("n",)))((np.array(["a", "é"]),), {})["s"].dtype == object
    with pytest.raises(FeedError, match="expected str"):
        feeder(s=("str", ("n",)))((np.array([b"a"]),), {})


def test_a_model_without_inputs():
    assert feeder()((), {}) == {}
