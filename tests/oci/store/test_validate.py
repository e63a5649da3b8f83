from __future__ import annotations

import gzip
import io
import json
import tarfile
from dataclasses import replace

import pytest

from onnxpack.oci import media
from onnxpack.oci.descriptor import Descriptor
from onnxpack.oci.digest import digest_of, hex_of
from onnxpack.oci.document import encode
from onnxpack.oci.image import Image, image_of, make_image
from onnxpack.oci.index import Index, make_index
from onnxpack.oci.layer.layer import Layer, existing_layer
from onnxpack.oci.layer.scan import scan_layer
from onnxpack.oci.store.layout import write_layout
from onnxpack.oci.store.validate import validate, validate_layout


def changed(image: Image, **change: object) -> Image:
    """The image with another config, and a manifest that fits it."""
    return image_of(encode({**image.settings, **change}), image.layers)


def test_every_fault_is_told(image, make_layer, tmp_path):
    layer = make_layer()
    manifest = json.loads(image.manifest)
    manifest["schemaVersion"] = 1
    manifest["mediaType"] = "text/plain"
    manifest["config"]["digest"] = digest_of(b"another")
    config = {**image.settings, "os": "", "history": [{"created_by": "one"}]}
    content = Image(encode(manifest), encode(config), (layer, image.layers[1]))
    found = "\n".join(validate(content))
    for each in (
        "schemaVersion is not 2",
        "says that it is 'text/plain'",
        f"manifest says {digest_of(b'another')}",
        "does not name the platform",
        "the history lists 1 layers, expected 2",
        f"layer 0: it is described both as {layer.descriptor.digest}",
        f"layer 0: the blob has the digest {layer.descriptor.digest}",
        f"layer 0: the tar has the digest {layer.diff_id}",
    ):
        assert each in found, found
    assert "layer 1" not in found


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"rootfs": None}, "not a list of digests"),
        ({"rootfs": {"diff_ids": ["sha256:x"]}}, "not a list of digests"),
        ({"rootfs": {"diff_ids": []}}, "lists 0 layers, expected 2"),
        ({"history": [1]}, "not a list of objects"),
        ({"architecture": 7}, "not made of strings"),
    ],
)
def test_a_config_that_is_malformed_is_a_fault(change, why, image):
    assert any(why in each for each in validate(changed(image, **change)))


def test_empty_layers_of_the_history_do_not_count(image):
    history = [*image.settings["history"], {"created_by": "CMD", "empty_layer": True}]
    assert validate(changed(image, history=history)) == ()
    assert validate(changed(image, history=None)) == ()


def test_layers_that_are_lacking_are_a_fault(image):
    assert "the manifest lists 2 layers, not 1." in validate(
        replace(image, layers=image.layers[:1])
    )


def test_a_missing_file_is_a_fault(image, make_layer):
    layer = make_layer()
    found = make_image([layer, make_layer(b"1")])
    layer.path.unlink()
    (fault,) = validate(found)
    assert fault.startswith("layer 0: ")
    assert "No such file" in fault


@pytest.mark.parametrize("compression", ["gzip", "zstd", "none"])
def test_a_layer_that_is_no_such_thing_is_a_fault(compression, tmp_path):
    (tmp_path / "blob").write_bytes(b"neither a tar nor compressed" * 100)
    blob = existing_layer(tmp_path / "blob")
    about = replace(blob.descriptor, media_type=media.layer_type(compression))
    faults = validate(make_image([replace(blob, descriptor=about)]))
    assert any("it is not a tar" in each or "is not" in each for each in faults)


def test_an_unknown_layer_is_a_fault(image):
    about = replace(image.layers[0].descriptor, media_type="text/plain")
    faults = validate(make_image([replace(image.layers[0], descriptor=about)]))
    assert faults == ("layer 0: text/plain is not a layer of an image.",)


def hostile_layer(tmp_path, *members: tuple[str, bytes, str]) -> Layer:
    path = tmp_path / "hostile"
    with tarfile.open(path, "w") as tar:
        for name, kind, link in members:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, link
            tar.addfile(info, io.BytesIO())
    return existing_layer(path)


@pytest.mark.parametrize(
    ("members", "why"),
    [
        ([("../a", tarfile.REGTYPE, "")], "'../a' would escape"),
        ([("/a", tarfile.REGTYPE, "")], "'/a' would escape"),
        ([("a", tarfile.REGTYPE, ""), ("./a", tarfile.REGTYPE, "")], "'a' is in the tar twice"),
        ([("a", tarfile.LNKTYPE, "../../etc/shadow")], "a hard link that would escape"),
        ([("a", tarfile.LNKTYPE, "/etc/shadow")], "a hard link that would escape"),
        ([("a", tarfile.CHRTYPE, "")], "neither a file"),
    ],
)
def test_hostile_members_are_faults(members, why, tmp_path):
    faults = validate(make_image([hostile_layer(tmp_path, *members)]))
    assert len(faults) == 1
    assert why in faults[0]


def test_what_engines_take_for_granted_is_no_fault(tmp_path):
    members = [
        ("./", tarfile.DIRTYPE, ""),
        ("./a", tarfile.REGTYPE, ""),
        ("b", tarfile.SYMTYPE, "/etc/../a"),
        ("c", tarfile.LNKTYPE, "a"),
    ]
    assert validate(make_image([hostile_layer(tmp_path, *members)])) == ()


def test_a_bomb_is_read_to_its_end_in_little_memory(tmp_path):
    import tracemalloc

    path = tmp_path / "bomb"
    with gzip.open(path, "wb", compresslevel=1) as target:
        info = tarfile.TarInfo("zeros")
        info.size = 2**28
        target.write(info.tobuf())
        for _ in range(2**8):
            target.write(bytes(2**20))
        target.write(bytes(1024))
    layer = Layer(path, Descriptor(media.LAYER_GZIP, digest_of(b""), path.stat().st_size), "")
    tracemalloc.start()
    try:
        found = scan_layer(layer, "gzip")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found.faults == ()
    assert found.size == path.stat().st_size
    assert peak < 2**25


def test_an_index_is_held_to_its_images(image, make_layer):
    other = make_image([make_layer()])
    index = make_index([image])
    assert validate(Index(index.manifest, (other,))) == (
        "the index lists images that differ from those it has.",
    )
    broken = replace(image, layers=image.layers[:1])
    (fault,) = validate(Index(index.manifest, (broken,)))
    assert fault == f"image {image.digest}: the manifest lists 2 layers, not 1."


def test_every_fault_of_a_layout_is_told(image, tmp_path):
    write_layout(image, tmp_path / "layout")
    blobs = tmp_path / "layout/blobs/sha256"
    (tmp_path / "layout/oci-layout").write_text('{"imageLayoutVersion":"2"}')
    (blobs / hex_of(digest_of(image.config))).write_bytes(b"{}")
    (blobs / hex_of(image.layers[0].descriptor.digest)).unlink()
    with (blobs / hex_of(image.layers[1].descriptor.digest)).open("r+b") as blob:
        blob.write(b"\0\0")
    found = validate_layout(tmp_path / "layout")
    for each in (
        "oci-layout names a version other than",
        "the config in",
        "lacks layer 0",
        "layer 1: the blob has the digest",
        "layer 1: the layer is not gzip",
    ):
        assert any(each in one for one in found), found
    (tmp_path / "layout/oci-layout").unlink()
    assert any("neither an OCI layout" in each for each in validate_layout(tmp_path / "layout"))


def test_a_blob_of_another_kind_in_a_layout_is_looked_for(image, tmp_path):
    write_layout(image, tmp_path / "layout")
    about = Descriptor("text/plain", digest_of(b"text"), 4)
    index = encode({"schemaVersion": 2, "manifests": [about.to_json()]})
    (tmp_path / "layout/index.json").write_bytes(index)
    (fault,) = validate_layout(tmp_path / "layout")
    assert "lacks a blob of type text/plain" in fault
