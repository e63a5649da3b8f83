"""``onnxpack image``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from onnxpack.oci.image import make_image
from onnxpack.oci.layer.entry import Entry
from onnxpack.oci.layer.layer import write_layer
from onnxpack.oci.reference import Reference
from onnxpack.oci.registry.pull import resolve
from onnxpack.oci.registry.referrers import attached
from onnxpack.oci.store.layout import write_layout
from onnxpack.oci.store.read import read_content, read_image
from onnxpack.oci.store.validate import validate_layout

Run = Callable[..., Any]
DIGEST = r"sha256:[0-9a-f]{64}"


pytestmark = pytest.mark.usefixtures("caches")


def test_a_layout(onnxpack: Run, pack: Any, tmp_path: Path) -> None:
    told = onnxpack("image", pack.path, "-o", tmp_path / "layout")
    assert told.code == 0, told.err
    assert told.err.startswith("base debian: mmdebstrap is installed")
    assert validate_layout(tmp_path / "layout") == ()
    found = read_image(tmp_path / "layout", name="docker.io/library/pets:1")
    lines = told.out.splitlines()
    assert [line.split()[:2] for line in lines[:5]] == [
        ["layer", "size"], ["mmdebstrap", lines[1].split()[1]], ["onnxpack", "runtime"],
        ["onnxpack", "bill"], ["onnxpack", "model"],
    ]  # fmt: skip
    assert lines[5].startswith(f"{found.platform} {found.digest}: ")
    assert lines[6].startswith("pets:1 built in ")
    assert lines[7:] == [f"written: {tmp_path / 'layout'}"]


def test_a_tar(image: Run, tmp_path: Path) -> None:
    to = tmp_path / "image.tar"
    assert image("-o", to, "-t", "team/pets:2").code == 0
    first = to.read_bytes()
    assert read_image(to, name="docker.io/team/pets:2").settings["config"]["User"] == "65532:65532"
    assert image("-o", to, "-t", "team/pets:2").code == 0
    assert to.read_bytes() == first


def test_json(image: Run, pack: Any, tmp_path: Path) -> None:
    told = image("-o", tmp_path / "layout", "--json")
    assert told.err == ""
    found = read_image(tmp_path / "layout")
    answer = told.json
    assert answer.pop("seconds") > 0
    assert any(pin.startswith("onnxruntime==") for pin in answer.pop("wheels"))
    layers = [
        {"digest": each.descriptor.digest, "size": each.descriptor.size} for each in found.layers
    ]
    assert answer == {
        "name": "docker.io/library/pets:1",
        "names": ["docker.io/library/pets:1"],
        "digest": found.digest,
        "images": [
            {
                "platform": "linux/amd64",
                "digest": found.digest,
                "size": found.size,
                "layers": layers,
            }
        ],
        "output": str(tmp_path / "layout"),
    }


def test_both_platforms(image: Run, tmp_path: Path) -> None:
    told = image("-o", tmp_path / "layout", "--platform", "linux/amd64,linux/arm64", "--json")
    assert [each["platform"] for each in told.json["images"]] == ["linux/amd64", "linux/arm64"]
    assert read_content(tmp_path / "layout").digest == told.json["digest"]
    assert validate_layout(tmp_path / "layout") == ()


def test_compression_and_date_are_as_asked(
    image: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "86400")
    assert image("-o", tmp_path / "layout", "--compression", "zstd").code == 0
    found = read_image(tmp_path / "layout")
    assert [each.descriptor.media_type.rpartition(".")[2] for each in found.layers[1:]] == [
        "tar+zstd", "tar", "tar",
    ]  # fmt: skip
    assert found.settings["created"] == "1970-01-02T00:00:00Z"


def test_a_folder_that_is_taken_is_kept(image: Run, tmp_path: Path) -> None:
    taken = tmp_path / "layout"
    taken.mkdir()
    (taken / "mine").touch()
    told = image("-o", taken)
    assert told.code == 2
    assert told.err == (f"error: {taken} already exists.\n→ choose another place, or use --force\n")
    assert [path.name for path in taken.iterdir()] == ["mine"]
    told = image("-o", taken, "--force")
    assert told.code == 2
    assert told.err.startswith(f"error: {taken} holds mine, which no image there would: ")
    assert [path.name for path in taken.iterdir()] == ["mine"]
    (taken / "mine").unlink()
    for _ in range(2):
        assert image("-o", taken, "--force").code == 0
        assert validate_layout(taken) == ()


def test_a_file_is_no_place_for_a_layout(image: Run, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    told = image("-o", tmp_path / "file", "--force")
    assert told.code == 2
    assert "already exists and is not a folder" in told.err


def test_nothing_half_made_is_left(image: Run, tmp_path: Path) -> None:
    told = image("-o", tmp_path / "none" / "image.tar")
    assert told.code == 2
    assert f"the folder {tmp_path / 'none'} does not exist." in told.err
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("tag", ["Pets", "pets:", "pets@sha256:1", "a b", "-x:1"])
def test_a_tag_that_is_no_name(image: Run, tag: str, tmp_path: Path) -> None:
    told = image("-o", tmp_path / "layout", f"--tag={tag}")
    assert told.code == 2
    assert "is not a valid image name: " in told.err
    assert told.err.endswith("→ write it as registry.example.com/team/name:tag\n")
    assert not (tmp_path / "layout").exists()


@pytest.mark.parametrize(
    ("platform", "message"),
    [
        ("linux/s390x", "onnxruntime has no wheels for linux/s390x."),
        ("windows/amd64", "onnxruntime has no wheels for windows/amd64."),
        ("linux/amd64,linux/s390x", "onnxruntime has no wheels for linux/s390x."),
        ("amd64", "'amd64' is not a valid platform."),
        ("linux/amd64,", "'' is not a valid platform."),
    ],
)
def test_a_platform_without_wheels(image: Run, platform: str, message: str, tmp_path: Path) -> None:
    """It is refused before a base is made for it."""
    told = image("-o", tmp_path / "layout", "--platform", platform)
    assert told.code == 2
    first, remedy = told.err.splitlines()
    assert first == f"error: {message}"
    assert "linux/amd64 or linux/arm64" in remedy


def test_no_engine_answers(image: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    for argv in (["--load"], []):
        told = image(*argv)
        assert told.code == 2
        assert "error: no container engine answers here (docker or podman).\n" in told.err
        assert told.err.endswith(
            "→ -o image.tar writes a file that any engine loads, and --push needs no engine\n"
        )


def test_without_an_engine_nothing_is_built_for_it(
    image: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    told = image("-o", tmp_path / "image.tar", "--load")
    assert told.code == 2
    assert "no container engine answers here" in told.err
    assert not (tmp_path / "image.tar").exists()


@pytest.mark.parametrize("name", ["image.tar.gz", "image.tgz", "image.zip"])
def test_an_archive_of_another_kind_is_refused(image: Run, tmp_path: Path, name: str) -> None:
    told = image("-o", tmp_path / name)
    assert told.code == 2
    assert "is neither a folder nor a .tar" in told.err


def test_options_that_do_not_go_together(image: Run, tmp_path: Path) -> None:
    told = image("-o", tmp_path / "image.tar", "--wheels", tmp_path)
    assert (told.code, "--engine" in told.err) == (2, True)


def test_a_platform_is_named_once(image: Run, tmp_path: Path) -> None:
    told = image("-o", tmp_path / "image.tar", "--platform", "linux/amd64,linux/amd64")
    assert (told.code, "given twice" in told.err) == (2, True)


def test_a_date_that_is_none_is_told(
    image: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "yesterday")
    told = image("-o", tmp_path / "image.tar")
    assert (told.code, "SOURCE_DATE_EPOCH is 'yesterday'" in told.err) == (2, True)


@pytest.mark.parametrize("argv", [["--load"], []])
def test_an_engine_takes_one_platform(image: Run, argv: list[str]) -> None:
    told = image("--platform", "linux/amd64,linux/arm64", *argv)
    assert told.code == 2
    assert told.err.endswith(
        "error: an engine can load only one platform.\n→ --push, or -o FILE.tar\n"
    )


def test_an_engine_takes_it(
    image: Run, docker: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, value in docker.environment.items():
        monkeypatch.setenv(name, value)
    tag = f"onnxpack-cli:{tmp_path.name}"
    told = image("-t", tag)
    assert told.code == 0, told.err
    assert told.out.endswith(f"try: docker run --rm --read-only -p 8000:8000 {tag}\n")
    user = docker("image", "inspect", "--format", "{{.Config.User}}", tag)
    docker("rmi", "--force", tag)
    assert user == "65532:65532\n"


def test_a_base_that_is_not_there(onnxpack: Run, pack: Any, tmp_path: Path) -> None:
    told = onnxpack("image", pack.path, "-o", tmp_path / "x", "--base", f"oci:{tmp_path}/none")
    assert told.code == 2
    assert f"error: {tmp_path}/none cannot be read: No such file or directory.\n" in told.err
    assert not (tmp_path / "x").exists()


def test_a_base_without_python(onnxpack: Run, pack: Any, tmp_path: Path) -> None:
    layer = write_layer([Entry("usr/bin/perl", b"")], tmp_path / "layer")
    write_layout(make_image([layer]), tmp_path / "base")
    told = onnxpack("image", pack.path, "-o", tmp_path / "x", "--base", f"oci:{tmp_path}/base")
    assert told.code == 2
    assert "has no Python in usr/bin or usr/local/bin." in told.err
    assert told.err.endswith("→ --base python:3.13-slim\n")


def test_a_registry_that_is_not_there(image: Run) -> None:
    told = image("-t", "127.0.0.1:1/pets", "--push", "--json")
    assert told.code == 2
    assert "127.0.0.1:1 cannot be reached" in told.json["error"]
    assert told.json["remedy"] == "curl -v http://127.0.0.1:1/v2/"


def test_a_push_brings_the_bill_of_materials(image: Run, registry: Any, tmp_path: Path) -> None:
    name = registry.name(f"{tmp_path.name.replace('_', '-')}:1")
    told = image("-t", name, "--push", "--json")
    assert told.code == 0, told.err
    pushed = told.json["pushed"]
    assert pushed["reference"] == f"{name}@{told.json['digest']}"
    assert len(pushed["sent"]) == 5
    reference = Reference.parse(name)
    assert resolve(reference).digest == told.json["digest"]
    (bill,) = attached(reference, told.json["digest"])
    assert [Reference.parse(each).digest for each in pushed["bills"]] == [bill.digest]
    again = image("-t", name, "--push")
    assert again.out.splitlines()[-1] == f"pushed: {pushed['reference']}, 0 blobs, 0 B"


def test_a_pack_that_was_altered(image: Run, pack: Any, tmp_path: Path) -> None:
    with (pack.path / "README.md").open("a") as card:
        card.write("more")
    told = image("-o", tmp_path / "layout")
    assert told.code == 2
    assert "README.md" in told.err
    assert told.err.endswith(f"→ onnxpack check {pack.path}\n")


def test_a_pack_that_is_not_there(onnxpack: Run, tmp_path: Path) -> None:
    told = onnxpack("image", tmp_path / "none", "-o", tmp_path / "layout")
    assert told.code == 2
    assert "none does not exist" in told.err


def test_help_tells_every_option(onnxpack: Run) -> None:
    told = onnxpack("image", "--help")
    assert told.code == 0
    for option in (
        "--tag NAME", "--output DIR|FILE.tar", "--load", "--push", "--base BASE",
        "--platform OS/ARCH", "--runtime <cpu|cuda>", "--compression <gzip|zstd>", "--force",
        "--json",
    ):  # fmt: skip
        assert option in told.out
    assert "No daemon is needed." in told.out


def test_what_is_no_option_is_told(image: Run) -> None:
    told = image("--runtime", "tpu")
    assert told.code == 2
    assert told.err.endswith("→ onnxpack image --help\n")
