"""Functions of numpy's in a FunctionTransformer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.special import expit
from sklearn.preprocessing import FunctionTransformer

from onnxpack.exporters.sklearn.ufuncs import SAME, UFUNCS

EVERY = [*UFUNCS, *SAME]
RANDOM = np.random.default_rng(0)
FROM_ZERO = {np.log, np.log10, np.log1p, np.log2, np.sqrt}


def rows(function: Any, dtype: str) -> Any:
    found = (np.abs(RANDOM.normal(size=(40, 3))) * 4 + 1).astype(dtype)
    signed = np.dtype(dtype).kind in "if" and function not in FROM_ZERO
    return found * np.array([1, -1, 1], dtype) if signed else found


@pytest.mark.parametrize(
    ("function", "dtype"),
    [
        (function, dtype)
        for function in EVERY
        for dtype in ("float32", "float64", "int64", "uint8", "int8")
        if function is not np.reciprocal or "int" not in dtype  # integers are not divided
    ],
)
def test_every_function(check: Any, function: Any, dtype: str) -> None:
    half = function(np.ones(1, dtype)).dtype == np.float16
    x = rows(function, dtype)
    check.proven(FunctionTransformer(function).fit(x), x, fine=1e-3 if half else 0)


@pytest.mark.parametrize(
    ("function", "options", "said"),
    [
        (np.sinh, {}, "the function 'sinh' is not supported in a graph"),
        (expit, {}, "the function 'expit' is not supported in a graph"),
        (np.clip, {"a_min": -1, "a_max": 1}, "the function 'clip' with a_min, a_max is not"),
        (lambda x: x, {}, "<lambda>' is Python code"),
    ],
    ids=["sinh", "expit", "clip", "lambda"],
)
def test_other_functions(check: Any, function: Any, options: Any, said: str) -> None:
    x = rows(function, "float64")
    error = check.refused(FunctionTransformer(function, kw_args=options).fit(x), x, said)
    assert "np.log1p" in str(error.remedy)


def test_integers_that_are_divided(check: Any) -> None:
    x = rows(np.reciprocal, "int64")
    error = check.refused(FunctionTransformer(np.reciprocal).fit(x), x, "'reciprocal' of int64")
    assert "X.astype('float64')" in str(error.remedy)
    check.proven(FunctionTransformer(np.reciprocal).fit(x.astype("float64")), x.astype("float64"))
