"""Libraries lose what only debuggers read, and still load."""

import ctypes
import struct
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnxpack.image.runtime.elf import WORTH, stripped


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """A shared library with debug information of a thousand types."""
    folder = tmp_path_factory.mktemp("elf")
    types = "".join(
        f"struct s{i} {{ int first{i}; long second{i}; }} *v{i};\n" for i in range(3000)
    )
    (folder / "it.c").write_text(types + "int answer(void) { return 42; }\n")
    subprocess.run(["gcc", "-g", "-shared", "-fPIC", "-o", "it.so", "it.c"], cwd=folder, check=True)
    return folder / "it.so"


def test_a_library_without_debug_information_still_answers(library, tmp_path):
    content = stripped(library.read_bytes())
    assert content is not None
    assert len(content) < library.stat().st_size - WORTH
    (tmp_path / "lean.so").write_bytes(content)
    assert ctypes.CDLL(str(tmp_path / "lean.so")).answer() == 42


def test_what_lies_between_segments_goes_too(library_bytes, tmp_path):
    lean = stripped(library_bytes)
    spread = with_segments_behind(lean, gap=3 * WORTH)
    found = stripped(spread)
    assert found is not None
    assert len(found) < len(spread) - 2 * WORTH
    (tmp_path / "lean.so").write_bytes(found)
    assert ctypes.CDLL(str(tmp_path / "lean.so")).answer() == 42


def with_segments_behind(content, *, gap):
    """The writable segments, and all within them, behind a gap, as patchelf puts them."""
    moved = bytearray(content)
    at, count = struct.unpack_from("<Q", moved, 32)[0], struct.unpack_from("<H", moved, 56)[0]
    places = [at + 56 * number for number in range(count)]
    fields = {place: struct.unpack_from("<IIQQQQQQ", moved, place) for place in places}
    first = min(each[2] for each in fields.values() if each[0] == 1 and each[1] & 2)
    for place, each in fields.items():
        if each[2] >= first:
            struct.pack_into("<Q", moved, place + 8, each[2] + gap)
    return bytes(moved[:first]) + bytes(gap) + bytes(moved[first:])


def test_what_is_lean_already_stays(library):
    lean = stripped(library.read_bytes())
    assert lean is not None
    assert stripped(lean) is None


@given(st.binary(max_size=300))
def test_what_is_no_library_stays(content):
    assert stripped(content) is None
    assert stripped(b"\x7fELF\x02\x01" + content) is None


@given(st.integers(0, 200), st.integers(0, 255))
def test_a_damaged_header_does_no_harm(library_bytes, place, value):
    damaged = bytearray(library_bytes)
    damaged[place] = value
    found = stripped(bytes(damaged))
    assert found is None or len(found) <= len(damaged)


@pytest.fixture(scope="module")
def library_bytes(library):
    return library.read_bytes()
