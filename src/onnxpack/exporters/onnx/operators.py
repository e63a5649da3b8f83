"""Operators for ONNX's evaluator, by their specifications, where its own (onnx 1.23) are wrong."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np
from onnx.defs import SchemaError, get_schema
from onnx.reference.op_run import OpRun
from onnx.reference.ops import op_dequantize_linear, op_loop

from onnxpack.exporters.onnx.sequences import GRU, LSTM, RNN, Scan
from onnxpack.signature import Array

ALL = 10**6
"""Beyond the version of any opset."""
ROWS_UNTIL = 13
"""The opset from which on Softmax normalises along one axis, not over a matrix of rows."""


def corrected(opset: int) -> list[type[OpRun]]:
    """Return the operators that replace the evaluator's own for a graph of this opset.

    Each has the attributes, and their defaults, of its version in the opset.
    """
    found: list[type[OpRun]] = []
    for kind, end in UNTIL.items():
        name = kind.__name__
        try:
            schema = get_schema(name, opset, "")
        except SchemaError:  # the opset has no such operator
            continue
        if opset < end:
            own = {"op_domain": "", "op_schema": schema, "opset": opset}
            found.append(type(name, (kind,), own))
    return found


class Loop(op_loop.Loop):
    """The operator Loop, corrected where the evaluator's own (onnx 1.23) is wrong.

    The evaluator treats an absent condition as false, where the specification says true, and so
    never enters the loop. It concatenates the outputs of the iterations along their first axis; by
    the specification the iterations are a new first axis.
    """

    body: Any
    _run_body: Any

    def _run(
        self,
        trips: Any = None,
        condition: Any = None,
        *carried: Any,
        context: Mapping[str, Any] | None = None,
        body: Any = None,
        attributes: Any = None,
        bindings: Any = None,
    ) -> Any:
        """Return the values carried out of the last iteration, then the stacked outputs."""
        state, given = list(carried), list[Any]()
        goes_on, turn = condition is None or bool(condition), 0
        while goes_on and (trips is None or turn < trips):
            values = (np.array(turn, np.int64), np.array(True), *state)
            inputs = dict(context or {}) | dict(zip(self.body.input_names, values, strict=True))
            further, *outputs = self._run_body(inputs, attributes=attributes, bindings=bindings)
            goes_on, turn = bool(further), turn + 1
            state = outputs[: self.N]
            given.append(outputs[self.N :])
        if self.K and not given:
            raise ValueError(
                "the Loop ran no iteration, so the shape of what an iteration gives is unknown"
            )
        turns = [np.stack(values) for values in zip(*given, strict=True)]
        return self._check_and_fix_outputs((*state, *turns))


class _OfRows(OpRun):
    """An operator on the rows of a matrix, or along an axis.

    Before opset 13 the axes from ``axis`` on are one axis (its default is 1). The evaluator follows
    opset 13 in every graph.
    """

    opset: int

    def _run(self, x: Array, axis: int) -> tuple[Array]:
        if not x.size:
            return (x,)
        if self.opset >= ROWS_UNTIL:
            return (self.along(x, axis).astype(x.dtype),)
        rows = x.reshape(int(np.prod(x.shape[: axis % x.ndim])), -1)
        return (self.along(rows, 1).reshape(x.shape).astype(x.dtype),)

    @abstractmethod
    def along(self, x: Array, axis: int) -> Array:
        """Return the result along one axis."""


class Softmax(_OfRows):
    """The operator Softmax before opset 13, which the evaluator takes along one axis only."""

    def along(self, x: Array, axis: int) -> Array:
        """Return exp(x) divided by its sum."""
        powers = np.exp(x - x.max(axis, keepdims=True))
        return np.asarray(powers / powers.sum(axis, keepdims=True))


class LogSoftmax(_OfRows):
    """The operator LogSoftmax: the evaluator takes the logarithm of a Softmax that may be 0."""

    def along(self, x: Array, axis: int) -> Array:
        """Return x minus the logarithm of the sum of exp(x)."""
        gap = x - x.max(axis, keepdims=True)
        return np.asarray(gap - np.log(np.exp(gap).sum(axis, keepdims=True)))


class Hardmax(_OfRows):
    """The operator Hardmax before opset 13, which the evaluator takes along one axis only."""

    def along(self, x: Array, axis: int) -> Array:
        """Return 1 at the first largest element, and 0 elsewhere."""
        found = np.zeros_like(x)
        np.put_along_axis(found, x.argmax(axis, keepdims=True), 1, axis)
        return found


class LRN(OpRun):
    """The operator LRN: the evaluator sums over as many channels as the batch has rows."""

    def _run(self, x: Array, alpha: float, beta: float, bias: float, size: int) -> tuple[Array]:
        before, after = (size - 1) // 2, size // 2
        squares = np.zeros_like(x)
        for channel in range(x.shape[1]):
            near = x[:, max(0, channel - before) : channel + after + 1]
            squares[:, channel] = (near**2).sum(1)
        return ((x / (bias + alpha / size * squares) ** beta).astype(x.dtype),)


class BatchNormalization(OpRun):
    """The operator BatchNormalization in inference.

    The evaluator normalises by the batch's own statistics before opset 14, where only a further
    output says that the node is trained.
    """

    def _run(
        self,
        x: Array,
        scale: Array,
        bias: Array,
        mean: Array,
        variance: Array,
        epsilon: float,
        spatial: int = 1,
        **_: Any,
    ) -> tuple[Array]:
        if not spatial or len(self.onnx_node.output) > 1:
            raise ValueError("BatchNormalization that is trained, or not by channel")
        each = (-1, *(1,) * (x.ndim - 2))
        scale, bias, mean, variance = (a.reshape(each) for a in (scale, bias, mean, variance))
        return ((scale * (x - mean) / np.sqrt(variance + epsilon) + bias).astype(x.dtype),)


class DequantizeLinear(op_dequantize_linear.DequantizeLinear_19):
    """The operator DequantizeLinear, which the evaluator lacks before opset 19."""


class Unique(OpRun):
    """The operator Unique, also in the order of first appearance.

    Without ``sorted`` the evaluator still sorts if there is one output, and otherwise takes rows of
    the input by indices of its elements.
    """

    def _run(
        self,
        x: Array,
        axis: int | None = None,
        sorted: int = 1,  # noqa: A002 - the name of the attribute
    ) -> tuple[Array, ...]:
        values, first, inverse, counts = np.unique(
            x, return_index=True, return_inverse=True, return_counts=True, axis=axis
        )
        inverse = inverse.reshape(-1)
        if not sorted:
            order = np.argsort(first)
            values = np.take(values, order, axis=axis or 0)
            first, counts = first[order], counts[order]
            inverse = np.argsort(order)[inverse]
        whole = (each.astype(np.int64) for each in (first, inverse, counts))
        return (values, *whole)[: len(self.onnx_node.output)]


UNTIL: dict[type[OpRun], int] = {
    GRU: ALL,
    LSTM: ALL,
    Loop: ALL,
    RNN: ALL,
    Scan: ALL,
    Unique: ALL,
    LogSoftmax: ALL,
    LRN: ALL,
    Softmax: ROWS_UNTIL,
    Hardmax: ROWS_UNTIL,
    BatchNormalization: 14,
    DequantizeLinear: 19,
}
"""For each operator, the opset from which on the evaluator's own is right."""
