"""Functions of a graph's tensors, named as in NumPy and SciPy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from onnxpack.exporters.sklearn.tensor import Graph, Operand, Tensor, pair
from onnxpack.signature import Array

LOG_OF_2_PI = float(np.log(2 * np.pi))


def _unary(kind: str, x: Tensor) -> Tensor:
    x = floats(x)
    return x.graph.op(kind, x, dtype=x.dtype)


def floats(x: Tensor) -> Tensor:
    """Return the tensor itself if it is floating-point, else the tensor cast to float64."""
    return x if x.floating else x.cast("float64")


def exp(x: Tensor) -> Tensor:
    """Return the exponential of each element."""
    return _unary("Exp", x)


def log(x: Tensor) -> Tensor:
    """Return the natural logarithm of each element."""
    return _unary("Log", x)


def sqrt(x: Tensor) -> Tensor:
    """Return the square root of each element."""
    return _unary("Sqrt", x)


def tanh(x: Tensor) -> Tensor:
    """Return the hyperbolic tangent of each element."""
    return _unary("Tanh", x)


def cos(x: Tensor) -> Tensor:
    """Return the cosine of each element."""
    return _unary("Cos", x)


def sin(x: Tensor) -> Tensor:
    """Return the sine of each element."""
    return _unary("Sin", x)


def rint(x: Tensor) -> Tensor:
    """Return each element rounded to the nearest whole number, and halves to the even one."""
    return _unary("Round", x)


def floor(x: Tensor) -> Tensor:
    """Return the largest whole number that is at most each element."""
    return _unary("Floor", x)


def absolute(x: Tensor) -> Tensor:
    """Return the magnitude of each element."""
    return x.graph.op("Abs", x, dtype=x.dtype)


def sign(x: Tensor) -> Tensor:
    """Return the sign of each element: -1, 0 or 1."""
    return x.graph.op("Sign", x, dtype=x.dtype)


def expit(x: Tensor) -> Tensor:
    """Return the logistic function of each element, by SciPy's formula.

    Where ``exp`` overflows, below -88.7 in float32, the result is exactly 0. scikit-learn gives
    uniform probabilities to a row in which every class is 0, so a form without that overflow would
    give other answers. ONNX Runtime's ``Sigmoid`` loses small values much earlier.
    """
    return 1.0 / (exp(-floats(x)) + 1.0)


def log1p_exp(x: Tensor) -> Tensor:
    """Return ``log(1 + exp(x))`` without overflow."""
    return maximum(x, 0.0) + log(exp(-absolute(x)) + 1.0)


def isnan(x: Tensor) -> Tensor:
    """Return whether each element is NaN; always false for dtypes that are not floating-point."""
    if x.floating:
        return x.graph.op("IsNaN", x, dtype="bool")
    return x.graph.op("Not", equal(x, x), dtype="bool")


def equal(x: Tensor, other: Operand) -> Tensor:
    """Return whether two operands are equal, element by element."""
    return x.equals(other)


def maximum(x: Tensor, other: Operand) -> Tensor:
    """Return the larger of two operands, element by element."""
    one, two = pair(x, other)
    return x.graph.op("Max", one, two, dtype=one.dtype)


def minimum(x: Tensor, other: Operand) -> Tensor:
    """Return the smaller of two operands, element by element."""
    one, two = pair(x, other)
    return x.graph.op("Min", one, two, dtype=one.dtype)


def clip(x: Tensor, low: Operand, high: Operand) -> Tensor:
    """Return each element limited to bounds, which can be arrays; NaN stays NaN."""
    return minimum(maximum(x, low), high)


def where(condition: Tensor, yes: Operand, no: Operand) -> Tensor:
    """Return ``yes`` where the condition is true, else ``no``, element by element."""
    if not isinstance(yes, Tensor) and not isinstance(no, Tensor):
        yes = condition.graph.constant(yes)
    one, two = pair(yes, no)
    return condition.graph.op("Where", condition, one, two, dtype=one.dtype)


def _reduced(kind: str, x: Tensor, axis: int, keepdims: bool) -> Tensor:
    graph = x.graph
    if kind == "ReduceSum" or graph.opset >= 18:
        axes = graph.constant(np.array([axis], np.int64))
        return graph.op(kind, x, axes, dtype=x.dtype, keepdims=int(keepdims))
    return graph.op(kind, x, dtype=x.dtype, axes=[axis], keepdims=int(keepdims))


def total(x: Tensor, axis: int = 1, *, keepdims: bool = False) -> Tensor:
    """Return the sum along an axis; for bools, the number of true elements."""
    x = x.cast("int64") if x.dtype == "bool" else x
    return _reduced("ReduceSum", x, axis, keepdims)


def mean(x: Tensor, axis: int = 1, *, keepdims: bool = False) -> Tensor:
    """Return the mean along an axis."""
    return _reduced("ReduceMean", x, axis, keepdims)


def product(x: Tensor, axis: int = 1, *, keepdims: bool = False) -> Tensor:
    """Return the product along an axis."""
    return _reduced("ReduceProd", x, axis, keepdims)


def largest(x: Tensor, axis: int = 1, *, keepdims: bool = False) -> Tensor:
    """Return the maximum along an axis."""
    return _reduced("ReduceMax", x, axis, keepdims)


def smallest(x: Tensor, axis: int = 1, *, keepdims: bool = False) -> Tensor:
    """Return the minimum along an axis."""
    return _reduced("ReduceMin", x, axis, keepdims)


def any_of(x: Tensor, axis: int = 1, *, keepdims: bool = False) -> Tensor:
    """Return whether any element along an axis is true."""
    return total(x, axis, keepdims=keepdims) > 0


def argmax(x: Tensor, axis: int = 1) -> Tensor:
    """Return the place of the largest element along an axis, int64; the first one in a tie."""
    return x.graph.op("ArgMax", x, dtype="int64", axis=axis, keepdims=0)


def argmin(x: Tensor, axis: int = 1) -> Tensor:
    """Return the place of the smallest element along an axis, int64; the first one in a tie."""
    return x.graph.op("ArgMin", x, dtype="int64", axis=axis, keepdims=0)


def cumsum(x: Tensor, axis: int) -> Tensor:
    """Return the running sum along an axis."""
    where_ = x.graph.constant(np.int64(axis))
    return x.graph.op("CumSum", x, where_, dtype=x.dtype)


def softmax(x: Tensor) -> Tensor:
    """Return the softmax over the last axis."""
    shifted = exp(x - largest(x, -1, keepdims=True))
    return shifted / total(shifted, -1, keepdims=True)


def logsumexp(x: Tensor, axis: int = 1, *, keepdims: bool = False) -> Tensor:
    """Return ``log(sum(exp(x)))`` along an axis without overflow."""
    top = largest(x, axis, keepdims=True)
    summed = log(total(exp(x - top), axis, keepdims=True)) + top
    return summed if keepdims else squeeze(summed, axis)


def concat(parts: Sequence[Tensor], axis: int = 1) -> Tensor:
    """Join tensors along an axis, in the common dtype that NumPy gives them."""
    if len(parts) == 1:
        return parts[0]
    kinds = {part.dtype for part in parts}
    dtype = "str" if "str" in kinds else np.result_type(*map(np.dtype, sorted(kinds))).name
    same = [part.cast(dtype) for part in parts]
    return parts[0].graph.op("Concat", *same, dtype=dtype, axis=axis)


def gather(x: Tensor, index: Tensor | Array | Sequence[int] | int, axis: int = 0) -> Tensor:
    """Return the entries at these places of an axis; an int drops the axis."""
    at = index if isinstance(index, Tensor) else x.graph.constant(np.asarray(index, np.int64))
    return x.graph.op("Gather", x, at, dtype=x.dtype, axis=axis)


def take(graph: Graph, table: Array, index: Tensor) -> Tensor:
    """Return the entries of a constant table at these places."""
    return gather(graph.constant(table), index)


def column(x: Tensor, at: int) -> Tensor:
    """Return one column, [batch, 1]."""
    return gather(x, [at], axis=1)


def reshape(x: Tensor, shape: Sequence[int]) -> Tensor:
    """Return the tensor in another shape; -1 is inferred, and 0 keeps the size of that axis."""
    return x.graph.op("Reshape", x, x.graph.constant(np.array(shape, np.int64)), dtype=x.dtype)


def as_column(x: Tensor) -> Tensor:
    """Return [batch] as [batch, 1]."""
    return reshape(x, [-1, 1])


def flat(x: Tensor) -> Tensor:
    """Return [batch, 1] as [batch]."""
    return reshape(x, [-1])


def squeeze(x: Tensor, axis: int) -> Tensor:
    """Return the tensor without an axis of size 1."""
    return x.graph.op("Squeeze", x, x.graph.constant(np.array([axis], np.int64)), dtype=x.dtype)


def unsqueeze(x: Tensor, axis: int) -> Tensor:
    """Return the tensor with a new axis of size 1."""
    return x.graph.op("Unsqueeze", x, x.graph.constant(np.array([axis], np.int64)), dtype=x.dtype)


def transpose(x: Tensor, order: Sequence[int] = (1, 0)) -> Tensor:
    """Return the tensor with its axes in another order."""
    return x.graph.op("Transpose", x, dtype=x.dtype, perm=list(order))


def row_count(x: Tensor) -> Tensor:
    """Return the size of the first axis, int64 [1]."""
    shape = x.graph.op("Shape", x, dtype="int64")
    return gather(shape, [0])


def repeated(x: Tensor, row: ArrayLike) -> Tensor:
    """Return a constant row, once for each row of ``x``."""
    graph = x.graph
    constant = graph.constant(np.asarray(row)[None])
    tail = graph.constant(np.array(np.shape(row), np.int64))
    shape = concat([row_count(x), tail], axis=0) if np.ndim(row) else row_count(x)
    return graph.op("Expand", constant, shape, dtype=constant.dtype)


def squared_distances(x: Tensor, points: Array) -> Tensor:
    """Return the squared distances between rows and points, [batch, points].

    The sum over features is taken directly, as in compiled code, not by a matrix product.
    """
    graph = x.graph
    dtype = np.result_type(np.dtype(x.dtype), points.dtype).name
    x = x.cast(dtype)
    far = unsqueeze(x, 1) - graph.constant(points[None], dtype)
    return total(far * far, 2)


def log1p(x: Tensor) -> Tensor:
    """Return ``log(1 + x)``, which is accurate for small ``x`` too."""
    series = x * (1.0 - x * (0.5 - x * (1.0 / 3.0 - x * 0.25)))
    return where(absolute(x) < 1e-4, series, log(x + 1.0))


def expm1(x: Tensor) -> Tensor:
    """Return ``exp(x) - 1``, which is accurate for small ``x`` too."""
    series = x * (1.0 + x * (0.5 + x * (1.0 / 6.0 + x * (1.0 / 24.0))))
    return where(absolute(x) < 1e-4, series, exp(x) - 1.0)
