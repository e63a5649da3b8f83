"""The interpreter of a base: a file that a container finds there and may run, or a refusal."""

import io
import re
import tarfile

import pytest

from onnxpack.errors import ImageError
from onnxpack.image.base.files import MAX_DEPTH, MAX_LINKS, Leaf, find, merged
from onnxpack.image.base.interpreter import find_python
from onnxpack.oci.image import make_image
from onnxpack.oci.layer.layer import existing_layer

PYTHON = "usr/bin/python3.12"


@pytest.fixture
def image(tmp_path):
    """An image of layers: each a list of members, which are files unless they say otherwise."""

    def make(*layers):
        made = []
        for at, members in enumerate(layers):
            path = tmp_path / f"layer-{at}"
            with tarfile.open(path, "w") as tar:
                for each in members:
                    tar.addfile(each if isinstance(each, tarfile.TarInfo) else file(each))
            made.append(existing_layer(path))
        return make_image(made)

    return make


def file(name, *, mode=0o755, kind=tarfile.REGTYPE, to="", owner=(0, 0)):
    found = tarfile.TarInfo(name)
    found.mode, found.type, found.linkname = mode, kind, to
    found.uid, found.gid = owner
    return found


def link(name, to):
    return file(name, kind=tarfile.SYMTYPE, to=to)


def folder(name):
    return file(name, kind=tarfile.DIRTYPE)


def at(image):
    return find_python(image, "base")["interpreter"]


@pytest.mark.parametrize("prefix", ["", "./", "/"])
@pytest.mark.parametrize(
    "path",
    [PYTHON, "usr/local/bin/python3.12", "opt/conda/bin/python3.12", "opt/a b/bin/python3.12"],
)
def test_a_file_that_all_may_run_is_taken(image, path, prefix):
    assert at(image([file(f"{prefix}{path}")])) == f"/{path}"


@pytest.mark.parametrize(
    ("members", "says"),
    [
        ([folder(PYTHON)], "has a folder at usr/bin/python3.12, expected the file of a Python"),
        ([link(PYTHON, "python3.12")], "has a link at"),
        ([link(PYTHON, "nowhere")], "has a link to nothing at"),
        ([link(PYTHON, "../../../../../nowhere")], "has a link to nothing at"),
        ([file(PYTHON, kind=tarfile.LNKTYPE, to="usr/bin/x")], "has a hard link at"),
        ([file(PYTHON, kind=tarfile.FIFOTYPE)], "has a device at"),
        ([file(PYTHON, mode=0o644)], "has usr/bin/python3.12 with the mode 644, which user 65532"),
        ([file(PYTHON, mode=0o750)], "has usr/bin/python3.12 with the mode 750"),
        ([file(PYTHON, mode=0o655, owner=(65532, 0))], "has usr/bin/python3.12 with the mode 655"),
        ([file("opt/a\nENV B/bin/python3.12")], r"has its Python at 'opt/a\nENV B/bin/python3.12'"),
        ([file("opt/\udcff/bin/python3.12")], r"has its Python at 'opt/\udcff/bin/python3.12'"),
        ([file("opt/a\x1b[2J/bin/python3.12")], r"has its Python at 'opt/a\x1b[2J/bin"),
        ([file("usr/bin/python3.12\n")], "has no Python"),
        ([file("usr/bin/python3.\u0661\u0662")], "has no Python"),
    ],
)
def test_what_could_not_be_started_is_refused(image, members, says):
    with pytest.raises(ImageError, match=f"^the base base {re.escape(says)}") as refused:
        at(image(members))
    assert refused.value.remedy == "--base python:3.13-slim"


@pytest.mark.parametrize(
    "members",
    [
        [file(PYTHON, mode=0o700, owner=(65532, 0))],
        [file(PYTHON, mode=0o010, owner=(0, 65532))],
        [file("opt/real"), link(PYTHON, "/opt/real")],
        [file("opt/real"), link(PYTHON, "../../opt/real")],
        [file("usr/bin/x"), file(PYTHON, kind=tarfile.LNKTYPE, to="./usr/bin/x")],
        [link("usr/bin", "lib/bins"), folder("usr/lib/bins"), file("usr/lib/bins/python3.12")],
    ],
)
def test_links_and_owners_are_followed_as_in_a_container(image, members):
    assert at(image(members)) == f"/{PYTHON}"


@pytest.mark.parametrize(
    "upper",
    [
        [file("usr/bin/.wh.python3.12")],
        [file("usr/bin/.wh..wh..opq")],
        [file("usr/.wh.bin")],
        [file(".wh.usr")],
        [file("usr/bin")],
        [file(".wh..wh..opq")],
    ],
)
def test_what_an_upper_layer_hides_is_not_there(image, upper):
    with pytest.raises(ImageError, match="has no Python"):
        at(image([file(PYTHON)], upper))


def test_an_upper_layer_hides_only_what_is_below(image):
    upper = [file("usr/bin/python3.13"), file("usr/bin/.wh..wh..opq")]
    assert at(image([file(PYTHON)], upper)) == "/usr/bin/python3.13"
    assert at(image([file(PYTHON)], [file("usr/bin/.wh.python3.12")], [file(PYTHON)]))


def test_an_upper_layer_replaces(image):
    with pytest.raises(ImageError, match="mode 600"):
        at(image([file(PYTHON)], [file(PYTHON, mode=0o600)]))
    root = merged(image([link("a", "b"), file("b/c")], [folder("a"), file("a/d")]).layers)
    assert find(root, "a/c") is None
    assert isinstance(find(root, "a/d"), Leaf)


def test_the_newest_is_judged_and_of_one_version_the_local_one(image):
    both = [file("usr/local/bin/python3.12"), file(PYTHON), file("opt/x/bin/python3.12")]
    assert at(image(both)) == "/usr/local/bin/python3.12"
    assert at(image(both[::-1])) == "/usr/local/bin/python3.12"
    with pytest.raises(ImageError, match=r"has a folder at usr/bin/python3\.13"):
        at(image([*both, folder("usr/bin/python3.13")]))


@pytest.mark.parametrize("path", ["../evil", "a/../../b", "a/" * MAX_DEPTH + "b"])
def test_a_path_that_leads_out_or_never_ends_is_refused(image, path):
    with pytest.raises(ImageError, match="a layer of the base has the path"):
        at(image([file(path)]))


def test_links_are_followed_as_far_as_by_linux(image):
    chain = [link(f"l{number}", f"l{number + 1}") for number in range(MAX_LINKS)]
    root = merged(image([*chain, file(f"l{MAX_LINKS}")]).layers)
    assert find(root, "l0").kind == "file"
    root = merged(image([link("start", "l0"), *chain, file(f"l{MAX_LINKS}")]).layers)
    assert find(root, "start").kind == "link"


def test_more_files_than_are_looked_at_are_refused(image, monkeypatch):
    monkeypatch.setattr("onnxpack.image.base.files.MAX_MEMBERS", 2)
    assert at(image([file(PYTHON)], [file("a")]))
    with pytest.raises(ImageError, match="more than 2 files"):
        at(image([file(PYTHON), file("a")], [file("b")]))


def test_a_header_of_any_size_is_not_taken(image, tmp_path):
    long = tarfile.TarInfo("x")
    long.type, content = tarfile.XHDTYPE, bytes(2**21)
    long.size = len(content)
    with tarfile.open(tmp_path / "long", "w") as tar:
        tar.addfile(long, io.BytesIO(content))
    with pytest.raises(ImageError, match="a header of the tar takes"):
        at(make_image([existing_layer(tmp_path / "long")]))
