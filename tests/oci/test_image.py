from __future__ import annotations

import json

import pytest

from onnxpack.errors import ImageError, UsageError
from onnxpack.oci import media
from onnxpack.oci.descriptor import MAX_SIZE, Descriptor
from onnxpack.oci.digest import check_digest, digest_of, hex_of
from onnxpack.oci.document import MAX_BYTES, decode, encode
from onnxpack.oci.image import (
    Image,
    append_layers,
    image_of,
    join_env,
    make_artifact,
    make_image,
)
from onnxpack.oci.index import choose, make_index, members
from onnxpack.oci.layer.layer import blob_layer
from onnxpack.oci.platform import Platform
from onnxpack.oci.store.validate import validate

ARM = Platform("arm64", variant="v8")
DIGEST = digest_of(b"")


def test_an_image_tells_of_its_layers(layers, image):
    manifest, config = json.loads(image.manifest), json.loads(image.config)
    assert manifest["schemaVersion"] == 2
    assert manifest["mediaType"] == media.MANIFEST
    assert manifest["config"]["digest"] == digest_of(image.config)
    assert manifest["annotations"] == {"made.by": "tests"}
    assert [each["digest"] for each in manifest["layers"]] == [
        layer.descriptor.digest for layer in layers
    ]
    assert config["rootfs"] == {"type": "layers", "diff_ids": [each.diff_id for each in layers]}
    assert [each["created_by"] for each in config["history"]] == ["the root", "what it says"]
    assert config["created"] == "1970-01-01T00:00:00Z"
    assert (config["os"], config["architecture"]) == ("linux", "amd64")
    assert config["config"]["Labels"] == {"org.opencontainers.image.title": "greeting"}
    assert image.digest == digest_of(image.manifest)
    sizes = [layer.descriptor.size for layer in layers]
    assert image.size == len(image.manifest) + len(image.config) + sum(sizes)
    assert validate(image) == ()


def test_the_same_image_has_the_same_bytes(layers):
    one = make_image(layers, config={"A": 1, "B": 2}, labels={"x": "1", "y": "2"})
    other = make_image(layers, config={"B": 2, "A": 1}, labels={"y": "2", "x": "1"})
    assert one == other
    assert b" " not in one.manifest


def test_layers_go_on_top_of_a_base(layers, make_layer):
    base = make_image(
        layers[:1],
        platform=ARM,
        config={"Env": ["PATH=/bin", "A=1"], "User": "nobody", "Cmd": ["sh"]},
        labels={"a": "base", "b": "base"},
        history=["the base"],
        annotations={"of": "the base"},
    )
    more = make_layer()
    found = append_layers(
        base,
        [more],
        created=86400,
        config={"Env": ["A=2", "B=3"], "Cmd": ["run"]},
        labels={"b": "new"},
        history=["more"],
    )
    settings = found.settings
    assert settings["config"] == {
        "Env": ["PATH=/bin", "A=2", "B=3"],
        "User": "nobody",
        "Cmd": ["run"],
        "Labels": {"a": "base", "b": "new"},
    }
    assert settings["rootfs"]["diff_ids"] == [layers[0].diff_id, more.diff_id]
    assert [each["created_by"] for each in settings["history"]] == ["the base", "more"]
    assert settings["created"] == "1970-01-02T00:00:00Z"
    assert found.platform == ARM
    assert "annotations" not in json.loads(found.manifest)
    assert found.layers == (layers[0], more)
    assert validate(found) == validate(base) == ()


def test_dockers_types_become_the_ocis(layers):
    from dataclasses import replace

    about = replace(layers[0].descriptor, media_type=media.DOCKER_LAYER_GZIP)
    found = image_of(b"{}", [replace(layers[0], descriptor=about)])
    assert json.loads(found.manifest)["layers"][0]["mediaType"] == media.LAYER_GZIP


def test_history_has_a_line_for_each_layer(layers):
    with pytest.raises(ValueError, match="1 lines of history for 2 layers"):
        make_image(layers, history=["one"])


@pytest.mark.parametrize(
    "config",
    [
        b"[]",
        b"{",
        b'{"config":[]}',
        b'{"history":{}}',
        b'{"config":{"Labels":[1]}}',
        b'{"config":{"Env":[1]}}',
    ],
)
def test_a_base_that_is_malformed_is_refused(config, layers):
    base = Image(make_image(layers).manifest, config, layers)
    with pytest.raises(ImageError):
        append_layers(base, [], config={"Env": ["A=1"]})


def test_environments_are_joined_by_name():
    assert join_env(["A=1", "B=2"], ["B=3", "C", "A=1=2"]) == ["A=1=2", "B=3", "C"]


def test_an_artifact_has_blobs_of_any_kind(tmp_path):
    (tmp_path / "weights").write_bytes(b"weights")
    layer = blob_layer(tmp_path / "weights", "application/x-weights")
    found = make_artifact([layer], artifact_type="application/x-model", annotations={"a": "b"})
    manifest = json.loads(found.manifest)
    assert manifest["artifactType"] == "application/x-model"
    assert manifest["config"]["mediaType"] == media.EMPTY
    assert manifest["layers"][0]["mediaType"] == "application/x-weights"
    assert found.descriptor.artifact_type == "application/x-model"
    assert validate(found) == ()


def test_an_index_has_an_image_for_each_platform(layers):
    images = [make_image(layers, platform=each) for each in (Platform(), ARM)]
    index = make_index(images, annotations={"a": "b"})
    found = members(index.manifest, what="it")
    assert [each.platform for each in found] == [Platform(), ARM]
    assert choose(found, Platform("arm64"), what="it").digest == images[1].digest
    assert choose(found, ARM, what="it").digest == images[1].digest
    assert choose(found, Platform(), what="it").digest == images[0].digest
    assert validate(index) == ()
    with pytest.raises(ImageError, match="it has no image for linux/s390x, only for linux/amd64"):
        choose(found, Platform("s390x"), what="it")
    with pytest.raises(ImageError, match="for linux/arm64/v7"):
        choose(found, Platform("arm64", variant="v7"), what="it")
    with pytest.raises(ImageError, match="two images are for one platform"):
        make_index([images[0], images[0]])


def test_a_single_image_is_chosen_whatever_it_is_for(layers):
    alone = members(make_index([make_image(layers, platform=ARM)]).manifest, what="it")
    attested = Descriptor(media.MANIFEST, DIGEST, 0, platform=Platform("unknown", "unknown"))
    assert choose([*alone, attested], None, what="it").platform == ARM
    with pytest.raises(ImageError, match="no image for linux/amd64"):
        choose(alone, Platform(), what="it")
    unnamed = Descriptor(media.MANIFEST, DIGEST, 0)
    assert choose([unnamed], Platform(), what="it") == unnamed
    with pytest.raises(ImageError, match="only for none"):
        choose([], None, what="it")


@pytest.mark.parametrize("text", ["linux/amd64", "linux/arm64/v8", "windows/amd64"])
def test_a_platform_is_read_as_it_is_written(text):
    assert str(Platform.parse(text)) == text


@pytest.mark.parametrize("text", ["", "linux", "linux/", "/amd64", "a/b/c/d", "linux/am d"])
def test_what_is_no_platform_is_refused(text):
    with pytest.raises(UsageError, match="is not a valid platform"):
        Platform.parse(text)


def test_this_machine_is_a_platform():
    assert Platform.host().os == "linux"
    assert Platform.host().architecture not in ("x86_64", "aarch64")


def test_a_descriptor_is_read_as_it_is_written():
    found = Descriptor("a/b", DIGEST, 7, {"x": "y"}, ARM, "c/d")
    assert Descriptor.from_json(found.to_json(), what="it") == found
    bare = Descriptor.of(b"", "a/b")
    assert bare.to_json() == {"mediaType": "a/b", "digest": DIGEST, "size": 0}


@pytest.mark.parametrize(
    "change",
    [
        {"mediaType": ""},
        {"mediaType": 1},
        {"size": -1},
        {"size": True},
        {"size": 1.0},
        {"size": MAX_SIZE + 1},
        {"size": 10**4000},
        {"digest": "sha256:../../etc/passwd"},
        {"digest": None},
        {"digest": "sha512:" + "0" * 128},
        {"annotations": []},
        {"annotations": {"a": 1}},
        {"platform": {"os": 1}},
        {"artifactType": 1},
    ],
)
def test_a_descriptor_that_is_malformed_is_refused(change):
    good = Descriptor("a/b", DIGEST, 7).to_json()
    with pytest.raises(ImageError, match="it"):
        Descriptor.from_json(good | change, what="it")
    with pytest.raises(ImageError, match="it is not a descriptor"):
        Descriptor.from_json([], what="it")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"1",
        b'{"a": NaN}',
        b"\xff",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"a":' + b"9" * 5000 + b"}",
        b"{" + b" " * MAX_BYTES + b"}",
    ],
)
def test_a_document_that_is_none_is_refused(content):
    with pytest.raises(ImageError, match="the thing"):
        decode(content, what="the thing")


def test_a_document_is_written_one_way():
    assert encode({"b": "é", "a": [1]}) == '{"a":[1],"b":"é"}'.encode()
    with pytest.raises(ValueError, match="float"):
        encode({"a": float("nan")})


@pytest.mark.parametrize("text", ["", "sha256:", f"{DIGEST}\n", DIGEST.upper(), 7, None, "x" * 999])
def test_a_digest_that_is_none_is_refused(text):
    with pytest.raises(ImageError, match="not sha256") as caught:
        check_digest(text)
    assert len(caught.value.message) < 300


def test_a_digest_names_a_file():
    assert hex_of(DIGEST) == DIGEST[7:]
    with pytest.raises(ImageError):
        hex_of("sha256:..")
