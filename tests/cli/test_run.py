"""``onnxpack run``."""

from __future__ import annotations

import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from onnxpack.cli import answers

Run = Callable[..., Any]
ROW = np.array([[1, 2]], np.float32)  # scores 5, 2, -1


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "in.npy"
    np.save(path, ROW)
    return path


def test_the_likeliest_labels(onnxpack: Run, pack: Any, file: Path) -> None:
    told = onnxpack("run", pack.path, "--input", file, "--top", 2)
    assert told.code == 0
    assert told.out.splitlines() == [
        "scores: probabilities, softmax of the model's outputs",
        "   95.03%  cat",
        "    4.73%  dog",
    ]
    assert told.err == ""


def test_rows_are_numbered_and_bounded(onnxpack: Run, pack: Any, tmp_path: Path) -> None:
    np.save(tmp_path / "many.npy", np.zeros((20, 2), np.float32))
    told = onnxpack("run", pack.path, "-i", tmp_path / "many.npy", "--top", 1)
    assert told.out.count("row ") == answers.SHOWN_ROWS
    assert told.out.endswith("and 4 more rows; -o and --json include all of them\n")


def test_a_bare_graph_answers_in_short_and_is_said_to_be_unproven(
    onnxpack: Run, graph: Path, file: Path
) -> None:
    told = onnxpack("run", graph, "--input", file)
    assert told.out == "scores: float32[1, 3]  min -1  mean 2  max 5  first 5, 2, -1\n"
    assert told.err.startswith(f"note: {graph} has no evidence")


def test_json_holds_every_number(onnxpack: Run, pack: Any, file: Path) -> None:
    told = onnxpack("run", pack.path, "--input", file, "--json", "--threads", 1)
    assert told.json["digest"] == pack.digest
    assert (told.json["provider"], told.json["threads"]) == ("cpu", 1)
    assert told.json["outputs"] == [
        {"name": "scores", "dtype": "float32", "shape": [1, 3], "data": [5.0, 2.0, -1.0]}
    ]
    (ranking,) = told.json["predictions"]
    assert ranking["softmax"] is True
    assert [guess["label"] for guess in ranking["rows"][0]] == ["cat", "dog", "newt"]


@pytest.mark.parametrize("suffix", [".npz", ".npy"])
def test_outputs_are_kept_whole(
    onnxpack: Run, pack: Any, file: Path, tmp_path: Path, suffix: str
) -> None:
    kept = tmp_path / f"out{suffix}"
    assert onnxpack("run", pack.path, "-i", file, "-o", kept).code == 0
    loaded = np.load(kept)
    array = loaded if suffix == ".npy" else loaded["scores"]
    assert array.tolist() == [[5, 2, -1]]
    first = kept.read_bytes()
    onnxpack("run", pack.path, "-i", file, "-o", kept)
    assert kept.read_bytes() == first
    assert not list(tmp_path.glob(".onnxpack-*"))


def test_a_failed_write_leaves_the_old_file(
    onnxpack: Run, pack: Any, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "out.npz"
    kept.write_bytes(b"old")

    def fail(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(zipfile.ZipFile, "open", fail)
    told = onnxpack("run", pack.path, "-i", file, "-o", kept)
    assert told.code == 2
    assert "No space left on device" in told.err
    assert kept.read_bytes() == b"old"
    assert not list(tmp_path.glob(".onnxpack-*"))


@pytest.mark.parametrize("name", ["out.txt", "nowhere/out.npz"])
def test_a_file_that_cannot_be_kept_is_refused(
    onnxpack: Run, pack: Any, tmp_path: Path, name: str
) -> None:
    assert onnxpack("run", pack.path, "-i", "random", "-o", tmp_path / name).code == 2


def test_arrays_of_an_archive_bind_by_name(onnxpack: Run, pack: Any, tmp_path: Path) -> None:
    np.savez(tmp_path / "in.npz", x=ROW)
    told = onnxpack("run", pack.path, "-i", tmp_path / "in.npz", "--json")
    assert told.json["outputs"][0]["data"] == [5, 2, -1]
    np.savez(tmp_path / "in.npz", z=ROW)
    told = onnxpack("run", pack.path, "-i", tmp_path / "in.npz")
    assert told.code == 2
    assert "unknown: z" in told.err


def test_an_input_can_be_named(onnxpack: Run, pack: Any, file: Path, tmp_path: Path) -> None:
    told = onnxpack("run", pack.path, "-i", f"x={file}", "--json")
    assert told.json["outputs"][0]["data"] == [5, 2, -1]
    np.savez(tmp_path / "one.npz", anything=ROW)
    told = onnxpack("run", pack.path, "-i", f"x={tmp_path / 'one.npz'}", "--json")
    assert told.json["outputs"][0]["data"] == [5, 2, -1]


def test_random_input_is_seeded(onnxpack: Run, pack: Any) -> None:
    def scores(seed: int) -> Any:
        told = onnxpack("run", pack.path, "-i", "random", "--seed", seed, "--json")
        return told.json["outputs"][0]["data"]

    assert scores(1) == scores(1) != scores(2)


def test_random_indices_stay_where_golden_data_was(onnxpack: Run, lookup: Any) -> None:
    for seed in range(5):
        told = onnxpack("run", lookup.path, "-i", "ids=random", "--seed", seed, "--json")
        (output,) = told.json["outputs"]
        assert output["shape"] == [1, 3, 2]  # batch 1, tokens as in the golden data
        assert 2 <= min(output["data"]) <= max(output["data"]) <= 7  # rows 1 to 3 of the table


def test_random_without_golden_data(onnxpack: Run, lookup: Any) -> None:
    told = onnxpack("run", lookup.model_path, "-i", "random", "--json")
    (output,) = told.json["outputs"]
    assert output["shape"] == [1, 8, 2]
    assert max(output["data"]) <= 3  # rows 0 and 1 of the table


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        (None, "missing.npy", "No such file or directory"),
        (b"", "empty.npy", "cannot be read"),
        (b"garbage", "garbage.npy", "cannot be read"),
        (b"garbage", "garbage.npz", "cannot be read"),
        (b"garbage", "garbage.jpg", "cannot be read as a picture"),
        (b"garbage", "what.txt", "is not x.npy, x.npz, rows.csv, rows.parquet, a picture"),
    ],
)
def test_inputs_that_cannot_be_read(
    onnxpack: Run, pack: Any, tmp_path: Path, content: bytes | None, name: str, message: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    told = onnxpack("run", pack.path, "-i", tmp_path / name)
    assert told.code == 2
    assert "picture" in told.err if name.endswith(".jpg") else message in told.err


def test_a_pickle_is_never_loaded(onnxpack: Run, pack: Any, tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> Any:
            return (sys.exit, (99,))

    np.save(tmp_path / "evil.npy", np.array([Evil()], object), allow_pickle=True)
    assert onnxpack("run", pack.path, "-i", tmp_path / "evil.npy").code == 2
    np.savez(tmp_path / "evil.npz", x=np.array([Evil()], object))
    assert onnxpack("run", pack.path, "-i", tmp_path / "evil.npz").code == 2


def test_inputs_that_do_not_fit(onnxpack: Run, pack: Any, file: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "wide.npy", ROW.astype(np.float64))
    told = onnxpack("run", pack.path, "-i", tmp_path / "wide.npy")
    assert told.code == 2
    assert "input 'x' is float64[1, 2], expected float32[batch, 2]" in told.err
    told = onnxpack("run", pack.path, "-i", file, "-i", file)
    assert told.code == 2
    assert "one input too many" in told.err


def test_a_provider_that_is_not_there(onnxpack: Run, pack: Any) -> None:
    assert onnxpack("run", pack.path, "-i", "random", "--provider", "nonsense").code == 3


def test_probabilities_are_taken_as_they_are() -> None:
    (ranking,) = answers.rank({"p": np.array([[0.25, 0.75]], np.float32)}, ["a", "b"], top=1)
    assert not ranking.softmax
    assert ranking.rows[0][0].probability == 0.75
    assert "as the model gives them" in answers.ranking_lines(ranking)[0]


@pytest.mark.parametrize(
    ("array", "line"),
    [
        (np.array([[1, 2]], np.int64), "y: int64[1, 2]  min 1  mean 1.5  max 2  first 1, 2"),
        (np.array(["a"], object), "y: str[1]  first a"),
        (np.array([True]), "y: bool[1]  first True"),
        (np.zeros((0, 3), np.float32), "y: float32[0, 3]  empty"),
    ],
)
def test_outputs_in_short(array: Any, line: str) -> None:
    assert answers.summary_line("y", array) == line


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_table(onnxpack: Run, tmp_path: Path, suffix: str) -> None:
    import pandas as pd
    from sklearn.compose import make_column_transformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    import onnxpack as package

    frame = pd.DataFrame({"age": [30, 40, 50], "city": ["Bern", "Genf", "Bern"]})
    encode = make_column_transformer((OneHotEncoder(), ["city"]), remainder="passthrough")
    model = make_pipeline(encode, LogisticRegression()).fit(frame, [0, 1, 0])
    package.export(model, frame, tmp_path / "pack")
    path = tmp_path / f"rows.{suffix}"
    more = frame.assign(name="x")[["name", "city", "age"]]
    more.to_csv(path, index=False) if suffix == "csv" else more.to_parquet(path)
    told = onnxpack("run", tmp_path / "pack", "-i", path, "--json")
    assert told.code == 0, told.err
    assert "columns without an input are ignored: name" in told.err
    outputs = {each["name"]: each["data"] for each in told.json["outputs"]}
    assert outputs["label"] == model.predict(frame).tolist()
