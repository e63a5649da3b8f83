"""The rows that are asked besides the usual ones."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.ensemble import RandomForestClassifier, VotingClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import KBinsDiscretizer, StandardScaler
from sklearn.tree import DecisionTreeClassifier

from onnxpack.exporters.sklearn.corners import corner_values, known_rows, tree_rows
from onnxpack.exporters.sklearn.edges import edge_feeds

X = np.random.default_rng(0).normal(size=(50, 3))
Y = (X[:, 0] > 0).astype(int)


def edges(model: Any, **sample: Any) -> dict[str, Any]:
    return dict(edge_feeds(model, sample, len))


def test_a_row_at_and_beside_each_threshold() -> None:
    tree = DecisionTreeClassifier(random_state=0).fit(X, Y)
    limits = tree.tree_.threshold[tree.tree_.feature >= 0]
    rows = tree_rows(tree, X[:5])
    for limit in limits:
        for value in (limit, np.nextafter(limit, np.inf), np.nextafter(limit, -np.inf)):
            assert (rows == value).any()


def test_trees_inside_of_others() -> None:
    forest = RandomForestClassifier(2, random_state=0)
    vote = VotingClassifier([("f", forest), ("b", GaussianNB())]).fit(X, Y)
    assert len(tree_rows(make_pipeline("passthrough", vote), X[:5]))
    scaled = make_pipeline(StandardScaler(), forest).fit(X, Y)
    assert not len(tree_rows(scaled, X[:5]))


def test_corners_and_known_rows() -> None:
    bins = KBinsDiscretizer(3, strategy="uniform").fit(X)
    rows = corner_values(bins, X[:5])
    assert all((rows[:, 1] == edge).any() for edge in bins.bin_edges_[1])
    assert not len(known_rows(bins, X[:5], np.random.default_rng(0)))


def test_what_the_columns_are_tried_with() -> None:
    found = edges(
        GaussianNB(),
        number=X[:4, :1].copy(),
        count=np.array([[1], [5], [2], [3]], np.uint8),
        word=np.array([["a"], ["b"], ["a"], ["b"]], object),
    )
    assert len(found["one row"]["word"]) == 1
    assert len(found["many rows"]["word"]) == len(found["mixed columns"]["word"]) == 1000
    missing, unseen = found["missing values"], found["unseen values"]
    assert np.isnan(missing["number"]).sum() == 1
    assert (missing["word"] == "").sum() == 1
    assert {0, 6} <= set(unseen["count"].ravel())
    assert (unseen["word"] == "never seen before").sum() == 1
    assert "thresholds" not in found


def test_texts_are_tried_where_texts_are_read() -> None:
    found = edges(GaussianNB(), X=np.array(["two words", "one"], object))
    assert "texts in X" in found
    assert "texts in X" not in edges(GaussianNB(), X=np.array(["one", "two"], object))


def test_the_sample_is_left_as_it_was() -> None:
    sample = X[:6].copy()
    for _, feeds in edge_feeds(GaussianNB().fit(X, Y), {"X": sample}, len):
        assert feeds["X"].dtype == sample.dtype
    np.testing.assert_array_equal(sample, X[:6])
