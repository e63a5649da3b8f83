"""The Dockerfile: the same content as the daemonless image, and engines build it for real."""

import io
import json
import os
import subprocess
import sys
import tarfile
from contextlib import contextmanager
from dataclasses import replace

import msgspec
import pytest

import onnxpack
from onnxpack.cli.main import main
from onnxpack.errors import ImageError, UsageError
from onnxpack.image.base.debian import default_python
from onnxpack.image.build import shipped
from onnxpack.image.compare.container import try_image
from onnxpack.image.compare.golden_request import golden_request
from onnxpack.image.dockerfile import write_dockerfile
from onnxpack.image.engine import build_with
from onnxpack.image.runtime.layer import own_files
from onnxpack.image.runtime.lean import make_lean

AWKWARD = 'says "$HOME" and \\n\nmore'


@pytest.fixture(scope="session")
def pack(packs):
    found = onnxpack.open_pack(packs / "mlp")
    return replace(found, manifest=msgspec.structs.replace(found.manifest, description=AWKWARD))


@pytest.fixture(scope="session")
def context(pack, tmp_path_factory):
    folder = tmp_path_factory.mktemp("dockerfile") / "context"
    write_dockerfile(pack, folder)
    return folder


@pytest.fixture(scope="session")
def wheels(context, tmp_path_factory):
    """What the requirements ask for, in a folder."""
    folder = tmp_path_factory.mktemp("wheels")
    download(folder, "-r", context / "requirements/cpu.txt")
    return folder


def download(folder, *what):
    pip = [sys.executable, "-m", "pip"]
    subprocess.run([*pip, "download", "-q", "--only-binary=:all:", "-d", folder, *what], check=True)


@contextmanager
def environment(values):
    with pytest.MonkeyPatch.context() as patch:
        for name, value in values.items():
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="session")
def by_docker(docker, context, wheels, slim):
    name = "localhost/onnxpack-test:dockerfile"
    with environment(docker.environment):
        build_with("docker", context, name, arguments={"BASE": slim}, wheels=wheels)
    yield name
    docker("rmi", "--force", name)


def test_the_context_holds_the_pack_and_onnxpack(context, pack):
    at = context / "model/mlp"
    assert {name: path.read_bytes() for name, path in shipped(pack)} == {
        path.relative_to(at).as_posix(): path.read_bytes()
        for path in at.rglob("*")
        if path.is_file()
    }
    own = {entry.path for entry in own_files()}
    assert own == {
        path.relative_to(context / "own").as_posix()
        for path in (context / "own").rglob("*")
        if path.is_file()
    }


def test_engines_see_what_is_copied_and_nothing_else(context):
    ignored = (context / ".dockerignore").read_text().split()
    copied = {
        line.split()[1].strip('[",').partition("/")[0]
        for line in (context / "Dockerfile").read_text().splitlines()
        if line.startswith("COPY") and "--from" not in line
    }
    assert ignored == ["*", *sorted(f"!{name}" for name in copied)]


def test_whoever_runs_it_can_read_it(pack, tmp_path):
    before = os.umask(0o077)
    try:
        write_dockerfile(pack, tmp_path / "context")
    finally:
        os.umask(before)
    modes = {
        path.is_dir(): path.stat().st_mode & 0o777 for path in (tmp_path / "context").rglob("*")
    }
    assert modes == {True: 0o755, False: 0o644}


def test_a_folder_that_is_there_is_kept(pack, tmp_path):
    place = tmp_path / "context"
    (place / "model").mkdir(parents=True)
    with pytest.raises(ImageError, match="already exists"):
        write_dockerfile(pack, place)
    (place / "Dockerfile").write_text("FROM scratch\n")
    with pytest.raises(ImageError, match="holds Dockerfile, which no image there would"):
        write_dockerfile(pack, place, force=True)
    (place / "Dockerfile").unlink()
    for _ in range(2):
        write_dockerfile(pack, place, force=True)
    (place / "model" / "thesis.tex").symlink_to("mine")
    write_dockerfile(pack, place, force=True)
    (place / "thesis.tex").touch()
    with pytest.raises(ImageError, match=r"holds thesis\.tex, which"):
        write_dockerfile(pack, place, force=True)


def test_both_runtimes_are_pinned(pack, tmp_path):
    write_dockerfile(pack, tmp_path / "cuda", runtime="cuda")
    assert "ARG RUNTIME=cuda" in (tmp_path / "cuda/Dockerfile").read_text()
    for runtime, package in (("cpu", "onnxruntime=="), ("cuda", "onnxruntime-gpu[")):
        lines = (tmp_path / "cuda/requirements" / f"{runtime}.txt").read_text().splitlines()
        assert lines[0] == f"-c constraints-{runtime}.txt"
        assert sum(line.startswith(package) for line in lines) == 1
        # Of onnxruntime-gpu there may be no version that was proven here; none is newer.
        assert all("==" in line or line.startswith("onnxruntime-gpu") for line in lines[1:])
        assert all("==" in line or "]<=" in line for line in lines[1:])


def test_lean_prunes_and_compiles(tmp_path):
    for name, text in {
        "kept.py": "x = 1", "kept/tests/gone.py": "", "kept/template.py": "{{ no python }}",
        "onnxruntime/tools/gone.txt": "",
    }.items():  # fmt: skip
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    make_lean(tmp_path)
    found = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")}
    assert found == {"kept.pyc", "kept", "kept/template.py"}


def test_lean_keeps_what_grpc_needs(tmp_path):
    for name in ("grpc/__init__.py", "google/protobuf/message.py", "protobuf-7.dist-info/METADATA",
                 "google/protobuf/tests/gone.py"):  # fmt: skip
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x = 1")
    make_lean(tmp_path)
    found = {
        path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()
    }
    assert found == {
        "grpc/__init__.pyc", "google/protobuf/message.pyc", "protobuf-7.dist-info/METADATA",
    }  # fmt: skip


def test_docker_builds_the_same_content(docker, by_docker, built):
    files = {path for path in layers_of(docker, by_docker) if path.startswith("opt/rt/")}
    image = built.images[0]
    with image.layers[1].open() as source, tarfile.open(fileobj=source, mode="r:gz") as runtime:
        ours = {member.name for member in runtime if member.isfile()}
    assert files == ours


def layers_of(docker, name):
    """The files of an image that came by COPY."""
    container = docker("create", name).strip()
    try:
        done = docker.run("export", container)
    finally:
        docker("rm", container)
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as exported:
        return {member.name for member in exported if member.isfile()}


def test_docker_is_told_the_same(docker, by_docker, built):
    found = json.loads(docker("inspect", by_docker))[0]["Config"]
    wanted = built.images[0].settings["config"]
    for key in ("User", "WorkingDir", "ExposedPorts", "StopSignal"):
        assert found[key] == wanted[key]
    assert found["Entrypoint"] == ["python3", *wanted["Entrypoint"][1:]]
    assert not found["Cmd"]
    assert found["Healthcheck"]["Interval"] == wanted["Healthcheck"]["Interval"]
    assert found["Healthcheck"]["Test"][2:] == wanted["Healthcheck"]["Test"][2:]
    assert found["Healthcheck"]["Test"][1] == "python3"
    assert set(found["Env"]) >= set(wanted["Env"][-5:])
    assert found["Labels"]["org.opencontainers.image.description"] == " ".join(AWKWARD.split())
    assert found["Labels"]["onnxpack.pack.digest"] == wanted["Labels"]["onnxpack.pack.digest"]


def test_its_container_predicts(docker, by_docker, pack):
    request = golden_request(pack)
    with environment(docker.environment):
        trial = try_image("docker", by_docker, request.path, request.body)
    request.check(trial.answer, name=by_docker)


def test_buildah_builds_it(context, wheels, slim_archive):
    base, name = "localhost/onnxpack-test:slim", "localhost/onnxpack-test:buildah"
    subprocess.run(["podman", "import", "-q", slim_archive, base], check=True)
    try:
        build_with("buildah", context, name, arguments={"BASE": base}, wheels=wheels)
        told = subprocess.run(
            ["buildah", "inspect", "--type", "image", name], check=True, stdout=subprocess.PIPE
        )
        config = json.loads(told.stdout)["Docker"]["config"]
        assert config["User"] == "65532:65532"
        assert config["Healthcheck"]["Test"][-1] == "onnxpack.server.alive"
    finally:
        subprocess.run(["buildah", "rmi", "-f", name, base], check=False)


def test_an_engine_that_fails_says_why(docker, context, slim, tmp_path):
    with environment(docker.environment), pytest.raises(ImageError, match="ResolutionImpossible"):
        build_with("docker", context, "x", arguments={"BASE": slim}, wheels=tmp_path)


def test_an_engine_that_is_missing(context, monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ImageError, match="podman is not installed"):
        build_with("podman", context, "x")


def test_no_folder_of_wheels(context, tmp_path):
    with pytest.raises(UsageError, match="not a folder of wheels"):
        build_with("docker", context, "x", wheels=tmp_path / "none")


def test_the_command_writes_it(packs, tmp_path, capsys):
    assert main(["image", str(packs / "mlp"), "--dockerfile", str(tmp_path / "it")]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"written: {tmp_path}/it/Dockerfile",
        f"try: docker build -t mlp:1 {tmp_path}/it",
    ]
    text = (tmp_path / "it/Dockerfile").read_text()
    assert f"ARG BASE=python:{default_python()}-slim" in text


def test_the_command_builds_with_an_engine(docker, packs, wheels, slim, capsys, monkeypatch):
    for name, value in docker.environment.items():
        monkeypatch.setenv(name, value)
    line = ["--engine", "docker", "--base", slim, "--wheels", str(wheels), "-t", "onnxpack-test:e"]
    try:
        assert main(["image", str(packs / "mlp"), *line, "--json"]) == 0
        told = json.loads(capsys.readouterr().out)
        assert told["engine"] == "docker"
        assert told["seconds"] > 0
        docker("image", "inspect", told["name"])
    finally:
        docker.run("rmi", "--force", "onnxpack-test:e")


@pytest.mark.parametrize("option", [("-o", "x"), ("--load",), ("--push",), ("--platform", "x")])
def test_an_engine_and_what_is_for_builds_without(packs, option, capsys):
    assert main(["image", str(packs / "mlp"), "--engine", "docker", *option]) == 2
    assert "cannot be combined with" in capsys.readouterr().err
