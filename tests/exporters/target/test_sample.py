"""SPEC on the command line, and ``module:attr``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from onnxpack.errors import SampleError, TargetError
from onnxpack.exporters.target.attribute import load_attribute
from onnxpack.exporters.target.sample import MAX_ELEMENTS, read_sample
from onnxpack.runtime import tables

MODULE = """
import neighbour_{number}

value = [1, 2]

class Home:
    inner = {{"x": 3}}

def make():
    return (4, 5)

def fails():
    raise ValueError("not today")

_hidden = 1
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of the user's, with one beside it that it imports."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    number = abs(hash(tmp_path))
    (tmp_path / f"neighbour_{number}.py").touch()
    path = tmp_path / f"users_{number}.py"
    path.write_text(MODULE.format(number=number))
    return path


@pytest.mark.parametrize(
    ("spec", "shape", "dtype"),
    [
        ("1x3x8x8", (1, 3, 8, 8), "float32"),
        ("7", (7,), "float32"),
        ("int64[1,128]", (1, 128), "int64"),
        ("float16[2]", (2,), "float16"),
        ("float64[ 2 , 3 ]", (2, 3), "float64"),
        ("bool[2,2]", (2, 2), "bool"),
        ("uint8[4]", (4,), "uint8"),
        ("float32[]", (), "float32"),
        ("0x4", (0, 4), "float32"),
    ],
)
def test_random(spec: str, shape: tuple[int, ...], dtype: str) -> None:
    found = read_sample([spec])
    assert isinstance(found, np.ndarray)
    assert (found.shape, found.dtype) == (shape, np.dtype(dtype))
    np.testing.assert_array_equal(found, read_sample([spec]))


def test_random_values() -> None:
    ids = read_sample(["int64[1000]"])
    assert set(ids) == set(range(10))
    assert read_sample(["bool[9]"]).all()
    assert abs(read_sample(["1000"]).std() - 1) < 0.1


def test_several() -> None:
    first, second = read_sample(["2x3", "2x3"])
    assert not np.array_equal(first, second)
    named = read_sample(["ids=int64[1,4]", "mask=1x4"])
    assert list(named) == ["ids", "mask"]
    assert list(read_sample(["x=2x3"])) == ["x"]


def test_files_of_numpy(tmp_path: Path) -> None:
    array = np.arange(6.0).reshape(2, 3)
    np.save(tmp_path / "x.npy", array)
    np.savez(tmp_path / "x.npz", a=array, b=array.T)
    np.testing.assert_array_equal(read_sample([str(tmp_path / "x.npy")]), array)
    assert list(read_sample([str(tmp_path / "x.npz")])) == ["a", "b"]
    assert list(read_sample([f"x={tmp_path / 'x.npy'}"])) == ["x"]


def test_a_picture(tmp_path: Path) -> None:
    Image.new("RGB", (5, 4), (255, 0, 0)).save(tmp_path / "x.png")
    found = read_sample([str(tmp_path / "x.png")])
    assert (found.shape, found.dtype) == ((1, 3, 4, 5), np.float32)
    assert found[0, 0].min() == 1


def test_attributes(module: Path) -> None:
    assert read_sample([f"{module}:value"]) == [1, 2]
    assert read_sample([f"{module}:make"]) == (4, 5)
    assert read_sample([f"x={module}:Home.inner"]) == {"x": {"x": 3}}
    assert read_sample([f"{module.stem}:value"]) == [1, 2]


@pytest.mark.parametrize(
    ("specs", "words"),
    [
        (["x=1x3", "1x3"], "some inputs are named and others are not"),
        (["nonsense"], "'nonsense' is not a sample"),
        (["1x3x"], "'1x3x' is not a sample"),
        (["-1x3"], "is not a sample"),
        ([f"{MAX_ELEMENTS}x2"], f"has more than {MAX_ELEMENTS} elements"),
        (["99999999999999999999x99999999999999999999"], "elements"),
        (["strange32[2]"], "does not name a NumPy dtype"),
        (["complex64[2]"], "no random complex64 can be generated"),
        (["nowhere.npy"], "nowhere.npy cannot be read as arrays"),
    ],
)
def test_errors(specs: list[str], words: str) -> None:
    with pytest.raises(SampleError, match=words):
        read_sample(specs)


@pytest.mark.parametrize("content", [b"", b"no array", b"\x93NUMPY\x01\x00"])
@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_files_that_are_none(tmp_path: Path, content: bytes, suffix: str) -> None:
    path = tmp_path / f"x{suffix}"
    path.write_bytes(content)
    with pytest.raises(SampleError, match="cannot be read as arrays"):
        read_sample([str(path)])


@pytest.mark.parametrize("name", ["x.npy", "x.npz"])
def test_a_pickle_is_not_loaded(tmp_path: Path, name: str) -> None:
    class Harm:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "harmed",))

    harmful = np.array([Harm()], object)
    if name.endswith("npz"):
        np.savez(tmp_path / name, x=harmful)
    else:
        np.save(tmp_path / name, harmful)
    with pytest.raises(SampleError, match="cannot be read as arrays"):
        read_sample([str(tmp_path / name)])
    assert not (tmp_path / "harmed").exists()


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_tables(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"rows.{suffix}"
    frame = pd.DataFrame({"age": [31, 64], "city": ["Oslo", "Łódź"], "share": [0.5, None]})
    write = frame.to_csv if suffix == "csv" else frame.to_parquet
    write(path, index=False)
    pd.testing.assert_frame_equal(read_sample([str(path)]), frame)


def test_a_parquet_of_too_many_cells_is_refused_before_it_is_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = pd.DataFrame({"a": np.zeros(1000), "b": np.zeros(1000)})
    frame.to_parquet(tmp_path / "rows.parquet")
    monkeypatch.setattr(tables, "MAX_CELLS", 2000)
    assert len(read_sample([str(tmp_path / "rows.parquet")])) == 1000
    monkeypatch.setattr(tables, "MAX_CELLS", 1999)
    with pytest.raises(SampleError, match="2000 cells"):
        read_sample([str(tmp_path / "rows.parquet")])


@pytest.mark.parametrize("name", ["rows.csv", "rows.parquet"])
@pytest.mark.parametrize("content", [None, b"", b'"'])
def test_tables_that_cannot_be_read(tmp_path: Path, name: str, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(SampleError, match="cannot be read as a table"):
        read_sample([str(tmp_path / name)])


def test_load_attribute(module: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_attribute(f"{module}:Home.inner") == {"x": 3}
    monkeypatch.chdir(module.parent)
    assert load_attribute(f"{module.stem}:value") == [1, 2]
    assert load_attribute("collections.abc:Mapping.__name__") == "Mapping"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("module", "'module' is not module:attr"),
        (":attr", "is not module:attr"),
        ("module:", "is not module:attr"),
        ("nowhere.py:x", "the file nowhere.py does not exist"),
        ("no_such_module_at_all:x", "no_such_module_at_all cannot be imported: ModuleNotFound"),
        ("collections.abc:Nothing", "collections.abc has no 'Nothing'"),
    ],
)
def test_attributes_that_are_none(text: str, words: str) -> None:
    with pytest.raises(TargetError, match=words):
        load_attribute(text)


def test_what_a_module_has_is_told(module: Path) -> None:
    with pytest.raises(TargetError, match="has no 'other'; it has: Home, fails, make") as caught:
        load_attribute(f"{module}:other")
    assert "_hidden" not in caught.value.message


@pytest.mark.parametrize(
    "code", ["1 / 0", "import no_such_module", "syntax error", "raise SystemExit(3)"]
)
def test_a_module_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    path = tmp_path / f"failing_{abs(hash(code))}.py"
    path.write_text(code)
    with pytest.raises(TargetError, match="cannot be imported"):
        load_attribute(f"{path}:x")


def test_two_files_of_one_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "same_name_twice.py").write_text(f"value = {folder!r}")
    assert load_attribute(f"{tmp_path}/one/same_name_twice.py:value") == "one"
    assert load_attribute(f"{tmp_path}/two/same_name_twice.py:value") == "two"


def test_a_file_that_bears_the_name_of_a_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "json.py").write_text("value = 'mine'")
    assert load_attribute(f"{tmp_path}/json.py:value") == "mine"
