"""Who may ask over gRPC, and how it is started: keys, TLS, ports, workers, the log."""

import contextlib
import json
import re
import socket
import subprocess
import sys
from functools import partial
from pathlib import Path

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

PROGRAM = Path(sys.executable).with_name("onnxpack")
GRPC = ("--grpc-port", 0)
CODE = grpc.StatusCode
X = np.ones((2, 64), np.float32)
INFER = "/inference.GRPCInferenceService/ModelInfer"


def target(served):
    return served.banner.split("gRPC: ")[1].split()[0]


def infer(client, x=X, **options):
    given = triton.InferInput("input", x.shape, "FP32")
    given.set_data_from_numpy(x)
    return client.infer("mlp", [given], **options).as_numpy("output")


@pytest.fixture
def keyed(packs, serve, tmp_path):
    """A server that wants one of two keys."""
    keys = tmp_path / "keys"
    keys.write_text("first-key\nsecond-key\n")
    keys.chmod(0o600)
    with serve(packs / "mlp", *GRPC, "--api-key-file", keys) as served:
        yield served


def test_keys_let_in(keyed, packs, truth):
    wanted = truth(packs / "mlp", input=X)["output"]
    with triton.InferenceServerClient(target(keyed)) as client:
        for right in (
            {"authorization": "Bearer first-key"},
            {"authorization": "bearer second-key"},
            {"x-api-key": "second-key"},
        ):
            np.testing.assert_array_equal(infer(client, headers=right), wanted)
            assert client.is_model_ready("mlp", headers=right)
    assert keyed.ask("GET", "/v2", x_api_key="second-key")[0] == 200
    assert keyed.ask("GET", "/v2", x_api_key="second")[0] == 401


def test_without_a_key_only_health_is_told(keyed):
    with triton.InferenceServerClient(target(keyed)) as client:
        assert client.is_server_live()
        assert client.is_server_ready()
    with grpc.insecure_channel(target(keyed)) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        assert health.Check(health_pb2.HealthCheckRequest()).status == 1
        asked = iter([reflection_pb2.ServerReflectionRequest(list_services="")])
        listed = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(asked)
        assert listed.code() is CODE.UNAUTHENTICATED


def test_wrong_keys_are_refused(keyed):
    with triton.InferenceServerClient(target(keyed)) as client:
        for wrong in (
            {},
            {"authorization": "Bearer first-ke"},
            {"authorization": "first-key"},
            {"authorization": "Basic first-key"},
            {"x-api-key": ""},
            {"x-api-key": "first-key second-key"},
        ):
            for ask in (
                partial(infer, client),
                partial(client.is_model_ready, "mlp"),
                client.get_server_metadata,
                partial(client.get_model_metadata, "mlp"),
            ):
                with pytest.raises(triton.InferenceServerException) as caught:
                    ask(headers=wrong)
                assert caught.value.status() == "StatusCode.UNAUTHENTICATED"
                assert "an API key is needed" in caught.value.message()


@pytest.fixture
def certificate(tmp_path):
    """A certificate of its own for this machine, and its key."""
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1",
         "-keyout", key, "-out", cert],
        check=True,
        capture_output=True,
    )  # fmt: skip
    return cert, key


@pytest.mark.parametrize("together", [False, True])
def test_tls(packs, serve, certificate, tmp_path, together):
    cert, key = certificate
    options = ["--tls-cert", cert, "--tls-key", key]
    if together:
        both = tmp_path / "both.pem"
        both.write_bytes(key.read_bytes() + cert.read_bytes())
        options = ["--tls-cert", both]
    with serve(packs / "mlp", *GRPC, *options) as served:
        secure = {"ssl": True, "root_certificates": str(cert)}
        with triton.InferenceServerClient(target(served), **secure) as client:
            assert infer(client).shape == (2, 10)
        with grpc.insecure_channel(target(served)) as channel:
            asked = health_pb2.HealthCheckRequest()
            answer = health_pb2_grpc.HealthStub(channel).Check.future(asked)
            assert answer.code() is CODE.UNAVAILABLE


def test_a_port_that_is_taken_is_told(packs, serve, onnxpack_serve):
    """gRPC's own sockets would share it in silence, and each server get some of the requests."""
    with serve(packs / "mlp", *GRPC) as served:
        port = target(served).split(":")[1]
        told = onnxpack_serve(packs / "mlp", "--grpc-port", port)
    assert told.returncode == 2
    assert told.stderr.startswith(f"error: 127.0.0.1:{port} cannot be bound for gRPC: ")
    assert "→ --grpc-port 0 picks a free one" in told.stderr


def test_there_is_no_grpc_unless_asked_for(packs, serve):
    with serve(packs / "mlp") as served:
        assert "gRPC" not in served.banner
        loaded = Path(f"/proc/{served.process.pid}/maps").read_text()
        assert "cygrpc" not in loaded


WITHOUT = """
import sys
sys.modules["grpc"] = None
from onnxpack.cli.main import main
sys.argv[0] = "onnxpack"
sys.exit(main())
"""


def test_without_the_extra_it_says_which(packs):
    told = subprocess.run(
        [sys.executable, "-c", WITHOUT, "serve", packs / "mlp", "--port", "0", "--grpc-port", "0"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 3
    assert 'pip install "onnxpack[grpc]"' in told.stderr


def test_workers_share_the_port(packs, serve, truth):
    with serve(packs / "mlp", *GRPC, "--workers", 2) as served:
        wanted = truth(packs / "mlp", input=X)["output"]
        options = [("grpc.use_local_subchannel_pool", 1)]
        for _ in range(20):
            with triton.InferenceServerClient(target(served), channel_args=options) as client:
                np.testing.assert_allclose(infer(client), wanted, rtol=1e-5)
        asked = [counted(served) for _ in range(50)]
        assert served.stop() == 0
    assert asked == [20] * 50  # whichever worker is asked, it counts for all


def counted(served):
    text = served.ask("GET", "/metrics")[2].decode()
    return float(re.search(r"^onnxpack_requests_total\{.*\} (\S+)$", text, re.MULTILINE)[1])


def test_each_request_is_a_line_in_the_access_log(packs, serve):
    with (
        serve(packs / "mlp", *GRPC, "--access-log") as served,
        triton.InferenceServerClient(target(served)) as client,
    ):
        infer(client, headers={"x-request-id": "abc"})
        with pytest.raises(triton.InferenceServerException):
            infer(client, X[:, 1:])
        served.ask("GET", "/v2", x_request_id="def")
        assert served.stop() == 0
        lines = [json.loads(line) for line in served.process.stderr.read().splitlines()]
    # A call is logged when it is over, which may be after its client heard so.
    assert len(lines) == 3
    assert {
        (line["method"], line["path"], line["status"], line["request_id"]) for line in lines
    } == {
        ("gRPC", INFER, "OK", "abc"),
        ("gRPC", INFER, "INVALID_ARGUMENT", None),
        ("GET", "/v2", 200, "def"),
    }


def test_requests_are_counted_as_those_of_http_are(packs, serve):
    with serve(packs / "mlp", *GRPC) as served:
        with triton.InferenceServerClient(target(served)) as client:
            for x in (X, X, X[:, 1:].copy(), np.ones((65, 64), np.float32)):
                with contextlib.suppress(triton.InferenceServerException):
                    infer(client, x)
        served.json("POST", "/v2/models/mlp/predict", X.tolist())
        told = served.ask("GET", "/metrics")[2].decode()
    labels = '{model="mlp",'
    for line in (
        f'onnxpack_requests_total{labels}version="1"}} 3.0',
        f'onnxpack_rows_total{labels}version="1"}} 6.0',
        f'onnxpack_request_failures_total{labels}status="400",version="1"}} 1.0',
        f'onnxpack_request_failures_total{labels}status="413",version="1"}} 1.0',
        f'onnxpack_requests_in_flight{labels}version="1"}} 0.0',
    ):
        assert line in told


def test_silence_on_a_connection_costs_no_other(packs, serve):
    """Neither do bytes that are no HTTP/2."""
    with serve(packs / "mlp", *GRPC, "--read-timeout", 1) as served:
        host, port = target(served).split(":")
        with (
            socket.create_connection((host, int(port)), timeout=60) as silent,
            socket.create_connection((host, int(port)), timeout=60) as garbage,
            triton.InferenceServerClient(target(served)) as client,
        ):
            garbage.sendall(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n" * 100)
            assert infer(client).shape == (2, 10)
            for each in (silent, garbage):
                with contextlib.suppress(ConnectionError):
                    while each.recv(65536):
                        pass
            assert infer(client).shape == (2, 10)
