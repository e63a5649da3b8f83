from __future__ import annotations

import os
import tracemalloc
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from onnx import TensorProto, helper, numpy_helper

from onnxpack.errors import PackError
from onnxpack.pack import tensor
from onnxpack.pack.tensor import decode_tensor, encode_tensor, read_tensor

NUMBERS = st.sampled_from(
    ["b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "c8", "c16"]
).map(np.dtype)
SHAPES = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)
# numpy_helper itself loses a NUL at the end of a string.
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=5)


def arrays() -> st.SearchStrategy[Any]:
    return NUMBERS.flatmap(lambda dtype: hnp.arrays(dtype, SHAPES))


def same(found: Any, wanted: Any) -> bool:
    """Bit for bit, so that NaN equals itself."""
    return (
        found.dtype == wanted.dtype
        and found.shape == wanted.shape
        and found.tobytes() == wanted.tobytes()
    )


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=10), arrays())
def test_bytes_are_those_of_onnx(name: str, array: Any) -> None:
    encoded = encode_tensor(name, array)
    assert encoded == numpy_helper.from_array(array, name).SerializeToString(deterministic=True)
    found, read = decode_tensor(encoded)
    assert found == name
    assert same(read, array)
    assert read.flags.writeable
    assert read.flags.aligned


@settings(deadline=None)
@given(hnp.arrays(object, SHAPES, elements=TEXT))
def test_strings_are_those_of_onnx(array: Any) -> None:
    encoded = encode_tensor("s", array)
    proto = onnx.TensorProto.FromString(encoded)
    assert numpy_helper.to_array(proto).tolist() == array.tolist()
    name, read = decode_tensor(numpy_helper.from_array(array, "s").SerializeToString())
    assert (name, read.shape, read.tolist()) == ("s", array.shape, array.tolist())


def test_a_nul_in_a_string_is_kept() -> None:
    assert decode_tensor(encode_tensor("s", np.array(["a\0"], object)))[1].tolist() == ["a\0"]


def test_fixed_width_strings_become_objects() -> None:
    assert decode_tensor(encode_tensor("s", np.array(["a", "bc"])))[1].tolist() == ["a", "bc"]


def test_foreign_byte_order_and_strides_are_evened() -> None:
    wanted = np.arange(6, dtype=np.float32).reshape(2, 3)
    assert encode_tensor("x", wanted.astype(">f4")) == encode_tensor("x", wanted)
    assert encode_tensor("x", np.asfortranarray(wanted)) == encode_tensor("x", wanted)


@settings(deadline=None)
@given(hnp.arrays(np.float32, SHAPES, elements=st.floats(-10, 10, width=32)))
def test_bfloat16_is_that_of_onnx(array: Any) -> None:
    short = array.astype(ml_dtypes.bfloat16)
    encoded = encode_tensor("b", short)
    assert encoded == numpy_helper.from_array(short, "b").SerializeToString()
    assert same(decode_tensor(encoded)[1], short)


def test_bfloat16_without_its_package_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    encoded = encode_tensor("b", np.zeros(2, ml_dtypes.bfloat16))
    monkeypatch.setitem(__import__("sys").modules, "ml_dtypes", None)
    with pytest.raises(PackError, match="pip install ml_dtypes"):
        decode_tensor(encoded)


TYPED = {
    "float_data": ["FLOAT", "COMPLEX64"],
    "double_data": ["DOUBLE", "COMPLEX128"],
    "int64_data": ["INT64"],
    "uint64_data": ["UINT32", "UINT64"],
    "int32_data": ["BOOL", "INT8", "UINT8", "INT16", "UINT16", "INT32", "FLOAT16", "BFLOAT16"],
}


@pytest.mark.parametrize("kind", [kind for kinds in TYPED.values() for kind in kinds])
@settings(deadline=None, max_examples=30)
@given(data=st.data())
def test_typed_fields_of_old_files_are_read(kind: str, data: st.DataObject) -> None:
    number = TensorProto.DataType.Value(kind)
    dtype = helper.tensor_dtype_to_np_dtype(number)
    if kind == "BFLOAT16":
        values = data.draw(hnp.arrays(np.uint16, SHAPES)).view(dtype)
    else:
        values = data.draw(hnp.arrays(dtype, SHAPES))
    field = next(name for name, kinds in TYPED.items() if kind in kinds)
    proto = TensorProto(dims=values.shape, data_type=number, name="old")
    getattr(proto, field).extend(_elements(kind, values))
    _, read = decode_tensor(proto.SerializeToString())
    assert same(read, values)
    assert same(numpy_helper.to_array(proto).astype(dtype), values) or kind.startswith("COMPLEX")


def _elements(kind: str, values: Any) -> list[Any]:
    if kind.startswith("COMPLEX"):
        return values.ravel().view(np.float32 if kind == "COMPLEX64" else np.float64).tolist()
    if kind in ("FLOAT16", "BFLOAT16"):
        return values.ravel().view(np.uint16).tolist()
    return values.ravel().astype(int).tolist() if kind == "BOOL" else values.ravel().tolist()


def test_unpacked_fields_are_read() -> None:
    head = encode_tensor("x", np.zeros(0, np.int32))[2:4]
    shape, unpacked = b"\x08\x02", b"\x28\x05\x28\x07"
    assert decode_tensor(shape + head + unpacked)[1].tolist() == [5, 7]
    packed_shape = b"\x0a\x01\x02"
    assert decode_tensor(packed_shape + head + unpacked)[1].tolist() == [5, 7]


def proto(**fields: Any) -> bytes:
    external = fields.pop("external", {})
    made = TensorProto(**({"data_type": TensorProto.FLOAT} | fields))
    for key, value in external.items():
        made.external_data.add(key=key, value=value)
    return made.SerializeToString()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (proto(dims=[3], raw_data=b"1234"), "needs 3 elements, but it has 1"),
        (proto(dims=[1], raw_data=b"12345"), "has 1.25"),
        (proto(dims=[2], float_data=[1.0]), "needs 2 elements"),
        (proto(dims=[-1], raw_data=b""), "negative size"),
        (proto(dims=[2**40, 2**40], raw_data=b""), "too many elements"),
        (proto(dims=[0, 2**62], raw_data=b""), "too many elements"),
        (proto(dims=[1] * 33, raw_data=b"1234"), "32 axes"),
        (proto(dims=[1], data_location=TensorProto.EXTERNAL), "another file"),
        (proto(dims=[1], external={"location": "x"}), "another file"),
        (proto(dims=[1], segment=TensorProto.Segment(begin=0, end=1)), "another file"),
        (proto(dims=[1], data_type=TensorProto.UNDEFINED, raw_data=b"1"), "number 0"),
        (proto(dims=[1], data_type=TensorProto.FLOAT8E4M3FN, raw_data=b"1"), "number 17"),
        (proto(dims=[1], raw_data=b"1234", float_data=[1.0]), "written twice"),
        (proto(dims=[1], int32_data=[1]), "not in the field where float32 belongs"),
        (proto(dims=[1], data_type=TensorProto.UINT8, int32_data=[256]), "does not fit uint8"),
        (proto(dims=[1], data_type=TensorProto.BOOL, int32_data=[2]), "does not fit bool"),
        (proto(dims=[1], data_type=TensorProto.BOOL, raw_data=b"\x02"), "neither 0 nor 1"),
        (proto(dims=[2], data_type=TensorProto.STRING, string_data=[b"a"]), "2 strings"),
        (proto(dims=[1], data_type=TensorProto.STRING, string_data=[b"\xff"]), "UTF-8"),
        (proto(dims=[1], data_type=TensorProto.STRING, raw_data=b"a"), "strings belong"),
        (b"\x08\x01\x10\x01\x4a\x7f", "bytes are left"),
        (b"\x08\x01\x10\x07\x3a\x01\x80", "cut off"),
        (b"\x08\x01\x10\x07\x3a\x0b" + b"\xff" * 10 + b"\x01", "wider than 64 bits"),
        (b"", "number 0"),
    ],
)
def test_what_is_not_one_whole_tensor_is_refused(content: bytes, said: str) -> None:
    with pytest.raises(PackError, match=said):
        decode_tensor(content)


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.zeros(2, "datetime64[s]"), "datetime64"),
        (np.zeros(2, ml_dtypes.float8_e4m3fn), "float8"),
        (np.array([1, "a"], object), "holds a int"),
        (np.array(["\ud800"], object), "not Unicode"),
        (np.broadcast_to(np.float32(0), (2**20, 2**20)), "expected at most"),
    ],
)
def test_what_golden_data_cannot_hold_is_refused(array: Any, said: str) -> None:
    with pytest.raises(PackError, match=said):
        encode_tensor("x", array)


def test_bounds_on_numbers_and_strings_written_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensor, "MAX_VARINT_BYTES", 2)
    monkeypatch.setattr(tensor, "MAX_STRINGS", 2)
    with pytest.raises(PackError, match="more than 2 numbers"):
        decode_tensor(b"\x38\x01" * 3)
    with pytest.raises(PackError, match="3 bytes of varints"):
        decode_tensor(b"\x3a\x03\x01\x01\x01")
    with pytest.raises(PackError, match="more than 2 strings"):
        decode_tensor(b"\x32\x00" * 3)
    with pytest.raises(PackError, match="expected at most 2"):
        encode_tensor("x", np.array(["a"] * 3))


@settings(deadline=None, max_examples=300)
@given(st.one_of(st.binary(max_size=100), arrays().map(lambda a: encode_tensor("x", a))), st.data())
def test_mutated_bytes_are_a_tensor_or_refused(content: bytes, data: st.DataObject) -> None:
    mutated = bytearray(content)
    for _ in range(data.draw(st.integers(0, 4))):
        if mutated:
            mutated[data.draw(st.integers(0, len(mutated) - 1))] = data.draw(st.integers(0, 255))
    del mutated[len(mutated) - data.draw(st.integers(0, len(mutated))) :]
    tracemalloc.start()
    try:
        decode_tensor(bytes(mutated))
    except PackError:
        pass
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 2**20


def test_a_file_is_read(tmp_path: Path) -> None:
    array = np.arange(4, dtype=np.int64)
    (tmp_path / "input_0.pb").write_bytes(encode_tensor("x", array))
    name, read = read_tensor(tmp_path / "input_0.pb")
    assert name == "x"
    assert same(read, array)


def test_a_malformed_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "input_0.pb"
    path.write_bytes(b"\xff")
    with pytest.raises(PackError, match=r"input_0\.pb is not a tensor"):
        read_tensor(path)


def test_a_huge_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "input_0.pb"
    path.touch()
    os.truncate(path, 2**40)
    with pytest.raises(PackError, match="expected at most"):
        read_tensor(path)


@pytest.mark.parametrize("kind", ["symlink", "folder", "pipe", "absent"])
def test_what_is_not_a_regular_file_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "input_0.pb"
    if kind == "symlink":
        (tmp_path / "real").write_bytes(encode_tensor("x", np.zeros(1)))
        path.symlink_to("real")
    elif kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    with pytest.raises(PackError, match=r"input_0\.pb"):
        read_tensor(path)
