from __future__ import annotations

import numpy as np
import pytest

from onnxpack.exporters.trees.ensemble import LEAF, Ensemble, Tree

GOOD = {
    "feature": [1, 0, 0],
    "threshold": [0.5, np.nan, 0],
    "left": [1, LEAF, LEAF],
    "right": [2, LEAF, LEAF],
    "missing_left": [1, 0, 0],
    "value": [np.nan, 1, 2],
}


def test_lists_become_arrays() -> None:
    tree = Tree(**GOOD)
    assert tree.value.shape == (3, 1)
    assert tree.leaves.tolist() == [False, True, True]
    assert not tree.is_constant
    ((features, thresholds),) = Ensemble((tree,), targets=1).splits()
    assert (features.tolist(), thresholds.tolist()) == ([1], [0.5])


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"left": [2, LEAF, LEAF]}, "the child of one other node"),
        ({"right": [3, LEAF, LEAF]}, "the child of one other node"),
        ({"left": [0, LEAF, LEAF]}, "the child of one other node"),
        ({"threshold": [np.nan, 0, 0]}, "a threshold is NaN"),
        ({"value": [0, np.inf, 0]}, "the value of a leaf is not finite"),
    ],
)
def test_what_is_no_tree(changed: dict[str, list[float]], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Tree(**{**GOOD, **changed})
