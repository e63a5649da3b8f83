"""The attacks of CVE-2022-25882, 2024-27318, 2024-27319, 2026-27489, 2026-34445, 2026-34446
and 2026-34447, wherever in a graph the reference hides."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from onnxpack.errors import PackError
from onnxpack.pack import external, wire
from onnxpack.pack.external import check_external, external_references
from onnxpack.pack.read import open_pack
from onnxpack.pack.write import write_pack


def tensor(location: str, **entries: str) -> TensorProto:
    """A tensor whose elements are elsewhere."""
    made = TensorProto(name="evil", data_type=TensorProto.FLOAT, dims=[2])
    made.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, **entries}.items():
        made.external_data.add(key=key, value=value)
    return made


def sparse(values: TensorProto, indices: TensorProto | None = None) -> onnx.SparseTensorProto:
    plain = numpy_helper.from_array(np.array([0, 1]), "i")
    return onnx.SparseTensorProto(values=values, indices=indices or plain, dims=[4])


def body(inner: TensorProto) -> onnx.GraphProto:
    return helper.make_graph([], "body", [], [], [inner])


def constant(**attributes: object) -> onnx.NodeProto:
    node = helper.make_node("Constant", [], ["c"])
    node.attribute.extend(helper.make_attribute(name, value) for name, value in attributes.items())
    return node


def _in_initializer(model: onnx.ModelProto, evil: TensorProto) -> None:
    model.graph.initializer.append(evil)


def _in_sparse_values(model: onnx.ModelProto, evil: TensorProto) -> None:
    model.graph.sparse_initializer.append(sparse(evil))


def _in_sparse_indices(model: onnx.ModelProto, evil: TensorProto) -> None:
    model.graph.sparse_initializer.append(sparse(numpy_helper.from_array(np.ones(2)), evil))


def _in_attribute(model: onnx.ModelProto, evil: TensorProto) -> None:
    model.graph.node.append(constant(value=evil))


def _in_attributes(model: onnx.ModelProto, evil: TensorProto) -> None:
    model.graph.node.append(constant(values=[evil]))


def _in_sparse_attribute(model: onnx.ModelProto, evil: TensorProto) -> None:
    model.graph.node.append(constant(sparse_value=sparse(evil)))


def _in_sparse_attributes(model: onnx.ModelProto, evil: TensorProto) -> None:
    model.graph.node.append(constant(sparse_values=[sparse(evil)]))


def _in_subgraph(model: onnx.ModelProto, evil: TensorProto) -> None:
    model.graph.node.append(constant(then_branch=body(evil)))


def _in_nested_subgraph(model: onnx.ModelProto, evil: TensorProto) -> None:
    outer = helper.make_graph([constant(then_branch=body(evil))], "outer", [], [])
    model.graph.node.append(constant(branches=[outer]))


def _in_function(model: onnx.ModelProto, evil: TensorProto) -> None:
    opsets = [helper.make_opsetid("", 18)]
    node = constant(value=evil)
    model.functions.append(helper.make_function("d", "f", [], ["c"], [node], opsets))


def _in_function_default(model: onnx.ModelProto, evil: TensorProto) -> None:
    opsets = [helper.make_opsetid("", 18)]
    made = helper.make_function("d", "f", [], ["c"], [], opsets)
    made.attribute_proto.append(helper.make_attribute("value", evil))
    model.functions.append(made)


def _in_training(model: onnx.ModelProto, evil: TensorProto) -> None:
    model.training_info.add().algorithm.CopyFrom(body(evil))


PLACES = [
    _in_initializer, _in_sparse_values, _in_sparse_indices, _in_attribute, _in_attributes,
    _in_sparse_attribute, _in_sparse_attributes, _in_subgraph, _in_nested_subgraph,
    _in_function, _in_function_default, _in_training,
]  # fmt: skip


def _symlink(folder: Path) -> TensorProto:
    (folder / "link").symlink_to(folder.parent / "secret")
    return tensor("link")


def _symlinked_folder(folder: Path) -> TensorProto:
    (folder / "way").symlink_to(folder.parent)
    return tensor("way/secret")


def _hard_link(folder: Path) -> TensorProto:
    (folder / "twin").hardlink_to(folder.parent / "secret")
    return tensor("twin")


def _in_memory(folder: Path) -> TensorProto:
    place = folder / "*" / "_ORT_MEM_ADDR_"
    place.mkdir(parents=True)
    (place / "*").write_bytes(bytes(8))
    return tensor("*/_ORT_MEM_ADDR_/*", offset="0", length="8")


def _pipe(folder: Path) -> TensorProto:
    os.mkfifo(folder / "pipe")
    return tensor("pipe")


ATTACKS: dict[str, tuple[Callable[[Path], TensorProto], str]] = {
    "climbing": (lambda _: tensor("../secret"), "climbs"),
    "climbing inside": (lambda _: tensor("sub/../data"), "climbs"),
    "climbing backwards": (lambda _: tensor("..\\secret"), "backslash"),
    "absolute": (lambda folder: tensor(str(folder.parent / "secret")), "absolute"),
    "symlink": (_symlink, "symlink"),
    "symlinked folder": (_symlinked_folder, "symlink"),
    "hard link": (_hard_link, "hard link"),
    "pipe": (_pipe, "regular file"),
    "folder": (lambda _: tensor("sub"), "regular file"),
    "absent": (lambda _: tensor("absent"), "does not exist"),
    "no location": (lambda _: tensor(""), "0 characters"),
    "past the end": (lambda _: tensor("data", offset="4", length="8"), "byte 12 of data"),
    "offset past the end": (lambda _: tensor("data", offset="9"), "byte 9 of data"),
    "overflow": (lambda _: tensor("data", offset=str(2**63), length="8"), "ends at byte"),
    "negative offset": (lambda _: tensor("data", offset="-4", length="8"), "'-4', expected"),
    "negative length": (lambda _: tensor("data", length="-1"), "'-1', expected"),
    "huge number": (lambda _: tensor("data", offset="9" * 5000), "expected a number"),
    "memory of the process": (_in_memory, "the process's memory"),
}


@pytest.fixture(params=["walked", "searched"])
def folder(tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for a graph, whose references are found either way."""
    monkeypatch.setattr(external, "BYTES_A_FIELD", 1 if request.param == "walked" else 2**30)
    (tmp_path / "secret").write_bytes(bytes(8))
    folder = tmp_path / "model"
    (folder / "sub").mkdir(parents=True)
    (folder / "data").write_bytes(bytes(8))
    return folder


def save(
    folder: Path, model: onnx.ModelProto, place: Callable[..., None], evil: TensorProto
) -> Path:
    place(model, evil)
    path = folder / "model.onnx"
    path.write_bytes(model.SerializeToString())
    return path


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_is_refused(
    folder: Path, graph: Callable[..., onnx.ModelProto], place: Callable[..., None], attack: str
) -> None:
    make, said = ATTACKS[attack]
    path = save(folder, graph(), place, make(folder))
    with pytest.raises(PackError, match=said):
        check_external(path)
    for opened in (folder, path):
        with pytest.raises(PackError, match=said):
            open_pack(opened)


@pytest.mark.parametrize("place", PLACES)
def test_an_honest_reference_is_found(
    folder: Path, graph: Callable[..., onnx.ModelProto], place: Callable[..., None]
) -> None:
    path = save(folder, graph(), place, tensor("data", offset="0", length="8"))
    assert check_external(path) == (("evil", "data", 0, 8),)
    (folder / "sub" / "deep").write_bytes(bytes(8))
    path = save(folder, graph(), place, tensor("sub/deep"))
    assert check_external(path) == (("evil", "sub/deep", 0, None),)


def test_a_pack_cannot_be_written_from_an_attack(
    folder: Path, graph: Callable[..., onnx.ModelProto], parts: object, tmp_path: Path
) -> None:
    path = save(folder, graph(), _in_initializer, tensor("../secret"))
    with pytest.raises(PackError, match="climbs"):
        write_pack(tmp_path / "p", parts.manifest, model=path, golden=parts.golden)
    assert not (tmp_path / "p").exists()


def test_a_word_in_a_name_is_no_reference(
    folder: Path, graph: Callable[..., onnx.ModelProto]
) -> None:
    plain = numpy_helper.from_array(np.ones(2, np.float32), "location")
    path = save(folder, graph(), _in_initializer, plain)
    assert external_references(path) == ()


def length(number: int, content: bytes) -> bytes:
    return wire.write_length(number, len(content)) + content


def hidden(folder: Path, content: bytes) -> Path:
    """A graph of these bytes, with the word that makes it looked at."""
    path = folder / "model.onnx"
    path.write_bytes(content + length(2, b"location"))
    return path


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (length(7, b"") * 2, "field 7 of a ModelProto is written twice"),
        (length(7, length(1, length(5, length(5, b"") * 2))), "AttributeProto is written twice"),
        (wire.write_varint(7, 1), "is not a message"),
        (b"\x3a\x7f", "bytes are left"),
        (length(7, length(5, length(8, b"\xff"))), "not UTF-8"),
        (
            length(7, length(5, length(13, length(1, b"location") + length(2, b"data")) * 2)),
            "names its 'location' twice",
        ),
    ],
)
def test_a_graph_that_readers_would_read_differently_is_refused(
    folder: Path, content: bytes, said: str
) -> None:
    with pytest.raises(PackError, match=said):
        external_references(hidden(folder, content))


def test_a_graph_nested_too_deep_is_refused(folder: Path) -> None:
    content = b""
    for _ in range(60):
        content = length(1, length(5, length(6, content)))
    with pytest.raises(PackError, match="nested more than 100 deep"):
        external_references(hidden(folder, length(7, content)))


def test_what_is_looked_at_is_bounded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = hidden(folder, wire.write_varint(1, 8) * 100)
    monkeypatch.setattr(external, "MAX_FIELDS", 50)
    with pytest.raises(PackError, match="more than 50 fields"):
        external_references(path)


def test_references_are_bounded(
    folder: Path, graph: Callable[..., onnx.ModelProto], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save(folder, graph(tensor("data")), _in_initializer, tensor("data"))
    monkeypatch.setattr(external, "MAX_REFERENCES", 1)
    with pytest.raises(PackError, match="more than 1 external tensors"):
        external_references(path)


def test_an_empty_file_is_refused(folder: Path) -> None:
    (folder / "model.onnx").touch()
    with pytest.raises(PackError, match="empty"):
        external_references(folder / "model.onnx")


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_a_mutated_graph_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("fuzz") / "model.onnx"
    model = onnx.ModelProto()
    for place in PLACES:
        place(model, tensor("data", offset="0", length="8"))
    content = bytearray(model.SerializeToString())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    try:
        external_references(path)
    except PackError:
        return


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_whatever_onnx_reads_is_found(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """A mutation that onnx still reads as a reference is one that we see, or refuse."""
    path = tmp_path_factory.mktemp("fuzz") / "model.onnx"
    model = onnx.ModelProto()
    _in_initializer(model, tensor("data", offset="0"))
    content = bytearray(model.SerializeToString())
    content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    try:
        found = {reference.location for reference in external_references(path)}
        read = onnx.ModelProto.FromString(bytes(content))
    except (PackError, DecodeError):
        return
    for initializer in read.graph.initializer:
        entries = {entry.key: entry.value for entry in initializer.external_data}
        if "location" in entries:
            assert entries["location"] in found


def test_weights_are_not_searched(
    folder: Path, graph: Callable[..., onnx.ModelProto], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A word in them says nothing, and is not even seen where few fields lead past them."""
    weights = np.frombuffer(b"location" * 2**14, np.float32)
    path = save(folder, graph(), _in_initializer, numpy_helper.from_array(weights, "w"))
    assert external_references(path) == ()
    monkeypatch.setattr(external, "BYTES_A_FIELD", 2**11)
    assert external._glance(memoryview(path.read_bytes())) == ()
