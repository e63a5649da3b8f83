from __future__ import annotations

import io
import json
import tarfile
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from onnxpack.errors import ImageError
from onnxpack.oci import media
from onnxpack.oci.digest import digest_of, hex_of
from onnxpack.oci.document import MAX_BYTES, encode
from onnxpack.oci.image import make_artifact, make_image
from onnxpack.oci.index import make_index
from onnxpack.oci.layer.entry import Entry
from onnxpack.oci.layer.layer import write_layer
from onnxpack.oci.layer.members import MAX_HEADER
from onnxpack.oci.platform import Platform
from onnxpack.oci.reference import Reference
from onnxpack.oci.store.archive import stream_archive, write_archive
from onnxpack.oci.store.blobs import ArchiveBlobs
from onnxpack.oci.store.layout import write_layout
from onnxpack.oci.store.read import read_content, read_image
from onnxpack.oci.store.validate import validate, validate_layout

NAME = Reference.parse("team/model:1")
shared = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=30
)


@pytest.fixture
def layout(image, tmp_path):
    write_layout(image, tmp_path / "layout", name=NAME)
    return tmp_path / "layout"


@pytest.fixture
def archive(image, tmp_path):
    write_archive(image, tmp_path / "image.tar", name=NAME)
    return tmp_path / "image.tar"


def files(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def same(found, image):
    assert (found.manifest, found.config) == (image.manifest, image.config)
    assert [each.descriptor for each in found.layers] == [each.descriptor for each in image.layers]
    assert [each.diff_id for each in found.layers] == [each.diff_id for each in image.layers]


@shared
@given(
    contents=st.lists(st.binary(max_size=5000), max_size=4),
    compression=st.sampled_from(["gzip", "zstd", "none"]),
    labels=st.dictionaries(st.text(max_size=9), st.text(max_size=9)),
)
def test_what_is_written_is_read_again_without_faults(contents, compression, labels, tmp_path):
    image = make_image(
        [
            write_layer([Entry("a", content)], tmp_path / f"{at}", compression=compression)
            for at, content in enumerate(contents)
        ],
        labels={key.encode("utf-8", "replace").decode(): "v" for key in labels},
    )
    write_layout(image, tmp_path / "layout", name=NAME, force=True)
    write_archive(image, tmp_path / "tar", name=NAME)
    for place in (tmp_path / "layout", tmp_path / "tar"):
        found = read_image(place)
        same(found, image)
        assert validate(found) == validate_layout(place) == ()


@shared
@given(data=st.data())
def test_one_flipped_byte_in_a_blob_is_a_fault(data, image, tmp_path):
    place = tmp_path / "layout"
    write_layout(image, place, force=True)
    blobs = sorted((place / "blobs/sha256").iterdir())
    # The small ones have the more interesting bytes.
    blob = data.draw(st.sampled_from(blobs))
    content = bytearray(blob.read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] ^= data.draw(st.integers(1, 255))
    blob.write_bytes(content)
    assert validate_layout(place)
    with pytest.raises(ImageError):
        read_image(place)


@shared
@given(data=st.data())
def test_one_flipped_byte_in_an_archive_gives_no_bug(data, image, tmp_path):
    path = tmp_path / "tar"
    write_archive(image, path, name=NAME)
    content = bytearray(path.read_bytes())
    at = data.draw(st.integers(0, 6000) | st.integers(0, len(content) - 1))
    content[at] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    validate_layout(path)
    try:
        found = read_image(path)
    except ImageError:
        return
    assert found.config == image.config


def test_writing_is_deterministic(image, tmp_path):
    for at in "12":
        write_layout(image, tmp_path / f"layout{at}", name=NAME)
        write_archive(image, tmp_path / f"tar{at}", name=NAME)
    assert files(tmp_path / "layout1") == files(tmp_path / "layout2")
    assert (tmp_path / "tar1").read_bytes() == (tmp_path / "tar2").read_bytes()
    stream = io.BytesIO()
    stream_archive(image, stream, name=NAME)
    assert stream.getvalue() == (tmp_path / "tar1").read_bytes()


def test_a_layout_is_what_the_specification_says(image, layout):
    found = files(layout)
    assert json.loads(found.pop("oci-layout")) == {"imageLayoutVersion": "1.0.0"}
    index = json.loads(found.pop("index.json"))
    assert index["manifests"][0]["digest"] == image.digest
    assert index["manifests"][0]["annotations"] == {
        "org.opencontainers.image.ref.name": "1",
        "io.containerd.image.name": "docker.io/team/model:1",
    }
    assert {f"sha256:{name.removeprefix('blobs/sha256/')}" for name in found} == {
        image.digest,
        digest_of(image.config),
        *(layer.descriptor.digest for layer in image.layers),
    }
    assert all(digest_of(content)[7:] in name for name, content in found.items())


def test_a_layout_shares_no_file_with_the_layers(image, layers, tmp_path):
    """Otherwise whoever writes to one would change the other, and every image that has it."""
    write_layout(image, tmp_path / "copied")
    for layer in layers:
        copy = tmp_path / "copied" / "blobs/sha256" / hex_of(layer.descriptor.digest)
        assert not copy.samefile(layer.path)
        assert copy.stat().st_nlink == layer.path.stat().st_nlink == 1
        assert copy.read_bytes() == layer.path.read_bytes()


def test_what_is_there_stays_unless_it_is_to_go(image, layout, make_layer, tmp_path):
    before = files(layout)
    other = make_image([make_layer()])
    with pytest.raises(ImageError, match="already exists"):
        write_layout(other, layout)
    assert files(layout) == before
    write_layout(other, layout, force=True)
    assert read_image(layout).manifest == other.manifest
    (tmp_path / "file").write_text("")
    with pytest.raises(ImageError, match="not a folder"):
        write_layout(other, tmp_path / "file", force=True)


def test_nothing_is_left_of_a_layout_that_fails(layers, make_layer, tmp_path):
    layer = make_layer()
    image = make_image([layers[0], layer])
    layer.path.write_bytes(bytes(layer.descriptor.size))
    before = sorted(tmp_path.iterdir())
    with pytest.raises(ImageError, match="create the layer again"):
        write_layout(image, tmp_path / "layout")
    with pytest.raises(ImageError, match="create the layer again"):
        write_archive(image, tmp_path / "tar")
    layer.path.unlink()
    with pytest.raises(ImageError, match="cannot be read"):
        write_layout(image, tmp_path / "layout")
    assert sorted([*tmp_path.iterdir(), layer.path]) == before


def test_an_index_is_written_and_read(layers, tmp_path):
    images = [make_image(layers, platform=Platform(each)) for each in ("amd64", "arm64")]
    index = make_index(images)
    write_layout(index, tmp_path / "layout", name=NAME)
    write_archive(index, tmp_path / "tar", name=NAME)
    for place in (tmp_path / "layout", tmp_path / "tar"):
        found = read_content(place)
        assert found.manifest == index.manifest
        assert [each.manifest for each in found.images] == [each.manifest for each in images]
        same(read_image(place, platform=Platform("arm64")), images[1])
        same(read_image(place, platform=Platform("amd64")), images[0])
        assert validate(found) == validate_layout(place) == ()
        with pytest.raises(ImageError, match="no image for linux/s390x"):
            read_image(place, platform=Platform("s390x"))


def test_images_are_found_by_name(layout, image):
    for name in ("", "1", "docker.io/team/model:1"):
        same(read_image(layout, name=name), image)
    with pytest.raises(ImageError, match="has 0 images called 2") as caught:
        read_image(layout, name="2")
    assert "docker.io/team/model:1" in caught.value.remedy


def test_an_artifact_is_no_image_for_docker(tmp_path):
    found = make_artifact([], artifact_type="a/b")
    write_layout(found, tmp_path / "layout")
    assert read_image(tmp_path / "layout").manifest == found.manifest
    with pytest.raises(ImageError, match="write it as a layout"):
        write_archive(found, tmp_path / "tar")


def docker_save(image, tmp_path, *, config=None, tags=("team/model:1",), names=None):
    """As docker 20.10 writes it: layers plain, and links between those that are alike."""
    from onnxpack.oci.layer.layer import compress_layer

    path = tmp_path / "saved.tar"
    config = image.config if config is None else config
    names = names or [f"{at}/layer.tar" for at in range(len(image.layers))]
    with tarfile.open(path, "w") as tar:

        def add(name, content):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))

        for name, layer in zip(names, image.layers, strict=True):
            add(name, compress_layer(layer, tmp_path / "l", compression="none").path.read_bytes())
        link = tarfile.TarInfo("same/layer.tar")
        link.type, link.linkname = tarfile.SYMTYPE, "../0/layer.tar"
        tar.addfile(link)
        name = f"{hex_of(digest_of(config))}.json"
        add(name, config)
        told = {"Config": name, "RepoTags": list(tags), "Layers": names}
        add("manifest.json", json.dumps([told]).encode())
    return path


def test_what_docker_saved_is_read(image, tmp_path):
    found = read_image(docker_save(image, tmp_path), name="team/model:1")
    assert found.config == image.config
    assert [each.diff_id for each in found.layers] == [each.diff_id for each in image.layers]
    assert {each.descriptor.media_type for each in found.layers} == {media.LAYER}
    assert validate(found) == ()


def test_links_between_dockers_layers_are_followed_within(layers, tmp_path):
    image = make_image([layers[0]])
    path = docker_save(image, tmp_path)
    assert ArchiveBlobs.of(path).find("same/layer.tar") == ArchiveBlobs.of(path).find("0/layer.tar")


def test_dockers_layers_are_held_to_the_config(layers, tmp_path):
    other = make_image([layers[1], layers[0]])
    with pytest.raises(ImageError, match="has the digest"):
        read_image(docker_save(make_image(layers), tmp_path, config=other.config))
    with pytest.raises(ImageError, match="different layers"):
        read_image(docker_save(make_image(layers), tmp_path, config=make_image([]).config))


def member(name, *, kind=tarfile.REGTYPE, link=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


@pytest.mark.parametrize(
    ("info", "why"),
    [
        (member("../oci-layout"), "would escape"),
        (member("/etc/passwd"), "would escape"),
        (member("blobs/../../x"), "would escape"),
        (member("a", kind=tarfile.LNKTYPE, link="index.json"), "is not a file"),
        (member("a", kind=tarfile.CHRTYPE), "is not a file"),
        (member("a", kind=tarfile.FIFOTYPE), "is not a file"),
    ],
)
def test_a_hostile_member_is_refused(info, why, make_tar):
    with pytest.raises(ImageError, match=why):
        read_image(make_tar((member("oci-layout"), b"{}"), (info, b"")))


def test_a_member_may_not_be_there_twice(make_tar):
    with pytest.raises(ImageError, match="json twice"):
        read_image(make_tar((member("index.json"), b"1"), (member("./index.json"), b"2")))


def test_a_link_out_of_the_archive_leads_nowhere(make_tar):
    link = member("index.json", kind=tarfile.SYMTYPE, link="/etc/passwd")
    with pytest.raises(ImageError, match="neither an OCI layout"):
        read_image(make_tar((link, b"")))


def test_a_huge_header_is_not_taken_into_memory(tmp_path):
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.XHDTYPE, MAX_HEADER + 1
    (tmp_path / "tar").write_bytes(info.tobuf(tarfile.USTAR_FORMAT))
    with pytest.raises(ImageError, match="a header of the tar"):
        read_image(tmp_path / "tar")


@pytest.mark.parametrize("size", [-512, -1024])
def test_a_negative_size_does_not_go_round_in_circles(size, tmp_path):
    info = tarfile.TarInfo("x")
    info.pax_headers = {"size": str(size)}
    content = info.tobuf(tarfile.PAX_FORMAT) + bytes(4096)
    (tmp_path / "tar").write_bytes(content)
    with pytest.raises(ImageError):
        read_image(tmp_path / "tar")


@shared
@given(st.binary(max_size=2000))
def test_any_bytes_are_an_archive_or_a_clear_error(tmp_path, content):
    (tmp_path / "tar").write_bytes(content)
    with pytest.raises(ImageError):
        read_image(tmp_path / "tar")


def test_a_folder_that_is_no_layout_is_refused(tmp_path):
    for place in (tmp_path, tmp_path / "missing"):
        with pytest.raises(ImageError):
            read_image(place)
        assert validate_layout(place)


def test_links_in_a_layout_are_refused(layout, image, tmp_path):
    for name in ("index.json", f"blobs/sha256/{hex_of(image.layers[0].descriptor.digest)}"):
        path = layout / name
        path.rename(tmp_path / "aside")
        path.symlink_to(tmp_path / "aside")
        with pytest.raises(ImageError, match="not a regular file"):
            read_image(layout)
        assert any("not a regular file" in each for each in validate_layout(layout))
        path.unlink()
        (tmp_path / "aside").rename(path)
    assert validate_layout(layout) == ()


def test_a_blob_that_is_missing_or_of_another_size_is_told(layout, image):
    path = layout / "blobs/sha256" / hex_of(image.layers[1].descriptor.digest)
    with path.open("ab") as blob:
        blob.write(b"\0")
    with pytest.raises(ImageError, match=r"layer 1 in .* bytes, but .* were announced"):
        read_image(layout)
    path.unlink()
    with pytest.raises(ImageError, match=r"lacks layer 1, sha256:"):
        read_image(layout)


def test_a_large_document_is_not_taken_into_memory(layout):
    (layout / "index.json").write_bytes(b" " * (MAX_BYTES + 1))
    with pytest.raises(ImageError, match="more than"):
        read_image(layout)


def test_indexes_in_indexes_come_to_an_end(layout):
    found = (layout / "index.json").read_bytes()
    for _ in range(8):
        (layout / "blobs/sha256" / hex_of(digest_of(found))).write_bytes(found)
        about = {"mediaType": media.INDEX, "digest": digest_of(found), "size": len(found)}
        found = encode({"schemaVersion": 2, "manifests": [about]})
    (layout / "index.json").write_bytes(found)
    with pytest.raises(ImageError, match="deep"):
        read_image(layout)
    assert any("deep" in each for each in validate_layout(layout))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"layers": {}}, "not a list"),
        ({"layers": []}, "lists 2 layers, but the manifest lists 0"),
        ({"config": None}, "not a descriptor"),
        ({"layers": [{"mediaType": "a", "size": 1, "digest": "sha256:../x"}]}, "digest of layer 0"),
    ],
)
def test_a_malformed_manifest_is_refused(change, why, layout, image):
    manifest = encode({**json.loads(image.manifest), **change})
    (layout / "blobs/sha256" / hex_of(digest_of(manifest))).write_bytes(manifest)
    about = replace(image.descriptor, digest=digest_of(manifest), size=len(manifest))
    index = {"schemaVersion": 2, "manifests": [about.to_json()]}
    (layout / "index.json").write_bytes(encode(index))
    with pytest.raises(ImageError, match=why):
        read_image(layout)
    assert validate_layout(layout)
