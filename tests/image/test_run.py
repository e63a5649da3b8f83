"""Containers: loaded, pushed and pulled for real, they answer as the pack does, or not at all."""

import json
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx
import pytest

import onnxpack
from onnxpack.image.base import debian
from onnxpack.image.build import Recipe, build_image
from onnxpack.oci.image import make_image
from onnxpack.oci.platform import Platform
from onnxpack.oci.reference import Reference
from onnxpack.oci.registry.pull import pull
from onnxpack.oci.registry.push import push
from onnxpack.oci.store.archive import write_archive
from onnxpack.oci.store.layout import write_layout
from onnxpack.pack.tensor import encode_tensor, read_tensor

# No writing anywhere, no rights, no network but the host's, which the tests ask through.
STRICT = ("--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges")
SECONDS = 60


@pytest.fixture
def container(docker, free_port):
    """A running container of an image; gives its address when it is ready."""

    @contextmanager
    def run(name, *options):
        port = str(free_port())
        started = docker(
            "run", "--detach", "--network", "host", *STRICT, name, "--host", "127.0.0.1",
            "--port", port, *options,
        ).strip()  # fmt: skip
        try:
            yield wait_for(f"http://127.0.0.1:{port}", docker, started)
        finally:
            docker("rm", "--force", started)

    return run


def wait_for(address, docker, started):
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        try:
            with urllib.request.urlopen(f"{address}/v2/health/ready") as answer:
                if answer.status == 200:
                    return address
        except (urllib.error.HTTPError, OSError):
            state = docker("inspect", "--format", "{{.State.Running}}", started).strip()
            if state != "true":
                raise AssertionError(docker.run("logs", started).stderr.decode()) from None
    raise AssertionError("it is not ready")


def ask(address, rows, model="mlp"):
    request = urllib.request.Request(
        f"{address}/v2/models/{model}/predict",
        data=json.dumps(rows.tolist()).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request) as answer:
        return np.array(json.loads(answer.read())["outputs"]["output"], np.float32)


@pytest.fixture
def loaded(docker, built, tmp_path):
    """The image in the engine; the name is of this test alone."""
    name = Reference.parse(f"onnxpack-test:{tmp_path.name}")
    write_archive(built.content, tmp_path / "image.tar", name=name)
    docker("load", "-i", tmp_path / "image.tar")
    tag = f"onnxpack-test:{name.tag}"
    yield tag
    docker("rmi", "--force", tag)


def test_a_container_answers_as_the_pack_does(loaded, container, packs):
    rows = np.random.default_rng(0).standard_normal((5, 8)).astype(np.float32)
    with container(loaded) as address:
        found = ask(address, rows)
        with urllib.request.urlopen(f"{address}/v2/models/mlp") as answer:
            assert json.loads(answer.read())["parameters"]["proven"] is True
        with urllib.request.urlopen(f"{address}/") as page:
            assert b"<html" in page.read()
        with urllib.request.urlopen(f"{address}/metrics") as metrics:
            assert b"onnxpack_requests_total" in metrics.read()
    np.testing.assert_allclose(found, onnxpack.Model(packs / "mlp")(rows), rtol=1e-5)


def test_it_runs_as_nobody_and_without_a_shell(loaded, docker):
    who = docker(
        "run", "--rm", "--network", "none", *STRICT, "--entrypoint", "/usr/bin/python3", loaded,
        "-c", "import os; print(os.getuid(), os.environ['ORT_DISABLE_TELEMETRY'])",
    )  # fmt: skip
    assert who == "65532 1\n"
    shell = docker.run("run", "--rm", "--network", "none", "--entrypoint", "/bin/sh", loaded)
    assert shell.returncode == 127


def test_tls_and_time_zones_work_in_it(loaded, docker):
    code = (
        "import ssl, zoneinfo; print(len(ssl.create_default_context().get_ca_certs()) > 100, "
        "zoneinfo.ZoneInfo('Asia/Tokyo'))"
    )
    told = docker(
        "run", "--rm", "--network", "none", "--entrypoint", "/usr/bin/python3", loaded, "-c", code
    )
    assert told == "True Asia/Tokyo\n"


def test_it_ends_on_docker_stop(loaded, docker, free_port):
    port = str(free_port())
    started = docker(
        "run", "--detach", "--network", "host", *STRICT, loaded, "--port", port
    ).strip()
    wait_for(f"http://127.0.0.1:{port}", docker, started)
    docker("stop", started)
    assert docker("wait", started) == "0\n"
    docker("rm", started)


def test_a_container_that_answers_otherwise_never_becomes_ready(
    packs, cache, amd64, docker, tmp_path
):
    """A folder of the model zoo whose answers are another model's."""
    zoo = tmp_path / "zoo"
    shutil.copytree(packs / "mlp", zoo)
    (zoo / "pack.json").unlink()
    path = zoo / "test_data_set_0" / "output_0.pb"
    name, array = read_tensor(path)
    path.write_bytes(encode_tensor(name, array + 1))
    image = build_image(onnxpack.open_pack(zoo), amd64, cache=cache).content
    write_archive(image, tmp_path / "image.tar", name=Reference.parse("onnxpack-test:wrong"))
    docker("load", "-i", tmp_path / "image.tar")
    done = docker.run("run", "--rm", "--network", "host", *STRICT, "onnxpack-test:wrong")
    docker("rmi", "--force", "onnxpack-test:wrong")
    assert done.returncode == 1
    assert b"does not reproduce its golden data here" in done.stderr


def test_a_push_of_a_new_model_sends_the_model_alone(built, packs, cache, amd64, registry):
    name = Reference.parse(registry.name("team/model:1"))
    assert len(push(built.content, name).sent) == 5
    other = build_image(onnxpack.open_pack(packs / "other"), amd64, cache=cache).content
    again = push(other, Reference.parse(registry.name("team/model:2")))
    config = other.config_descriptor.digest
    assert set(again.sent) == {other.layers[-1].descriptor.digest, config}


def test_an_engine_pulls_and_runs_it(built, registry, docker, container, packs):
    name = registry.name("team/pulled:1")
    push(built.content, Reference.parse(name))
    docker("pull", name)
    rows = np.ones((1, 8), np.float32)
    with container(name) as address:
        np.testing.assert_allclose(
            ask(address, rows), onnxpack.Model(packs / "mlp")(rows), rtol=1e-5
        )
    docker("rmi", "--force", name)


def test_a_base_from_a_registry(built, packs, cache, registry, container, docker, tmp_path):
    """The base is an image that is there already; here the one of Debian, under another name."""
    base = make_image(
        built.content.layers[:1],
        config={**built.content.settings["config"], "Entrypoint": [], "Labels": {}},
    )
    name = registry.name("library/python:slim")
    push(base, Reference.parse(name))
    recipe = Recipe(name, (Platform("amd64"),))
    image = build_image(onnxpack.open_pack(packs / "mlp"), recipe, cache=cache).content
    assert image.layers[0].descriptor == built.content.layers[0].descriptor
    assert pull(Reference.parse(name), tmp_path).digest == base.digest
    assert image.settings["config"]["Labels"]["org.opencontainers.image.base.name"] == name
    write_archive(image, tmp_path / "image.tar", name=Reference.parse("onnxpack-test:based"))
    docker("load", "-i", tmp_path / "image.tar")
    with container("onnxpack-test:based") as address:
        assert ask(address, np.ones((2, 8), np.float32)).shape == (2, 3)
    docker("rmi", "--force", "onnxpack-test:based")


def test_another_release_of_debian(packs, cache, amd64, container, docker, tmp_path, monkeypatch):
    """Where Python 3.13 is not on this machine, its sources stay in the image."""
    other = "3.13" if debian.default_python() == "3.11" else "3.11"
    monkeypatch.setattr(debian, "default_python", lambda: other)
    image = build_image(onnxpack.open_pack(packs / "mlp"), amd64, cache=cache).content
    write_archive(image, tmp_path / "image.tar", name=Reference.parse("onnxpack-test:other"))
    docker("load", "-i", tmp_path / "image.tar")
    with container("onnxpack-test:other") as address:
        assert ask(address, np.ones((2, 8), np.float32)).shape == (2, 3)
    code = "import ssl, sys, zoneinfo; zoneinfo.ZoneInfo('Asia/Tokyo'); print(sys.version)"
    words = ("run", "--rm", "--network", "none", "--entrypoint", "/usr/bin/python3")
    assert docker(*words, "onnxpack-test:other", "-c", code).startswith(other)
    docker("rmi", "--force", "onnxpack-test:other")


def test_other_tools_take_the_layout(built, tmp_path):
    write_layout(built.content, tmp_path / "layout", name=Reference.parse("model:1"))
    subprocess.run(
        ["skopeo", "inspect", f"oci:{tmp_path / 'layout'}:1"], check=True, capture_output=True
    )
    subprocess.run(
        ["umoci", "unpack", "--rootless", "--image", f"{tmp_path / 'layout'}:1", tmp_path / "out"],
        check=True, capture_output=True,
    )  # fmt: skip
    root = tmp_path / "out" / "rootfs"
    assert onnx.load(root / "model" / "mlp" / "model.onnx").graph.node
    assert not (root / "bin" / "sh").exists()
    assert Path(root / "usr" / "bin" / "python3").exists()
