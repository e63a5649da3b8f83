"""Bodies to arrays and back; whatever comes in, a value or a refusal comes out."""

import json

import hypothesis.extra.numpy as arrays
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnxpack.server.datatypes import NAMES, from_bytes, to_bytes
from onnxpack.server.errors import RequestError
from onnxpack.server.http.infer import nan_as_null, parse_request, write_response
from onnxpack.signature import Signature, TensorSpec

NUMBERS = [np.dtype(name) for name in NAMES if name != "str"]
SIGNATURE = Signature(
    (TensorSpec("x", "float32", ("batch", 2)),), (TensorSpec("y", "float32", ("batch", 2)),)
)


def body(datatype="FP32", data=None, shape=(1, 2), **more):
    entry = {"name": "x", "shape": list(shape), "datatype": datatype, **more}
    if data is not None:
        entry["data"] = data
    return json.dumps({"inputs": [entry]}).encode()


def asking(**parameters):
    request = json.loads(body("FP32", [1, 2]))
    return json.dumps({**request, "outputs": [{"name": "y", "parameters": parameters}]}).encode()


@given(st.sampled_from(NUMBERS).flatmap(lambda d: arrays.arrays(d, arrays.array_shapes())))
def test_raw_numbers_survive(array):
    content = memoryview(to_bytes(array))
    back = from_bytes(content, NAMES[array.dtype.name], array.shape, "x")
    np.testing.assert_array_equal(back, array)


@given(st.lists(st.text(), max_size=5))
def test_raw_strings_survive(texts):
    array = np.array(texts, dtype=object)
    back = from_bytes(memoryview(to_bytes(array)), "BYTES", [len(texts)], "x")
    assert back.tolist() == texts


@pytest.mark.parametrize(
    ("datatype", "data", "value"),
    [
        ("FP32", [1, 2.5], [1.0, 2.5]),
        ("FP32", [[1, 2]], [1.0, 2.0]),
        ("FP32", [3e38, -0.0], [np.float32(3e38), 0.0]),
        ("INT64", [2**63 - 1, -(2**63)], [2**63 - 1, -(2**63)]),
        ("BOOL", [True, False], [True, False]),
        ("BYTES", [["a", "é"]], ["a", "é"]),
        ("UINT8", [0, 255], [0, 255]),
    ],
)
def test_json_data_is_read_exactly(datatype, data, value):
    found = parse_request(body(datatype, data), None, SIGNATURE).feeds["x"]
    assert found.shape == (1, 2)
    assert found.ravel().tolist() == value


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (body("UINT8", [0, 300]), "UINT8"),
        (body("INT64", [2**63, 0]), "INT64"),
        (body("INT32", [1.5, 2]), "INT32"),
        (body("FP32", [1e39, 0]), "too large"),
        (body("INT32", [None, 0]), "INT32"),
        (body("BYTES", [None, "a"]), "expected text"),
        (body("INT32", [np.nan, 0]), "INT32"),
        (body("FP32", [np.inf, 0]), "not an inference request"),
        (body("FP32", ["1", 0]), "FP32"),
        (body("FP16", [1, 2]), "which JSON cannot represent"),
        (body("FP32", [1, 2, 3]), "3 elements"),
        (body("FP32", [1], shape=(1, -2)), "-2"),
        (body("FP32", [1], shape=(2**30, 2**30)), "elements"),
        (body("FP33", [1, 2]), "FP33"),
        (body("FP32"), "neither data"),
        (body("FP32", parameters={"binary_data_size": 8}), "0 are left"),
        (body("FP32", [1, 2], parameters={"binary_data_size": 8}), "both"),
        (body("FP32", parameters={"shared_memory_region": "r"}), "shared_memory_region, which"),
        (asking(classification=2), "classification, which this server does not support"),
        (
            asking(shared_memory_region="r"),
            "shared_memory_region, which this server does not support",
        ),
        (b"{", "not an inference request"),
        (b"[" * 100_000, "not an inference request"),
        (b'{"inputs": []} trailing', "not an inference request"),
    ],
)
def test_what_does_not_fit_is_refused_in_words(content, says):
    with pytest.raises(RequestError, match=says) as refused:
        parse_request(content, None, SIGNATURE)
    assert refused.value.status == 400


def status_of(content, length):
    """None where it was understood."""
    try:
        parse_request(content, length, SIGNATURE)
    except RequestError as error:
        return error.status
    return None


@given(st.binary(max_size=300), st.one_of(st.none(), st.integers(-5, 400)))
def test_any_bytes_give_a_request_or_a_refusal(content, length):
    assert status_of(content, length) in (None, 400)


@given(st.integers(0, 200), st.integers(0, 255), st.booleans())
def test_a_damaged_request_gives_a_request_or_a_refusal(place, value, raw):
    head = body("FP32", None if raw else [1, 2], parameters={"binary_data_size": 8} if raw else {})
    whole = bytearray(head + (b"\0" * 8 if raw else b""))
    whole[place % len(whole)] = value
    assert status_of(bytes(whole), len(head) if raw else None) in (None, 400)


@pytest.mark.parametrize("binary", [True, False])
def test_an_answer_can_be_read_back(binary):
    request = parse_request(
        json.dumps(
            {
                "id": "7",
                "inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [1, 2]}],
                "parameters": {"binary_data_output": binary},
            }
        ).encode(),
        None,
        SIGNATURE,
    )
    y = np.array([[0.1, np.nan if binary else 3e-9]], np.float32)
    headers, content = write_response("m", "1", request, {"y": y})
    length = dict(headers).get(b"inference-header-content-length")
    head = json.loads(content if length is None else content[: int(length)])
    assert (head["id"], head["outputs"][0]["shape"]) == ("7", [1, 2])
    if binary:
        np.testing.assert_array_equal(np.frombuffer(content[int(length) :], np.float32), y[0])
    else:
        assert np.array(head["outputs"][0]["data"], np.float32).tolist() == y[0].tolist()


@pytest.mark.parametrize("missing", [None, np.nan])
def test_a_missing_number_is_nan(missing):
    """As ``null``, which is JSON, and as ``NaN``, which Python's encoder writes."""
    content = body("FP32", [missing, 1], id="NaN")
    found = parse_request(content, None, SIGNATURE).feeds["x"]
    np.testing.assert_array_equal(found, np.array([[np.nan, 1]], np.float32))


@given(st.recursive(st.floats(allow_infinity=False) | st.text() | st.none(), st.lists))
def test_nan_as_null_changes_nothing_else(value):
    def plain(each):
        if isinstance(each, list):
            return [plain(inner) for inner in each]
        return None if isinstance(each, float) and np.isnan(each) else each

    text = json.dumps(value, ensure_ascii=False).encode(errors="surrogatepass")
    assert json.loads(nan_as_null(text).decode(errors="surrogatepass")) == plain(value)


def test_nan_as_null_takes_linear_time():
    """Each quote of a text without an end is met once; a second pass from each takes hours."""
    text = b'"' + b'\\"' * 2_000_000 + b"NaN"
    assert nan_as_null(text) == text


def request_for_all():
    return parse_request(body("FP32", [1, 2]), None, SIGNATURE)


def test_nan_is_null_as_in_mlserver():
    y = np.array([[np.nan, 1]], np.float32)
    _, content = write_response("m", "1", request_for_all(), {"y": y})
    assert json.loads(content)["outputs"][0]["data"] == [None, 1.0]


@pytest.mark.parametrize(("value", "word"), [(np.inf, "Infinity"), (-np.inf, "-Infinity")])
def test_infinity_is_refused_as_json_and_is_not_nan(value, word):
    y = np.array([[value, 1]], np.float32)
    says = f"output 'y' holds {word}, which JSON cannot represent: .*binary_data"
    with pytest.raises(RequestError, match=says) as refused:
        write_response("m", "1", request_for_all(), {"y": y})
    assert refused.value.status == 400
    raw = parse_request(asking(binary_data=True), None, SIGNATURE)
    _, content = write_response("m", "1", raw, {"y": y})
    assert content.endswith(y.tobytes())
