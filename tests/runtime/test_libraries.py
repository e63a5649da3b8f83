from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from onnxpack.runtime import libraries

SHARED_OBJECT = next(Path(sys.modules["msgspec"].__file__).parent.glob("_core*.so"))


def test_needed_libraries_are_those_that_the_loader_sees():
    listed = subprocess.run(["ldd", SHARED_OBJECT], capture_output=True, text=True, check=True)
    needed = libraries.needed_libraries(SHARED_OBJECT)
    assert "libc.so.6" in needed
    assert set(needed) <= set(re.findall(r"\S+\.so\S*", listed.stdout))
    assert libraries.missing_libraries(SHARED_OBJECT) == ()


def test_a_library_that_is_missing_is_named(tmp_path):
    content = SHARED_OBJECT.read_bytes().replace(b"libc.so.6\0", b"libX.so.6\0")
    (tmp_path / "other.so").write_bytes(content)
    assert "libX.so.6" in libraries.missing_libraries(tmp_path / "other.so")


@pytest.mark.parametrize("content", [b"", b"text", b"\x7fELF\x02\x01", b"\x7fELF\x01\x01" * 20])
def test_other_files_need_nothing(tmp_path, content):
    (tmp_path / "file").write_bytes(content)
    assert libraries.needed_libraries(tmp_path / "file") == ()
    assert libraries.needed_libraries(tmp_path / "absent") == ()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(data=st.data())
def test_damaged_files_are_survived(tmp_path, data):
    content = bytearray(SHARED_OBJECT.read_bytes())
    tables = [*range(40, 64), *range(len(content) - 2048, len(content))]
    for place in data.draw(st.lists(st.sampled_from(tables), max_size=8)):
        content[place] = data.draw(st.integers(0, 255))
    (tmp_path / "damaged").write_bytes(content)
    assert isinstance(libraries.needed_libraries(tmp_path / "damaged"), tuple)


def test_the_file_of_a_provider():
    assert libraries.provider_library("CPUExecutionProvider") is None
    assert libraries.provider_library("NonesuchExecutionProvider") is None


def test_the_file_of_a_provider_is_found_beside_onnxruntime(tmp_path, monkeypatch):
    capi = tmp_path / "onnxruntime" / "capi"
    capi.mkdir(parents=True)
    (tmp_path / "onnxruntime" / "__init__.py").touch()
    library = capi / "libonnxruntime_providers_cuda.so"
    library.touch()
    monkeypatch.delitem(sys.modules, "onnxruntime", raising=False)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert libraries.provider_library("CUDAExecutionProvider") == library


def test_without_onnxruntime_there_is_no_file(monkeypatch):
    monkeypatch.setattr(libraries, "find_spec", lambda name: None)
    assert libraries.provider_library("CUDAExecutionProvider") is None
