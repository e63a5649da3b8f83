"""``onnxpack image`` with several packs and names, additions, and registries of any kind."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from onnxpack.oci.reference import Reference
from onnxpack.oci.registry.connection import Connection
from onnxpack.oci.registry.pull import resolve
from onnxpack.oci.registry.push import push
from onnxpack.oci.registry.referrers import attached
from onnxpack.oci.store.read import read_image
from onnxpack.oci.store.validate import validate_layout
from onnxpack.pack.amend import amend_pack

Run = Callable[..., Any]
pytestmark = pytest.mark.usefixtures("caches")


def config(path: Path) -> Any:
    return read_image(path).settings["config"]


def test_a_version_with_a_plus_gives_a_legal_tag(image: Run, pack: Any, tmp_path: Path) -> None:
    manifest = msgspec.structs.replace(pack.manifest, version="2.0+b")
    amend_pack(pack, pack.path, manifest, force=True)
    told = image("-o", tmp_path / "layout", "--json")
    assert told.json["name"] == "docker.io/library/pets:2.0-b"
    labels = config(tmp_path / "layout")["Labels"]
    assert labels["org.opencontainers.image.version"] == "2.0+b"


def test_several_packs_need_a_name(image: Run, lookup: Any, tmp_path: Path) -> None:
    told = image(lookup.path, "-o", tmp_path / "layout")
    assert told.code == 2
    assert told.err == "error: an image of 2 packs has no name by itself.\n→ name it with -t\n"
    told = image(lookup.path, "-o", tmp_path / "layout", "-t", "both:1")
    assert told.code == 0, told.err
    assert [line.split()[2] for line in told.out.splitlines()[4:6]] == ["lookup", "pets"]
    entry = config(tmp_path / "layout")["Entrypoint"]
    assert entry[3:5] == ["/model/lookup", "/model/pets"]


def test_two_packs_of_one_name_are_refused(image: Run, pack: Any, tmp_path: Path) -> None:
    copy = shutil.copytree(pack.path, tmp_path / "copy")
    told = image(copy, "-o", tmp_path / "layout", "-t", "both:1")
    assert told.code == 2
    assert "are both named pets, and an image holds one pack of a name" in told.err


def test_every_pack_must_be_one_of_the_digests(
    image: Run, pack: Any, lookup: Any, tmp_path: Path
) -> None:
    line = (lookup.path, "-o", tmp_path / "layout", "-t", "both:1")
    told = image(*line, "--digest", pack.digest)
    assert (told.code, f"{lookup.path} has sha256:" in told.err) == (2, True)
    assert image(*line, "--digest", pack.digest, "--digest", lookup.digest).code == 0


def test_a_variant_of_one_of_several_packs(
    image: Run, pack: Any, lookup: Any, tmp_path: Path, graph: Path, add_variant: Any
) -> None:
    import onnx

    add_variant(pack, "fast", onnx.load(graph))
    line = (lookup.path, "-o", tmp_path / "layout", "--force", "-t", "both:1")
    for names, shipped in ((["fast"], True), (["base"], False), ([], True)):
        told = image(*line, *(word for name in names for word in ("--variant", name)))
        assert told.code == 0, told.err
        with read_image(tmp_path / "layout").layers[-1].open() as layer:
            assert (b"pets/variants/fast" in layer.read()) is shipped
    told = image(*line, "--variant", "slow")
    assert (told.code, "has no variant 'slow'" in told.err) == (2, True)


@pytest.mark.parametrize("to", ["layout", "image.tar"])
def test_each_name_is_in_what_is_written(image: Run, tmp_path: Path, to: str) -> None:
    names = ["pets:1", "pets:latest", "registry.example.com/team/pets:1"]
    tags = [word for name in (*names, names[0]) for word in ("-t", name)]
    told = image("-o", tmp_path / to, *tags, "--json")
    assert told.code == 0, told.err
    full = [f"docker.io/library/{names[0]}", f"docker.io/library/{names[1]}", names[2]]
    assert (told.json["name"], told.json["names"]) == (full[0], full)
    for name in (*full, "1", "latest", ""):
        assert read_image(tmp_path / to, name=name).digest == told.json["digest"]
    assert validate_layout(tmp_path / to) == ()


def test_each_name_is_pushed(image: Run, registry: Any, tmp_path: Path) -> None:
    here = tmp_path.name.replace("_", "-")
    names = [registry.name(f"{here}{rest}") for rest in (":1", ":latest", "/other:1")]
    told = image(*(word for name in names for word in ("-t", name)), "--push", "--json")
    assert told.code == 0, told.err
    digest, pushed = told.json["digest"], told.json["pushed"]
    assert pushed["references"] == [f"{name}@{digest}" for name in names]
    assert pushed["reference"] == pushed["references"][0]
    assert (len(pushed["sent"]), len(pushed["bills"])) == (5, 2)
    assert pushed["bytes"] < told.json["images"][0]["size"]  # once for all names
    for name in map(Reference.parse, names):
        assert resolve(name).digest == digest
        assert len(attached(name, digest)) == 1
    again = image(*(word for name in names for word in ("-t", name)), "--push")
    assert again.out.splitlines()[-3:] == [
        f"pushed: {names[0]}@{digest}, 0 blobs, 0 B",
        *(f"pushed: {name}@{digest}" for name in names[1:]),
    ]


def test_additions(image: Run, tmp_path: Path) -> None:
    line = ("--env", "A=x=y z", "--env", "B=", "--label", "team=ml", "--grpc")
    assert image("-o", tmp_path / "layout", *line).code == 0
    found = config(tmp_path / "layout")
    assert found["Env"][-2:] == ["A=x=y z", "B="]
    assert found["Labels"]["team"] == "ml"
    assert found["ExposedPorts"] == {"8000/tcp": {}, "8001/tcp": {}}


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (["--env", "A"], "--env 'A' is not NAME=VALUE."),
        (["--env", "PYTHONPATH=/x"], "--env PYTHONPATH is refused: onnxpack sets it itself"),
        (["--label", "onnxpack.x=1"], "--label onnxpack.x is refused: onnxpack sets it itself"),
        (["--env", "A=1", "--env", "A=2"], "--env A is given twice"),
        (["--tls", "--plain-http"], "--tls and --plain-http exclude each other."),
        (["--plain-http", "--ca", "x.pem"], "the certificates in x.pem are for TLS"),
        (["--push", "--ca", "none.pem"], "--ca none.pem cannot be used: No such file"),
        (["--tls"], "--tls, --plain-http and --ca are for a registry, but none is used."),
    ],
)
def test_what_cannot_be_meant_is_refused(
    image: Run, tmp_path: Path, line: list[str], says: str
) -> None:
    told = image("-o", tmp_path / "layout", *line)
    assert told.code == 2
    assert f"error: {says}" in told.err
    assert not (tmp_path / "layout").exists()


@pytest.mark.parametrize("option", [["--tls"], ["--plain-http"]])
def test_an_engine_has_its_own_ways_to_registries(image: Run, option: list[str]) -> None:
    told = image("--engine", "docker", *option)
    assert (told.code, "cannot be combined with --dockerfile or" in told.err) == (2, True)


def test_a_dockerfile_has_it_all(onnxpack: Run, pack: Any, lookup: Any, tmp_path: Path) -> None:
    to = tmp_path / "context"
    told = onnxpack(
        "image", pack.path, lookup.path, "--dockerfile", to, "-t", "a:1", "-t", "b:2",
        "--env", 'A=x "y" $HOME\\', "--label", "team=ml  vision", "--grpc",
    )  # fmt: skip
    assert told.code == 0, told.err
    assert told.out.endswith(f"try: docker build -t a:1 -t b:2 {to}\n")
    lines = (to / "Dockerfile").read_text().splitlines()
    assert '    A="x \\"y\\" \\$HOME\\\\"' in lines
    assert 'LABEL team="ml  vision"' in lines
    assert "EXPOSE 8000/tcp 8001/tcp" in lines
    assert lines.index('COPY ["model/lookup", "/model/lookup"]') + 1 == lines.index(
        'COPY ["model/pets", "/model/pets"]'
    )
    assert (to / "model/pets/pack.json").is_file()
    assert "grpcio==" in (to / "requirements/cpu.txt").read_text()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
         "/CN=tests", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "key.pem",
         "-out", "cert.pem"],
        check=True, capture_output=True, cwd=folder,
    )  # fmt: skip
    return folder


def test_a_push_by_tls_on_this_machine(image: Run, start_registry: Any, authority: Path) -> None:
    tls = {"certificate": str(authority / "cert.pem"), "key": str(authority / "key.pem")}
    with start_registry(http={"addr": "127.0.0.1:0", "secret": "s", "tls": tls}) as registry:
        line = ("-t", registry.name("a:1"), "--push", "--json")
        told = image(*line)
        assert told.json["remedy"].startswith("onnxpack image ")
        assert told.json["remedy"].endswith(" --tls")
        told = image(*line, "--tls")
        assert "CERTIFICATE_VERIFY_FAILED" in told.json["error"]
        told = image(*line, "--ca", authority / "cert.pem")
        assert told.code == 0, told.err


def test_plain_http_is_for_the_registry_that_is_meant(
    onnxpack: Run, pack: Any, base: str, start_registry: Any, tmp_path: Path
) -> None:
    """A base in another registry than the image's is fetched as ever."""
    plain = Connection(tls=False)
    with (
        start_registry(http={"addr": "127.0.0.2:0", "secret": "s"}) as one,
        start_registry(http={"addr": "127.0.0.3:0", "secret": "s"}) as other,
    ):
        from onnxpack.oci.store.read import read_content

        content = read_content(Path(base.removeprefix("oci:")))
        for registry in (one, other):
            push(content, Reference.parse(registry.name("base:1")), connection=plain)

        def image(*argv: object) -> Any:
            return onnxpack("image", pack.path, "--platform", "linux/amd64", "--json", *argv)

        to = tmp_path / "layout"
        told = image("--base", one.name("base:1"), "-o", to)
        assert told.json["remedy"].endswith(" --plain-http")
        assert image("--base", one.name("base:1"), "-o", to, "--plain-http").code == 0
        both = ("-t", one.name("a:1"), "--push", "--plain-http")
        assert image("--base", one.name("base:1"), *both).code == 0
        told = image("--base", other.name("base:1"), *both)
        assert f"{other.address} cannot be reached" in told.json["error"]


def test_an_engine_takes_every_name(
    image: Run, docker: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, value in docker.environment.items():
        monkeypatch.setenv(name, value)
    tags = [f"onnxpack-cli:{tmp_path.name}", f"team/onnxpack-cli:{tmp_path.name}"]
    told = image("-t", tags[0], "-t", tags[1], "--grpc")
    assert told.code == 0, told.err
    assert told.out.endswith(
        f"try: docker run --rm --read-only -p 8000:8000 -p 8001:8001 {tags[0]}\n"
    )
    found = [docker("image", "inspect", "--format", "{{.Id}}", tag) for tag in tags]
    docker("rmi", "--force", *tags)
    assert found[0] == found[1]
