"""The cases: of the sample's kind, at other sizes, the same each time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from onnxpack.parity.cases import (
    BATCH_SIZES,
    BUDGET,
    cost,
    fresh,
    make_cases,
    scaled,
    sizes,
    tile,
)

DTYPES = st.sampled_from(["f2", "f4", "f8", "c8", "c16", "i1", "i4", "i8", "u1", "u8", "b1"])
SHAPES = hnp.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=4)
SIZES = st.integers(1, 9)


@st.composite
def samples(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, dict[int, str]]]:
    """Inputs of one batch size; some have one more dim of their own."""
    batch = draw(st.integers(1, 4))
    sample, axes = {}, {}
    for name in draw(st.sets(st.sampled_from(["x", "ids", "mask"]), min_size=1)):
        dtype = np.dtype(draw(DTYPES))
        shape = (batch, *draw(SHAPES))
        sample[name] = draw(hnp.arrays(dtype, shape))
        axes[name] = {0: "batch", **({1: f"{name}_1"} if draw(st.booleans()) else {})}
    return sample, axes


def integers(low: int, high: int) -> Any:
    return np.array([[low, (low + high) // 2, high]] * 2, np.int64)


@settings(deadline=None, max_examples=60)
@given(samples())
def test_every_case_is_of_the_samples_kind(given_sample: Any) -> None:
    sample, axes = given_sample
    own = sizes(sample, axes)
    cases = list(make_cases(sample, axes))
    assert len({case.name for case in cases}) == len(cases)
    for case in cases:
        assert case.feeds.keys() == sample.keys()
        assert case.dims == sizes(case.feeds, axes)
        assert case.dims.keys() == own.keys()
        for name, array in case.feeds.items():
            like = sample[name]
            assert array.dtype == like.dtype
            assert array.ndim == like.ndim
            assert array.shape[2:] == like.shape[2:]
            if like.dtype.kind in "iub" and name != "mask":
                assert like.min() <= array.min()
                assert array.max() <= like.max()


@settings(deadline=None, max_examples=30)
@given(samples())
def test_every_dim_is_tried_at_other_sizes(given_sample: Any) -> None:
    sample, axes = given_sample
    own = sizes(sample, axes)
    cases = list(make_cases(sample, axes))
    assert {case.dims["batch"] for case in cases} >= set(BATCH_SIZES)
    for dim, size in own.items():
        tried = {case.dims[dim] for case in cases}
        assert len(tried) >= 3
        assert max(tried) > size
        assert size == 1 or min(tried) < size


@settings(deadline=None, max_examples=30)
@given(samples(), st.integers(0, 10**10))
def test_the_cost_is_bounded(given_sample: Any, weights: int) -> None:
    sample, axes = given_sample
    own = sizes(sample, axes)
    tried = [case.dims for case in make_cases(sample, axes, weights=weights) if case.spare]
    least = list(make_cases(sample, axes, weights=10**15))
    known = [case.dims for case in least]
    beyond = [dims for dims in tried if dims not in known]
    assert sum(cost(sample, axes, dims, weights) for dims in beyond) <= BUDGET
    assert len(least) <= 12 + 6 * len(own)
    assert {case.dims["batch"] for case in least} >= set(BATCH_SIZES)


@pytest.mark.parametrize("size", [1, 4, 20])
def test_a_cheap_dim_is_tried_near_and_far(size: int) -> None:
    sample, axes = {"x": np.zeros((2, size), np.float32)}, {"x": {0: "batch", 1: "time"}}
    tried = {case.dims["time"] for case in make_cases(sample, axes)}
    assert tried >= {1, 2, 3, 7, 17, 31, 33, size + 1, 2 * size, 3 * size + 1, 10 * size}
    assert max(case.dims["batch"] for case in make_cases(sample, axes)) >= 20


def test_a_framework_that_compiles_for_each_size_is_asked_fewer() -> None:
    sample, axes = {"x": np.zeros((2, 6), np.float32)}, {"x": {0: "batch", 1: "time"}}
    least = len([c for c in make_cases(sample, axes, weights=2**40) if c.spare])
    tried = [case.dims for case in make_cases(sample, axes, per_size=2**15) if case.spare]
    assert least < len(tried) < least + 8
    assert {"batch": 1, "time": 13} in tried
    assert max(dims["time"] for dims in tried) > 13
    assert max(dims["batch"] for dims in tried) > 5


def test_dims_vary_apart_and_meet() -> None:
    sample = {name: np.zeros((2, size), np.float32) for name, size in (("a", 6), ("b", 9))}
    axes = {name: {0: "batch", 1: f"n{name}"} for name in sample}
    tried = [tuple(case.dims.values()) for case in make_cases(sample, axes)]
    assert (1, 1, 1) in tried
    assert (4, 4, 4) in tried
    assert any(a == 1 and b > 9 for _, a, b in tried)
    assert any(b == 1 and a > 6 for _, a, b in tried)
    assert any(batch == 1 and a > 6 and b > 9 for batch, a, b in tried)


def test_a_shared_dim_stays_shared() -> None:
    sample = {name: np.zeros((2, 6), np.float32) for name in ("a", "b")}
    axes = {name: {0: "batch", 1: "time"} for name in sample}
    for case in make_cases(sample, axes):
        assert case.feeds["a"].shape == case.feeds["b"].shape


def test_stress_of_a_costly_sample_is_of_few_rows() -> None:
    sample, axes = {"x": np.ones((8, 3, 100, 100), np.float32)}, {"x": {0: "batch"}}
    rows = {len(case.feeds["x"]) for case in make_cases(sample, axes) if case.stress}
    assert rows == {2}


@settings(deadline=None, max_examples=20)
@given(samples())
def test_the_same_sample_gives_the_same_cases(given_sample: Any) -> None:
    sample, axes = given_sample
    before = {name: array.copy() for name, array in sample.items()}
    for one, other in zip(make_cases(sample, axes), make_cases(sample, axes), strict=True):
        assert (one.name, one.dims, one.required) == (other.name, other.dims, other.required)
        for name in sample:
            np.testing.assert_array_equal(one.feeds[name], other.feeds[name])
    for name, array in before.items():
        np.testing.assert_array_equal(array, sample[name])


@settings(deadline=None, max_examples=60)
@given(hnp.arrays("i4", (3, 4)), SIZES, SIZES)
def test_tile_repeats_and_cuts(array: Any, rows: int, columns: int) -> None:
    tiled = tile({"x": array}, {"x": {0: "a", 1: "b"}}, {"a": rows, "b": columns})["x"]
    assert tiled.shape == (rows, columns)
    wanted = array[np.arange(rows) % 3][:, np.arange(columns) % 4]
    np.testing.assert_array_equal(tiled, wanted)


def test_names_and_what_is_required() -> None:
    sample = {"ids": integers(0, 9), "x": np.ones((2, 3), np.float32)}
    axes = {"ids": {0: "batch", 1: "tokens"}, "x": {0: "batch"}}
    cases = list(make_cases(sample, axes))
    minimum = [
        "sample", "batch=1", "batch=2", "batch=3", "batch=5", "batch=2, tokens=4",
        "batch=3, tokens=6", "batch=1, tokens=1", "batch=2, tokens=2",
    ]  # fmt: skip
    stress = ["negated", "×30", "×0.03", "×1e4", "×1e-5", "one outlier"]
    assert [case.name for case in cases][:9] == minimum
    assert [case.name for case in cases if case.stress] == stress
    assert [case.name for case in cases if case.edge] == stress[3:]
    few = [case.name for case in make_cases(sample, axes, weights=2**40)]
    assert few == [*minimum, *stress[:5]]
    assert [case.name for case in cases if case.required] == ["sample"]
    assert all(cases[0].feeds[name] is sample[name] for name in sample)


def test_without_a_dynamic_dim_there_is_a_fresh_case() -> None:
    cases = list(make_cases({"x": integers(0, 9)}, {"x": {}}))
    assert [case.name for case in cases] == ["sample", "fresh"]
    assert not np.array_equal(cases[0].feeds["x"], cases[1].feeds["x"])


def test_stress_leaves_integers_alone() -> None:
    found = scaled({"x": np.float32([1, -2]), "ids": integers(1, 5)}, -30.0)
    np.testing.assert_array_equal(found["x"], np.float32([-30, 60]))
    assert found["x"].dtype == np.float32
    np.testing.assert_array_equal(found["ids"], integers(1, 5))


def draw(like: Any, rows: int = 500, name: str = "x") -> Any:
    return fresh({name: np.asarray(like)}, {name: {0: "batch"}}, {"batch": rows}, seed=0)[name]


def test_floats_keep_their_centre_and_spread() -> None:
    like = np.random.default_rng(0).normal(50, 3, (100, 4)).astype(np.float32)
    found = draw(like)
    assert 49 < found.mean() < 51
    assert 2 < found.std() < 4


def test_floats_of_a_unit_interval_stay_in_it() -> None:
    found = draw(np.random.default_rng(0).uniform(0, 1, (4, 9)).astype(np.float32))
    assert 0 <= found.min() < 0.1
    assert 0.9 < found.max() <= 1


@pytest.mark.parametrize("value", [0.0, 1.0, -7.0])
def test_a_constant_sample_is_varied(value: float) -> None:
    found = draw(np.full((2, 4), value, np.float32))
    assert found.std() > 0.5
    assert abs(found.mean() - value) < 0.3


def test_what_is_not_finite_is_not_drawn_from() -> None:
    found = draw(np.array([[np.nan, np.inf, 1.0, 3.0]], np.float32))
    assert np.isfinite(found).all()
    assert np.isfinite(draw(np.full((2, 2), np.nan, np.float32))).all()


def test_complex_parts_are_drawn_apart() -> None:
    found = draw(np.array([[1 + 10j, 3 + 30j]], np.complex64))
    assert found.dtype == np.complex64
    assert found.real.mean() < 5 < found.imag.mean()


def test_integers_stay_in_the_samples_range_and_fill_it() -> None:
    found = draw(integers(3, 9))
    assert set(np.unique(found)) == set(range(3, 10))


@pytest.mark.parametrize("seed", range(5))
def test_integers_reach_both_ends_of_a_wide_range(seed: int) -> None:
    like = np.array([[-1000, 3, 10**6]])
    found = fresh({"x": like}, {"x": {0: "batch"}}, {"batch": 1}, seed=seed)["x"]
    assert {found.min(), found.max()} == {-1000, 10**6}


@pytest.mark.parametrize("sign", [1, -1])
def test_floats_of_one_sign_keep_it(sign: int) -> None:
    like = np.abs(np.random.default_rng(0).normal(0, 9, (9, 4))).astype(np.float32)
    assert (draw(sign * like) * sign >= 0).all()


def test_boxes_keep_the_number_of_their_picture() -> None:
    boxes = np.array([[0, 1, 1, 5, 5], [1, 2, 2, 6, 6]], np.float32)
    sample = {"x": np.ones((2, 3, 8, 8), np.float32), "boxes": boxes}
    axes = {"x": {0: "batch"}, "boxes": {0: "n"}}
    for case in make_cases(sample, axes):
        for feeds in (case.feeds, case.spare or case.feeds):
            assert all((feeds["boxes"][:, 0] >= 0) & (feeds["boxes"][:, 0] < len(feeds["x"])))


def test_a_table_of_five_columns_holds_no_boxes() -> None:
    table = np.array([[0, 1, 1, 5, 5], [1, 2, 2, 6, 6]], np.float32)
    (negated,) = [c for c in make_cases({"x": table}, {"x": {0: "b"}}) if c.name == "negated"]
    np.testing.assert_array_equal(negated.feeds["x"], -table)


def test_two_values_stay_two_values() -> None:
    assert set(np.unique(draw(np.array([[4, 7]])))) == {4, 7}
    assert set(np.unique(draw(np.array([[5, 5]])))) == {5}
    assert set(np.unique(draw(np.array([[True, False]])))) == {True, False}


def test_strings_are_drawn_from_the_sample() -> None:
    found = draw(np.array([["cat", "dog"]], object))
    assert found.dtype == object
    assert {item for row in found for item in row} == {"cat", "dog"}


@pytest.mark.parametrize("dtype", [np.int64, bool, np.int32])
def test_a_mask_is_ones_and_then_zeros(dtype: Any) -> None:
    found = draw(np.ones((2, 6), dtype), name="attention_mask")
    assert found.dtype == dtype
    lengths = found.sum(axis=1)
    assert set(lengths) == set(range(1, 7))
    np.testing.assert_array_equal(found, np.arange(6) < lengths[:, None])


def test_extreme_integers_do_not_overflow() -> None:
    info = np.iinfo(np.int64)
    found = draw(np.array([[info.min, 0, info.max]]))
    assert found.dtype == np.int64
    assert found.std() > 0


def test_scalars_are_kept_as_they_are_shaped() -> None:
    sample = {"x": np.float32(3.0).reshape(()), "y": np.ones((2, 1), np.float32)}
    cases = list(make_cases(sample, {"x": {}, "y": {0: "batch"}}))
    assert all(case.feeds["x"].shape == () for case in cases)
    assert len({float(case.feeds["x"]) for case in cases}) > 3
