"""Rows from pictures, arrays, tables and functions; what does not fit is refused in words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from onnxpack.errors import UsageError
from onnxpack.optimizer import data as module
from onnxpack.optimizer.answers import collect, count_rows
from onnxpack.optimizer.data import bind_rows, split
from onnxpack.optimizer.read_data import read_data
from onnxpack.pack.manifest import Preprocess
from onnxpack.signature import Signature, TensorSpec

PICTURE = TensorSpec("pixels", "float32", ("batch", 3, 8, 8))
TABLE = TensorSpec("x", "float32", ("batch", 3))
TEXT = (
    TensorSpec("ids", "int64", ("batch", "tokens")),
    TensorSpec("mask", "int64", ("batch", "tokens")),
)
CROP = Preprocess(resize=8, crop=(8, 8))


def takes(*specs: TensorSpec) -> Signature:
    return Signature(specs, (TensorSpec("y", "float32", ("batch", 2)),))


def picture(path: Path, shade: int) -> None:
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(np.full((10, 12, 3), shade, np.uint8)).save(path)


def table(count: int = 10) -> np.ndarray:
    return np.arange(count * 3, dtype=np.float32).reshape(count, 3)


def test_pictures_are_sorted_at_every_depth(tmp_path):
    for name, shade in (("b.png", 51), ("a/z.png", 0), ("c.jpg", 255)):
        picture(tmp_path / name, shade)
    (tmp_path / "notes.txt").write_text("no picture")
    rows = read_data(str(tmp_path), takes(PICTURE), preprocess=CROP)
    assert rows.arrays["pixels"].shape == (3, 3, 8, 8)
    np.testing.assert_allclose(rows.arrays["pixels"][:, 0, 0, 0], [0.0, 0.2, 1.0], atol=0.01)


def test_unreadable_pictures_are_named(tmp_path):
    picture(tmp_path / "a.png", 1)
    for name in ("b.png", "c.png"):
        (tmp_path / name).write_text("no picture")
    with pytest.raises(UsageError, match=r"b\.png.*1 more cannot be read"):
        read_data(str(tmp_path), takes(PICTURE), preprocess=CROP)


def test_a_folder_without_pictures(tmp_path):
    with pytest.raises(UsageError, match="has no pictures"):
        read_data(str(tmp_path), takes(PICTURE))


def test_pictures_of_different_sizes_need_a_crop(tmp_path):
    free = TensorSpec("pixels", "float32", ("batch", 3, "height", "width"))
    picture(tmp_path / "a.png", 1)
    Image.new("RGB", (5, 5)).save(tmp_path / "b.png")
    with pytest.raises(UsageError, match="rows have different shapes"):
        read_data(str(tmp_path), takes(free))


def test_pictures_fill_one_input(tmp_path):
    with pytest.raises(UsageError, match="fill only one input, but the model takes ids, mask"):
        read_data(str(tmp_path), takes(*TEXT))


def test_arrays(tmp_path):
    np.save(tmp_path / "x.npy", table())
    assert len(read_data(f"{tmp_path}/x.npy", takes(TABLE))) == 10
    ids = np.arange(12).reshape(4, 3)
    np.savez(tmp_path / "text.npz", mask=ids * 0 + 1, ids=ids)
    rows = read_data(f"{tmp_path}/text.npz", takes(*TEXT))
    assert list(rows.arrays) == ["ids", "mask"]
    assert [feed["ids"].tolist() for feed in rows.feeds()][:2] == [[[0, 1, 2]], [[3, 4, 5]]]


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_tables(suffix, tmp_path):
    frame = pd.DataFrame(table().astype(np.float64), columns=["a", "b", "c"])
    path = tmp_path / f"rows.{suffix}"
    frame.to_csv(path, index=False) if suffix == "csv" else frame.to_parquet(path)
    assert (read_data(str(path), takes(TABLE)).arrays["x"] == table()).all()
    columns = (TensorSpec("b", "int64", ("batch", 1)), TensorSpec("c", "str", ("batch", 1)))
    with pytest.warns(UserWarning, match="columns without an input are ignored: a"):
        named = read_data(str(path), takes(*columns))
    assert named.arrays["b"][:2].tolist() == [[1], [4]]
    assert named.arrays["c"].dtype == object
    with pytest.raises(UsageError, match="has the columns a, b, c; expected 7 columns"):
        read_data(str(path), takes(TensorSpec("x", "float32", ("batch", 7))))


def test_a_table_keeps_the_value_of_its_cells(tmp_path):
    (tmp_path / "rows.csv").write_text("x\n1.5\n2\n")
    with pytest.raises(UsageError, match="a cell is not such a number"):
        read_data(f"{tmp_path}/rows.csv", takes(TensorSpec("x", "int64", ("batch",))))
    (tmp_path / "words.csv").write_text("x\none\ntwo\n")
    with pytest.raises(UsageError, match="could not convert"):
        read_data(f"{tmp_path}/words.csv", takes(TensorSpec("x", "float32", ("batch",))))


FUNCTIONS = """
import numpy as np
rows = np.arange(12, dtype="float32").reshape(4, 3)
def whole(): return {"x": rows}
def bare(): return rows
def batches():
    yield {"x": rows[:1]}
    yield rows[1:]
def none(): return []
def number(): return 7
def broken(): raise RuntimeError("no disk")
def endless():
    while True: yield rows
"""


@pytest.fixture
def functions(tmp_path):
    path = tmp_path / "own_rows.py"
    path.write_text(FUNCTIONS)
    return path


@pytest.mark.parametrize("name", ["whole", "bare", "batches", "rows"])
def test_functions(name, functions):
    assert len(read_data(f"{functions}:{name}", takes(TABLE))) == 4


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("none", "returned no rows"),
        ("number", "returned a int, expected a dict of arrays"),
        ("broken", "failed: RuntimeError: no disk"),
        ("endless", "in memory, expected at most"),
    ],
)
def test_bad_functions(name, words, functions, monkeypatch):
    monkeypatch.setattr(module, "MAX_BYTES", 10_000)
    with pytest.raises(UsageError, match=words):
        read_data(f"{functions}:{name}", takes(TABLE))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("absent.npz", "the file .*absent.npz does not exist"),
        ("absent", "is not a folder"),
        ("broken.npz", "cannot be read"),
        ("broken.npy", "cannot be read"),
        ("broken.parquet", "cannot be read"),
    ],
)
def test_files_that_cannot_be_read(text, words, tmp_path):
    if text.startswith("broken"):
        (tmp_path / text).write_text("nothing")
    with pytest.raises(UsageError, match=words):
        read_data(str(tmp_path / text), takes(TABLE))


@pytest.mark.parametrize("suffix", ["npy", "npz"])
def test_too_much_is_refused_before_it_is_read(suffix, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MAX_BYTES", 100)
    monkeypatch.setattr("onnxpack.optimizer.read_data.MAX_BYTES", 100)
    path = tmp_path / f"x.{suffix}"
    np.save(path, table(100)) if suffix == "npy" else np.savez_compressed(path, x=table(100))
    with pytest.raises(UsageError, match="expected at most"):
        read_data(str(path), takes(TABLE))


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"z": table()}, "contains z, expected the inputs x"),
        ({}, "contains nothing, expected the inputs x"),
        ({"x": table().astype(float)}, r"float64\[10, 3\], expected float32\[batch, 3\]"),
        ({"x": table()[:, :2]}, r"float32\[10, 2\], expected float32\[batch, 3\]"),
        ({"x": table()[None, None]}, r"float32\[1, 1, 10, 3\], expected"),
        ({"x": np.array(1, np.float32)}, r"float32\[\], expected"),
        ({"x": table(0)}, "has no rows"),
        ({"x": np.ones((5, 3), np.float32)}, "the same values in all 5 rows"),
        ({"x": np.full((5, 3), np.nan, np.float32)}, "the same values"),
    ],
)
def test_rows_that_do_not_fit(arrays, words):
    with pytest.raises(UsageError, match=words):
        bind_rows(arrays, takes(TABLE), "rows.npz")


def test_inputs_have_as_many_rows_and_tokens():
    ids = np.arange(12).reshape(4, 3)
    with pytest.raises(UsageError, match="ids has 4, mask has 3"):
        bind_rows({"ids": ids, "mask": ids[:3]}, takes(*TEXT), "rows")
    with pytest.raises(UsageError, match=r"rows of 'mask' are int64\[4, 2\]"):
        bind_rows({"ids": ids, "mask": ids[:, :2]}, takes(*TEXT), "rows")


def test_missing_values_are_values():
    rows = table()
    rows[0, 0] = np.nan
    assert len(bind_rows({"x": rows}, takes(TABLE), "rows")) == 10


def test_a_model_without_a_batch_takes_whole_rows():
    whole = TensorSpec("image", "float32", (3, "height", "width"))
    images = np.arange(2 * 3 * 4 * 4, dtype=np.float32).reshape(2, 3, 4, 4)
    rows = bind_rows({"image": images}, takes(whole), "rows")
    assert [feed["image"].shape for feed in rows.feeds()] == [(3, 4, 4)] * 2


def test_a_fixed_batch_is_fed_whole():
    fixed = TensorSpec("x", "float32", (4, 3))
    rows = bind_rows({"x": table(10)}, takes(fixed), "rows")
    assert [feed["x"].shape for feed in rows.feeds()] == [(4, 3)] * 2
    with pytest.raises(UsageError, match="has 3 rows, expected at least 4"):
        bind_rows({"x": table(3)}, takes(fixed), "rows")


@given(
    st.lists(st.integers(0, 20), min_size=2, max_size=60).filter(lambda v: len(set(v)) > 1),
    st.integers(0, 80),
    st.integers(0, 3),
)
def test_a_split_shares_no_row(values, wanted, seed):
    rows = bind_rows({"x": np.float32(values).reshape(-1, 1).repeat(3, 1)}, takes(TABLE), "rows")
    made = split(rows, calibration=wanted, seed=seed)
    calibration, held_out = ({*part.arrays["x"][:, 0]} for part in made[:2])
    assert not calibration & held_out
    assert calibration | held_out == {float(value) for value in values}
    assert len(made.calibration) == min(wanted, len(set(values)) // 2)
    assert len(made.held_out) >= len(made.calibration)
    assert made.duplicates == len(values) - len(set(values))
    again = split(rows, calibration=wanted, seed=seed)
    assert all(
        (a.arrays["x"] == b.arrays["x"]).all() for a, b in zip(made[:2], again[:2], strict=True)
    )


def test_other_seeds_split_differently():
    rows = bind_rows({"x": table(100)}, takes(TABLE), "rows")
    one, other = (split(rows, calibration=20, seed=seed).calibration for seed in (0, 1))
    assert (one.arrays["x"] != other.arrays["x"]).any()


def test_texts_are_told_apart_by_their_content():
    spec = TensorSpec("x", "str", ("batch",))
    rows = bind_rows({"x": np.array(["a", "b", "a", "c"], object)}, takes(spec), "rows")
    assert split(rows, calibration=1).duplicates == 1


def test_one_row_cannot_be_split():
    rows = bind_rows({"x": np.float32([[1, 2, 3]] * 5)}, takes(TABLE), "rows")
    with pytest.raises(UsageError, match="has 1 different rows, expected at least 2"):
        split(rows, calibration=2)


def test_answers_are_collected_row_by_row():
    rows = bind_rows({"x": table(5)}, takes(TABLE), "rows")
    asked: list[int] = []

    def run(feed):
        asked.append(len(feed["x"]))
        return {"y": feed["x"][:, :2]}

    for batch, sizes in ((0, [1] * 5), (2, [2, 2, 1])):
        found = collect(run, rows, batch=batch)
        assert (found["y"] == table(5)[:, :2]).all()
        assert (count_rows(found), asked) == (5, sizes)
        asked.clear()


def test_answers_of_different_sizes_stay_apart():
    whole = TensorSpec("x", "float32", (3,))
    signature = Signature((whole,), (TensorSpec("y", "float32", ("found",)),))
    rows = bind_rows({"x": table(3)}, signature, "rows")
    found = collect(lambda feed: {"y": feed["x"][: 1 + int(feed["x"][0]) % 2]}, rows)
    assert [len(row) for row in found["y"]] == [1, 2, 1]


def test_rows_are_as_onnxruntime_takes_them():
    foreign = bind_rows({"x": table().astype(">f4")}, takes(TABLE), "rows")
    assert foreign.arrays["x"].dtype.isnative
    texts = bind_rows({"x": np.array(["a", "b"])}, takes(TensorSpec("x", "str", ("n",))), "rows")
    assert texts.arrays["x"].dtype == object
