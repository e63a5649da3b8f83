from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse

from onnxpack.errors import SampleError
from onnxpack.exporters.trees.edges import edge_matrices
from onnxpack.exporters.trees.ensemble import Ensemble
from onnxpack.exporters.trees.graph import Graph
from onnxpack.exporters.trees.rows import UNKNOWN, UNKNOWN_NUMBER, Rows, read_rows
from onnxpack.runtime.model import Model

FRAME = pd.DataFrame(
    {
        "wide": [0.1, np.nan, 3.0],
        "whole": np.array([1, -2, 3], np.int32),
        "yes": [True, False, True],
        "gaps": pd.array([1, None, 3], dtype="Int64"),
        "city": pd.Categorical(["b", None, "a"], categories=["b", "a"]),
        "ward": pd.Categorical([7, 3, 7]),
    }
)
KNOWN = {"city": ["a", "b", "c"], "ward": [3, 7]}
NUMBERS = [
    [0.1, 1, 1, 1, 1, 1],
    [np.nan, -2, 0, np.nan, np.nan, 0],
    [3.0, 3, 1, 3, 0, 1],
]


def in_graph(rows: Rows, feeds: Any, folder: Path) -> np.ndarray:
    graph = Graph(18)
    graph.output("y", rows.write(graph), np.float64)
    graph.save(folder / "rows.onnx")
    return Model(folder / "rows.onnx", provider="cpu").run(feeds)["y"]


def test_a_frame_is_a_matrix(tmp_path: Path) -> None:
    rows = read_rows(FRAME, 6, KNOWN)
    assert {n: a.dtype.str[1:] for n, a in rows.feeds.items()} == {
        "wide": "f8", "whole": "i4", "yes": "b1", "gaps": "f8", "city": "O", "ward": "i8",
    }  # fmt: skip
    assert rows.feeds["city"].tolist() == [["b"], [UNKNOWN], ["a"]]
    assert rows.categories == {4: 3, 5: 2}
    np.testing.assert_array_equal(rows.matrix(), NUMBERS)
    np.testing.assert_array_equal(in_graph(rows, rows.feeds, tmp_path), NUMBERS)


def test_a_frame_comes_back(tmp_path: Path) -> None:
    back = read_rows(FRAME, 6, KNOWN).restore(read_rows(FRAME, 6, KNOWN).feeds)
    assert list(back["city"].cat.categories) == KNOWN["city"]
    assert back["city"].astype(object).where(back["city"].notna(), None).tolist() == [
        "b",
        None,
        "a",
    ]
    pd.testing.assert_frame_equal(back[["wide", "whole", "yes"]], FRAME[["wide", "whole", "yes"]])


def test_numbers_become_what_the_columns_can_hold(tmp_path: Path) -> None:
    rows = read_rows(FRAME, 6, KNOWN)
    nan, inf = np.nan, np.inf
    low, near = [2.5, 2.5, 0, 9, -1, 1], [2.5, 2.5, 1, 9, 2, 0]
    high, more = [inf, 2.5, nan, 9, nan, 2], [0, inf, 0, 0, 3, 5]
    feeds = rows.feed(np.array([low, near, high, more]))
    assert feeds["whole"].ravel().tolist()[:3] == [2, 2, 3]
    assert feeds["yes"].ravel().tolist() == [False, True, False, False]
    assert feeds["city"].ravel().tolist() == [UNKNOWN, "c", UNKNOWN, UNKNOWN]
    assert feeds["ward"].ravel().tolist() == [7, 3, UNKNOWN_NUMBER, UNKNOWN_NUMBER]
    found = in_graph(rows, feeds, tmp_path)
    assert found[:, 4].tolist()[1] == 2
    assert np.isnan(found[[0, 2, 3], 4]).all()


def test_plain_texts_and_integers(tmp_path: Path) -> None:
    frame = pd.DataFrame({"city": ["a", "b", "a"], "ward": [3, 7, 9]})
    rows = read_rows(frame, 2, KNOWN, plain=True)
    np.testing.assert_array_equal(in_graph(rows, rows.feeds, tmp_path), rows.matrix())
    assert rows.restore(rows.feeds)["ward"].tolist() == [3, 7, 9]


def test_an_array_by_its_name_and_columns_by_theirs() -> None:
    array = np.ones((2, 3), np.float32)
    assert read_rows({"X": array}, 3, {}).feeds["X"] is array
    rows = read_rows({"a": [1.0, 2.0], "city": ["a", "b"]}, 2, KNOWN)
    assert rows.feeds["city"].tolist() == [["a"], ["b"]]


@pytest.mark.parametrize(
    ("sample", "words"),
    [
        ("text", "a str is not a sample of rows"),
        ((np.ones((2, 2)),), "a tuple is not a sample of rows"),
        (np.ones((2, 2), int), "has dtype int64, expected float32 or float64"),
        (np.ones((2, 2), np.float16), "has dtype float16"),
        (np.ones(2), r"has the shape \(2,\)"),
        (np.ones((0, 2)), r"has the shape \(0, 2\)"),
        (np.ones((2, 3)), "has 3 columns, expected 2 features"),
        ([[1.0, 2.0], [3.0]], "cannot be an array"),
        (scipy.sparse.eye(2, format="csr"), "the sample is sparse"),
        (pd.DataFrame({"a": ["x"], "b": [1]}), "'a' has the dtype"),
        (pd.DataFrame({"a": pd.Categorical([0.5]), "b": [1]}), "categories of column 'a'"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "two columns of the frame are called 'a'"),
        (pd.DataFrame({"a": [], "b": []}), r"the frame has the shape \(0, 2\)"),
        ({"a": np.ones((2, 2)), "b": np.ones(2)}, "column 'a' has the shape"),
        ({"a": np.ones(3), "b": np.ones(2)}, "the columns do not make a frame"),
    ],
)  # fmt: skip
def test_what_is_no_sample(sample: Any, words: str) -> None:
    with pytest.raises(SampleError, match=words):
        read_rows(sample, 2, {})


def test_edges_are_few_however_wide_the_rows_are() -> None:
    base = np.random.default_rng(0).normal(size=(3, 5000)).astype(np.float32)
    edges = dict(edge_matrices(Ensemble((), 1), base, {0: 2}))
    assert {name: len(rows) for name, rows in edges.items()} == {
        "missing": 400, "all missing": 1, "zeros": 400, "categories": 4, "infinities": 400,
        "extremes": 400, "1000 rows": 1000,
    }  # fmt: skip
    assert all(rows.dtype == np.float32 for rows in edges.values())
    assert edges["categories"][:, 0].tolist() == [-1, 0, 1, 2]
    assert (np.isnan(edges["missing"]).sum(axis=1) == 1).all()
