"""No number switches the comparison off: what else stands in an output excuses no difference."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from onnxpack.comparison.elements import NOISE_CEILING, NOISE_FACTOR, Noise
from onnxpack.comparison.tolerance import OutputEvidence, Tolerance, compare

SIDE = 5
WRONG = 0.05
"""Far beyond the tolerance of numbers of about 1, and nothing beside a mask of -1e8."""
ANYTHING = st.one_of(
    st.floats(width=32),  # infinities and NaN too
    st.sampled_from([0.0, -1e4, -1e8, 1.7e9, float(np.finfo(np.float32).min), np.inf, np.nan]),
    st.builds(lambda sign, power: sign * 10.0**power, st.sampled_from([-1, 1]), st.floats(-30, 30)),
)
BASES = hnp.arrays("f4", (SIDE, SIDE), elements=st.floats(-1, 1, width=32), unique=True)
PLACES = st.tuples(st.integers(0, SIDE - 1), st.integers(0, SIDE - 1))


def single(values: Any) -> Any:
    return np.asarray(values, np.float32)


def judge(expected: Any, actual: Any, **options: Any) -> OutputEvidence:
    return compare("y", np.asarray(expected), np.asarray(actual), Tolerance(), **options)


def spoilt(array: Any, place: tuple[int, int], by: Any = WRONG) -> Any:
    wrong = array.copy()
    wrong[place] += by
    return wrong


@settings(deadline=None, max_examples=100)
@given(BASES, PLACES, st.integers(0, 1), st.integers(1, 4 * SIDE), st.data())
def test_nothing_that_is_added_hides_a_difference(
    base: Any, place: tuple[int, int], axis: int, count: int, data: st.DataObject
) -> None:
    """Columns or rows of any numbers, as many as four for each that was there."""
    shape = (SIDE, count) if axis else (count, SIDE)
    added = data.draw(hnp.arrays("f4", shape, elements=ANYTHING, fill=ANYTHING))
    wrong = spoilt(base, place)
    assert not judge(base, wrong).passed
    assert not judge(np.append(base, added, axis), np.append(wrong, added, axis)).passed


@settings(deadline=None, max_examples=60)
@given(BASES, PLACES, hnp.arrays(bool, (SIDE, SIDE)), ANYTHING)
def test_no_mask_hides_a_difference(
    base: Any, place: tuple[int, int], mask: Any, constant: Any
) -> None:
    """However much of the output it covers."""
    mask[place] = False
    wrong = spoilt(base, place)
    constant = single(constant)
    assert not judge(np.where(mask, constant, base), np.where(mask, constant, wrong)).passed


@pytest.mark.parametrize("mask", [-1e4, -1e8])
@pytest.mark.parametrize("seed", range(5))
def test_a_mask_that_is_added_hides_no_difference(mask: float, seed: int) -> None:
    """The masked elements are then all different, and nine in ten of all."""
    random = np.random.default_rng(seed)
    base, keep = random.normal(size=(8, 20)), random.random((8, 20)) < 0.1
    keep[0, 0] = True
    masked = single(base + np.where(keep, 0, mask))
    assert not judge(masked, spoilt(masked, (0, 0))).passed


@settings(deadline=None)
@given(
    hnp.arrays("f4", (SIDE, SIDE), elements=st.floats(1, 1000, width=32)),
    hnp.arrays("f4", (SIDE, SIDE), elements=st.floats(-(2**-8), 2**-8, width=32)),
    st.integers(-60, 60),
)
def test_a_power_of_two_changes_no_verdict(base: Any, off: Any, power: int) -> None:
    actual = base * (1 + off)
    found = judge(base, actual)
    scaled = judge(np.ldexp(base, power), np.ldexp(actual, power))
    assert (found.passed, found.max_rel) == (scaled.passed, scaled.max_rel)
    assert scaled.allowed == np.ldexp(found.allowed, power)


@settings(deadline=None)
@given(BASES, PLACES, st.sampled_from([0.0, 1e-6, 1e-5, 1e-3, WRONG]), st.permutations(range(SIDE)))
def test_the_order_of_rows_and_columns_changes_no_verdict(
    base: Any, place: tuple[int, int], by: float, order: list[int]
) -> None:
    wrong = spoilt(base, place, by)
    found = judge(base, wrong)
    assert judge(base[order], wrong[order]).passed == found.passed
    assert judge(base[:, order], wrong[:, order]).passed == found.passed


@settings(deadline=None)
@given(hnp.arrays("f4", hnp.array_shapes(max_dims=4, max_side=4), elements=ANYTHING))
def test_an_exact_copy_passes(array: Any) -> None:
    found = judge(array, array.copy())
    assert (found.passed, found.error, found.noise) == (True, 0, 0)


@settings(deadline=None)
@given(st.floats(0, 0.1), st.floats(1e-30, 1e30), st.floats(0.1001, 1e9))
def test_no_tolerance_lets_an_element_be_a_fifth_off(rtol: float, size: float, off: float) -> None:
    tolerance = Tolerance(rtol=rtol, atol=0.1)
    array = np.array([size])
    assert not compare("y", array, array * (1 + 2 * off), tolerance).passed


@pytest.mark.parametrize("shape", [(5, 100), (2, 3, 16, 16), (2, 8, 32), (1, 1000), (400,)])
def test_what_float32_rounds_is_accepted(shape: tuple[int, ...]) -> None:
    """Differences of numbers of about 1, some of them nearly 0: what a right graph is off by."""
    random = np.random.default_rng(0)
    array = random.normal(size=shape).astype("f4")
    array.flat[::41] *= single(1e-7)
    assert judge(array, array + random.normal(size=shape).astype("f4") * single(5e-7)).passed


def test_numbers_that_a_kernel_flushes_to_zero_are_accepted() -> None:
    assert judge(single([1e-40, 1.0, 2.0]), single([0.0, 1.0, 2.0])).passed
    assert not judge(single([1e-37, 2e-37]), single([0.0, 2e-37])).passed


def test_float64_may_round_too() -> None:
    """It has no wider type that could show by how much."""
    array = np.random.default_rng(0).normal(size=(8, 6))
    array[:, :2] *= 1e-17  # columns that would be 0 without rounding
    assert judge(array, array + 3e-14).passed
    assert not judge(array, array + 3e-11).passed
    assert not judge(array.astype("f4"), array.astype("f4") + single(3e-14)).passed


# ------------------------------------------------------------------------------- noise
SMALL = single(np.add.outer(range(6), range(6)) % 6 + np.eye(6) / 8)
SMALL[SMALL < 1] = 1e-6  # one in each row and in each column
OFF = single(1e-4)


def noisy(own: Any, by: Any = OFF) -> OutputEvidence:
    return judge(SMALL, SMALL + single(by), noise=Noise(own=np.broadcast_to(own, SMALL.shape)))


def test_noise_is_what_the_framework_is_off_itself() -> None:
    assert not judge(SMALL, SMALL + OFF).passed
    found = noisy(OFF)
    assert found.passed
    assert found.noise == pytest.approx(NOISE_FACTOR * OFF, rel=1e-3)
    assert not noisy(OFF / 10).passed


def test_noise_of_a_row_or_of_a_column_excuses_no_other() -> None:
    for index in (0, slice(None)), (slice(None), 3):
        own = np.zeros(SMALL.shape)
        own[index] = 1.0
        found = noisy(own)
        assert not found.passed
        assert found.reason.startswith("5 of 36 elements differ")


def test_noise_of_large_elements_excuses_no_small_one() -> None:
    large = np.append(SMALL, single(1e9) * SMALL[:, 1:3], axis=1)
    own = np.where(large > 1e6, 64.0, 0.0)
    assert not judge(large, spoilt(large, (1, 2), 0.01), noise=Noise(own=own)).passed
    assert judge(large, spoilt(large, (1, 6), 64), noise=Noise(own=own)).passed


@pytest.mark.parametrize("noise", [Noise(own=np.full(SMALL.shape, 1e9)), Noise(recorded=1e9)])
def test_noise_has_a_ceiling(noise: Noise) -> None:
    """Of what is common around the element, however far the framework is off."""
    near, far = single(NOISE_CEILING), single(5 * NOISE_CEILING)
    assert judge(SMALL, SMALL + near, noise=noise).passed
    assert not judge(SMALL, SMALL + far, noise=noise).passed


def test_noise_that_was_recorded_is_allowed_again() -> None:
    assert judge(SMALL, SMALL + OFF, noise=Noise(recorded=2e-4)).passed
    assert not judge(SMALL, SMALL + OFF, noise=Noise(recorded=2e-5)).passed
    assert judge(SMALL, SMALL, noise=Noise(recorded=2e-4)).noise == 0


def test_complex_numbers_are_judged_by_their_magnitude() -> None:
    array = np.exp(1j * np.arange(6)).astype("c8")
    assert judge(array, array * np.complex64(1 + 5e-4j)).passed
    assert not judge(array, array * np.complex64(1 + 5e-3j)).passed


@settings(deadline=None, max_examples=50)
@given(hnp.arrays("f8", (4, 4), elements=st.floats(1e-3, 1e3)), st.floats(0, 1))
def test_what_was_allowed_decides(base: Any, by: float) -> None:
    found = judge(base, base + by)
    assert found.passed == (found.error <= found.allowed)


def test_a_tail_far_from_the_sample_is_as_exact_as_what_stands_beside_it() -> None:
    """A sigmoid of -20 beside others near 1; but not an output of nothing but tails."""
    random = np.random.default_rng(0)
    mixed = single(random.uniform(0.5, 1, (8, 8)))
    mixed[::2, ::2] = random.uniform(1e-9, 2e-9, (4, 4))
    none = np.zeros(mixed.shape)
    lost = np.where(mixed < 1e-6, single(0), mixed)
    assert not judge(mixed, lost, noise=Noise(own=none)).passed
    assert judge(mixed, lost, noise=Noise(own=none, far=True)).passed
    tails = single(random.uniform(1e-9, 2e-9, (8, 8)))
    assert not judge(tails, 0 * tails, noise=Noise(own=none, far=True)).passed


def test_the_ceiling_knows_what_is_usual() -> None:
    """Two logits next to 0, which elsewhere are near 1."""
    logits, own = single([[1.6e-6, 1.7e-6]]), np.full((1, 2), 3e-9)
    off = logits + single(6e-9)
    assert not judge(logits, off, noise=Noise(own=own)).passed
    assert judge(logits, off, noise=Noise(own=own, usual=np.ones(2))).passed
