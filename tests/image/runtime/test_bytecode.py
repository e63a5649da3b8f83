"""Byte code in the place of sources: the same bytes each time, and what stays as it was."""

import marshal
import os
import shutil
import sys

import pytest

from onnxpack.errors import ImageError
from onnxpack.image.runtime import bytecode
from onnxpack.image.runtime.bytecode import compile_tree, compiled, find_interpreter
from onnxpack.oci.layer.entry import Entry, Symlink

HERE = f"{sys.version_info.major}.{sys.version_info.minor}"
SOURCE = '''"""A module."""

from __future__ import annotations


def check(value):
    """A function."""
    assert value in {"one", "two", "three"}, "told"
    return value


class Thing:
    """A class with nothing but words."""
'''


@pytest.fixture
def entries(tmp_path):
    (tmp_path / "m.py").write_text(SOURCE)
    (tmp_path / "template.py").write_text("{{ this is }} no Python")
    (tmp_path / "data.txt").write_text("data")
    return [Entry(f"opt/{name}", tmp_path / name) for name in ("data.txt", "m.py", "template.py")]


def contents(entries, python=HERE):
    with compiled(entries, python) as found:
        return {entry.path: entry.source.read_bytes() for entry in found}


def test_a_source_becomes_byte_code_and_the_rest_stays(entries):
    found = contents(entries)
    assert sorted(found) == ["opt/data.txt", "opt/m.pyc", "opt/template.py"]
    code = marshal.loads(found["opt/m.pyc"][16:])
    assert code.co_filename == "/opt/m.py"
    space = {}
    exec(code, space)
    assert (space.get("__doc__"), space["check"].__doc__, space["Thing"].__doc__) == (
        None,
        None,
        None,
    )
    assert space["check"]("one") == "one"
    with pytest.raises(AssertionError, match="told"):
        space["check"]("four")


def test_a_symlink_to_a_source_goes_along(entries):
    links = [
        Entry("opt/alias.py", Symlink("m.py")),
        Entry("opt/in/alias.py", Symlink("../m.py")),
        Entry("opt/dangling.py", Symlink("/etc/none.py")),
    ]
    with compiled([*entries, *links], HERE) as found:
        targets = {e.path: e.source.target for e in found if isinstance(e.source, Symlink)}
    assert targets == {
        "opt/alias.pyc": "m.pyc",
        "opt/in/alias.pyc": "../m.pyc",
        "opt/dangling.py": "/etc/none.py",
    }


def test_a_tree_is_compiled_in_place(entries, tmp_path):
    tree = tmp_path / "tree"
    tree.mkdir()
    for entry in entries:
        shutil.copy(entry.source, tree / entry.source.name)
    (tree / "alias.py").symlink_to("m.py")
    compile_tree(tree, HERE)
    found = sorted(path.name for path in tree.iterdir())
    assert found == ["alias.pyc", "data.txt", "m.pyc", "template.py"]
    assert (tree / "alias.pyc").read_bytes() == (tree / "m.pyc").read_bytes()


def test_it_is_not_checked_against_a_source(entries):
    """PEP 552: hash-based, and unchecked."""
    assert contents(entries)["opt/m.pyc"][4:8] == b"\x01\0\0\0"


def test_python_imports_it(entries, tmp_path, monkeypatch):
    folder = tmp_path / "place"
    folder.mkdir()
    (folder / "m.pyc").write_bytes(contents(entries)["opt/m.pyc"])
    monkeypatch.syspath_prepend(folder)
    import m

    assert m.check("two") == "two"
    del sys.modules["m"]


@pytest.mark.parametrize("seed", ["0", "1", "random"])
def test_the_same_sources_give_the_same_bytes(entries, monkeypatch, seed):
    first = contents(entries)
    monkeypatch.setitem(os.environ, "PYTHONHASHSEED", seed)
    assert contents(entries) == first


def test_without_an_interpreter_the_sources_stay(entries):
    assert find_interpreter("3.99") is None
    assert sorted(contents(entries, "3.99")) == sorted(entry.path for entry in entries)


def test_a_shim_without_a_version_behind_it_is_no_interpreter(tmp_path, monkeypatch):
    shim = tmp_path / "python3.99"
    shim.write_text("#!/bin/sh\necho 'version 3.99 is not installed' >&2\nexit 127\n")
    shim.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert find_interpreter("3.99") is None


def test_an_interpreter_that_fails_is_named(entries, monkeypatch):
    monkeypatch.setattr(bytecode, "find_interpreter", lambda _: "/bin/false")
    with pytest.raises(ImageError, match="/bin/false could not compile byte code"):
        contents(entries)
