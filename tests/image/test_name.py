"""The name of an image after its pack: one that every registry accepts."""

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnxpack.errors import UsageError
from onnxpack.image.name import name_of
from onnxpack.oci.reference import Reference
from onnxpack.pack.name import NAME, VERSION


def pack(name, version="1"):
    return SimpleNamespace(name=name, manifest=SimpleNamespace(version=version))


@pytest.mark.parametrize(
    ("name", "version", "image"),
    [
        ("resnet18", "1", "resnet18:1"),
        ("Net", "2.0+b", "net:2.0-b"),
        ("a_.b", "1.0+x.y+z", "a-b:1.0-x.y-z"),
        ("a__b--c.d", "V1_0", "a__b--c.d:V1_0"),
        ("a___b..c-", "1", "a-b-c:1"),
        ("my model (final)", "1", "my-model-final:1"),
        ("_x_", "1", "x:1"),
    ],
)
def test_it_is_close_to_the_packs(name, version, image):
    assert name_of(pack(name, version)) == image


def test_a_bare_graph_has_version_1():
    assert name_of(SimpleNamespace(name="bare", manifest=None)) == "bare:1"


@given(st.from_regex(NAME), st.from_regex(VERSION))
def test_every_name_that_a_pack_may_have_gives_a_legal_one(name, version):
    assert Reference.parse(name_of(pack(name, version)))


@pytest.mark.parametrize("name", ["模型", "___", "é"])
def test_without_a_letter_there_is_none(name):
    with pytest.raises(UsageError, match=f"no image can be named after the pack '{name}'"):
        name_of(pack(name))
