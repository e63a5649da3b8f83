"""Containers with other ports, addresses and TLS, several packs and gRPC: healthy if they serve."""

from __future__ import annotations

import json
import subprocess
import time
from contextlib import contextmanager
from dataclasses import replace

import pytest

import onnxpack
from onnxpack.image.additions import Additions
from onnxpack.image.build import build_image
from onnxpack.oci.reference import Reference
from onnxpack.oci.store.archive import write_archive

STRICT = ("--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges")
ADDITIONS = Additions({"GREETING": "a b"}, {"team": "ml"}, grpc=True)
SECONDS = 60


@pytest.fixture(scope="module")
def loaded(docker, packs, cache, amd64, tmp_path_factory):
    """Both packs with gRPC, by two names."""
    pair = [onnxpack.open_pack(packs / name) for name in ("mlp", "other")]
    built = build_image(pair, replace(amd64, additions=ADDITIONS), cache=cache)
    names = [Reference.parse(f"onnxpack-test:{tag}") for tag in ("options", "options-2")]
    path = tmp_path_factory.mktemp("options") / "image.tar"
    write_archive(built.content, path, name=names)
    docker("load", "-i", path)
    tags = [f"onnxpack-test:{name.tag}" for name in names]
    yield tags
    docker("rmi", "--force", *tags)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=far.lan",
         "-keyout", "key.pem", "-out", "cert.pem"],
        cwd=folder, check=True, capture_output=True,
    )  # fmt: skip
    folder.chmod(0o755)  # a container's user reads it
    for path in folder.iterdir():
        path.chmod(0o644)
    return folder


@pytest.fixture
def healthy(docker, loaded):
    """A container, once the engine's own health check has passed."""

    @contextmanager
    def run(*line, options=()):
        started = docker(
            "run", "--detach", "--network", "host", *STRICT, "--health-interval", "1s", *options,
            loaded[0], *line,
        ).strip()  # fmt: skip
        try:
            wait_until_healthy(docker, started)
            yield started
        finally:
            docker("rm", "--force", started)

    return run


def wait_until_healthy(docker, started):
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        state = json.loads(docker("inspect", "--format", "{{json .State}}", started))
        assert state["Running"], docker.run("logs", started).stderr.decode()
        if state["Health"]["Status"] == "healthy":
            return
    raise AssertionError(state["Health"])


def ports(free_port):
    return ("--port", str(free_port()), "--grpc-port", str(free_port()))


@pytest.mark.parametrize(
    ("line", "options"),
    [
        ((), ()),
        (("--host", "::1"), ()),
        (("--host", "127.0.0.9"), ("--init",)),
        (("--tls-cert", "/tls/cert.pem", "--tls-key", "/tls/key.pem"), ("--pid", "host")),
    ],
    ids=["another port", "IPv6", "an init", "TLS beside other processes"],
)
def test_the_health_check_follows(line, options, healthy, free_port, certificate):
    with healthy(*ports(free_port), *line, options=("-v", f"{certificate}:/tls:ro", *options)):
        pass


def test_the_health_check_is_not_passed_by_another_server(docker, healthy, free_port):
    """One container serves; the check of another, which listens elsewhere, must not find it."""
    with healthy(*ports(free_port)) as serving:
        told = docker.run(
            "run", "--rm", "--network", "host", *STRICT, "--pid", "host", "--entrypoint",
            "/usr/bin/python3", "onnxpack-test:options", "-m", "onnxpack.server.alive",
        )  # fmt: skip
        assert told.returncode == 1
        assert b"not ready: no process in /proc runs python -m onnxpack.server" in told.stderr
        assert docker.run("exec", serving, "/usr/bin/python3", "-m", "onnxpack.server.alive")


def test_grpc_answers_for_each_pack(healthy, free_port):
    import grpc
    from grpc_health.v1 import health_pb2, health_pb2_grpc
    from tritonclient.grpc import InferenceServerClient

    port = str(free_port())
    with healthy("--port", str(free_port()), "--grpc-port", port):
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            asked = health_pb2.HealthCheckRequest(service="")
            answer = health_pb2_grpc.HealthStub(channel).Check(asked, timeout=SECONDS)
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
        with InferenceServerClient(f"127.0.0.1:{port}") as client:
            assert client.is_model_ready("mlp")
            assert client.is_model_ready("other")


def test_both_names_and_all_additions_are_in_the_engine(docker, loaded):
    first, second = (json.loads(docker("image", "inspect", tag))[0] for tag in loaded)
    assert first["Id"] == second["Id"]
    assert "GREETING=a b" in first["Config"]["Env"]
    assert first["Config"]["Labels"]["team"] == "ml"


def test_scanners_know_the_distribution(docker, loaded):
    code = "import platform; print(platform.freedesktop_os_release()['ID'])"
    told = docker(
        "run", "--rm", "--network", "none", "--entrypoint", "/usr/bin/python3", loaded[0], "-c",
        code,
    )  # fmt: skip
    assert told == "debian\n"
