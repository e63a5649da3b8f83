"""Which inputs are masks, and the rows that are asked of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from onnxpack.parity.masks import is_mask, masked_rows

LEFT = np.array([[1, 1, 0, 0], [1, 1, 1, 1]])


@pytest.mark.parametrize(
    ("name", "array", "wanted"),
    [
        ("attention_mask", np.ones((2, 4), np.int64), True),
        ("src_key_padding_mask", np.zeros((2, 4), bool), False),
        ("valid", np.array([[1, 0, 1]]), True),
        ("kept", LEFT, True),
        ("kept", LEFT[:, ::-1], True),
        ("kept", LEFT.astype(bool), True),
        ("kept", LEFT.astype(np.float32), False),
        ("flags", np.array([[1, 0, 1], [0, 1, 0]]), False),
        ("segments", np.zeros((2, 4), np.int64), False),
        ("ones", np.ones((2, 4), np.int64), False),
        ("mask", np.array([1, 0]), False),
        ("mask", np.array([[2, 0]]), False),
        ("column", np.array([[1], [0]]), False),
        ("mask", np.zeros((0, 4), np.int64), False),
    ],
)
def test_what_is_a_mask(name: str, array: Any, wanted: bool) -> None:
    assert is_mask(name, array) is wanted


@pytest.mark.parametrize("dtype", [np.int64, np.int32, bool, np.uint8])
@pytest.mark.parametrize("rows", [1, 2, 3, 9])
def test_every_kind_of_row_is_asked(rows: int, dtype: Any) -> None:
    sample = {"mask": np.ones((rows, 5), dtype), "x": np.ones((rows, 2), np.float32)}
    asked = dict(masked_rows(sample))
    found = {tuple(row.astype(int)) for feeds in asked.values() for row in feeds["mask"]}
    assert found == {
        (0, 0, 0, 0, 0), (1, 1, 1, 1, 1), (1, 0, 0, 0, 0), (0, 0, 0, 0, 1), (1, 1, 1, 0, 0),
        (0, 0, 1, 1, 1), (1, 1, 0, 1, 1),
    }  # fmt: skip
    for feeds in asked.values():
        assert feeds["mask"].dtype == dtype
        assert feeds["mask"].shape == (rows, 5)
        assert feeds["x"] is sample["x"]
    assert any("nothing" in name for name in asked)


def test_tokens_that_are_masked_become_zero_but_where_nothing_is_kept() -> None:
    sample = {"ids": np.full((3, 4), 7), "mask": LEFT[[0, 1, 0]], "n": np.full((3, 1), 7)}
    for feeds in dict(masked_rows(sample)).values():
        empty = ~feeds["mask"].any(axis=-1, keepdims=True)
        np.testing.assert_array_equal(feeds["ids"], 7 * (feeds["mask"] | empty))
        np.testing.assert_array_equal(feeds["n"], 7)


def test_a_mask_of_heads_is_alike_in_each() -> None:
    sample = {"mask": np.ones((2, 3, 1, 4), bool)}
    for feeds in dict(masked_rows(sample)).values():
        assert (feeds["mask"] == feeds["mask"][:, :1]).all()


def test_without_masks_there_are_none() -> None:
    assert not list(masked_rows({"x": np.ones((2, 3), np.float32), "n": np.array([[3, 9]])}))
