"""The plain endpoint's readers: whatever comes in, arrays or a refusal come out."""

import io
import json
from types import SimpleNamespace

import hypothesis.extra.numpy as arrays
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnxpack.cli.answers import rank
from onnxpack.errors import FeedError
from onnxpack.server.datatypes import MAX_ELEMENTS, NAMES, count
from onnxpack.server.errors import RequestError
from onnxpack.server.http import predict
from onnxpack.server.http.infer import read_json
from onnxpack.signature import Signature, TensorSpec

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda children: (
        st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=2), children)
    ),
    max_leaves=12,
)
MEDIA = (
    "application/json",
    "application/x-npy",
    "application/octet-stream",
    "image/png",
    "x/y",
    "",
)


def model(*dtypes):
    specs = tuple(TensorSpec(f"x{i}", each, ("batch", 2)) for i, each in enumerate(dtypes))
    return SimpleNamespace(
        signature=Signature(specs, ()), model=SimpleNamespace(preprocess=None, labels=None)
    )


def read(served, media, body):
    """None where it was refused, as it may be."""
    try:
        return predict._read(served, media, body).feeds
    except (FeedError, RequestError) as exc:
        if getattr(exc, "status", 400) not in (400, 415):
            raise
        return None


@given(VALUES, st.sampled_from([*NAMES]), st.booleans())
def test_any_json_gives_arrays_or_a_refusal(value, dtype, several):
    served = model(dtype, "float32") if several else model(dtype)
    for body in (json.dumps(value).encode(), json.dumps({"x0": value, "x1": value}).encode()):
        for array in (read(served, "application/json", body) or {}).values():
            assert isinstance(array, np.ndarray)


@given(st.binary(max_size=200), st.sampled_from(MEDIA), st.booleans())
def test_any_bytes_give_arrays_or_a_refusal(content, media, numpy):
    read(model("float32"), media, b"\x93NUMPY\x01\x00" * numpy + content)


@given(st.integers(0, 300), st.integers(0, 255))
def test_a_damaged_file_gives_an_array_or_a_refusal(place, value):
    file = io.BytesIO()
    np.save(file, np.ones((3, 2), np.float32))
    content = bytearray(file.getvalue())
    content[place % len(content)] = value
    read(model("float32"), "application/x-npy", bytes(content))


@given(arrays.arrays(st.sampled_from([np.float32, np.int64, np.bool_]), arrays.array_shapes()))
def test_files_of_numpy_are_read_as_they_are(array):
    for order in ("C", "F"):
        file = io.BytesIO()
        np.save(file, np.asarray(array, order=order))
        (found,) = predict._read(
            model("float32"), "application/x-npy", file.getvalue()
        ).feeds.values()
        np.testing.assert_array_equal(found, array)
        assert found.dtype == array.dtype


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_every_version_of_the_file(version):
    file = io.BytesIO()
    np.lib.format.write_array(file, np.ones((1, 2)), version=version)
    (found,) = predict._read(model("float32"), "application/x-npy", file.getvalue()).feeds.values()
    assert found.tolist() == [[1, 1]]


@given(
    st.sampled_from([name for name in NAMES if name not in ("str", "float16")]).flatmap(
        lambda name: arrays.arrays(
            name,
            arrays.array_shapes(min_side=0),
            elements={"allow_nan": False, "allow_infinity": False} if "float" in name else None,
        )
    )
)
def test_nested_rows_survive_exactly(array):
    text = json.dumps(array.tolist()).encode()
    found = read_json(text, NAMES[array.dtype.name], array.shape, "x")
    np.testing.assert_array_equal(found, array)
    assert found.dtype == array.dtype


@given(st.lists(st.integers(-(2**70), 2**70), max_size=40))
def test_no_shape_is_too_much_for_numpy(shape):
    try:
        total = count(shape, "x")
    except RequestError:
        return
    assert total <= MAX_ELEMENTS
    if total == 0:
        assert np.empty(0).reshape(shape).size == 0


@pytest.mark.parametrize(
    ("scores", "best"),
    [
        (np.array([[0.1, 0.9], [0.8, 0.2]], np.float32), ["b", "a"]),
        (np.array([[1, 255]], np.uint8), ["b"]),
        (np.array([[-5, -9]], np.int64), ["a"]),
        (np.array([["x", "y"]], object), None),
        (np.zeros((1, 3), np.float32), None),
    ],
)
def test_labels_go_with_scores_of_any_number(scores, best):
    found = predict._best({"y": scores}, ("a", "b"), 1)
    assert (found and [row[0]["label"] for row in found]) == best


@pytest.mark.parametrize(
    ("scores", "told"),
    [
        ([[0.0, 0.0], [0.0, np.log(3)]], [[0.5, 0.5], [0.75, 0.25]]),
        ([[0.25, 0.75]], [[0.75, 0.25]]),
        ([[1000.0, 0.0]], [[1.0, 0.0]]),
    ],
)
def test_a_score_is_the_probability_that_run_shows(scores, told):
    outputs = {"y": np.array(scores, np.float32)}
    found = [[each["score"] for each in row] for row in predict._best(outputs, ("a", "b"), 2)]
    np.testing.assert_allclose(found, told, rtol=1e-6)
    (ranking,) = rank(outputs, ("a", "b"), top=2)
    assert found == [[guess.probability for guess in row] for row in ranking.rows]
