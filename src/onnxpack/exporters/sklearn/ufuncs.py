"""NumPy's element-wise functions, with the dtypes that NumPy gives their results."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from onnx import TensorProto

from onnxpack.errors import ExportError
from onnxpack.exporters.sklearn import numeric as n
from onnxpack.exporters.sklearn.tensor import Tensor

UFUNCS: Mapping[np.ufunc, Callable[[Tensor], Tensor]] = {
    np.absolute: n.absolute,
    np.cbrt: lambda x: n.sign(x) * n.absolute(x) ** (1.0 / 3.0),
    np.ceil: lambda x: -n.floor(-x),
    np.cos: n.cos,
    np.deg2rad: lambda x: x * float(np.pi / 180.0),
    np.exp: n.exp,
    np.exp2: lambda x: n.exp(x * float(np.log(2.0))),
    np.expm1: n.expm1,
    np.fabs: n.absolute,
    np.floor: n.floor,
    np.isfinite: lambda x: n.absolute(x) < np.inf,
    np.isinf: lambda x: n.equal(n.absolute(x), np.inf),
    np.isnan: n.isnan,
    np.log: n.log,
    np.log10: lambda x: n.log(x) / float(np.log(10.0)),
    np.log1p: n.log1p,
    np.log2: lambda x: n.log(x) / float(np.log(2.0)),
    np.negative: lambda x: -x,
    np.positive: lambda x: x,
    np.rad2deg: lambda x: x * float(180.0 / np.pi),
    np.reciprocal: lambda x: 1.0 / x,
    np.rint: n.rint,
    np.sign: n.sign,
    np.sin: n.sin,
    np.sqrt: n.sqrt,
    np.square: lambda x: x * x,
    np.tan: lambda x: n.sin(x) / n.cos(x),
    np.tanh: n.tanh,
    np.trunc: lambda x: n.sign(x) * n.floor(n.absolute(x)),
}
SAME: Mapping[np.ufunc, np.ufunc] = {np.degrees: np.rad2deg, np.radians: np.deg2rad}
"""Functions with a second name."""
UNSIGNED = ("bool", "uint8", "uint16", "uint32", "uint64")
INTEGERS = (*UNSIGNED, "int8", "int16", "int32", "int64")
UNCHANGED: Mapping[np.ufunc, Sequence[str]] = {
    np.absolute: UNSIGNED,
    np.ceil: INTEGERS,
    np.floor: INTEGERS,
    np.positive: INTEGERS,
    np.trunc: INTEGERS,
}
"""The dtypes in which a function returns its argument unchanged."""


def apply_ufunc(function: np.ufunc, x: Tensor) -> Tensor:
    """Add one of NumPy's functions to the graph, and return its result.

    The dtype is NumPy's: float16 for the logarithm of uint8, and uint8 for its negative, which
    wraps around. ONNX Runtime lacks kernels for small integers, so these are computed in int64.

    Raises:
        ExportError: the function is not supported, or does not take the dtype.
    """
    function = SAME.get(function, function)
    if function not in UFUNCS:
        raise ExportError(f"the function {function.__name__!r} is not supported in a graph")
    try:
        wanted = function(np.ones(1, x.dtype)).dtype
    except TypeError as exc:
        raise ExportError(f"numpy's {function.__name__!r} does not take {x.dtype}") from exc
    if x.dtype == wanted and x.dtype in UNCHANGED.get(function, ()):
        return x
    if wanted.kind in "iu":
        return _of_integers(function, x, wanted.name)
    if wanted == np.float16:
        return _in_half(UFUNCS[function](x.cast("float32")))
    if x.dtype == "bool" or (wanted.kind == "f" and not x.floating):
        x = x.cast(wanted.name if wanted.kind == "f" else "float32")
    return UFUNCS[function](x)


def _of_integers(function: np.ufunc, x: Tensor, wanted: str) -> Tensor:
    """Return the integer result of a function of integers.

    Raises:
        ExportError: the function needs uint64 or a division.
    """
    if x.dtype == "uint64" or function is np.reciprocal:
        raise ExportError(f"numpy's {function.__name__!r} of {x.dtype} is not supported in a graph")
    return UFUNCS[function](x.cast("int64")).cast(wanted)


def _in_half(x: Tensor) -> Tensor:
    """Return the tensor rounded to float16, in which large numbers are infinite, as float32."""
    half = x.graph.op("Cast", x, dtype="float16", to=TensorProto.FLOAT16)
    return half.cast("float32")
