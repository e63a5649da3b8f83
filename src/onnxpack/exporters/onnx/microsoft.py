"""Operators for ONNX's evaluator that ONNX Runtime's own optimiser writes into files.

They are not operators of ONNX, so the evaluator lacks them. Their definitions are those of ONNX
Runtime's ``docs/ContribOperators.md``. Sums are computed in at least float32, as the kernels do.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from onnx.reference.op_run import OpRun

from onnxpack.signature import Array

MICROSOFT = "com.microsoft"
ACTIVATIONS = "HardSigmoid", "LeakyRelu", "Relu", "Sigmoid", "Tanh"
"""The activations that ONNX Runtime 1.32 fuses into a ``FusedGemm``."""
FAST_GELU = math.sqrt(2 / math.pi), 0.044715
"""The constants of the approximation; the documentation shows them with fewer digits."""

LAYER_NORMALIZATION = 17
"""The opset from which on LayerNormalization is an operator of ONNX."""


class _Operator(OpRun):
    """An operator with the attributes of its own ``_run``.

    Without ``op_schema`` the evaluator adds the attributes of ONNX's operator of the same name.
    """

    op_domain = MICROSOFT
    op_schema = None


_erf = np.vectorize(math.erf, otypes=[np.float64])


def _wide(x: Array) -> Array:
    """Return the array in float32, or in float64 if it is float64."""
    return x.astype(np.result_type(x.dtype, np.float32))


def _gelu(x: Array) -> Array:
    wide = _wide(x)
    return np.asarray(0.5 * wide * (1 + _erf(wide * math.sqrt(0.5)))).astype(x.dtype)


class Gelu(_Operator):
    """The operator Gelu, with the error function."""

    def _run(self, x: Array) -> tuple[Array]:
        return (_gelu(x),)


class BiasGelu(_Operator):
    """The operator BiasGelu: Gelu of a sum."""

    def _run(self, x: Array, bias: Array) -> tuple[Array]:
        return (_gelu(x + bias),)


class QuickGelu(_Operator):
    """The operator QuickGelu, x * sigmoid(alpha * x)."""

    def _run(self, x: Array, alpha: float = 1.702) -> tuple[Array]:
        wide = _wide(x)
        with np.errstate(over="ignore"):  # far below zero, the sigmoid is 0
            return ((wide / (1 + np.exp(-alpha * wide))).astype(x.dtype),)


class FastGelu(_Operator):
    """The operator FastGelu: Gelu of an optional sum, approximated by the hyperbolic tangent."""

    def _run(self, x: Array, bias: Array | None = None) -> tuple[Array]:
        wide = _wide(x if bias is None else x + bias)
        scale, cubic = FAST_GELU
        return ((0.5 * wide * (1 + np.tanh(scale * (wide + cubic * wide**3)))).astype(x.dtype),)


class FusedMatMul(_Operator):
    """The operator FusedMatMul: a matrix product of transposed inputs, times a number."""

    def _run(
        self,
        a: Array,
        b: Array,
        alpha: float = 1.0,
        transA: int = 0,  # noqa: N803 - the names of the attributes
        transB: int = 0,  # noqa: N803
        transBatchA: int = 0,  # noqa: N803
        transBatchB: int = 0,  # noqa: N803
    ) -> tuple[Array]:
        one = _transposed(a, matrix=transA, batch=transBatchA)
        other = _transposed(b, matrix=transB, batch=transBatchB)
        product = np.matmul(_wide(one), _wide(other)) * np.float32(alpha)
        return (np.asarray(product).astype(a.dtype),)


def _transposed(x: Array, *, matrix: int, batch: int) -> Array:
    """Return batches of matrices; with ``batch`` their rows are the first axis, before the batch.

    A vector is not transposed.
    """
    if x.ndim < 2:
        return x
    x = np.moveaxis(x, 0, -2) if batch else x
    return x.swapaxes(-1, -2) if matrix else x


class FusedGemm(_Operator):
    """The operator FusedGemm: Gemm with an activation."""

    def _run(
        self,
        a: Array,
        b: Array,
        c: Array | None = None,
        alpha: float = 1.0,
        beta: float = 1.0,
        transA: int = 0,  # noqa: N803 - the names of the attributes
        transB: int = 0,  # noqa: N803
        activation: str = "",
        activation_alpha: float | None = None,
        activation_beta: float | None = None,
    ) -> tuple[Array]:
        product = alpha * (_wide(a.T if transA else a) @ _wide(b.T if transB else b))
        total = product if c is None else product + beta * _wide(c)
        found = _activated(activation, total, activation_alpha, activation_beta)
        return (found.astype(a.dtype),)


def _activated(name: str, x: Array, alpha: float | None, beta: float | None) -> Array:
    """Return the activation of this name, by ONNX's definition, with both of its parameters.

    Raises:
        ValueError: the activation is unknown, or a parameter that it needs is not given.
    """
    if name == "Relu":
        return np.asarray(np.maximum(x, 0))
    if name == "Tanh":
        return np.asarray(np.tanh(x))
    if name == "Sigmoid":
        return np.asarray(1 / (1 + np.exp(-x)))
    if alpha is None or name not in ACTIVATIONS:
        raise ValueError(f"FusedGemm with the activation {name!r}, activation_alpha {alpha}")
    if name == "LeakyRelu":
        return np.where(x < 0, alpha * x, x)
    if beta is None:
        raise ValueError(f"FusedGemm with the activation {name!r}, without activation_beta")
    return np.asarray(np.clip(alpha * x + beta, 0, 1))


class _SkipNormalization(_Operator):
    """The normalisation of a sum along its last axis; the sum is the fourth output."""

    is_centred: bool

    def _normalized(
        self,
        x: Array,
        skip: Array,
        scale: Array,
        shift: Array | None,
        bias: Array | None,
        epsilon: float,
    ) -> tuple[Array | None, ...]:
        outputs = list(self.onnx_node.output)
        _refuse_statistics(outputs[1:3])
        total = _wide(x) + _wide(skip)
        total = total if bias is None else total + _wide(bias)
        found = _standardized(total, (-1,), epsilon, is_centred=self.is_centred)
        answer = _scaled(found, scale, shift).astype(x.dtype)
        return (answer, None, None, total.astype(x.dtype))[: len(outputs)]

    def _check_and_fix_outputs(self, res: tuple[Any, ...]) -> tuple[Any, ...]:
        # The evaluator refuses None, but an output without a name must stay None: the evaluator
        # reads inputs without a name from the same place.
        return res


def _refuse_statistics(outputs: Sequence[str]) -> None:
    """Raise an error for the mean and the deviation as outputs: kernels for CPU write neither."""
    if any(outputs):
        raise ValueError("the mean or the deviation of a normalisation is an output")


def _standardized(x: Array, axes: tuple[int, ...], epsilon: float, *, is_centred: bool) -> Array:
    """Return the numbers of some axes divided by their deviation, or their root mean square."""
    centred = x - x.mean(axes, keepdims=True) if is_centred else x
    squares = (centred * centred).mean(axes, keepdims=True)
    return np.asarray(centred / np.sqrt(squares + np.float32(epsilon)))


def _scaled(x: Array, scale: Array, shift: Array | None) -> Array:
    found = x * _wide(scale)
    return found if shift is None else found + _wide(shift)


class SkipLayerNormalization(_SkipNormalization):
    """The operator SkipLayerNormalization."""

    is_centred = True

    def _run(
        self,
        x: Array,
        skip: Array,
        gamma: Array,
        beta: Array | None = None,
        bias: Array | None = None,
        epsilon: float = 1e-12,
    ) -> tuple[Array | None, ...]:
        return self._normalized(x, skip, gamma, beta, bias, epsilon)


class SkipSimplifiedLayerNormalization(_SkipNormalization):
    """The operator SkipSimplifiedLayerNormalization, by the root of the mean of squares."""

    is_centred = False

    def _run(
        self,
        x: Array,
        skip: Array,
        gamma: Array,
        bias: Array | None = None,
        epsilon: float = 1e-12,
    ) -> tuple[Array | None, ...]:
        return self._normalized(x, skip, gamma, None, bias, epsilon)


class _Normalization(_Operator):
    """The normalisation of an input from one axis on, in ONNX's own domain."""

    op_domain = ""
    is_centred: bool

    def _from_axis(
        self, x: Array, scale: Array, bias: Array | None, axis: int, epsilon: float
    ) -> tuple[Array]:
        _refuse_statistics(self.onnx_node.output[1:])
        axes = tuple(range(axis % x.ndim, x.ndim))
        found = _standardized(_wide(x), axes, epsilon, is_centred=self.is_centred)
        return (_scaled(found, scale, bias).astype(x.dtype),)


class LayerNormalization(_Normalization):
    """The operator LayerNormalization before opset 17, in which ONNX introduced it."""

    is_centred = True

    def _run(
        self,
        x: Array,
        scale: Array,
        bias: Array | None = None,
        axis: int = -1,
        epsilon: float = 1e-5,
        stash_type: int = 1,
    ) -> tuple[Array]:
        return self._from_axis(x, scale, bias, axis, epsilon)


class SimplifiedLayerNormalization(_Normalization):
    """The operator SimplifiedLayerNormalization, which ONNX Runtime adds to ONNX's own domain."""

    is_centred = False

    def _run(
        self,
        x: Array,
        scale: Array,
        axis: int = -1,
        epsilon: float = 1e-5,
        stash_type: int = 1,
    ) -> tuple[Array]:
        return self._from_axis(x, scale, None, axis, epsilon)


def of_microsoft(opset: int) -> list[type[OpRun]]:
    """Return the operators of ONNX Runtime for a graph of this opset."""
    return [*OPERATORS, *((LayerNormalization,) if opset < LAYER_NORMALIZATION else ())]


OPERATORS: tuple[type[OpRun], ...] = (
    BiasGelu,
    FastGelu,
    FusedGemm,
    FusedMatMul,
    Gelu,
    QuickGelu,
    SimplifiedLayerNormalization,
    SkipLayerNormalization,
    SkipSimplifiedLayerNormalization,
)
