"""Offsets stay offsets, whatever sizes a case has."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnxpack.parity.cases import fresh, tile
from onnxpack.parity.offsets import is_offsets

AXES = {"ids": {0: "n"}, "offsets": {0: "bags"}}


@given(n=st.integers(1, 40), bags=st.integers(1, 40), has_end=st.booleans(), seed=st.integers(0, 9))
def test_drawn_and_tiled_offsets_are_valid(n: int, bags: int, has_end: bool, seed: int) -> None:
    sample = {
        "ids": np.array([4, 2, 7, 1, 1, 3, 9]),
        "offsets": np.array([0, 3, 7] if has_end else [0, 3, 5]),
    }
    dims = {"n": n, "bags": bags}
    for feeds in (fresh(sample, AXES, dims, seed=seed), tile(sample, AXES, dims)):
        found = feeds["offsets"]
        assert found.shape == (bags,)
        assert is_offsets("offsets", found)
        assert found[-1] <= n
        assert not (has_end and bags > 1) or found[-1] == n


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("offsets", [1, 2]), ("offsets", [0, 3, 2]), ("offsets", []), ("ids", [0, 1, 2]),
        ("offsets", [0.0, 1.0]),
    ],
)  # fmt: skip
def test_other_inputs_are_no_offsets(name: str, values: list[float]) -> None:
    assert not is_offsets(name, np.array(values))
