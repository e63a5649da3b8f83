"""Sizes become numbers of a graph only where they are the same for every input."""

from __future__ import annotations

import torch

from onnxpack.exporters.torch.decompose.known_sizes import fixed_size, fixed_sizes, sizes_known

VARYING = {(2, 8, 5): (True, False, True), (2, 8, 8): (True, False, False), (3,): (False,)}


def test_a_size_that_varies_is_not_known() -> None:
    assert fixed_sizes((2, 8, 5), VARYING) == [None, 8, None]
    assert fixed_sizes((3,), VARYING) == [3]


def test_a_shape_with_gaps_may_be_any_that_fits() -> None:
    assert fixed_sizes((None, 8, None), VARYING) == [None, 8, None]
    assert fixed_sizes((2, 8, None), VARYING) == [None, 8, None]


def test_a_shape_that_never_occurred_is_not_known() -> None:
    assert fixed_sizes((7, 7), VARYING) == [None, None]
    assert fixed_sizes((2, 8), VARYING) == [None, None]


def test_without_a_symbolic_run_sizes_are_what_they_are() -> None:
    x = torch.zeros(2, 8, 5)
    assert [fixed_size(x, axis) for axis in (0, 1, -1)] == [2, 8, 5]
    with sizes_known(VARYING):
        assert [fixed_size(x, axis) for axis in (0, 1, -1)] == [None, 8, None]
    assert fixed_size(x, 0) == 2
