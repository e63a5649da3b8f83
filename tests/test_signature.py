from __future__ import annotations

import sys
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from onnxpack.errors import FeedError
from onnxpack.signature import Signature, TensorSpec, describe, dtype_name

IMAGE = TensorSpec("image", "float32", ("batch", 3))
MASK = TensorSpec("mask", "bool", ("batch",))
SIGNATURE = Signature((IMAGE, MASK), (TensorSpec("score", "float32", ("batch", "classes")),))


def pair(batch: int = 2) -> tuple[Any, Any]:
    return np.zeros((batch, 3), np.float32), np.ones(batch, bool)


def test_a_signature_reads_as_a_call() -> None:
    assert str(SIGNATURE) == (
        "(image: float32[batch, 3], mask: bool[batch]) -> (score: float32[batch, classes])"
    )
    assert str(TensorSpec("x", "int64", None)) == "int64[...]"
    assert str(TensorSpec("x", "int64", ())) == "int64[]"
    assert SIGNATURE.dynamic == ("batch",)


def test_values_are_bound_by_position_and_by_name() -> None:
    image, mask = pair()
    for args, named in (
        ((image, mask), {}),
        ((image,), {"mask": mask}),
        ((), {"mask": mask, "image": image}),
    ):
        bound = SIGNATURE.bind(args, named)
        assert list(bound) == ["image", "mask"]
        assert bound["image"] is image or np.shares_memory(bound["image"], image)


@pytest.mark.parametrize(
    ("args", "named", "said"),
    [
        (pair() * 2, {}, "4 inputs were given, expected 2"),
        (pair()[:1], {}, "inputs found: image; expected: image, mask; missing: mask"),
        ((), {}, "inputs found: none; expected: image, mask; missing: image, mask"),
        (pair(), {"masc": 1}, "unknown: masc"),
        (pair(), {"mask": 1}, "input 'mask' was given twice"),
        ((pair(2)[0], pair(3)[1]), {}, r"is bool\[3\], expected bool\[batch\] where batch = 2"),
        ((np.zeros((2, 4), np.float32), pair()[1]), {}, r"is float32\[2, 4\], expected float32\[b"),
        ((np.zeros(3, np.float32), pair()[1]), {}, r"is float32\[3\], expected"),
        ((np.zeros((2, 3)), pair()[1]), {}, r"is float64\[2, 3\], expected float32"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_told(args: Any, named: dict[str, Any], said: str) -> None:
    with pytest.raises(FeedError, match=said):
        SIGNATURE.bind(args, named)


def test_a_wrong_dtype_has_a_line_to_type() -> None:
    with pytest.raises(FeedError) as caught:
        IMAGE.to_array(np.zeros((1, 3)))
    assert caught.value.remedy == "image = image.astype('float32')"


@pytest.mark.parametrize(
    ("dtype", "value"),
    [
        ("float32", 1.5),
        ("float32", [1, 2.5]),
        ("float32", [[True, 1]]),
        ("float16", [0.1]),
        ("int64", [1, 2]),
        ("uint8", [0, 255]),
        ("bool", [True, False]),
        ("complex64", [1, 2j]),
        ("str", ["a", "b"]),
        ("str", "a"),
        ("float32", []),
        ("int64", []),
    ],
)
def test_python_values_take_the_dtype(dtype: str, value: Any) -> None:
    array = TensorSpec("x", dtype, None).to_array(value)
    assert array.dtype == np.dtype("object" if dtype == "str" else dtype)
    assert np.array_equal(array, np.asarray(value, array.dtype))


@pytest.mark.parametrize(
    ("dtype", "value"),
    [
        ("int64", [1.5]),
        ("bool", [2]),
        ("bool", [0.0]),
        ("uint8", [256]),
        ("uint8", [-1]),
        ("int8", [True, 200]),
        ("float32", ["1.5"]),
        ("float32", [1j]),
        ("float32", 1e300),
        ("float32", [[1], [1, 2]]),
        ("float32", object()),
        ("float32", None),
        ("int64", 2**70),
        ("str", [1]),
        ("str", ["a", None]),
        ("str", b"bytes"),
        ("nonsense", [1]),
    ],
)
def test_python_values_that_would_change_their_meaning_are_refused(dtype: str, value: Any) -> None:
    with pytest.raises(FeedError, match="input 'x'"):
        TensorSpec("x", dtype, None).to_array(value)


def test_arrays_of_strings_become_objects() -> None:
    spec = TensorSpec("x", "str", None)
    assert spec.to_array(np.array(["a", "bc"])).dtype == object
    assert spec.to_array(np.array(["a", "bc"], object)).tolist() == ["a", "bc"]
    with pytest.raises(FeedError, match="not strings"):
        spec.to_array(np.array(["a", 1], object))


def test_foreign_byte_order_is_turned() -> None:
    swapped = ">" if sys.byteorder == "little" else "<"
    array = TensorSpec("x", "float32", None).to_array(np.array([1, 2], f"{swapped}f4"))
    assert array.dtype.isnative
    assert array.tolist() == [1, 2]


def test_what_is_like_an_array_is_taken_without_a_copy() -> None:
    class Like:
        data = np.zeros(3, np.float32)

        def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
            return self.data

    assert np.shares_memory(TensorSpec("x", "float32", None).to_array(Like()), Like.data)


def test_what_refuses_to_be_an_array_is_told() -> None:
    class Refuses:
        def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
            raise RuntimeError("it requires grad")

    with pytest.raises(FeedError, match="a Refuses that cannot be an array: it requires grad"):
        TensorSpec("x", "float32", None).to_array(Refuses())


@settings(deadline=None)
@given(
    hnp.array_shapes(min_dims=0, max_dims=4),
    st.sampled_from(["f2", "f4", "f8", "i1", "i8", "u4", "b1", "c8", "c16"]),
)
def test_an_array_fits_its_own_spec(shape: tuple[int, ...], dtype: str) -> None:
    array = np.zeros(shape, dtype)
    named = tuple(f"d{size}" if axis % 2 else size for axis, size in enumerate(shape))
    spec = TensorSpec("x", dtype_name(array.dtype), named)
    assert Signature((spec,), ()).bind((array,), {})["x"] is not None
    assert spec.to_array(array) is array or np.shares_memory(spec.to_array(array), array)
    assert str(spec) == describe(spec.dtype, named)


@given(st.lists(st.integers(0, 3), max_size=4), st.lists(st.integers(0, 3), max_size=4))
def test_equal_names_mean_equal_sizes(first: list[int], second: list[int]) -> None:
    spec = TensorSpec("x", "float32", tuple("abcd"[: len(first)]))
    dims: dict[str, int] = {}
    assert spec.fits(first, dims)
    assert dims == dict(zip("abcd", first, strict=False))
    assert spec.fits(second, dims) == (first == second)


def test_names_of_dtypes() -> None:
    assert dtype_name(np.dtype(">f4")) == "float32"
    assert dtype_name(np.dtype("U3")) == dtype_name(np.dtype(object)) == "str"
    assert dtype_name(np.dtype(ml_dtypes.bfloat16)) == "bfloat16"
