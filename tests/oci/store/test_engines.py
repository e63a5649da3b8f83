"""What others make of our images, and we of theirs: skopeo, umoci and docker."""

from __future__ import annotations

import io
import json
import subprocess

import pytest

from onnxpack.oci.image import append_layers, make_image
from onnxpack.oci.index import make_index
from onnxpack.oci.layer.entry import Entry, Symlink
from onnxpack.oci.layer.layer import write_layer
from onnxpack.oci.platform import Platform
from onnxpack.oci.reference import Reference
from onnxpack.oci.store.archive import stream_archive, write_archive
from onnxpack.oci.store.layout import write_layout
from onnxpack.oci.store.read import read_image
from onnxpack.oci.store.validate import validate, validate_layout

NAME = Reference.parse("team/greeting:1")


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def diff_ids(image):
    return [each.diff_id for each in image.layers]


def test_skopeo_copies_our_layout_without_a_change(image, tmp_path):
    write_layout(image, tmp_path / "ours", name=NAME)
    run("skopeo", "copy", f"oci:{tmp_path}/ours:1", f"oci:{tmp_path}/theirs:1")
    found = read_image(tmp_path / "theirs")
    assert (found.manifest, found.config) == (image.manifest, image.config)
    assert validate_layout(tmp_path / "theirs") == ()


@pytest.mark.parametrize("scheme", ["oci-archive", "docker-archive"])
def test_skopeo_reads_our_archive_either_way(scheme, image, tmp_path):
    write_archive(image, tmp_path / "tar", name=NAME)
    name = "1" if scheme == "oci-archive" else str(NAME)
    run("skopeo", "copy", f"{scheme}:{tmp_path}/tar:{name}", f"oci:{tmp_path}/theirs:1")
    found = read_image(tmp_path / "theirs")
    assert diff_ids(found) == diff_ids(image)
    assert found.settings["config"] == image.settings["config"]
    assert validate_layout(tmp_path / "theirs") == ()


@pytest.mark.parametrize("scheme", ["oci-archive", "docker-archive"])
def test_we_read_skopeos_archives(scheme, image, tmp_path):
    write_layout(image, tmp_path / "ours", name=NAME)
    run("skopeo", "copy", f"oci:{tmp_path}/ours:1", f"{scheme}:{tmp_path}/theirs:{NAME}")
    found = read_image(tmp_path / "theirs")
    assert found.config == image.config
    assert diff_ids(found) == diff_ids(image)
    assert validate(found) == validate_layout(tmp_path / "theirs") == ()


@pytest.mark.parametrize("compression", ["gzip", "none"])
def test_umoci_unpacks_our_layout(compression, tmp_path):
    layer = write_layer(
        [
            Entry("opt/rt/" + "x" * 120 + "/é", b"deep", 0o640),
            Entry("opt/rt/run", b"#!/bin/sh\n", 0o755),
            Entry("opt/link", Symlink("rt/run")),
            Entry("large", b"0123456789" * 300_000),
        ],
        tmp_path / "layer",
        compression=compression,
    )
    write_layout(make_image([layer]), tmp_path / "ours", name=NAME)
    run("umoci", "unpack", "--image", f"{tmp_path}/ours:1", tmp_path / "there")
    root = tmp_path / "there/rootfs"
    deep = root / "opt/rt" / ("x" * 120) / "é"
    assert deep.read_bytes() == b"deep"
    assert deep.stat().st_mode & 0o777 == 0o640
    assert (root / "opt/link").readlink().as_posix() == "rt/run"
    assert (root / "opt/rt/run").stat().st_mode & 0o777 == 0o755
    assert (root / "large").stat().st_size == 3_000_000
    assert deep.stat().st_mtime == 0
    assert deep.stat().st_uid == deep.stat().st_gid == 0


def test_docker_loads_our_archive_and_runs_it(docker, image):
    stream = io.BytesIO()
    stream_archive(image, stream, name=NAME)
    assert "Loaded image: team/greeting:1" in docker("load", stdin=stream.getvalue())
    assert docker("run", "--rm", "--network", "none", "team/greeting:1") == "hello from a layer\n"
    (found,) = json.loads(docker("image", "inspect", "team/greeting:1"))
    assert found["Id"] == image.config_descriptor.digest
    assert found["RootFS"]["Layers"] == diff_ids(image)
    assert found["Config"]["Labels"] == {"org.opencontainers.image.title": "greeting"}
    history = docker("history", "--no-trunc", "--format", "{{.CreatedBy}}", "team/greeting:1")
    assert history.splitlines() == ["what it says", "the root"]


def test_we_read_what_docker_saved_and_build_on_it(docker, image, make_layer, tmp_path):
    """Two layers that are alike: docker 20.10 saves the second as a link to the first."""
    twice = make_layer(b"the same", path="etc/same")
    stream = io.BytesIO()
    stream_archive(append_layers(image, [twice, twice]), stream, name=Reference.parse("twice:1"))
    docker("load", stdin=stream.getvalue())
    docker("save", "-o", tmp_path / "saved.tar", "twice:1")
    base = read_image(tmp_path / "saved.tar", name="twice:1")
    assert diff_ids(base) == [*diff_ids(image), twice.diff_id, twice.diff_id]
    assert validate(base) == validate_layout(tmp_path / "saved.tar") == ()
    over = append_layers(base, [make_layer(b"goodbye\n", path="etc/greeting")])
    write_archive(over, tmp_path / "over.tar", name=Reference.parse("over:1"))
    docker("load", "-i", tmp_path / "over.tar")
    assert docker("run", "--rm", "--network", "none", "over:1") == "goodbye\n"


def test_docker_takes_the_first_image_of_an_index_by_its_name(docker, layers, tmp_path):
    images = [
        make_image(layers, platform=Platform(each), config={"Cmd": ["/bin/cat", "/etc/greeting"]})
        for each in ("amd64", "arm64")
    ]
    name = Reference.parse("many:1")
    write_archive(make_index(images), tmp_path / "tar", name=name)
    docker("load", "-i", tmp_path / "tar")
    assert docker("run", "--rm", "--network", "none", "many:1") == "hello from a layer\n"


def test_skopeo_picks_the_platform_out_of_our_index(layers, tmp_path):
    images = [make_image(layers, platform=Platform(each)) for each in ("amd64", "arm64")]
    write_layout(make_index(images), tmp_path / "ours", name=NAME)
    for platform in ("amd64", "arm64"):
        told = run(*("skopeo", "--override-arch", platform, "inspect"), f"oci:{tmp_path}/ours:1")
        assert json.loads(told)["Architecture"] == platform


NAMES = [Reference.parse(f"localhost/{name}") for name in ("greeting:1", "hello:1", "greeting:2")]


@pytest.mark.parametrize("name", NAMES, ids=str)
def test_skopeo_finds_each_of_several_names(name, image, tmp_path):
    write_archive(image, tmp_path / "tar", name=NAMES)
    run("skopeo", "copy", f"docker-archive:{tmp_path}/tar:{name}", f"oci:{tmp_path}/theirs:1")
    assert diff_ids(read_image(tmp_path / "theirs")) == diff_ids(image)


@pytest.mark.parametrize("tag", ["1", "2"])
def test_a_tag_of_several_names_is_not_ambiguous(tag, image, tmp_path):
    write_layout(image, tmp_path / "ours", name=NAMES)
    run("skopeo", "copy", f"oci:{tmp_path}/ours:{tag}", f"oci:{tmp_path}/theirs:1")
    run("umoci", "unpack", "--image", f"{tmp_path}/ours:{tag}", tmp_path / "there")
    assert read_image(tmp_path / "theirs").manifest == image.manifest


def test_podman_loads_every_name(image, tmp_path):
    write_archive(image, tmp_path / "tar", name=NAMES)
    run("podman", "load", "-q", "-i", tmp_path / "tar")
    try:
        for name in NAMES:
            run("podman", "image", "exists", str(name))
    finally:
        run("podman", "rmi", "-f", *map(str, NAMES))
