"""The Open Inference Protocol over gRPC, asked by a client that is not ours."""

import random
import subprocess
import sys
from pathlib import Path

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc import service_pb2_grpc

SOURCE = Path(__file__).parents[3] / "src"
INFERENCE = "inference.GRPCInferenceService"
X = np.random.default_rng(0).standard_normal((3, 64)).astype(np.float32)
TYPES = {
    "float32": "FP32", "float16": "FP16", "int64": "INT64", "uint8": "UINT8", "object": "BYTES",
}  # fmt: skip


@pytest.fixture(scope="module")
def target(server):
    return server.banner.split("gRPC: ")[1].split()[0]


@pytest.fixture(scope="module")
def client(target):
    with triton.InferenceServerClient(target) as made:
        yield made


@pytest.fixture(scope="module")
def channel(target):
    with grpc.insecure_channel(target) as made:
        yield made


@pytest.fixture(scope="module")
def stub(channel):
    return service_pb2_grpc.GRPCInferenceServiceStub(channel)


def given(name, array):
    made = triton.InferInput(name, array.shape, TYPES[array.dtype.name])
    made.set_data_from_numpy(array)
    return made


def request(model="mlp", inputs=(), raw=(), **fields):
    """A request as it is on the wire, right or wrong."""
    return pb.ModelInferRequest(model_name=model, inputs=inputs, raw_input_contents=raw, **fields)


def tensor(name="input", datatype="FP32", shape=(1, 64), **contents):
    made = pb.ModelInferRequest.InferInputTensor(name=name, datatype=datatype, shape=shape)
    if contents:
        made.contents.CopyFrom(pb.InferTensorContents(**contents))
    return made


def test_it_is_live_and_ready(client):
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("mlp")
    assert client.is_model_ready("mlp", "1")
    with pytest.raises(triton.InferenceServerException, match="no model 'nothing'"):
        client.is_model_ready("nothing")


def test_metadata_says_what_http_says(client, server):
    told = client.get_server_metadata(as_json=True)
    assert told == server.json("GET", "/v2")[1]
    for model in ("mlp", "two", "words"):
        told = client.get_model_metadata(model, as_json=True)
        wanted = server.json("GET", f"/v2/models/{model}")[1]
        for side in ("inputs", "outputs"):
            for spec in told[side]:
                spec["shape"] = [int(size) for size in spec["shape"]]
        assert told == {key: wanted[key] for key in told}
        assert wanted.keys() - told.keys() == {"parameters"}


def test_infer(client, truth, packs):
    answer = client.infer("mlp", [given("input", X)], request_id="seven", model_version="1")
    told = answer.get_response()
    assert (told.model_name, told.model_version, told.id) == ("mlp", "1", "seven")
    assert not told.outputs[0].HasField("contents")
    found = answer.as_numpy("output")
    np.testing.assert_array_equal(found, truth(packs / "mlp", input=X)["output"])


def test_several_inputs_and_the_outputs_that_were_asked_for(client, truth, packs):
    a, b = X[:2, :5].copy(), X[1:, :5].copy()
    wanted = truth(packs / "two", a=a, b=b)
    inputs = [given("b", b), given("a", a)]
    for names in (["product"], ["product", "sum"], ["sum", "product"], ["sum", "sum"], None):
        outputs = names and [triton.InferRequestedOutput(name) for name in names]
        answer = client.infer("two", inputs, outputs=outputs)
        told = [output.name for output in answer.get_response().outputs]
        assert told == list(dict.fromkeys(names or ["sum", "product"]))
        for name in told:
            np.testing.assert_array_equal(answer.as_numpy(name), wanted[name])


@pytest.mark.parametrize("words", [["a", "grün", "", "a\0b", "日本"], [], [""]])
def test_strings(client, stub, words):
    x = np.array(words, dtype=object)
    found = client.infer("words", [given("x", x)]).as_numpy("y")
    assert [word.decode() for word in found] == words
    encoded = [word.encode() for word in words]
    told = stub.ModelInfer(
        request("words", [tensor("x", "BYTES", [len(words)], bytes_contents=encoded)])
    )
    assert list(told.outputs[0].contents.bytes_contents) == encoded
    assert (told.outputs[0].datatype, list(told.outputs[0].shape)) == ("BYTES", [len(words)])


@pytest.mark.parametrize(
    ("model", "datatype", "field", "values"),
    [
        ("longs", "INT64", "int64_contents", [-(2**63), 2**63 - 1, 0, 1]),
        ("bytes", "UINT8", "uint_contents", [0, 255, 1, 2]),
    ],
)
def test_typed_elements_come_back_typed(stub, model, datatype, field, values):
    told = stub.ModelInfer(request(model, [tensor("x", datatype, [2, 2], **{field: values})]))
    assert list(getattr(told.outputs[0].contents, field)) == values
    assert told.outputs[0].datatype == datatype
    assert not told.raw_output_contents


def test_typed_floats_are_answered_as_raw_ones_are(stub, truth, packs):
    told = stub.ModelInfer(request(inputs=[tensor(shape=[3, 64], fp32_contents=X.ravel())]))
    wanted = truth(packs / "mlp", input=X)["output"]
    np.testing.assert_array_equal(told.outputs[0].contents.fp32_contents, wanted.ravel())


def test_half_floats_are_raw_both_ways(client, stub):
    x = np.array([[1, 2], [3, 4]], np.float16)
    np.testing.assert_array_equal(client.infer("half", [given("x", x)]).as_numpy("y"), x + x)
    with pytest.raises(grpc.RpcError) as caught:
        stub.ModelInfer(request("half", [tensor("x", "FP16", [1, 2], fp32_contents=[1, 2])]))
    assert "'x' is FP16, which must be sent in raw_input_contents" in caught.value.details()


ROW = [0.0] * 64
RAW = bytes(256)
PARAMETER = pb.InferParameter(int64_param=1)
REGION = pb.InferParameter(string_param="region")


def with_parameter(made, name, value):
    made.parameters[name].CopyFrom(value)
    return made


OUTPUT = pb.ModelInferRequest.InferRequestedOutputTensor
WRONG = {
    "shape": (request(inputs=[tensor(shape=[1, 63])], raw=[RAW[4:]]), "expected float32[batch"),
    "rank": (request(inputs=[tensor(shape=[64])], raw=[RAW]), "is float32[64], expected"),
    "dtype": (request(inputs=[tensor(datatype="INT32")], raw=[RAW]), "is int32[1, 64], expected"),
    "datatype": (request(inputs=[tensor(datatype="BF16")], raw=[RAW]), "datatype 'BF16'; known"),
    "no datatype": (request(inputs=[tensor(datatype="")], raw=[RAW]), "datatype ''; known"),
    "no input": (request(), "missing: input"),
    "name": (request(inputs=[tensor("x")], raw=[RAW]), "unknown: x"),
    "twice": (request(inputs=[tensor(), tensor()], raw=[RAW, RAW]), "'input' was given twice"),
    "output": (
        request(inputs=[tensor()], raw=[RAW], outputs=[OUTPUT(name="x")]),
        "no output 'x'; outputs: output",
    ),
    "both": (
        request(inputs=[tensor(fp32_contents=ROW)], raw=[RAW]),
        "both contents and raw_input_contents",
    ),
    "mixed": (
        request("two", [tensor("a", shape=[1, 1], fp32_contents=[1]), tensor("b")], [bytes(4)]),
        "1 raw_input_contents for 2 inputs",
    ),
    "too many raw": (request(inputs=[tensor()], raw=[RAW, RAW]), "2 raw_input_contents for 1"),
    "short": (request(inputs=[tensor()], raw=[RAW[1:]]), "has 255 bytes, expected 256"),
    "none": (request(inputs=[tensor()]), "has 0 elements, expected 64"),
    "few": (request(inputs=[tensor(fp32_contents=[1])]), "has 1 elements, expected 64"),
    "field": (request(inputs=[tensor(fp64_contents=ROW)]), "fp64_contents, expected fp32_contents"),
    "range": (
        request("bytes", [tensor("x", "UINT8", [1, 2], uint_contents=[256, 0])]),
        "a number that is not UINT8",
    ),
    "negative": (request(inputs=[tensor(shape=[-1, 64])], raw=[RAW]), "expected sizes from 0"),
    "huge": (request(inputs=[tensor(shape=[2**40, 2**40])], raw=[b""]), "elements"),
    "axes": (request(inputs=[tensor(shape=[1] * 9999)], raw=[RAW]), "has 9999 axes"),
    "text": (
        request("words", [tensor("x", "BYTES", [1], bytes_contents=[b"\xff"])]),
        "text that is not UTF-8",
    ),
    "raw text": (request("words", [tensor("x", "BYTES", [1])], [b"\4\0\0\0abc"]), "ends within"),
    "shared memory": (
        request(inputs=[with_parameter(tensor(), "shared_memory_region", REGION)]),
        "shared_memory_region, which this server does not support",
    ),
    "classes": (
        request(
            inputs=[tensor()],
            raw=[RAW],
            outputs=[with_parameter(OUTPUT(name="output"), "classification", PARAMETER)],
        ),
        "classification, which this server does not support",
    ),
    "long name": (request(inputs=[tensor("日" * 99_999)], raw=[RAW]), "inputs found: 日日"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_requests_are_refused_in_few_words(stub, server, case):
    wrong, says = WRONG[case]
    before = server.json("GET", "/v2/models")[1]
    with pytest.raises(grpc.RpcError) as caught:
        stub.ModelInfer(wrong)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    told = caught.value.details()
    assert says in told
    assert len(told) <= 1000
    assert "Traceback" not in told
    assert "/" not in told
    assert server.json("GET", "/v2/models")[1] == before


def test_other_refusals_have_a_code(stub, server):
    for model, version in (("nothing", ""), ("mlp", "99")):
        for call, made in (
            (stub.ModelInfer, request(model, model_version=version)),
            (stub.ModelMetadata, pb.ModelMetadataRequest(name=model, version=version)),
            (stub.ModelReady, pb.ModelReadyRequest(name=model, version=version)),
        ):
            with pytest.raises(grpc.RpcError) as caught:
                call(made)
            assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    rows = request(inputs=[tensor(shape=[65, 64])], raw=[RAW * 65])
    with pytest.raises(grpc.RpcError) as caught:
        stub.ModelInfer(rows)
    assert caught.value.code() is grpc.StatusCode.OUT_OF_RANGE
    assert caught.value.details() == (
        "65 rows in one request, expected at most 64: send them in parts, or start the server with "
        "--max-batch 65"
    )
    with pytest.raises(grpc.RpcError) as caught:
        stub.RepositoryIndex(pb.RepositoryIndexRequest())
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_damaged_messages_cost_the_server_nothing(channel, client):
    call = channel.unary_unary(f"/{INFERENCE}/ModelInfer")
    whole = request(inputs=[tensor()], raw=[RAW]).SerializeToString()
    chance = random.Random(0)
    codes = set()
    for _ in range(300):
        damaged = bytearray(whole[: chance.randrange(len(whole) + 1)])
        for _ in range(chance.randrange(4) if damaged else 0):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        codes.add(call.future(bytes(damaged)).code())
    code = grpc.StatusCode
    refusals = {code.INVALID_ARGUMENT, code.NOT_FOUND, code.OUT_OF_RANGE}
    assert code.INVALID_ARGUMENT in codes
    assert codes <= refusals | {code.OK}
    with pytest.raises(grpc.RpcError, match=r"is not a valid inference\.ModelInferRequest"):
        call(b"\xff\xff")
    with pytest.raises(grpc.RpcError, match="the request has no message"):
        channel.stream_unary(f"/{INFERENCE}/ServerLive")(iter(()))
    assert client.infer("mlp", [given("input", X)]).as_numpy("output").shape == (3, 10)


def reflect(channel, **asked):
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    return next(
        iter(stub.ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest(**asked)])))
    )


def descriptor(channel):
    """The server's own description of the protocol."""
    told = reflect(channel, file_containing_symbol=INFERENCE).file_descriptor_response
    return FileDescriptorProto.FromString(told.file_descriptor_proto[0])


def test_reflection_lists_the_services(channel):
    listed = reflect(channel, list_services="").list_services_response.service
    assert {service.name for service in listed} == {
        INFERENCE,
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
    }
    assert reflect(channel, file_containing_symbol="no.Such").error_response.error_code == 5


def fields(messages, prefix=""):
    """Each field: its place, its number, and its type."""
    found = set()
    for message in messages:
        path = f"{prefix}.{message.name}"
        found |= {
            (path, each.name, each.number, each.label, each.type, each.type_name)
            for each in message.field
        }
        found |= fields(message.nested_type, path)
    return found


def test_names_and_numbers_are_those_of_the_protocol(channel):
    ours, theirs = descriptor(channel), FileDescriptorProto()
    pb.DESCRIPTOR.CopyToProto(theirs)
    assert fields(ours.message_type) <= fields(theirs.message_type)
    whole = {message.name for message in ours.message_type}
    kept = [message for message in theirs.message_type if message.name in whole]
    assert fields(ours.message_type) == fields(kept)
    methods = [
        {(m.name, m.input_type, m.output_type) for m in file.service[0].method}
        for file in (ours, theirs)
    ]
    assert len(methods[0]) == 6
    assert methods[0] <= methods[1]


PRINT = """
import importlib.util, sys
spec = importlib.util.spec_from_file_location("generated", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
sys.stdout.buffer.write(module.DESCRIPTOR.serialized_pb)
"""


def test_what_is_generated_is_up_to_date(tmp_path):
    path = "onnxpack/server/grpc/inference.proto"
    subprocess.run(
        [sys.executable, "-m", "grpc_tools.protoc", "-I.", f"--python_out={tmp_path}", path],
        cwd=SOURCE,
        check=True,
    )
    ours, fresh = (
        subprocess.check_output([sys.executable, "-c", PRINT, folder / f"{path[:-6]}_pb2.py"])
        for folder in (SOURCE, tmp_path)
    )
    assert ours == fresh
    assert "runtime_version" not in (SOURCE / f"{path[:-6]}_pb2.py").read_text()
