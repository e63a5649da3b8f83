"""A real server, asked by Triton's own client and by plain HTTP."""

import io
import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tritonclient.http as triton
from PIL import Image
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

import onnxpack
from onnxpack.runtime.picture import read_picture


def npy_header(shape, dtype="<f4"):
    text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


X = np.random.default_rng(0).standard_normal((3, 64)).astype(np.float32)


class Client(triton.InferenceServerClient):
    def __del__(self):
        """Its own closes once more, in whatever thread collects it, and gevent minds."""


@pytest.fixture
def client(server):
    with Client(f"{server.host}:{server.port}", concurrency=4) as client:
        yield client


def as_input(name, array, *, binary=True):
    given = triton.InferInput(name, list(array.shape), np_to_triton_dtype(array.dtype))
    given.set_data_from_numpy(array, binary_data=binary)
    return given


def test_it_lives_is_ready_and_tells_what_it_serves(client):
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("mlp")
    assert client.get_server_metadata()["extensions"] == ["binary_tensor_data"]
    metadata = client.get_model_metadata("mlp")
    assert metadata["inputs"] == [{"name": "input", "datatype": "FP32", "shape": [-1, 64]}]
    assert metadata["parameters"]["proven"] is True
    assert client.get_model_metadata("mlp", "1")["versions"] == ["1"]


@pytest.mark.parametrize("binary_in", [True, False])
@pytest.mark.parametrize("binary_out", [True, False])
def test_tritons_client_gets_onnxruntimes_answer(client, packs, truth, binary_in, binary_out):
    wanted = [triton.InferRequestedOutput("output", binary_data=binary_out)]
    answer = client.infer(
        "mlp", [as_input("input", X, binary=binary_in)], outputs=wanted, request_id="7"
    )
    found = answer.as_numpy("output")
    np.testing.assert_allclose(found, truth(packs / "mlp", input=X)["output"], rtol=1e-4, atol=1e-5)
    assert answer.get_response()["id"] == "7"


def test_several_inputs_and_one_of_the_outputs(client, packs, truth):
    a, b = (np.full((2, 7), value, np.float32) for value in (2, 3))
    wanted = [triton.InferRequestedOutput("product")]
    answer = client.infer("two", [as_input("a", a), as_input("b", b)], outputs=wanted)
    np.testing.assert_array_equal(
        answer.as_numpy("product"), truth(packs / "two", a=a, b=b)["product"]
    )
    assert answer.as_numpy("sum") is None


TEXTS = np.array(["a", "é", "", "日本 \x00"], dtype=object)


@pytest.mark.parametrize("binary_in", [True, False])
@pytest.mark.parametrize("binary_out", [True, False])
@pytest.mark.parametrize(
    ("model", "array"),
    [
        ("words", TEXTS),
        ("bytes", np.array([[0, 255]], np.uint8)),
        ("longs", np.array([[2**63 - 1, -(2**63)], [2**53 + 1, 0]], np.int64)),
    ],
)
def test_every_value_survives_the_way_there_and_back(client, model, array, binary_in, binary_out):
    wanted = [triton.InferRequestedOutput("y", binary_data=binary_out)]
    answer = client.infer(model, [as_input("x", array, binary=binary_in)], outputs=wanted)
    found = answer.as_numpy("y")
    if found.dtype == object:
        found = np.array([each.decode() if binary_out else each for each in found], object)
    assert found.tolist() == array.tolist()


def test_float16_goes_raw(client):
    half = np.array([[0.1, 2], [-3, 65504]], np.float16)
    found = client.infer("half", [as_input("x", half)]).as_numpy("y")
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(found, half + half)
    wanted = [triton.InferRequestedOutput("y", binary_data=False)]
    with pytest.raises(InferenceServerException, match="which JSON cannot represent"):
        client.infer("half", [as_input("x", half)], outputs=wanted)


@pytest.mark.parametrize("tokens", [1, 9])
def test_a_second_dynamic_axis(client, packs, truth, tokens):
    ids = np.arange(3 * tokens, dtype=np.int64).reshape(3, tokens)
    mask = (ids % 2).astype(np.int64)
    found = client.infer("bag", [as_input("ids", ids), as_input("mask", mask)])
    wanted = truth(packs / "bag", ids=ids, mask=mask)["output"]
    np.testing.assert_allclose(found.as_numpy("output"), wanted, rtol=1e-4, atol=1e-5)


def test_an_output_as_long_as_its_data_wants(client, server):
    assert server.state("where")["batching"] is False
    for x in (np.eye(2), np.ones((3, 2)), np.zeros((1, 2))):
        found = client.infer("where", [as_input("x", x.astype(np.float32))]).as_numpy("y")
        assert found.tolist() == np.argwhere(x).tolist()


def test_a_fixed_batch_is_served_one_by_one(client, server):
    assert server.state("fixed")["batching"] is False
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    np.testing.assert_array_equal(client.infer("fixed", [as_input("x", x)]).as_numpy("y"), x + x)
    with pytest.raises(InferenceServerException, match=r"expected float32\[2, 3\]"):
        client.infer("fixed", [as_input("x", x[:1])])


def test_rows_that_depend_on_those_before_are_never_batched(server, infer):
    running = server.state("running")
    assert running["batching"] is False
    assert "changes with the other rows" in running["batching_reason"]
    with ThreadPoolExecutor(8) as threads:
        ones = [np.full((2, 4), i, np.float32) for i in range(16)]
        found = list(threads.map(lambda x: infer(server, "running", x=x), ones))
    for x, answer in zip(ones, found, strict=True):
        np.testing.assert_array_equal(answer, x.cumsum(0))


@pytest.mark.parametrize(
    ("model", "given", "says"),
    [
        ("absent", [as_input("input", X)], "no model 'absent'"),
        ("mlp", [as_input("wrong", X)], "unknown: wrong"),
        ("mlp", [as_input("input", X[:, :5])], "expected float32"),
        ("mlp", [as_input("input", np.zeros((65, 64), np.float32))], "at most 64"),
        ("two", [as_input("a", X)], "missing: b"),
    ],
)
def test_errors_are_in_words(client, model, given, says):
    with pytest.raises(InferenceServerException, match=says):
        client.infer(model, given)


def test_many_at_once_each_get_their_own(server, packs, truth, infer):
    inputs = [
        np.random.default_rng(i).standard_normal((1 + i % 3, 16, 512)).astype(np.float32)
        for i in range(24)
    ]
    with ThreadPoolExecutor(12) as threads:
        found = list(threads.map(lambda x: infer(server, "slow", x=x), inputs * 2))
    for x, answer in zip(inputs * 2, found, strict=True):
        wanted = truth(packs / "slow", x=x)["output"]
        np.testing.assert_allclose(answer, wanted, rtol=1e-3, atol=1e-5)
    assert server.state("slow")["batching"] is True


def test_a_model_that_mixes_rows_is_never_batched(server, infer):
    mixing = server.state("mixing")
    assert mixing["batching"] is False
    assert "changes with the other rows" in mixing["batching_reason"]
    inputs = [np.full((2, 4), i, np.float32) * [[1], [2]] for i in range(8)]
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda x: infer(server, "mixing", x=x.astype(np.float32)), inputs))
    for x, answer in zip(inputs, found, strict=True):
        np.testing.assert_allclose(answer, x - x.mean(0, keepdims=True), atol=1e-5)


def test_the_plain_endpoint_takes_rows_and_npy_and_gives_labels(server, packs, truth):
    wanted = truth(packs / "mlp", input=X)["output"]
    rows = json.dumps(X.tolist()).encode()
    file = io.BytesIO()
    np.save(file, X)
    for content, media in ((rows, "application/json"), (file.getvalue(), "application/x-npy")):
        status, _, answer = server.ask(
            "POST", "/v2/models/mlp/predict?top=2", content, Content_Type=media
        )
        found = json.loads(answer)
        assert status == 200
        np.testing.assert_allclose(found["outputs"]["output"], wanted, rtol=1e-4, atol=1e-5)
        best = [row[0]["label"] for row in found["top"]]
        assert best == [f"class {i}" for i in wanted.argmax(1)]
        assert all(len(row) == 2 for row in found["top"])


def test_half_precision_takes_plain_rows(server):
    status, told = server.json("POST", "/v2/models/half/predict", [[0.5, 2]])
    assert (status, told["outputs"]["y"]) == (200, [[1.0, 4.0]])
    status, told = server.json("POST", "/v2/models/half/predict", [[1e6, 2]])
    assert (status, "too large for float16" in told["error"]) == (400, True)


def test_an_object_has_an_entry_for_each_input(server):
    value = {"ids": [[1, 2, 3]], "mask": [[1, 0, 1]]}
    status, told = server.json("POST", "/v2/models/bag/predict", value)
    assert status == 200
    assert np.shape(told["outputs"]["output"]) == (1, 4)
    assert "top" not in told
    status, told = server.json("POST", "/v2/models/words/predict", ["a", "b"])
    assert (status, told["outputs"]["y"]) == (200, ["a", "b"])


def test_a_picture_is_prepared_as_the_pack_says(server, packs, truth):
    pixels = np.random.default_rng(0).integers(0, 255, (20, 30, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png")
    status, _, answer = server.ask(
        "POST", "/v2/models/picture/predict", file.getvalue(), Content_Type="image/png"
    )
    told = json.loads(answer)
    model = onnxpack.Model(packs / "picture")
    x = read_picture(file.getvalue(), model.signature.inputs[0], model.preprocess)
    wanted = truth(packs / "picture", **{model.signature.inputs[0].name: x})
    assert status == 200
    (name,) = wanted
    np.testing.assert_allclose(told["outputs"][name], wanted[name], rtol=1e-4, atol=1e-5)
    assert told["top"][0][0]["label"] == "abcd"[wanted[name].argmax()]


def test_what_is_no_picture_is_told_without_an_address(server):
    status, _, answer = server.ask(
        "POST", "/v2/models/picture/predict", b"not a picture", Content_Type="image/png"
    )
    formats = "JPEG, PNG, WEBP, BMP, GIF, TIFF, PPM"
    said = f"the body is not a picture: 13 bytes in none of these formats: {formats}"
    assert (status, json.loads(answer)) == (400, {"error": said})


def test_a_picture_that_ends_early_is_told_so(server):
    file = io.BytesIO()
    Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(file, "bmp")
    status, _, answer = server.ask(
        "POST", "/v2/models/picture/predict", file.getvalue()[:-9], Content_Type="image/bmp"
    )
    assert status == 400
    assert "truncated" in json.loads(answer)["error"]


@pytest.mark.parametrize(
    ("path", "content", "media", "status", "says"),
    [
        ("mlp/predict", b"[[1, 2], [3]]", "application/json", 400, "different lengths"),
        ("mlp/predict", b"[" * 50_000, "application/json", 400, "not JSON"),
        ("mlp/predict", b'{"who": [1]}', "application/json", 400, "no input 'who'"),
        ("two/predict", b"[[1, 2]]", "application/json", 400, "several inputs"),
        ("mlp/predict", b"x", "text/plain", 415, "text/plain"),
        ("mlp/predict", b"\x93NUMPY broken", "application/x-npy", 400, "npy"),
        ("mlp/predict", npy_header("(1099511627776, 64)"), "application/x-npy", 400, "npy"),
        ("mlp/predict", npy_header("(1, 64)", "|O"), "application/octet-stream", 400, "npy"),
        ("mlp/predict", b"no numpy", "application/octet-stream", 415, "octet-stream"),
        ("mlp/predict", b"[[1, [2]]]", "application/json", 400, "mix lists and values"),
        ("mlp/predict", b"[" * 40 + b"1" + b"]" * 40, "application/json", 400, "40 axes"),
        ("mlp/predict", b'[["\xff"]]', "application/json", 400, "not JSON"),
        ("mlp/predict?top=%C2%B2", b"[[1]]", "application/json", 400, "top"),
        ("mlp/predict?top=10001", b"[[1]]", "application/json", 400, "top"),
        ("words/predict", b"[1]", "application/json", 400, "expected text"),
        ("mlp/predict", b"[[true]]", "application/json", 400, "FP32"),
        ("mlp/predict", b"not a picture", "image/png", 400, ""),
        ("mlp/predict?top=x", b"[[1]]", "application/json", 400, "top"),
        ("mlp/nothing", b"", "application/json", 404, "does not exist"),
        ("mlp/versions/9/infer", b"", "application/json", 404, "no version '9'"),
    ],
)
def test_refusals_have_a_status_and_words(server, path, content, media, status, says):
    found, _, answer = server.ask("POST", f"/v2/models/{path}", content, Content_Type=media)
    message = json.loads(answer)["error"]
    assert (found, says in message) == (status, True), message
    assert "Traceback" not in message
    assert "site-packages" not in message


@pytest.mark.parametrize("path", ["/predict", "/v2/mlp/infer", "/nothing"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_path_that_does_not_exist(server, method, path):
    found, _, answer = server.ask(method, path, b"[[1]]" if method == "POST" else b"")
    assert found == 404
    assert f"{path} does not exist; models are at /v2/models/NAME" in json.loads(answer)["error"]
    assert server.ask("POST", "/v2/models", b"")[0] == 405


def test_a_request_id_comes_back(server):
    _, headers, _ = server.ask("GET", "/v2", X_Request_Id="abc")
    assert headers["x-request-id"] == "abc"
